//! Simulated runs on a noisy shared machine, to test the method against a known truth.
//!
//! A simulated lane differs from the reference by exactly the given effect. Everything else is noise
//! of the kinds seen on a shared virtual machine:
//!
//! | kind | shared by | remedy in the method |
//! |---|---|---|
//! | drift at three speeds: co-tenants, the clock, the cache | all lanes, correlated from slice to slice | ratio within a block |
//! | bursts: a co-tenant's job starts and stops | all lanes, for many slices in a row | ratio within a block, median over blocks |
//! | slice noise: scheduling, timer ticks | one slice | many blocks |
//! | outliers: steal, a page fault storm | one slice, never in the lane's favour | median over blocks |
//! | offset: memory layout, ASLR, environment | one process, so one lane in one round | many rounds |
//! | disturbed rounds: an offset that is far larger | one process, never in the lane's favour | ranks over rounds |
//! | modes: batching, the placement of threads | one lane, for a process or for seconds | [`modes`](crate::modes) names them |
//! | stale clock: CPU time as of the last tick | one slice | median over blocks |
//!
//! The sizes are fitted to records: `cargo run --release -p rtswap-stats --example fit` prints model and record.
//! What the method makes of the noise: `--example plan`.

mod history;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_pcg::Pcg64Mcg;

use crate::{Comparison, Direction, Options, Paired, estimate};

pub use history::{Errors, Step, history};

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
    /// Share of processes whose whole round is disturbed, 0 to 1.
    pub round_share: f64,
    /// A disturbed round is disturbed by the factor 1 + X, X exponential with this mean.
    pub round_mean: f64,
    /// Noise that all lanes share and that is correlated from slice to slice.
    pub drifts: [Drift; 3],
    /// Disturbances that all lanes share.
    pub bursts: [Burst; 2],
    /// How CPU time is read; `None` for a clock without error.
    pub clock: Option<StaleClock>,
}

/// A first-order autoregressive process, so that its deviation does not depend on the length of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Standard deviation.
    pub sd: f64,
    /// Slices after which the correlation has fallen to 1/e.
    pub slices: f64,
}

/// A disturbance that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Share of slices that lie in one, 0 to 1.
    pub share: f64,
    /// Mean length, in slices.
    pub slices: f64,
    /// Each disturbs by the factor 1 + X, X exponential with this mean.
    pub mean: f64,
}

/// A CPU clock that a running thread's time reaches at ticks only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaleClock {
    /// Length of a tick over length of a slice: 0.2 for 4 ms and 20 ms.
    pub tick: f64,
    /// Share of window edges at which the lane runs, so that the clock is behind.
    pub running: f64,
}

/// A lane's second mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// The higher mode over the lower one, natural log: 0.5 is 1.65 times.
    pub gap: f64,
    /// Share of the higher mode, 0 to 1.
    pub share_high: f64,
    /// How long a mode lasts.
    pub lasts: Lasts,
}

/// How long a mode lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lasts {
    /// As long as the process.
    Process,
    /// A random time with this mean, counted in slices of all lanes.
    Slices(f64),
}

impl Noise {
    /// CPU time per operation. Steal and waiting are not in it, so the core is narrow.
    pub const fn cpu_time() -> Self {
        Self {
            direction: Direction::LowerIsBetter,
            core_sd: 0.03,
            outlier_share: 0.08,
            outlier_mean: 0.25,
            offset_sd: 0.004,
            round_share: 0.05,
            round_mean: 0.05,
            drifts: [
                Drift { sd: 0.02, slices: 2.5 },
                Drift { sd: 0.03, slices: 25.0 },
                Drift { sd: 0.05, slices: 400.0 },
            ],
            bursts: [
                Burst { share: 0.15, slices: 4.0, mean: 0.25 },
                Burst { share: 0.15, slices: 40.0, mean: 0.15 },
            ],
            clock: None,
        }
    }

    /// Operations per second. Wall-clock time includes everything that co-tenants do.
    pub const fn throughput() -> Self {
        Self {
            direction: Direction::HigherIsBetter,
            core_sd: 0.04,
            outlier_mean: 0.30,
            bursts: [
                Burst { share: 0.15, slices: 4.0, mean: 0.35 },
                Burst { share: 0.15, slices: 40.0, mean: 0.25 },
            ],
            ..Self::cpu_time()
        }
    }

    /// With the error of the CPU clock of another process: ticks of 4 ms, slices of 20 ms.
    #[must_use]
    pub const fn stale(self) -> Self {
        Self { clock: Some(StaleClock { tick: 0.2, running: 0.9 }), ..self }
    }

    /// With three times as many disturbed rounds, each twice as disturbed.
    #[must_use]
    pub const fn heavy_tailed(self) -> Self {
        Self { round_share: 0.15, round_mean: 2.0 * self.round_mean, ..self }
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
    /// The lanes of each block in the order of their slices: round × block × slice.
    pub orders: Vec<Vec<Vec<usize>>>,
}

impl Run {
    /// Simulates the slices of the reference and of one lane for each of `effects`, the lanes'
    /// true relative differences from the reference (0.02: the figure is 2 % higher).
    pub fn new(noise: &Noise, effects: &[f64], plan: Plan, seed: u64) -> Self {
        Self::with_modes(noise, effects, &[], plan, seed)
    }

    /// The same, with modes by lane. The effect of such a lane is that of its lower mode.
    pub fn with_modes(
        noise: &Noise,
        effects: &[f64],
        modes: &[(usize, Mode)],
        plan: Plan,
        seed: u64,
    ) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        // A stream of their own: without modes, the same noise.
        let mut switches = Pcg64Mcg::seed_from_u64(!seed);
        let mut machine = Machine::new(noise, &mut rng);
        let mut modes: Vec<Switch> =
            modes.iter().map(|it| Switch::new(it, &mut switches)).collect();
        let worse = match noise.direction {
            Direction::HigherIsBetter => -1.0,
            Direction::LowerIsBetter => 1.0,
        };
        let lanes = effects.len() + 1;
        let mut order: Vec<usize> = (0..lanes).collect();
        let mut run = Self { figures: Vec::new(), orders: Vec::new() };
        for _ in 0..plan.rounds {
            let levels: Vec<f64> = (0..lanes)
                .map(|lane| {
                    let effect = if lane == 0 { 0.0 } else { effects[lane - 1] };
                    effect.ln_1p() + worse * offset(noise, &mut rng)
                })
                .collect();
            for mode in &mut modes {
                mode.start(&mut switches);
            }
            let (mut figures, mut orders) = (Vec::new(), Vec::new());
            for _ in 0..plan.blocks {
                order.shuffle(&mut rng);
                let mut block = vec![0.0; lanes];
                for &lane in &order {
                    let disturbance = machine.step(&mut rng) + slice_noise(noise, &mut rng);
                    let mode: f64 =
                        modes.iter_mut().map(|mode| mode.step(lane, &mut switches)).sum();
                    block[lane] = levels[lane] + worse * disturbance + mode;
                }
                figures.push(block);
                orders.push(order.clone());
            }
            run.figures.push(figures);
            run.orders.push(orders);
        }
        run
    }

    /// The log ratios of lane `lane` (1 is the first of the effects) to the reference.
    pub fn paired(&self, lane: usize) -> Paired {
        self.ratios(|block| vec![block[lane] - block[0]])
    }

    /// The log ratios of lane `lane` to the reference and to lane 1, its second process: two values for each block.
    ///
    /// Each of the two is as likely as its negative if all three are the same program. Their mean is not,
    /// because a disturbance of the lane counts fully and one of a reference by half: its median lies off 0.
    pub fn paired_to_each(&self, lane: usize) -> Paired {
        self.ratios(|block| vec![block[lane] - block[0], block[lane] - block[1]])
    }

    /// The log ratios of lane `lane` to the geometric mean of the two references: one value for each block.
    pub fn paired_to_mean(&self, lane: usize) -> Paired {
        self.ratios(|block| vec![block[lane] - f64::midpoint(block[0], block[1])])
    }

    fn ratios(&self, ratios: impl Fn(&Vec<f64>) -> Vec<f64>) -> Paired {
        let round = |round: &Vec<Vec<f64>>| round.iter().flat_map(&ratios).collect();
        Paired { rounds: self.figures.iter().map(round).collect() }
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

/// A simulated workload in one metric, ready for [`decide`](crate::decide): first the control (true ratio 1,
/// against the reference alone), then one comparison for each of `effects`, against each of the two.
///
/// The lanes share the reference's noise, as they do in a real run.
pub fn family(
    noise: &Noise,
    effects: &[f64],
    plan: Plan,
    options: &Options,
    seed: u64,
) -> Vec<Comparison> {
    let mut all = vec![0.0];
    all.extend_from_slice(effects);
    let run = Run::new(noise, &all, plan, seed);
    let row = |lane: usize| {
        let control = lane == 1;
        let paired = if control { run.paired(lane) } else { run.paired_to_each(lane) };
        let estimate = estimate(&paired, options)?;
        Some(Comparison { direction: noise.direction, control, estimate })
    };
    (1..=all.len()).filter_map(row).collect()
}

/// Noise that all lanes share.
struct Machine {
    noise: Noise,
    drifts: [f64; 3],
    bursts: [(bool, f64); 2],
}

impl Machine {
    fn new(noise: &Noise, rng: &mut Pcg64Mcg) -> Self {
        Self {
            noise: *noise,
            drifts: noise.drifts.map(|drift| drift.sd * normal(rng)),
            bursts: noise.bursts.map(|burst| (rng.random_bool(burst.share), size(burst.mean, rng))),
        }
    }

    /// Advances by one slice and returns the disturbance of every lane that runs in it.
    ///
    /// The bursts are chains of two states with the given share and mean length.
    fn step(&mut self, rng: &mut Pcg64Mcg) -> f64 {
        let noise = &self.noise;
        for (at, drift) in self.drifts.iter_mut().zip(&noise.drifts) {
            let keep = (-1.0 / drift.slices).exp();
            *at = *at * keep + drift.sd * (1.0 - keep * keep).sqrt() * normal(rng);
        }
        let mut disturbance: f64 = self.drifts.iter().sum();
        for ((on, height), burst) in self.bursts.iter_mut().zip(&noise.bursts) {
            if switch(on, burst.share, burst.slices, rng) {
                *height = size(burst.mean, rng);
            }
            disturbance += if *on { *height } else { 0.0 };
        }
        disturbance
    }
}

/// One step of a chain that is on for `share` of the time, `slices` steps at a time on average. Returns whether it
/// changed.
fn switch(on: &mut bool, share: f64, slices: f64, rng: &mut Pcg64Mcg) -> bool {
    let change = if *on { 1.0 / slices } else { share / (1.0 - share) / slices };
    let changes = rng.random_bool(change.clamp(0.0, 1.0));
    *on ^= changes;
    changes
}

/// The mode that a lane is in.
struct Switch {
    lane: usize,
    mode: Mode,
    high: bool,
}

impl Switch {
    fn new((lane, mode): &(usize, Mode), rng: &mut Pcg64Mcg) -> Self {
        Self { lane: *lane, mode: *mode, high: rng.random_bool(mode.share_high) }
    }

    /// A new process.
    fn start(&mut self, rng: &mut Pcg64Mcg) {
        if self.mode.lasts == Lasts::Process {
            self.high = rng.random_bool(self.mode.share_high);
        }
    }

    /// Advances by a slice of `lane` and returns what the mode adds to it.
    fn step(&mut self, lane: usize, rng: &mut Pcg64Mcg) -> f64 {
        if let Lasts::Slices(slices) = self.mode.lasts {
            let share = self.mode.share_high;
            // The mean over both modes is `slices`.
            switch(&mut self.high, share, 2.0 * share * slices, rng);
        }
        if self.high && lane == self.lane { self.mode.gap } else { 0.0 }
    }
}

/// What a process adds to the disturbance of all its slices.
fn offset(noise: &Noise, rng: &mut Pcg64Mcg) -> f64 {
    noise.offset_sd * normal(rng) + disturbed(noise.round_share, noise.round_mean, rng)
}

fn slice_noise(noise: &Noise, rng: &mut Pcg64Mcg) -> f64 {
    let core = noise.core_sd * normal(rng);
    let clock = noise.clock.map_or(0.0, |clock| {
        let mut behind =
            || if rng.random_bool(clock.running) { rng.random_range(0.0..clock.tick) } else { 0.0 };
        (behind() - behind()).ln_1p()
    });
    core + clock + disturbed(noise.outlier_share, noise.outlier_mean, rng)
}

/// ln(1 + X) with probability `share`, X exponential.
fn disturbed(share: f64, mean: f64, rng: &mut Pcg64Mcg) -> f64 {
    if rng.random_bool(share) { size(mean, rng) } else { 0.0 }
}

/// ln(1 + X), X exponential.
fn size(mean: f64, rng: &mut Pcg64Mcg) -> f64 {
    let excess: f64 = Exp1.sample(rng);
    (mean * excess).ln_1p()
}

fn normal(rng: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(rng)
}
