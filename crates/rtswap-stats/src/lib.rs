//! From slices to ratios, intervals and verdicts: pure, no I/O.
//!
//! ```
//! use rtswap_stats::{Direction, Comparison, Options, Paired, Verdict, decide, estimate};
//!
//! // Twelve rounds of three blocks: ln(lane / reference) of CPU time per operation.
//! let round = |offset: f64| vec![offset - 0.002, offset, offset + 0.3];
//! let lane = Paired { rounds: (0..12).map(|i| round(0.02 + 1e-4 * f64::from(i))).collect() };
//! let control = Paired { rounds: (0..12).map(|i| round(1e-4 * f64::from(i % 3 - 1))).collect() };
//!
//! let options = Options { seed: 1, ..Options::default() };
//! let family: Vec<Comparison> = [(&control, true), (&lane, false)]
//!     .into_iter()
//!     .filter_map(|(paired, control)| {
//!         let estimate = estimate(paired, &options)?;
//!         Some(Comparison { direction: Direction::LowerIsBetter, control, metric: 0, estimate })
//!     })
//!     .collect();
//! let decisions = decide(&family, 0.05);
//! assert_eq!(decisions[1].verdict, Verdict::Worse);
//! ```
//!
//! # The method, and why
//!
//! The figures are simulated, under the noise of [`simulate`]: `cargo run --release -p rtswap-stats
//! --example choices` for the choices between methods, `--example plan` for what a plan can see.
//! `tests/simulation.rs` holds the crate to them.
//!
//! **Ratios within a block.** Drift that is slower than a block affects both figures and cancels.
//! Ratios are logarithms, because then "twice" and "half" are equally far from 1, and lane and
//! reference can be exchanged.
//!
//! **Median over the blocks of a round.** One slice in ten or twenty is disturbed by about a
//! quarter, always for the worse. At 12 rounds × 20 blocks of CPU time the mean of the blocks has a
//! standard error of 0.89 %, the median of 0.56 %. (The mean of the middle half has 0.53 %, but bears
//! half as many outliers; the median is kept.)
//!
//! **Mean over the rounds.** The rounds' medians are nearly normal, so a robust centre does not
//! help: the Hodges-Lehmann estimator in its place had a standard error up to 4 % larger.
//!
//! **The round is the unit of inference.** One process is one sample of memory layout (Mytkowicz
//! et al., *Producing Wrong Data Without Doing Anything Obviously Wrong!*, 2009), so blocks of the
//! same processes are not independent. Repetition helps at the level that varies (Kalibera &
//! Jones, *Rigorous Benchmarking in Reasonable Time*, 2013).
//!
//! **Interval: hierarchical bootstrap, rounds with replacement, the blocks of a drawn round kept
//! as they are.** This is the scheme of Davison & Hinkley, *Bootstrap Methods and Their Application* (1997),
//! section 3.8; Field & Welsh, *Bootstrapping Clustered Data* (2007), show its variance to be right: the
//! rounds' medians already vary by all that the blocks vary. Drawing blocks anew as well counts
//! that variation twice. Simulated at 12 rounds × 20 blocks, CPU time, 1,500 runs:
//!
//! | interval | coverage of 95 % | mean half width |
//! |---|---|---|
//! | rounds, percentile | 0.907 | 1.00 % |
//! | **rounds, percentile, widened for small n** | **0.941** | **1.18 %** |
//! | rounds then blocks, percentile | 0.994 | 1.50 % |
//! | rounds then blocks, widened for small n | 0.999 | 1.76 % |
//! | Student's t over the rounds' medians | 0.943 | 1.19 % |
//!
//! (The last row agrees with the chosen one, as it must for near normal rounds; the bootstrap
//! follows them where they are skewed.)
//!
//! **p: sign-flip test over the rounds.** Under "no difference" the two are exchangeable and each
//! sign is equally likely, so the test is exact for any noise. Its smallest p is 2^(1-n), so a family of
//! m comparisons needs [`rounds_needed`] rounds, and [`decide`] refuses to decide with fewer.
//!
//! **Holm over the family** ([`holm`]), then three conditions and the control ([`decide`]). In
//! 2 % of simulated runs without a difference some lane was found different (guaranteed: at most 5 %).
//!
//! **Minimum detectable effect** ([`Decision::mde`]): the size of a difference that an undecided
//! comparison may have missed. In simulation a true effect of this size is found in 78 to 79 % of runs
//! (stated: 80 %).
//!
//! **Stopping** on width alone ([`precise_enough`]). Even so, a run is more likely to stop when its
//! rounds agree by chance: at ±1 % the coverage is 93.0 % if first asked after 10 rounds and 92.1 %
//! after 6, so ask only from [`rounds_needed`] on.

mod bounded;
mod decide;
mod estimate;
mod holm;
mod order;
mod signflip;
pub mod simulate;

pub use bounded::{BoundedMedian, Bounds, bounded_median};
pub use decide::{Comparison, Decision, Direction, Reason, Verdict, decide};
pub use estimate::{Estimate, Options, Paired, estimate, pooled, precise_enough};
pub use holm::{holm, rounds_needed};
pub use order::median;
