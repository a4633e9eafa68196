use std::collections::BTreeMap;

use rtswap_harness::record::{Block, Header, Kind, LanePlan, Plan, Receipt, SCHEMA, Slice};
use rtswap_report::{Bound, Cause, PlanSummary, Style, WorkloadSummary};

use super::*;

const ECHO: &str = "tcp-echo/size=1024/conns=32";
/// CPU time of the reference for one operation.
const REFERENCE_NS: f64 = 8_000.0;

/// A verdict, with its cause if it is undecided.
type Decision = (Verdict, Option<Cause>);
const BETTER: Decision = (Verdict::Better, None);
const WORSE: Decision = (Verdict::Worse, None);
const NOT_FOUND: Decision = (Verdict::Undecided, Some(Cause::NotSignificant));
const UNDECIDABLE: Decision = (Verdict::Undecided, Some(Cause::TooFewRounds));

fn figure(value: f64, interval: (f64, f64, f64), decision: Decision, p: f64) -> Figure {
    let (lo, ratio, hi) = interval;
    Figure {
        value,
        ratio: Some(ratio),
        lo: Some(lo),
        hi: Some(hi),
        verdict: Some(decision.0),
        mde: Some(0.009),
        p: Some(p),
        cause: decision.1,
        why: decision.1.map(|_| "too few rounds".to_owned()),
    }
}

fn cell(lane: &str, role: Role, cpu: Option<Figure>) -> Cell {
    let (workload, name) = ("tcp-echo".to_owned(), ECHO.to_owned());
    let reason = cpu.is_none().then(|| "it crashed:\nsignal 11".to_owned());
    Cell {
        workload,
        name,
        params: BTreeMap::new(),
        lane: lane.to_owned(),
        role,
        kind: Kind::Runtime,
        against: None,
        status: if cpu.is_some() { Status::Ok } else { Status::Failed },
        reason,
        bound: Some(Bound::Lane),
        deciding: Some(Metric::CpuNsPerOp),
        metrics: cpu.into_iter().map(|figure| (Metric::CpuNsPerOp, figure)).collect(),
        latency_ns: None,
        memory_bytes: None,
        memory_per_conn_bytes: None,
        of_floor: None,
        load_cpu_ns_per_op: None,
        idle_cpu: None,
        receipt: None,
    }
}

/// The reference, a control, and a lane for each of the verdicts, slower by 80 (1 %), 160 (2 %) and
/// 400 ns (5 %).
struct Made {
    control: Option<Figure>,
    lanes: [Option<Decision>; 3],
}

const DELAYS: [u64; 3] = [80, 160, 400];

fn delayed() -> Vec<Delayed> {
    DELAYS.map(|ns| Delayed { lane: format!("tokio?delay_ns={ns}"), ns }).to_vec()
}

fn level() -> Figure {
    figure(REFERENCE_NS, (0.996, 1.001, 1.006), NOT_FOUND, 0.8)
}

impl Made {
    fn lanes(lanes: [Decision; 3]) -> Self {
        Self { control: Some(level()), lanes: lanes.map(Some) }
    }

    fn summary(&self) -> Summary {
        let reference = Figure { ratio: None, verdict: None, ..level() };
        let mut cells = vec![cell("tokio", Role::Reference, Some(reference))];
        for (delayed, verdict) in delayed().iter().zip(self.lanes) {
            let truth = 1.0 + delayed.ns as f64 / REFERENCE_NS;
            let interval = (truth - 0.005, truth + 0.001, truth + 0.006);
            let made = verdict.map(|it| figure(REFERENCE_NS * truth, interval, it, 0.01));
            cells.push(cell(&delayed.lane, Role::Lane, made));
        }
        cells.push(cell("control", Role::Control, self.control.clone()));
        Summary {
            schema: 1,
            receipt: Receipt::default(),
            seed: 7,
            plan: PlanSummary {
                rounds: 30,
                blocks: 8,
                blocks_most: 8,
                server_cpus: vec![0],
                load_cpus: vec![1],
                budget_s: 60.0,
                precision: None,
                ended: None,
                elapsed_s: None,
            },
            reference: "tokio".to_owned(),
            control: BTreeMap::new(),
            workloads: vec![WorkloadSummary {
                name: ECHO.to_owned(),
                unit: "message".to_owned(),
                operation: "one message".to_owned(),
                by_generator: true,
                rounds: 30,
                rounds_needed: 9,
                blocks: 240,
                stopped: None,
                steal: None,
                time_wait: None,
                load_cpu_ns_per_op: None,
                noise_floor: BTreeMap::new(),
                mde: BTreeMap::from([(Metric::CpuNsPerOp, 0.009)]),
                deciding: Metric::CpuNsPerOp,
                sentence: String::new(),
            }],
            cells,
            warnings: Vec::new(),
        }
    }

    fn outcome(&self) -> Outcome {
        let noise = Noise { ops_per_s: Some(0.22), cpu_ns_per_op: Some(0.061) };
        Outcome::of(&self.summary(), &delayed(), noise).unwrap()
    }
}

#[test]
fn a_machine_that_sees_two_percent_passes_and_says_what_it_missed() {
    let outcome = Made::lanes([NOT_FOUND, WORSE, WORSE]).outcome();
    assert!(outcome.passed && outcome.remedy.is_none());
    assert_eq!(
        outcome.sentence,
        "This machine sees differences of 2.0 % and more; 1.0 % was not called. The control was \
         not called."
    );
    let outcome = Made::lanes([WORSE; 3]).outcome();
    assert!(outcome.passed);
    assert!(outcome.sentence.starts_with("This machine sees differences of 1.0 % and more. The"));
}

#[test]
fn a_machine_that_misses_what_it_must_see_is_told_to_measure_longer() {
    let said = |lanes| {
        let outcome = Made::lanes(lanes).outcome();
        assert!(!outcome.passed);
        assert!(outcome.remedy.unwrap().contains("--self-test --budget 240s"));
        outcome.sentence.split(" The control").next().unwrap().to_owned()
    };
    assert_eq!(
        said([NOT_FOUND, NOT_FOUND, WORSE]),
        "This machine sees differences of 5.0 % and more; 1.0 % and 2.0 % were not called."
    );
    assert_eq!(
        said([WORSE, NOT_FOUND, WORSE]),
        "This machine sees differences of 5.0 % and more; 2.0 % was not called, although 1.0 % was."
    );
    assert_eq!(
        said([NOT_FOUND, WORSE, NOT_FOUND]),
        "This run saw too little: 1.0 % and 5.0 % were not called, although 2.0 % was."
    );
    assert_eq!(
        said([NOT_FOUND, NOT_FOUND, NOT_FOUND]),
        "This run saw too little: 1.0 %, 2.0 % and 5.0 % were not called."
    );
    assert_eq!(
        said([NOT_FOUND, BETTER, WORSE]),
        "This machine sees differences of 5.0 % and more; 1.0 % was not called. 2.0 % was called \
         better, although it uses more CPU time."
    );
    assert_eq!(said([UNDECIDABLE; 3]), "Nothing is decided: too few rounds.");
}

#[test]
fn a_control_that_is_called_spoils_everything() {
    // Its own verdict is undecided then, and so is every other.
    let off = figure(REFERENCE_NS, (1.004, 1.012, 1.02), UNDECIDABLE, 0.01);
    let made = Made { control: Some(off.clone()), lanes: [Some(UNDECIDABLE); 3] };
    let outcome = made.outcome();
    assert!(!outcome.passed);
    assert!(outcome.sentence.contains("The control was called, although it is the same program"));
    assert!(outcome.remedy.unwrap().contains("treats two processes differently"));

    let mut summary = made.summary();
    summary.workloads[0].steal = Some(0.28);
    let outcome = Outcome::of(&summary, &delayed(), Noise::default()).unwrap();
    assert!(outcome.remedy.unwrap().contains("28 % of the CPU time to others: test at a quieter"));

    // In throughput alone it spoils them as well, though CPU time looks fine.
    let mut summary = Made::lanes([WORSE; 3]).summary();
    summary.cells[4].metrics.insert(Metric::OpsPerS, off);
    let outcome = Outcome::of(&summary, &delayed(), Noise::default()).unwrap();
    assert!(!outcome.passed && outcome.control.verdict == Call::Called);
}

#[test]
fn an_interval_that_leaves_one_by_chance_is_no_call() {
    let chance = figure(REFERENCE_NS, (1.001, 1.004, 1.008), NOT_FOUND, 0.3);
    assert!(Made { control: Some(chance), lanes: [Some(WORSE); 3] }.outcome().passed);
}

#[test]
fn a_lane_that_is_lost_is_named_with_its_reason() {
    let made = Made { control: Some(level()), lanes: [Some(NOT_FOUND), None, Some(WORSE)] };
    let outcome = made.outcome();
    assert!(!outcome.passed);
    assert!(outcome.sentence.contains("slowed down by 160 ns was lost: it crashed: signal 11."));
    assert!(outcome.remedy.unwrap().contains("`rtswap verify"));

    let made = Made { control: Some(level()), lanes: [None, Some(WORSE), Some(WORSE)] };
    assert!(made.outcome().passed, "1 % need not be seen");

    let made = Made { control: None, lanes: [Some(UNDECIDABLE); 3] };
    let outcome = made.outcome();
    assert!(!outcome.passed && outcome.sentence.contains("The control was lost: it crashed"));
}

#[test]
fn without_the_reference_there_is_nothing_to_compare() {
    let mut summary = Made::lanes([UNDECIDABLE; 3]).summary();
    summary.cells[0] = cell("tokio", Role::Reference, None);
    let outcome = Outcome::of(&summary, &delayed(), Noise::default()).unwrap();
    assert!(!outcome.passed);
    assert_eq!(
        outcome.sentence,
        "tokio was lost, so nothing could be compared: it crashed: signal 11."
    );
    assert!(outcome.text(Style::default()).contains("CPU time for each message"));

    summary.cells.clear();
    assert!(Outcome::of(&summary, &delayed(), Noise::default()).is_some());
    summary.workloads.clear();
    assert!(Outcome::of(&summary, &delayed(), Noise::default()).is_none());
}

#[test]
fn delays_that_are_too_small_prove_nothing() {
    let summary = Made::lanes([WORSE; 3]).summary();
    let outcome = Outcome::of(&summary, &delayed()[..1], Noise::default()).unwrap();
    assert!(!outcome.passed);
    assert!(outcome.remedy.unwrap().contains("1.5 % or more: inject more"));
}

#[test]
fn the_truth_is_looked_for_in_the_interval() {
    let mut summary = Made::lanes([WORSE; 3]).summary();
    let cpu = summary.cells[2].metrics.get_mut(&Metric::CpuNsPerOp).unwrap();
    (cpu.lo, cpu.hi) = (Some(1.021), Some(1.03));
    summary.cells[3].metrics.get_mut(&Metric::CpuNsPerOp).unwrap().hi = None;
    let outcome = Outcome::of(&summary, &delayed(), Noise::default()).unwrap();
    let holds: Vec<_> = outcome.lanes.iter().map(|row| row.holds_truth).collect();
    assert_eq!(holds, [Some(true), Some(false), Some(true)]);
    assert_eq!(outcome.control.holds_truth, Some(true));
    assert!(outcome.text(Style::default()).contains("misses the truth once in twenty"));
}

#[test]
fn the_table_fits_eighty_columns() {
    let text = Made::lanes([NOT_FOUND, WORSE, WORSE]).outcome().text(Style {
        width: 80,
        color: false,
        unicode: false,
    });
    assert_eq!(
        text,
        "\
tcp-echo/size=1024/conns=32: tokio takes 8.00 us of CPU time for each message

   injected  true effect  measured [95 % interval]  verdict     holds the truth
0 (control)       0.00 %  +0.10 % [-0.40, +0.60]    not called  yes
      80 ns       1.00 %  +1.10 % [+0.50, +1.60]    not called  yes
     160 ns       2.00 %  +2.10 % [+1.50, +2.60]    called      yes
     400 ns       5.00 %  +5.10 % [+4.50, +5.60]    called      yes

From slice to slice tokio differs by 22 % in throughput and by 6.1 % in CPU time
  for each message (standard deviation).
Smallest difference that this run would have called four times out of five:
  0.9 % (30 rounds of 8 blocks).

This machine sees differences of 2.0 % and more; 1.0 % was not called. The
control was not called.
"
    );
}

#[test]
fn programs_get_the_same() {
    let json = serde_json::to_value(Made::lanes([NOT_FOUND, WORSE, WORSE]).outcome()).unwrap();
    assert_eq!(json["passed"], true);
    assert_eq!(json["control"]["verdict"], "not-called");
    assert_eq!(json["lanes"][1]["injected_ns"], 160);
    assert_eq!(json["lanes"][1]["effect"], 0.02);
    assert_eq!(json["lanes"][1]["verdict"], "called");
}

#[test]
fn noise_is_the_deviation_of_the_references_slices() {
    let plan = Plan {
        reference: "tokio".to_owned(),
        lanes: Vec::<LanePlan>::new(),
        workloads: Vec::new(),
        rounds: 1,
        blocks: 2,
        server_cpus: Vec::new(),
        load_cpus: Vec::new(),
        budget_s: 1.0,
        precision: None,
    };
    let header = Header { schema: SCHEMA, seed: 0, receipt: Receipt::default(), plan };
    let mut record = Record::new(header);
    assert_eq!(Noise::of(&record), Noise::default());
    for (ops, other) in [(100, 1), (200, 1_000), (0, 7)] {
        let slice = |lane: &str, ops| Slice {
            lane: lane.to_owned(),
            ops,
            elapsed_ns: 1_000,
            cpu_ns: 50 * ops,
            ..Slice::default()
        };
        let slices = vec![slice("tokio", ops), slice("control", other)];
        record.blocks.push(Block { workload: ECHO.to_owned(), round: 0, block: 0, slices });
    }
    let noise = Noise::of(&record);
    let expected = 2.0_f64.ln() / 2.0_f64.sqrt();
    assert!((noise.ops_per_s.unwrap() - expected).abs() < 1e-9, "{noise:?}");
    assert_eq!(noise.cpu_ns_per_op, Some(0.0));
}
