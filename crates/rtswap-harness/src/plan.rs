//! What will be measured, and how long it will take: decided before anything runs.

use std::num::NonZeroU32;
use std::time::Duration;

use rtswap_workload::{Answer, Drive, SMALL_MESSAGE_BYTES, Spec, Traffic};

use crate::lane::PlannedLane;
use crate::limits::Limits;
use crate::record::{
    Deciding, GatePlan, HttpRequest, Kind, LanePlan, Plan, Record, Rule, WorkloadPlan,
};

/// Rounds of a run, unless the budget forbids: enough for a sign-flip test of 12 comparisons under
/// Holm, which needs 9, with some to spare.
pub const ROUNDS: u32 = 12;
/// Rounds below which no plan goes: with fewer nothing could be decided.
pub const ROUNDS_LEAST: u32 = 10;
/// By how much the rounds of a workload may exceed its even share where others stop on precision.
const ROUNDS_SPARE: u32 = 4;
/// The probability of any false `better` or `worse` among the lanes of one workload.
pub const ALPHA: f64 = 0.05;
/// The default of [`Request::margin`].
pub const MARGIN: f64 = 0.03;
/// The blocks of a round where starting is quick. More rounds are worth more than more blocks: each samples new
/// processes.
const BLOCKS: u32 = 8;
/// The most blocks of a round, where starting is slow.
pub const BLOCKS_MOST: u32 = 24;
/// How many times as long as its start the blocks of a round take, up to [`BLOCKS_MOST`].
const BLOCKS_OVER_START: f64 = 7.0;

/// Rounds of each workload, from the first, in which system calls are counted. The counts hardly vary, so that the
/// median of three is as good as that of all rounds, and the time goes to slices.
const COUNTED_ROUNDS: u32 = 3;

/// The counted part of an ordinary slice, milliseconds. In equal time, slices of 20 ms gave a
/// narrower interval than those of 10, 40 or 80 ms: METHODOLOGY.md has the figures.
pub const SLICE_MS: u64 = 20;
/// The counted part of a slice at an offered rate, milliseconds: long enough for a percentile of latency to have
/// samples.
const PACED_MS: u64 = 100;
/// The counted part of a slice in a closed loop from which the capacity of a lane is taken, milliseconds; or half of
/// an ordinary slice, if that is longer.
const CAPACITY_MS: u64 = 20;
/// Milliseconds between two messages of the trickle. After 20 ms without an event, the runtimes on async-io let
/// another thread wait for events, and halve their throughput once there are many; METHODOLOGY.md has the experiment.
const TRICKLE_MS: u64 = 5;
/// The same where a message has more than [`TRICKLE_BYTES`].
const TRICKLE_LARGE_MS: u64 = 15;
const TRICKLE_BYTES: u64 = 16 << 10;
/// What is not counted before it, at least: a slice begins with all connections sending at once.
const WARMUP_MS: u64 = 4;
/// Round trips of every connection in a slice, at least.
const TRIPS: f64 = 20.0;
/// Batches of requests, where requests are sent in batches: each is many round trips.
const BATCHES: f64 = 4.0;

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// Workloads, in order.
    pub workloads: Vec<Spec>,
    /// How many times as many slices a workload is to have as one of weight 1.
    pub weight: fn(&Spec) -> u32,
    /// Lanes, the control among them.
    pub lanes: Vec<PlannedLane>,
    /// The reference lane's name.
    pub reference: String,
    /// Time that the run may take.
    pub budget: Duration,
    /// Relative half-width at which a workload is measured well enough.
    pub precision: Option<f64>,
    /// The largest relative difference of two lanes that are called equivalent.
    pub margin: f64,
    /// The counted part of an ordinary slice, milliseconds; it is longer where it has to be, and at an
    /// offered rate unless it is given. `None` for the default.
    pub slice_ms: Option<u64>,
    /// Whether lanes that wait get a trickle of messages.
    pub trickle: bool,
    /// What may be open at once.
    pub limits: Limits,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load generator.
    pub load_cpus: Vec<usize>,
    /// What the run is to decide, if it is a gate.
    pub gate: Option<GatePlan>,
}

/// Spreads the budget over the workloads: the same rounds for each, and blocks by their weight.
pub fn make(request: Request) -> Plan {
    let lanes: Vec<LanePlan> = request.lanes.into_iter().map(|lane| lane.plan).collect();
    let mut workloads: Vec<_> =
        request.workloads.iter().map(|spec| workload(spec, request.slice_ms)).collect();
    if !request.trickle {
        for workload in &mut workloads {
            workload.trickle_ms = None;
        }
    }
    for (workload, spec) in workloads.iter_mut().zip(&request.workloads) {
        workload.weight = NonZeroU32::new((request.weight)(spec)).filter(|it| it.get() > 1);
        workload.reconnects =
            request.limits.needs_reconnect(workload, participants(&lanes, workload));
    }
    let round = |blocks| -> f64 { workloads.iter().map(|it| round_s(it, &lanes, blocks)).sum() };
    let counts: f64 = workloads.iter().map(|it| count_s(it, &lanes)).sum();
    let is_gate = request.gate.is_some();
    let (counts_each, counts) =
        if is_gate { (counts, 0.0) } else { (0.0, counts * f64::from(COUNTED_ROUNDS)) };
    let fixed = round(0) + counts_each;
    let one = round(1) + counts_each - fixed;
    let budget_s = request.budget.as_secs_f64();

    let rounds_at = |blocks: u32| ((budget_s - counts) / (fixed + one * f64::from(blocks))) as u32;
    let wanted = (BLOCKS_OVER_START * fixed / one).round() as u32;
    let most = wanted.clamp(BLOCKS, BLOCKS_MOST);
    // As many blocks as the default number of rounds allows, then as many rounds as fit.
    let blocks = (1..=most).rev().find(|&blocks| rounds_at(blocks) >= ROUNDS).unwrap_or(1);
    // Workloads that are precise enough early leave their time to the others.
    let share = if request.precision.is_some() { ROUNDS_SPARE } else { 1 };
    let rounds = rounds_at(blocks).saturating_mul(share).max(ROUNDS_LEAST);
    Plan {
        reference: request.reference,
        lanes,
        workloads,
        rounds,
        blocks,
        server_cpus: request.server_cpus,
        load_cpus: request.load_cpus,
        budget_s,
        precision: request.precision,
        rule: Some(Rule { alpha: ALPHA, margin: request.margin }),
        gate: request.gate,
    }
}

/// Seconds that the plan will take, about.
pub fn expected_s(plan: &Plan) -> f64 {
    let all_s = all_rounds_s(plan);
    // Not all of its rounds fit, unless workloads stop on precision.
    if plan.precision.is_some() { all_s.min(plan.budget_s.max(least_s(plan))) } else { all_s }
}

/// Seconds of the fewest rounds.
fn least_s(plan: &Plan) -> f64 {
    all_rounds_s(plan) / f64::from(plan.rounds.max(1)) * f64::from(ROUNDS_LEAST)
}

/// Seconds that the rounds of a record took, about.
pub fn measured_s(record: &Record) -> f64 {
    let plan = &record.header.plan;
    let workload = |name: &str| plan.workloads.iter().find(|workload| workload.name == name);
    let rounds = record.rounds.iter().filter_map(|round| workload(&round.workload));
    rounds.map(|workload| round_s(workload, &plan.lanes, plan.blocks)).sum()
}

fn all_rounds_s(plan: &Plan) -> f64 {
    let round: f64 =
        plan.workloads.iter().map(|workload| round_s(workload, &plan.lanes, plan.blocks)).sum();
    let count: f64 = plan.workloads.iter().map(|workload| count_s(workload, &plan.lanes)).sum();
    round * f64::from(plan.rounds) + count * f64::from(counted_rounds(plan))
}

/// How many of the lanes take part in a workload.
fn participants(lanes: &[LanePlan], workload: &WorkloadPlan) -> usize {
    lanes.iter().filter(|lane| lane.does(&workload.family)).count()
}

/// Seconds that one round of a workload takes, about: measured on a 2-core virtual machine. The blocks are
/// the plan's.
fn round_s(workload: &WorkloadPlan, lanes: &[LanePlan], blocks: u32) -> f64 {
    const START_S: f64 = 0.012;
    /// An interpreter's start, and its libraries'. A command may be one.
    const PEER_START_S: f64 = 0.1;
    const ORDER_S: f64 = 0.001;
    let (once, each) = connect_s(workload);
    let slice = (workload.slice_ms + workload.warmup_ms) as f64 / 1000.0 + overrun_s(workload);
    let capacity = if workload.rate().is_some() {
        let timing = capacity_timing(workload);
        (timing.0 + timing.1) as f64 / 1000.0 + ORDER_S
    } else {
        0.0
    };
    let takes_part = |lane: &&LanePlan| lane.does(&workload.family);
    let start = |lane: &LanePlan| match lane.kind {
        Kind::Peer | Kind::Command => PEER_START_S,
        _ => START_S,
    };
    let starts: f64 = lanes.iter().filter(takes_part).map(start).sum();
    let lanes = participants(lanes, workload) as f64;
    // The first slice of each process does not count.
    let slices = f64::from(workload.blocks(blocks) + 1);
    starts + (once + capacity + (slice + each + ORDER_S) * slices) * lanes
}

/// Seconds that counting system calls takes in a round of a workload, about.
fn count_s(workload: &WorkloadPlan, lanes: &[LanePlan]) -> f64 {
    let (_, each) = connect_s(workload);
    let count = count_ms(workload) as f64 / 1000.0 + overrun_s(workload) + each;
    count * participants(lanes, workload) as f64
}

/// Rounds of each workload, from the first, in which system calls are counted: in a gate all of them, because there
/// the counts are compared and not only shown.
pub fn counted_rounds(plan: &Plan) -> u32 {
    if plan.gate.is_some() { plan.rounds } else { COUNTED_ROUNDS }
}

/// Seconds for opening the connections of a lane, about: once in each round, and for each slice.
fn connect_s(workload: &WorkloadPlan) -> (f64, f64) {
    const CONNECTION_S: f64 = 0.000_1;
    let connect = workload.number("conns").unwrap_or(0) as f64 * CONNECTION_S;
    if workload.reconnects { (0.0, connect) } else { (connect, 0.0) }
}

/// A lane that drives itself finishes its batch: half a batch more on average, twice a slice.
fn overrun_s(workload: &WorkloadPlan) -> f64 {
    workload.number("ms").map_or(0.0, |ms| (ms + 5) as f64 / 1000.0)
}

/// Milliseconds of the slice in which system calls are counted: exact counts need no long look.
pub fn count_ms(workload: &WorkloadPlan) -> u64 {
    (workload.slice_ms / 2).max(1)
}

/// Milliseconds of warm-up and window of the slice from which the capacity of a lane is taken.
pub fn capacity_timing(workload: &WorkloadPlan) -> (u64, u64) {
    let window = CAPACITY_MS.max(workload.slice_ms / 2);
    (window / 4, window)
}

/// Whether the capacity of the lanes is measured in every round of a workload: of several rates of one workload,
/// in those of the first.
pub fn measures_capacity(plan: &Plan, workload: &WorkloadPlan) -> bool {
    let closed_loop = workload.closed_loop();
    let first = plan
        .workloads
        .iter()
        .find(|other| other.rate().is_some() && other.closed_loop() == closed_loop);
    workload.rate().is_some() && first.is_some_and(|first| first.name == workload.name)
}

/// One workload as it stands in a plan.
pub fn workload(spec: &Spec, slice_ms: Option<u64>) -> WorkloadPlan {
    let ordinary_ms = if spec.rate().is_some() { PACED_MS } else { SLICE_MS };
    let slice_ms = slice_ms.unwrap_or(ordinary_ms).max(trips_ms(spec));
    WorkloadPlan {
        name: spec.to_string(),
        family: spec.family().name.to_owned(),
        operation: spec.family().operation.to_owned(),
        unit: spec.family().unit.to_owned(),
        params: spec.params().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        by_generator: matches!(spec.drive(), Drive::Generator(_)),
        traffic: match spec.drive() {
            Drive::Generator(traffic) => traffic,
            Drive::Lane => Traffic::default(),
        },
        request: spec.text("path").map(HttpRequest::get),
        uses: spec.family().uses.to_vec(),
        reconnects: false,
        slice_ms,
        warmup_ms: (slice_ms / 10).max(WARMUP_MS),
        trickle_ms: trickle_ms(spec),
        weight: None,
        deciding: Some(Deciding::CpuNsPerOp),
    }
}

/// Only served workloads have one: a lane that drives itself gets no messages.
fn trickle_ms(spec: &Spec) -> Option<u64> {
    let Drive::Generator(_) = spec.drive() else { return None };
    Some(if message_bytes(spec) > TRICKLE_BYTES { TRICKLE_LARGE_MS } else { TRICKLE_MS })
}

/// Bytes of the message or answer of a served workload.
fn message_bytes(spec: &Spec) -> u64 {
    match spec.drive() {
        Drive::Generator(Traffic::Http) => Answer::named(spec.name_of("body")).body.len() as u64,
        _ => spec.number("size").unwrap_or(SMALL_MESSAGE_BYTES),
    }
}

/// With many connections or large messages an ordinary slice holds too few round trips: 10 µs for
/// each message (60 for a connection, 15 for a request), or 1 GB/s, whichever is slower, is what a slow
/// lane does here.
fn trips_ms(spec: &Spec) -> u64 {
    let Drive::Generator(traffic) = spec.drive() else { return 0 };
    let size = message_bytes(spec);
    let at_once = spec.number("active").or(spec.number("conns")).unwrap_or(1);
    let least_s = match traffic {
        Traffic::Echo => 10e-6,
        Traffic::Churn => 60e-6,
        Traffic::Http => 15e-6,
    };
    let message_s = (size as f64 / 1e9).max(least_s);
    let batch = spec.number("pipeline").unwrap_or(1) as f64;
    let trips = TRIPS.max(BATCHES * batch);
    (trips * at_once as f64 * message_s * 1000.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Launch;
    use rtswap_workload::{Standard, Suite};

    fn request(workloads: &[&str], seconds: u64) -> Request {
        Request {
            workloads: workloads
                .iter()
                .map(|name| Spec::parse(name, Standard::CATALOGUE).unwrap())
                .collect(),
            weight: |_| 1,
            lanes: ["tokio", "smol", "control"]
                .map(|name| PlannedLane {
                    plan: LanePlan {
                        name: name.to_owned(),
                        spec: name.to_owned(),
                        control: name == "control",
                        ..LanePlan::default()
                    },
                    launch: Launch {
                        command: Vec::new(),
                        delay_ns: 0,
                        process_clock: false,
                        one_address: false,
                    },
                })
                .to_vec(),
            reference: "tokio".to_owned(),
            budget: Duration::from_secs(seconds),
            precision: None,
            margin: MARGIN,
            slice_ms: None,
            trickle: true,
            limits: Limits { descriptors: Some(20_000), ports: Some(28_232) },
            server_cpus: vec![0],
            load_cpus: vec![1],
            gate: None,
        }
    }

    #[test]
    fn make_keeps_to_budget_that_allows_a_decision() {
        for seconds in [20, 60, 600] {
            let plan = make(request(Standard::QUICK, seconds));
            assert!(expected_s(&plan) <= seconds as f64, "{seconds} s: {}", expected_s(&plan));
            assert!(plan.rounds >= ROUNDS && plan.blocks >= 1);
        }
    }

    #[test]
    fn make_spends_time_on_blocks_then_on_rounds() {
        let [short, long, longer] = [20, 60, 600].map(|seconds| make(request(&["spawn"], seconds)));
        assert!(short.blocks <= long.blocks);
        assert!((BLOCKS..BLOCKS_MOST).contains(&longer.blocks), "{}", longer.blocks);
        assert!(longer.rounds > long.rounds);
        // Slow starts are spread over more slices.
        let mut request = request(&["spawn"], 600);
        request.lanes.iter_mut().for_each(|lane| lane.plan.kind = Kind::Command);
        assert!(make(request).blocks > longer.blocks);
    }

    #[test]
    fn make_reaches_simulated_power_with_default_budget() {
        // `rtswap-stats` proves that 32 rounds of 16 blocks see 2 %: seven lanes, two minutes.
        let mut request = request(&["tcp-echo"], 120);
        let lane = request.lanes[0].clone();
        request.lanes.extend(std::iter::repeat_n(lane, 4));
        assert_eq!(request.lanes.len(), 7);
        let plan = make(request);
        // More rounds of fewer blocks see more yet.
        let (rounds, blocks) = (plan.rounds, plan.blocks);
        assert!(rounds >= 32 && rounds * blocks >= 32 * 16, "{rounds} of {blocks}");
    }

    #[test]
    fn make_allows_for_start_of_interpreters() {
        let mut request = request(&["tcp-echo"], 60);
        let runtimes = make(request.clone());
        request.lanes[1].plan.kind = Kind::Peer;
        let with_peer = make(request);
        let slices = |plan: &Plan| plan.rounds * plan.blocks;
        assert!(slices(&with_peer) < slices(&runtimes));
        assert!(expected_s(&with_peer) <= 60.0);
    }

    #[test]
    fn make_overruns_budget_that_is_too_small() {
        let plan = make(request(Standard::DEFAULT, 1));
        assert_eq!((plan.rounds, plan.blocks), (ROUNDS_LEAST, 1));
    }

    #[test]
    fn make_weighs_workloads_within_budget() {
        let mut request = request(&["tcp-echo", "spawn"], 60);
        let even = make(request.clone());
        request.weight = |spec| if spec.family().name == "spawn" { 3 } else { 1 };
        let uneven = make(request);
        let slices = |plan: &Plan| {
            [0, 1].map(|number: usize| plan.rounds * plan.workloads[number].blocks(plan.blocks))
        };
        let ([echo, spawn], [less, more]) = (slices(&even), slices(&uneven));
        assert!(less < echo && more > spawn && more == 3 * less, "{even:?} {uneven:?}");
        assert!(expected_s(&uneven) <= 60.0 && uneven.rounds >= ROUNDS);
    }

    #[test]
    fn slice_length_grows_with_connections_and_size() {
        let plan = make(request(
            &["tcp-echo", "tcp-echo/conns=10000", "tcp-echo/size=102400/conns=256"],
            60,
        ));
        let slices: Vec<_> = plan.workloads.iter().map(|workload| workload.slice_ms).collect();
        assert_eq!(slices, [SLICE_MS, 2000, 525]);
    }

    #[test]
    fn slice_length_grows_with_pipelined_batches() {
        let names = ["http", "http/conns=256", "http/conns=256/pipeline=16/body=64KiB"];
        let plan = make(request(&names, 60));
        let slices: Vec<_> = plan.workloads.iter().map(|workload| workload.slice_ms).collect();
        assert_eq!(slices, [SLICE_MS, 77, 1074]);
    }

    #[test]
    fn slice_length_ignores_idle_connections() {
        let plan = make(request(&["idle/conns=10000", "churn/conns=32"], 60));
        let slices: Vec<_> = plan.workloads.iter().map(|workload| workload.slice_ms).collect();
        assert_eq!(slices, [SLICE_MS, 39]);
    }

    #[test]
    fn make_plans_reconnects_and_their_time() {
        let plan = make(request(&["idle/conns=100", "idle/conns=10000"], 60));
        let [few, many] = &plan.workloads[..] else { panic!("two workloads") };
        assert!(!few.reconnects && many.reconnects);
        let block_s = |it| round_s(it, &plan.lanes, 2) - round_s(it, &plan.lanes, 1);
        assert!(block_s(many) > 3.0);
        assert!(block_s(few) < 1.0);
    }

    #[test]
    fn make_plans_more_rounds_than_fit_where_workloads_stop_on_precision() {
        let mut request = request(&["spawn", "channel"], 60);
        let even = make(request.clone());
        request.precision = Some(0.01);
        let spare = make(request);
        assert_eq!((spare.rounds, spare.blocks), (even.rounds * ROUNDS_SPARE, even.blocks));
        assert!(expected_s(&spare) <= 60.0);
    }

    #[test]
    fn make_plans_no_time_for_absent_lane() {
        let mut request = request(&["spawn"], 60);
        let plan = make(request.clone());
        request.lanes[1].plan.families = vec!["tcp-echo".to_owned()];
        assert!(make(request).rounds > plan.rounds);
    }
}
