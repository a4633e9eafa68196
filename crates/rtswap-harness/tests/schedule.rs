//! The scheduler with a mock backend and a mock clock: the order of slices and the end of each workload.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use rand_pcg::Pcg64;
use rtswap_harness::lane::LaneError;
use rtswap_harness::record::{
    Ended, Environment, Header, LaneFailure, LanePlan, LaneRound, Line, Plan, Record, RecordError,
    SCHEMA, Slice, Status, Stop, WorkloadPlan,
};
use rtswap_harness::schedule::{Backend, Conditions, Observer, RoundResult, Sink, run};
use rtswap_lane::Pace;
use rtswap_workload::{Arrivals, ParamValue};

const LANES: [&str; 4] = ["tokio", "smol", "async-std", "control"];

/// Lanes whose slices take a second each and that fail on request.
#[derive(Default)]
struct Mock {
    now: Duration,
    /// What happened, in order.
    log: Vec<String>,
    alive: BTreeSet<usize>,
    /// Lane and slice number (over the run) at which it dies.
    dies: Option<(usize, usize)>,
    refuses: Option<usize>,
    slices: usize,
    /// Slice number at which the user interrupts.
    cancel_at: Option<usize>,
    /// Slice numbers at which the server of all lanes ends, and starts of rounds at which it has.
    server_ends: Vec<usize>,
    server_ends_at_start: Option<usize>,
    starts: usize,
    service_ended: bool,
    /// The pace of each slice that had one.
    paces: Vec<Pace>,
    /// Lanes, and how many of their next slices are voided.
    voids: Vec<(usize, u32)>,
    capacity_fails: Option<usize>,
    /// The signal that interrupts the run reaches the lane that dies first.
    cancelled_with_death: bool,
    warm_up_fails: Option<usize>,
    warm_up_paces: Vec<Pace>,
}

impl Backend for Mock {
    fn start(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        _: &mut Pcg64,
    ) -> Vec<Result<(), LaneError>> {
        assert!(self.alive.is_empty(), "lanes of the last round are still alive");
        self.log.push(format!("start {} {lanes:?}", workload.name));
        self.service_ended = self.server_ends_at_start == Some(self.starts);
        self.starts += 1;
        if self.service_ended {
            let lost = || Err(LaneError::Failure(Status::Failed, "the server ended".to_owned()));
            return lanes.iter().map(|_| lost()).collect();
        }
        let start = |lane: &usize| {
            if self.refuses == Some(*lane) {
                return Err(LaneError::Failure(Status::Unsupported, "not here".to_owned()));
            }
            self.alive.insert(*lane);
            Ok(())
        };
        lanes.iter().map(start).collect()
    }

    fn warm_up(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<(), LaneError> {
        assert!(self.alive.contains(&lane), "lane {lane} is not alive");
        self.log.push(format!("warm-up {} {lane}", workload.name));
        self.warm_up_paces.extend(pace);
        if self.warm_up_fails == Some(lane) {
            return Err(LaneError::Failure(Status::Failed, "it died".to_owned()));
        }
        Ok(())
    }

    fn slice(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<Slice, LaneError> {
        assert!(self.alive.contains(&lane), "lane {lane} is not alive");
        self.now += Duration::from_secs(1);
        assert!(!self.service_ended, "lane {lane} works with a server that is gone");
        self.slices += 1;
        self.log.push(format!("slice {} {lane}", workload.name));
        if self.server_ends.contains(&self.slices) {
            self.service_ended = true;
            return Err(LaneError::Failure(Status::Failed, "the server ended".to_owned()));
        }
        if self.dies.is_some_and(|(dying, at)| dying == lane && self.slices >= at) {
            return Err(LaneError::Failure(Status::Failed, "it died".to_owned()));
        }
        self.paces.extend(pace);
        let is_voided = self.voids.iter_mut().any(|void| {
            let voids = void.0 == lane && void.1 > 0;
            void.1 -= u32::from(voids);
            voids
        });
        Ok(Slice {
            lane: LANES[lane].to_owned(),
            ops: 1,
            elapsed_ns: 1,
            voided: is_voided.then(|| "late".to_owned()),
            ..Slice::default()
        })
    }

    fn capacity(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<f64, LaneError> {
        assert!(self.alive.contains(&lane), "lane {lane} is not alive");
        self.log.push(format!("capacity {} {lane}", workload.name));
        if self.capacity_fails == Some(lane) {
            return Err(LaneError::Failure(Status::Failed, "it died".to_owned()));
        }
        Ok(1000.0 * (lane + 1) as f64)
    }

    fn finish(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        counts: bool,
    ) -> BTreeMap<usize, RoundResult> {
        if counts {
            self.log.push(format!("count {}", workload.name));
        }
        lanes.iter().map(|lane| (*lane, Ok(LaneRound::default()))).collect()
    }

    fn stop(&mut self, lane: Option<usize>) {
        match lane {
            Some(lane) => drop(self.alive.remove(&lane)),
            None => self.alive.clear(),
        }
    }

    fn service_ended(&self) -> bool {
        self.service_ended
    }

    fn conditions(&mut self) -> Conditions {
        Conditions::default()
    }

    fn now(&mut self) -> Duration {
        self.now
    }

    fn cancelled(&self) -> bool {
        self.cancel_at.is_some_and(|at| self.slices >= at)
    }

    fn cancelled_soon(&self) -> bool {
        self.cancelled() || self.cancelled_with_death
    }
}

/// Takes lines until the disk is full.
struct Disk(usize);

impl Sink for Disk {
    fn write(&mut self, _: &Line) -> Result<(), RecordError> {
        let full = || RecordError::Io {
            doing: "write to",
            path: "record".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        self.0 = self.0.checked_sub(1).ok_or_else(full)?;
        Ok(())
    }
}

#[derive(Default)]
struct Silent {
    last_share: f64,
    lost: usize,
}

impl Observer for Silent {
    fn round_started(&mut self, _: &WorkloadPlan, _: u32) {}

    fn progressed(&mut self, share: f64) {
        assert!(share >= self.last_share && share <= 1.0, "{share} after {}", self.last_share);
        self.last_share = share;
    }

    fn lane_lost(&mut self, _: &LaneFailure) {
        self.lost += 1;
    }
}

fn record(workloads: &[&str], rounds: u32, blocks: u32) -> Record {
    let plan = Plan {
        reference: "tokio".to_owned(),
        lanes: LANES
            .map(|name| LanePlan {
                name: name.to_owned(),
                spec: name.to_owned(),
                control: name == "control",
                ..LanePlan::default()
            })
            .to_vec(),
        workloads: workloads
            .iter()
            .map(|name| WorkloadPlan {
                name: (*name).to_owned(),
                family: (*name).to_owned(),
                operation: String::new(),
                unit: String::new(),
                params: BTreeMap::new(),
                by_generator: false,
                slice_ms: 50,
                warmup_ms: 5,
                ..WorkloadPlan::default()
            })
            .collect(),
        rounds,
        blocks,
        server_cpus: vec![0],
        load_cpus: vec![1],
        budget_s: 1.0,
        precision: None,
        rule: None,
        gate: None,
    };
    Record::new(Header { schema: SCHEMA, seed: 7, environment: Environment::default(), plan })
}

fn measure(record: &mut Record, mock: &mut Mock, limit: Option<u64>) -> (Ended, Silent) {
    let mut observer = Silent::default();
    let limit = limit.map(Duration::from_secs);
    let never = |_: &Record, _: &str| false;
    let ended = run(record, mock, &mut Disk(usize::MAX), &mut observer, &never, limit).unwrap();
    assert!(mock.alive.is_empty(), "a lane outlives the run");
    (ended, observer)
}

fn stops(record: &Record) -> Vec<Stop> {
    record.footer.as_ref().unwrap().stopped.values().copied().collect()
}

#[test]
fn block_has_one_slice_of_every_lane() {
    let mut record = record(&["a", "b"], 3, 5);
    let (ended, observer) = measure(&mut record, &mut Mock::default(), None);
    assert_eq!(ended, Ended::Complete);
    assert_eq!(record.blocks.len(), 2 * 3 * 5);
    for block in &record.blocks {
        let lanes: BTreeSet<_> = block.slices.iter().map(|slice| slice.lane.as_str()).collect();
        assert_eq!(lanes, BTreeSet::from(LANES));
    }
    assert_eq!(stops(&record), [Stop::Rounds, Stop::Rounds]);
    assert!((observer.last_share - 1.0).abs() < 1e-9);
}

#[test]
fn each_process_has_one_slice_that_is_not_recorded() {
    let (mut record, mut mock) = (record(&["a"], 2, 3), Mock::default());
    measure(&mut record, &mut mock, None);
    let of_rounds = mock.log.split(|line| line.starts_with("start")).skip(1);
    for round in of_rounds {
        let (first, rest) = round.split_at(LANES.len());
        let lanes: BTreeSet<_> =
            first.iter().map(|line| line.strip_prefix("warm-up a ").unwrap()).collect();
        assert_eq!(lanes.len(), LANES.len(), "{first:?}");
        assert!(rest.iter().all(|line| !line.starts_with("warm-up")), "{rest:?}");
    }
    let recorded: usize = record.blocks.iter().map(|block| block.slices.len()).sum();
    assert_eq!(recorded, mock.slices);
}

#[test]
fn lane_that_dies_in_warm_up_loses_only_its_own_cell() {
    let (mut record, mut mock) =
        (record(&["a"], 2, 1), Mock { warm_up_fails: Some(1), ..Mock::default() });
    let (ended, observer) = measure(&mut record, &mut mock, None);
    assert_eq!((ended, observer.lost), (Ended::Complete, 1));
    assert_eq!(record.failures[0].lane, "smol");
    let slices: Vec<_> = record.blocks.iter().map(|block| block.slices.len()).collect();
    assert_eq!(slices, [3, 3]);
}

#[test]
fn calls_are_counted_in_three_rounds_of_each_workload() {
    let (mut record, mut mock) = (record(&["a", "b"], 5, 1), Mock::default());
    measure(&mut record, &mut mock, None);
    for workload in ["a", "b"] {
        let count = format!("count {workload}");
        assert_eq!(mock.log.iter().filter(|line| **line == count).count(), 3);
    }
    // A resumed run counts what is missing.
    let mut record = self::record(&["a"], 5, 1);
    let mut mock = Mock { cancel_at: Some(8), ..Mock::default() };
    measure(&mut record, &mut mock, None);
    assert_eq!(record.rounds.len(), 2);
    let mut mock = Mock::default();
    measure(&mut record, &mut mock, None);
    assert_eq!(mock.log.iter().filter(|line| *line == "count a").count(), 1);
}

#[test]
fn weight_multiplies_blocks() {
    let mut record = record(&["a", "b"], 3, 5);
    record.header.plan.workloads[1].weight = NonZeroU32::new(2);
    let (ended, observer) = measure(&mut record, &mut Mock::default(), None);
    assert_eq!(ended, Ended::Complete);
    let blocks = |name| record.blocks.iter().filter(|block| block.workload == name).count();
    assert_eq!((blocks("a"), blocks("b")), (3 * 5, 3 * 10));
    assert!((observer.last_share - 1.0).abs() < 1e-9);
}

#[test]
fn order_is_uniform_over_blocks() {
    let mut record = record(&["a"], 100, 4);
    measure(&mut record, &mut Mock::default(), None);
    let mut firsts = BTreeMap::<_, u32>::new();
    for block in &record.blocks {
        *firsts.entry(block.slices[0].lane.clone()).or_default() += 1;
    }
    // 400 blocks, 100 expected for each; a deviation of 5 sigma is 43.
    assert!(firsts.len() == 4 && firsts.values().all(|count| (57..=143).contains(count)));
    let second_differs = record.blocks.windows(2).any(|pair| {
        pair[0].slices[0].lane == pair[1].slices[0].lane
            && pair[0].slices[1].lane != pair[1].slices[1].lane
    });
    assert!(second_differs, "the whole order is drawn, not its start");
}

#[test]
fn seed_determines_order() {
    let logs = [7, 7, 8].map(|seed| {
        let (mut record, mut mock) = (record(&["a"], 3, 5), Mock::default());
        record.header.seed = seed;
        measure(&mut record, &mut mock, None);
        mock.log
    });
    assert!(logs[0] == logs[1] && logs[0] != logs[2]);
}

#[test]
fn rounds_alternate_workloads_with_new_processes() {
    let mut mock = Mock::default();
    measure(&mut record(&["a", "b"], 2, 1), &mut mock, None);
    let starts: Vec<_> = mock.log.iter().filter_map(|line| line.strip_prefix("start ")).collect();
    let workloads: Vec<_> = starts.iter().map(|start| &start[..1]).collect();
    assert_eq!(workloads, ["a", "b", "a", "b"]);
}

#[test]
fn lane_that_dies_loses_only_its_own_cells() {
    let mut record = record(&["a", "b"], 4, 3);
    let mut mock = Mock { dies: Some((1, 6)), ..Mock::default() };
    let (ended, observer) = measure(&mut record, &mut mock, None);
    assert_eq!((ended, observer.lost), (Ended::Complete, 2));
    assert_eq!(record.failures[0].lane, "smol");
    assert_eq!(
        (record.failures[0].status, record.failures[0].reason.as_str()),
        (Status::Failed, "it died")
    );
    assert_eq!(record.blocks.len(), 2 * 4 * 3, "no block is missing");
    let after = record.blocks.iter().rev().take_while(|block| block.workload == "b");
    assert!(after.flat_map(|block| &block.slices).all(|slice| slice.lane != "smol"));
}

#[test]
fn lane_that_cannot_start_is_started_once() {
    let mut record = record(&["a"], 3, 1);
    let mut mock = Mock { refuses: Some(2), ..Mock::default() };
    measure(&mut record, &mut mock, None);
    assert_eq!(record.failures.len(), 1);
    assert_eq!(record.failures[0].status, Status::Unsupported);
    let later = mock.log.iter().filter(|line| line.starts_with("start")).skip(1);
    assert!(later.clone().count() == 2 && later.clone().all(|line| !line.contains('2')));
}

#[test]
fn lost_reference_ends_workload() {
    let mut record = record(&["a", "b"], 3, 2);
    let mut mock = Mock { dies: Some((0, 1)), ..Mock::default() };
    let (ended, _) = measure(&mut record, &mut mock, None);
    assert_eq!(ended, Ended::Complete);
    assert_eq!(stops(&record), [Stop::Lanes, Stop::Lanes]);
    assert_eq!(record.blocks.len(), 2, "each workload ends with the block in which it happened");
}

#[test]
fn budget_ends_run_before_round_that_exceeds_it() {
    // A round takes 4 s: four lanes, one block. The scheduler learns that from the first one.
    let mut record = record(&["a"], 1000, 1);
    let (ended, _) = measure(&mut record, &mut Mock::default(), Some(62));
    assert_eq!((ended, stops(&record)), (Ended::Complete, vec![Stop::Budget]));
    assert_eq!(record.rounds.len(), 15);
}

#[test]
fn budget_is_overrun_for_least_rounds() {
    let mut record = record(&["a"], 12, 1);
    // Ten rounds take 40 s, which is 30 % more than planned; twelve would be too many.
    let (_, _) = measure(&mut record, &mut Mock::default(), Some(31));
    assert_eq!(record.rounds.len(), 10);
    assert_eq!(stops(&record), [Stop::Budget]);
}

#[test]
fn precise_workload_is_measured_no_further() {
    let (mut record, mut mock) = (record(&["a", "b"], 9, 1), Mock::default());
    let precise = |record: &Record, workload: &str| {
        workload == "a" && record.rounds.iter().filter(|round| round.workload == "a").count() == 4
    };
    let mut observer = Silent::default();
    run(&mut record, &mut mock, &mut Disk(usize::MAX), &mut observer, &precise, None).unwrap();
    assert_eq!(stops(&record), [Stop::Precision, Stop::Rounds]);
    let rounds = |name| record.rounds.iter().filter(|round| round.workload == name).count();
    assert_eq!((rounds("a"), rounds("b")), (4, 9));
}

#[test]
fn interrupted_run_keeps_blocks_and_resumes() {
    let (mut record, rounds, blocks) = (record(&["a", "b"], 4, 3), 4, 3);
    let mut mock = Mock { cancel_at: Some(30), ..Mock::default() };
    let (ended, _) = measure(&mut record, &mut mock, None);
    assert_eq!(ended, Ended::Interrupted);
    assert_eq!(record.footer.as_ref().unwrap().ended, Ended::Interrupted);
    let kept = record.blocks.clone();
    assert!(!kept.is_empty() && kept.len() < 24);

    let (ended, _) = measure(&mut record, &mut Mock::default(), None);
    assert_eq!((ended, stops(&record)), (Ended::Complete, vec![Stop::Rounds, Stop::Rounds]));
    assert_eq!(record.blocks[..kept.len()], kept, "nothing is lost or changed");
    for name in ["a", "b"] {
        let done: Vec<_> =
            record.rounds.iter().filter(|it| it.workload == name).map(|it| it.round).collect();
        assert_eq!(done.len(), rounds, "{name}");
        // A round that was cut off is not mixed with one of new processes.
        for round in done {
            let same = record.blocks.iter().filter(|it| it.workload == name && it.round == round);
            assert_eq!(same.count(), blocks, "{name}, round {round}");
        }
    }
}

#[test]
fn full_disk_ends_run_and_stops_lanes() {
    let (mut record, mut mock) = (record(&["a"], 4, 3), Mock::default());
    let never = |_: &Record, _: &str| false;
    let error = run(&mut record, &mut mock, &mut Disk(3), &mut Silent::default(), &never, None)
        .unwrap_err();
    assert!(error.to_string().starts_with("cannot write to record"), "{error}");
    assert!(mock.alive.is_empty());
}

#[test]
fn paired_lanes_run_next_to_each_other() {
    let mut record = record(&["a"], 6, 6);
    record.header.plan.lanes[1].against = Some("async-std".to_owned());
    record.header.plan.lanes[3].against = Some("tokio".to_owned());
    measure(&mut record, &mut Mock::default(), None);
    let mut orders = BTreeSet::new();
    for block in &record.blocks {
        let order: Vec<_> = block.slices.iter().map(|slice| slice.lane.as_str()).collect();
        let at = |lane| order.iter().position(|other| *other == lane).unwrap();
        assert_eq!(at("smol").abs_diff(at("async-std")), 1, "{order:?}");
        assert_eq!(at("control").abs_diff(at("tokio")), 1, "{order:?}");
        orders.insert(order);
    }
    assert_eq!(orders.len(), 8, "pairs and the two of a pair stand in any order");
}

#[test]
fn lane_starts_only_for_its_families() {
    let mut record = record(&["a", "b"], 2, 2);
    record.header.plan.lanes[1].families = vec!["b".to_owned()];
    let (_, observer) = measure(&mut record, &mut Mock::default(), None);
    assert_eq!(observer.lost, 0);
    for block in &record.blocks {
        let has = block.slices.iter().any(|slice| slice.lane == "smol");
        assert_eq!(has, block.workload == "b");
        assert_eq!(block.slices.len(), if has { 4 } else { 3 });
    }
}

#[test]
fn service_end_in_round_drops_one_lane_and_repeats_round() {
    let mut record = record(&["a"], 3, 4);
    // In the second block of the first round, with two slices of four lanes done. The reference must
    // not be the one that happens to be measured just then.
    let mut mock = Mock { server_ends: vec![7], ..Mock::default() };
    record.header.plan.reference = {
        let mut trial = record.clone();
        measure(&mut trial, &mut Mock { server_ends: vec![7], ..Mock::default() }, None);
        let lost = trial.failures[0].lane.clone();
        LANES.iter().find(|lane| **lane != lost).unwrap().to_string()
    };
    let (ended, observer) = measure(&mut record, &mut mock, None);
    assert_eq!((ended, observer.lost, stops(&record)), (Ended::Complete, 1, vec![Stop::Rounds]));
    assert_eq!(record.rounds.len(), 3, "as many whole rounds as planned");
    assert_eq!(record.rounds.iter().map(|round| round.round).collect::<Vec<_>>(), [1, 2, 3]);
    let broken: Vec<_> = record.blocks.iter().filter(|block| block.round == 0).collect();
    assert_eq!(broken.len(), 2, "what was measured before is kept");
    assert_eq!((broken[0].slices.len(), broken[1].slices.len()), (4, 2));
    assert_eq!(mock.starts, 4);
}

#[test]
fn service_end_at_start_drops_one_lane() {
    let mut record = record(&["a"], 2, 1);
    record.header.plan.reference = "none".to_owned();
    let mut mock = Mock { server_ends_at_start: Some(0), ..Mock::default() };
    measure(&mut record, &mut mock, None);
    assert_eq!(
        (record.failures.len(), mock.starts),
        (1, 1),
        "without the reference there is no other round"
    );

    let lost = record.failures[0].lane.clone();
    let mut record = self::record(&["a"], 2, 1);
    record.header.plan.reference = LANES.iter().find(|lane| **lane != lost).unwrap().to_string();
    let mut mock = Mock { server_ends_at_start: Some(0), ..Mock::default() };
    measure(&mut record, &mut mock, None);
    assert_eq!((record.failures.len(), record.rounds.len(), mock.starts), (1, 2, 3));
    assert!(record.blocks.iter().all(|block| block.slices.len() == 3));
}

#[test]
fn repeated_service_end_ends_workload() {
    let mut record = record(&["a", "b"], 2, 2);
    let mut mock = Mock { server_ends: (1..100).collect(), ..Mock::default() };
    let (ended, observer) = measure(&mut record, &mut mock, None);
    assert_eq!(ended, Ended::Complete);
    assert!(observer.lost <= 2 * LANES.len(), "each lane is lost once at most");
    assert_eq!(stops(&record), [Stop::Lanes, Stop::Lanes]);
}

/// A record whose workloads have the given rates.
fn paced(rates: &[&str], rounds: u32, blocks: u32) -> Record {
    let names: Vec<_> = rates.iter().map(|rate| format!("a/rate={rate}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut record = record(&names, rounds, blocks);
    for (workload, rate) in record.header.plan.workloads.iter_mut().zip(rates) {
        let params = [("rate", *rate), ("arrivals", "burst:8")];
        let params = params.map(|(name, value)| (name.to_owned(), ParamValue::Name(value.into())));
        workload.params = params.into();
    }
    record
}

fn assert_rates(mock: &Mock, rate_per_s: f64) {
    assert!(!mock.paces.is_empty());
    for pace in &mock.paces {
        assert!((pace.rate_per_s - rate_per_s).abs() < 1e-9, "{pace:?}");
    }
}

#[test]
fn share_of_capacity_is_that_of_slowest_lane_and_stays() {
    let (mut record, mut mock) = (paced(&["60%"], 3, 2), Mock::default());
    measure(&mut record, &mut mock, None);
    assert_eq!(record.offered_rates.len(), 1);
    let rate = &record.offered_rates[0];
    assert_eq!(rate.capacity_per_s.len(), 4);
    assert_rates(&mock, 600.0);
    assert_eq!(mock.paces.len(), 3 * 2 * 4);
    assert!(mock.paces.iter().all(|pace| pace.arrivals == Arrivals::Burst(8)));
    // Three slices of each lane decide the rate, and each later round has one.
    let capacities = mock.log.iter().filter(|line| line.starts_with("capacity")).count();
    assert_eq!(capacities, 4 * (3 + 1 + 1));
    for round in &record.rounds {
        assert_eq!(round.lanes["tokio"].capacity_per_s, Some(1000.0));
        assert_eq!(round.lanes["control"].capacity_per_s, Some(4000.0));
    }
}

#[test]
fn absolute_rate_is_offered_from_first_slice() {
    let (mut record, mut mock) = (paced(&["20000"], 2, 1), Mock::default());
    measure(&mut record, &mut mock, None);
    assert!(record.offered_rates.is_empty());
    assert_rates(&mock, 20_000.0);
    assert_eq!(record.rounds[0].lanes["smol"].capacity_per_s, Some(2000.0));
}

#[test]
fn rates_of_one_workload_share_capacities() {
    let (mut record, mut mock) = (paced(&["10%", "100%", "500"], 2, 1), Mock::default());
    measure(&mut record, &mut mock, None);
    let rates: Vec<_> = record.offered_rates.iter().map(|rate| rate.per_s).collect();
    assert_eq!(rates, [100.0, 1000.0]);
    let of_others =
        mock.log.iter().filter(|line| line.starts_with("capacity") && !line.contains("rate=10%"));
    assert_eq!(of_others.count(), 0, "the first rate measures them");
}

#[test]
fn lanes_of_a_block_have_the_same_schedule() {
    let (mut record, mut mock) = (paced(&["60%"], 2, 3), Mock::default());
    measure(&mut record, &mut mock, None);
    let seeds: Vec<_> = mock.paces.chunks(4).map(|block| block[0].seed).collect();
    for (block, seed) in mock.paces.chunks(4).zip(&seeds) {
        assert!(block.iter().all(|pace| pace.seed == *seed));
    }
    assert_eq!(seeds.iter().collect::<BTreeSet<_>>().len(), 6, "each block has another");
}

#[test]
fn resumed_run_offers_recorded_rate() {
    let mut record = paced(&["60%"], 2, 2);
    let mut mock = Mock { cancel_at: Some(9), ..Mock::default() };
    measure(&mut record, &mut mock, None);
    record.offered_rates[0].per_s = 123.0;
    let mut mock = Mock::default();
    measure(&mut record, &mut mock, None);
    assert_eq!(record.offered_rates.len(), 1);
    assert_rates(&mock, 123.0);
}

#[test]
fn lane_that_fails_before_its_rate_is_known_is_lost() {
    let mut record = paced(&["60%"], 2, 1);
    let mut mock = Mock { capacity_fails: Some(1), ..Mock::default() };
    let (_, observer) = measure(&mut record, &mut mock, None);
    assert_eq!((observer.lost, record.failures[0].lane.as_str()), (1, "smol"));
    assert!(!record.offered_rates[0].capacity_per_s.contains_key("smol"));
    assert_eq!(record.rounds.len(), 2);
}

#[test]
fn voided_slice_is_kept_and_measured_again() {
    let (mut record, voids) = (paced(&["60%"], 1, 2), vec![(1, 1), (2, 99)]);
    let mut mock = Mock { voids, ..Mock::default() };
    let (ended, observer) = measure(&mut record, &mut mock, None);
    assert_eq!((ended, observer.lost), (Ended::Complete, 0), "no lane is to blame");
    let slices = |block: usize, lane: &str| {
        let slices = record.blocks[block].slices.iter().filter(|slice| slice.lane == lane);
        slices.map(|slice| slice.voided.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(slices(0, "smol"), [true, false]);
    assert_eq!(slices(1, "smol"), [false]);
    assert_eq!(slices(0, "async-std"), [true, true, true], "not for ever");
}

#[test]
fn lane_that_cannot_start_again_keeps_finished_rounds() {
    let mut record = record(&["a"], 4, 2);
    // A slice for each lane and block: interrupted in the third round.
    let mut first = Mock { cancel_at: Some(2 * 2 * LANES.len() + 3), ..Mock::default() };
    assert_eq!(measure(&mut record, &mut first, None).0, Ended::Interrupted);
    assert_eq!(record.rounds.len(), 2);
    let mut second = Mock { refuses: Some(1), ..Mock::default() };
    assert_eq!(measure(&mut record, &mut second, None).0, Ended::Complete);
    let [lost] = &record.failures[..] else { panic!("{:?}", record.failures) };
    assert!(lost.lane == "smol" && lost.rounds_count, "{lost:?}");
}

#[test]
fn lane_that_fails_later_loses_its_rounds() {
    let mut record = record(&["a"], 4, 2);
    let mut first = Mock { cancel_at: Some(2 * 2 * LANES.len() + 3), ..Mock::default() };
    measure(&mut record, &mut first, None);
    let mut second = Mock { dies: Some((1, 6)), ..Mock::default() };
    measure(&mut record, &mut second, None);
    assert!(!record.failures[0].rounds_count, "it has slices since the run was resumed");
    let mut fresh = self::record(&["a"], 4, 2);
    measure(&mut fresh, &mut Mock { dies: Some((1, 12)), ..Mock::default() }, None);
    assert!(!fresh.failures[0].rounds_count, "the run was not resumed");
}

#[test]
fn lane_that_the_interrupting_signal_ends_is_not_lost() {
    let mut record = record(&["a"], 4, 2);
    let mut mock = Mock { dies: Some((1, 6)), cancelled_with_death: true, ..Mock::default() };
    assert_eq!(measure(&mut record, &mut mock, None).0, Ended::Interrupted);
    assert_eq!(record.failures, []);
}
