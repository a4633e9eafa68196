//! From slices to ratios, intervals and verdicts: pure, no I/O.
mod decide;
mod estimate;
mod holm;
mod order;
mod signflip;
pub mod simulate;

pub use decide::{Better, Comparison, Decision, Reason, Verdict, decide};
pub use estimate::{Estimate, Options, Paired, estimate, pooled, precise_enough};
pub use holm::{holm, rounds_needed};
