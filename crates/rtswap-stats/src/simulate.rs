//! Simulated runs on a noisy shared machine, to test the method against a known truth.
//!
//! A simulated lane differs from the reference by exactly the given effect. Everything else is noise
//! of the kinds seen on a shared virtual machine:
//!
//! | kind | shared by | remedy in the method |
//! |---|---|---|
//! | drift: a co-tenant's load, the clock, the cache | all lanes, wandering from slice to slice | ratio within a block |
//! | bursts: a co-tenant's job starts and stops | all lanes, for many slices in a row | ratio within a block, median over blocks |
//! | slice noise: scheduling, timer ticks | one slice | many blocks |
//! | outliers: steal, a page fault storm | one slice, never in the lane's favour | median over blocks |
//! | offset: memory layout, ASLR, environment | one process, so one lane in one round | many rounds |
//!
//! The resulting figures: `cargo run --release -p rtswap-stats --example plan`.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_pcg::Pcg64Mcg;

use crate::{Comparison, Direction, Options, Paired, estimate};

/// A model of one metric's noise. All sizes are in natural-log units (0.03 is about 3 %).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The direction of the metric. Disturbance makes a cost rise and a throughput fall.
    pub direction: Direction,
    /// Standard deviation of a slice's own normal noise.
    pub core_sd: f64,
    /// Share of slices that are outliers, 0 to 1.
    pub outlier_share: f64,
    /// An outlier is disturbed by the factor 1 + X, X exponential with this mean.
    pub outlier_mean: f64,
    /// Standard deviation of a process's offset: one draw per lane and round.
    pub offset_sd: f64,
    /// Standard deviation of the drift that all lanes share.
    pub drift_sd: f64,
    /// Slices after which the drift has forgotten where it was (correlation length).
    pub drift_slices: f64,
    /// Share of slices that lie in a burst, 0 to 1.
    pub burst_share: f64,
    /// Mean length of a burst, in slices.
    pub burst_slices: f64,
    /// What a burst adds to the disturbance.
    pub burst_size: f64,
}

impl Noise {
    /// CPU time per operation. Steal and waiting are not in it, so the core is narrow.
    pub const fn cpu_time() -> Self {
        Self {
            direction: Direction::LowerIsBetter,
            core_sd: 0.04,
            outlier_share: 0.10,
            outlier_mean: 0.25,
            offset_sd: 0.004,
            drift_sd: 0.10,
            drift_slices: 400.0,
            burst_share: 0.10,
            burst_slices: 40.0,
            burst_size: 0.15,
        }
    }

    /// Operations per second. Wall-clock time includes everything that co-tenants do.
    pub const fn throughput() -> Self {
        Self {
            direction: Direction::HigherIsBetter,
            core_sd: 0.08,
            outlier_share: 0.10,
            burst_share: 0.15,
            burst_size: 0.60,
            ..Self::cpu_time()
        }
    }
}

/// [`Noise::cpu_time`], the metric that decides if throughput cannot.
impl Default for Noise {
    fn default() -> Self {
        Self::cpu_time()
    }
}

/// Rounds and blocks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds, each with freshly started processes.
    pub rounds: usize,
    /// Blocks in a round, each with one slice of every lane.
    pub blocks: usize,
}

impl Plan {
    /// A plan of `rounds` rounds of `blocks` blocks.
    pub const fn new(rounds: usize, blocks: usize) -> Self {
        Self { rounds, blocks }
    }
}

/// One metric of a simulated run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The natural log of each slice's figure: round × block × lane. Lane 0 is the reference.
    pub figures: Vec<Vec<Vec<f64>>>,
}

impl Run {
    /// Simulates the slices of the reference and of one lane for each of `effects`, the lanes'
    /// true relative differences from the reference (0.02: the figure is 2 % higher).
    pub fn new(noise: &Noise, effects: &[f64], plan: Plan, seed: u64) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut machine = Machine::new(noise, &mut rng);
        let worse = match noise.direction {
            Direction::HigherIsBetter => -1.0,
            Direction::LowerIsBetter => 1.0,
        };
        let lanes = effects.len() + 1;
        let mut order: Vec<usize> = (0..lanes).collect();
        let figures = (0..plan.rounds)
            .map(|_| {
                let levels: Vec<f64> = (0..lanes)
                    .map(|lane| {
                        let effect = if lane == 0 { 0.0 } else { effects[lane - 1] };
                        effect.ln_1p() + noise.offset_sd * normal(&mut rng)
                    })
                    .collect();
                (0..plan.blocks)
                    .map(|_| {
                        order.shuffle(&mut rng);
                        let mut block = vec![0.0; lanes];
                        for &lane in &order {
                            let disturbance = machine.step(&mut rng) + slice_noise(noise, &mut rng);
                            block[lane] = levels[lane] + worse * disturbance;
                        }
                        block
                    })
                    .collect()
            })
            .collect();
        Self { figures }
    }

    /// The log ratios of lane `lane` (1 is the first of the effects) to the reference.
    pub fn paired(&self, lane: usize) -> Paired {
        let ratios = |round: &Vec<Vec<f64>>| round.iter().map(|b| b[lane] - b[0]).collect();
        Paired { rounds: self.figures.iter().map(ratios).collect() }
    }

    /// The standard deviation of the reference's slices over their mean: the noise of measurements
    /// that are not paired. 0.2 is 20 %.
    pub fn slice_deviation(&self) -> f64 {
        let slices: Vec<f64> = self.figures.iter().flatten().map(|b| b[0].exp()).collect();
        let n = slices.len() as f64;
        let mean = slices.iter().sum::<f64>() / n;
        let variance = slices.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        variance.sqrt() / mean
    }
}

/// A simulated workload, ready for [`decide`](crate::decide): for each metric first the control
/// (true ratio 1) and then one comparison for each of that metric's effects.
///
/// The metrics are independent of each other, which is the hardest case for the rate of false
/// alarms; the lanes of a metric share the reference's noise, as they do in a real run.
pub fn family(
    metrics: &[(Noise, &[f64])],
    plan: Plan,
    options: &Options,
    seed: u64,
) -> Vec<Comparison> {
    let mut family = Vec::new();
    for (metric, (noise, effects)) in metrics.iter().enumerate() {
        let mut all = vec![0.0];
        all.extend_from_slice(effects);
        // Steps of a Weyl sequence: each metric has a random stream of its own.
        let seed = seed.wrapping_add((metric as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let run = Run::new(noise, &all, plan, seed);
        family.extend((1..=all.len()).filter_map(|lane| {
            Some(Comparison {
                direction: noise.direction,
                control: lane == 1,
                metric,
                estimate: estimate(&run.paired(lane), options)?,
            })
        }));
    }
    family
}

/// Noise that all lanes share.
struct Machine {
    noise: Noise,
    drift: f64,
    burst: bool,
}

impl Machine {
    fn new(noise: &Noise, rng: &mut Pcg64Mcg) -> Self {
        Self {
            noise: *noise,
            drift: noise.drift_sd * normal(rng),
            burst: rng.random_bool(noise.burst_share),
        }
    }

    /// Advances by one slice and returns the disturbance of every lane that runs in it.
    ///
    /// The drift is a first-order autoregressive process, so that its deviation is `drift_sd`
    /// however long the run is; the bursts are a chain of two states with the given share and
    /// mean length.
    fn step(&mut self, rng: &mut Pcg64Mcg) -> f64 {
        let noise = &self.noise;
        let keep = (-1.0 / noise.drift_slices).exp();
        let step_sd = noise.drift_sd * (1.0 - keep * keep).sqrt();
        self.drift = self.drift * keep + step_sd * normal(rng);
        let change = if self.burst {
            1.0 / noise.burst_slices
        } else {
            noise.burst_share / (1.0 - noise.burst_share) / noise.burst_slices
        };
        if rng.random_bool(change.clamp(0.0, 1.0)) {
            self.burst = !self.burst;
        }
        self.drift + if self.burst { noise.burst_size } else { 0.0 }
    }
}

fn slice_noise(noise: &Noise, rng: &mut Pcg64Mcg) -> f64 {
    let core = noise.core_sd * normal(rng);
    if rng.random_bool(noise.outlier_share) {
        let excess: f64 = Exp1.sample(rng);
        core + (noise.outlier_mean * excess).ln_1p()
    } else {
        core
    }
}

fn normal(rng: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(rng)
}
