//! From slices to ratios, intervals and verdicts: pure, no I/O.
//!
//! ```
//! use rtswap_stats::{Comparison, Direction, Options, Paired, Rule, Verdict, decide, estimate};
//!
//! // Twelve rounds of three blocks: ln(lane / reference) of CPU time per operation.
//! let round = |offset: f64| vec![offset - 0.002, offset, offset + 0.3];
//! let lane = Paired { rounds: (0..12).map(|i| round(0.02 + 1e-4 * f64::from(i))).collect() };
//! let control = Paired { rounds: (0..12).map(|i| round(1e-4 * f64::from(i % 3 - 1))).collect() };
//!
//! let family: Vec<Comparison> = [(&control, true), (&lane, false)]
//!     .into_iter()
//!     .filter_map(|(paired, control)| {
//!         let estimate = estimate(paired, &Options::default())?;
//!         Some(Comparison { direction: Direction::LowerIsBetter, control, estimate })
//!     })
//!     .collect();
//! let decisions = decide(&family, &Rule { alpha: 0.05, margin: 0.03 });
//! assert_eq!(decisions[0].verdict, Verdict::Equivalent);
//! assert_eq!(decisions[1].verdict, Verdict::Worse);
//! ```
//!
//! # The method, and why
//!
//! Simulated figures use the noise of [`simulate`], whose fit to records `--example fit` prints. Each figure has
//! its command: `cargo run --release -p rtswap-stats --example NAME`. `tests/simulation.rs` and `tests/modes.rs` hold the
//! crate to them.
//!
//! **Ratios within a block.** Drift that is slower than a block affects both figures and cancels.
//! Ratios are logarithms, because then "twice" and "half" are equally far from 1, and lane and
//! reference can be exchanged.
//!
//! **Two processes of the reference, each by itself.** A block gives two values: the log ratios to both
//! processes. Their mean is not a valid substitute. A disturbance of the lane moves it fully, one of a reference by half, so
//! its median lies off 0 for equal programs. Simulated bias of CPU time: -0.45 % for the mean, 0.00 % for each; at 32 rounds
//! the interval of the mean covers 87 % and not 95 %, at 90 rounds 72 % (`choices`). Records show the same: in nine of ten columns the
//! mean says less than each, by 0.03 to 0.98 %, and in none more (`halves`).
//!
//! **Median over the blocks of a round, Hodges-Lehmann estimator over the rounds.** Slices are disturbed, and so are whole
//! rounds. Standard error relative to one reference, median and mean, by differences of random halves of the rounds of
//! records (`halves results/RECORD.jsonl`; the choice was made on the first two records):
//!
//! | estimator | reference CPU, time | self-test CPU, time | echo CPU | programs CPU, time | claim CPU, time |
//! |---|---|---|---|---|---|
//! | one reference, Hodges-Lehmann | 0.95, 0.89 | 0.96, 0.99 | 1.02 | 1.00, 0.96 | 0.98, 0.97 |
//! | mean of two, Hodges-Lehmann | 0.89, 0.81 | 0.94, 0.97 | 0.91 | 0.90, 0.90 | 0.95, 0.94 |
//! | **each of two, Hodges-Lehmann** | **0.84, 0.76** | **0.74, 0.83** | **0.88** | **0.90, 0.83** | **0.89, 0.87** |
//! | the same, mean of the middle half of the blocks | 0.80, 0.73 | 0.85, 0.85 | 0.89 | 0.88, 0.85 | 0.87, 0.88 |
//! | the same, trend of the 4 slices before and after taken off | 0.88, 0.77 | 0.81, 0.91 | 0.93 | 0.89, 0.89 | 0.90, 0.86 |
//! | mean of two, plain means | 0.99, 0.97 | 1.17, 1.40 | 1.14 | 1.05, 1.26 | 0.98, 1.01 |
//!
//! **The round is the unit of inference.** One process is one sample of memory layout (Mytkowicz
//! et al., *Producing Wrong Data Without Doing Anything Obviously Wrong!*, 2009), so blocks of the
//! same processes are not independent. Repetition helps at the level that varies (Kalibera &
//! Jones, *Rigorous Benchmarking in Reasonable Time*, 2013).
//!
//! **p: signed-rank test over the rounds**, exact up to 128 rounds, with ties and zeros. Its smallest p is 2^(1-n), so a family
//! of m lanes needs [`rounds_needed`] rounds, and [`decide`] calls no difference with fewer.
//!
//! Permuting the labels of the three processes of a round (aligned ranks; Hodges & Lehmann, *The Annals of Mathematical
//! Statistics* 33, 1962) finds more: 2 % in 80 % of runs of 16 rounds of 16 blocks, where the signed ranks find them in 70 %. It was
//! not chosen, because it takes the three to be equally noisy: where the lane has two modes its interval covers 89 %.
//!
//! **Interval: the ratios that the test does not reject**, so that test and interval agree. It is unbounded below
//! 6 rounds at 95 %. Coverage and mean half width at 12, 32 and 90 rounds of 8 blocks (`choices`):
//!
//! | noise | signed-rank (chosen) | Student's t | bootstrap of rounds, widened |
//! |---|---|---|---|
//! | CPU time | 0.964 1.80 %, 0.951 0.94 %, 0.953 0.55 % | 0.959 1.81 %, 0.960 1.07 %, 0.955 0.63 % | 0.949 1.75 %, 0.949 1.06 %, 0.947 0.63 % |
//! | throughput | 0.971 2.17 %, 0.958 1.15 %, 0.953 0.67 % | 0.958 2.14 %, 0.960 1.25 %, 0.955 0.74 % | 0.951 2.08 %, 0.949 1.24 %, 0.946 0.73 % |
//! | CPU time by a stale clock | 0.942 3.95 %, 0.946 2.19 %, 0.937 1.27 % | 0.940 3.76 %, 0.949 2.18 %, 0.940 1.27 % | 0.933 3.66 %, 0.944 2.16 %, 0.933 1.26 % |
//! | disturbed rounds | 0.957 3.05 %, 0.936 1.43 %, 0.920 0.79 % | 0.963 3.51 %, 0.951 2.15 %, 0.954 1.30 % | 0.937 3.38 %, 0.937 2.13 %, 0.943 1.29 % |
//!
//! With disturbed rounds (15 % of processes, by 10 % on average: more than in most records) the estimate has a bias of
//! -0.2 %, because three processes take part and one of them is the lane. It matters with many rounds: 6 % of families have a
//! false alarm at 32 rounds, and 9 % at 64 (`plan`).
//!
//! **Two modes** ([`modes()`]). If a lane has two that change less often than from round to round, the interval is extended to
//! both: rounds are then not independent. Half of the time in each mode, changing after two rounds on average, 32 rounds: the
//! interval covers 94 %, without the extension 85 %; after five rounds 90 and 70 %. With 12 rounds modes that last for
//! several rounds cannot be covered (84 % and 67 %), because a run may see one of them alone. Widening by the
//! rounds' autocorrelation instead covered less and cost all lanes width, at 10 rounds the interval itself.
//!
//! **Holm over the lanes** ([`holm()`]), the control outside ([`decide`]). Simulated with seven lanes, 3.6 to 5.6 % of families have a
//! false alarm (guaranteed for symmetric noise: at most 5 %), and the control, tested at a fifth of alpha, vetoes 0.7 to 1.2 % of
//! sound runs (`plan`). The control's interval is no noise floor: a gate at it would discard 23 % of right calls of 2 % at 16 rounds of 8 blocks, to
//! prevent half of the false alarms that alpha allows anyway (`choices`).
//!
//! **Equivalence** by the interval and a margin: a true difference of exactly the margin is called equivalent in at most 5 % of
//! runs, and an equal lane in 93 % at 16 rounds of 8 blocks (`plan`).
//!
//! **Minimum detectable effect** ([`Decision::mde`]): the size of a difference that an undecided
//! comparison may have missed. In simulation a true effect of this size is found in 74 to 88 % of runs
//! (stated: 80 %). 2 % are found in 87 % of runs at 32 rounds of 8 blocks and in 97 % at 32 of 16 (`plan`).
//!
//! **Stopping** on width alone ([`precise_enough`]). At ±1 % the coverage is 94 %, asked after 6 or 10 rounds (`choices`).

mod bounded;
pub mod changes;
mod decide;
mod estimate;
mod gate;
mod holm;
mod modes;
mod order;
mod quotient;
mod search;
mod signed_rank;
pub mod simulate;

pub use bounded::{BoundedMedian, Bounds, bounded_median};
pub use decide::{Comparison, Decision, Direction, Reason, Rule, Verdict, decide};
pub use estimate::{Estimate, Options, Paired, estimate, pooled, precise_enough};
pub use gate::{Doubt, GateRule, Gated, Judgement, Outcome, gate};
pub use holm::{holm, rounds_needed};
pub use modes::{Modes, modes};
pub use order::median;
pub use quotient::{Ratio, quotient};
pub use search::{Found, Search, Side, side};
