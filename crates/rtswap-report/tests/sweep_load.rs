//! Sweeps over the offered rate: latency, knee, overload, and capacity at an objective.

mod common;

use std::sync::LazyLock;

use common::{Lane, echo, http, lane, run};
use rtswap_report::sweep::{Knee, LaneLoad, Objective, Range, Series, Sweep};
use rtswap_report::{Metric, Style, Summary, plot};
use rtswap_schema::record::{Record, Status};
use rtswap_schema::workload::ParamValue;

/// The 99th percentile of a lane whose latency factor is 1, nanoseconds.
const P99_NS: f64 = 561_000.0;

/// Latencies of each lane in a round: enough for p99, and in all rounds together for p99.9.
const SAMPLES: u64 = 1_200;

/// A lane's factor of latency at an offered rate; `None` if it is overloaded.
type Curve = fn(f64) -> Option<f64>;

const RATES: [&str; 10] =
    ["2000", "4000", "6000", "8000", "10000", "12000", "14000", "16000", "18000", "20000"];

/// Level up to 10,000 per second, then 30 times higher for each 4,000 per second; overloaded from 20,000 on.
fn bent(per_s: f64) -> Option<f64> {
    let above = (per_s - 10_000.0).max(0.0);
    (per_s < 20_000.0).then(|| 30_f64.powf(above / 4_000.0))
}

/// The same at 80 % of the rate.
fn earlier(per_s: f64) -> Option<f64> {
    bent(per_s / 0.8)
}

/// The same latency at every rate.
fn level(per_s: f64) -> Option<f64> {
    (per_s > 0.0).then_some(1.0)
}

fn always_overloaded(_: f64) -> Option<f64> {
    None
}

/// A record of these lanes at these rates. The first lane is the reference.
fn record(curves: &[(&str, Curve)], rates: &[&str], seed: u64) -> Record {
    let mut whole: Option<Record> = None;
    for rate in rates {
        let workload = http(rate);
        let per_s = match rate.strip_suffix('%') {
            Some(share) => 355.0 * share.parse::<f64>().unwrap(),
            None => rate.parse().unwrap(),
        };
        let at_rate = |(name, curve): &(&str, Curve)| match curve(per_s) {
            Some(factor) => lane(name, 1.0).late(factor, 1.0),
            None => lane(name, 1.0).growing(0.3),
        };
        let mut run = run(curves.iter().map(at_rate).collect::<Vec<Lane>>());
        run.workloads = vec![workload];
        // The same noise at all rates: a run visits each of them in every round.
        (run.blocks, run.samples, run.seed) = (2, SAMPLES, seed);
        let part = run.record();
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                whole.header.plan.workloads.extend(part.header.plan.workloads);
                whole.offered_rates.extend(part.offered_rates);
                whole.blocks.extend(part.blocks);
                whole.rounds.extend(part.rounds);
            }
        }
    }
    whole.unwrap()
}

fn sweep(record: &Record) -> Sweep {
    Sweep::of(record, &Summary::of(record)).unwrap()
}

fn at(record: &Record, objective: &str) -> Sweep {
    Sweep::at(record, &Summary::of(record), objective.parse().unwrap()).unwrap()
}

/// The objective that a lane with this factor of latency just meets.
fn p99(factor: f64) -> String {
    format!("p99={}ns", (factor * P99_NS) as u64)
}

fn series<'a>(sweep: &'a Sweep, lane: &str) -> &'a Series {
    sweep.lanes.iter().find(|series| series.lane == lane).unwrap()
}

fn load<'a>(sweep: &'a Sweep, lane: &str) -> &'a LaneLoad {
    series(sweep, lane).load.as_ref().unwrap()
}

fn ends(range: Range) -> (Option<f64>, Option<f64>) {
    (range.at_least, range.at_most)
}

/// Lanes of every kind of end, made once.
static GALLERY: LazyLock<(Record, Summary)> = LazyLock::new(|| {
    let curves: [(&str, Curve); 4] =
        [("tokio", bent), ("smol", earlier), ("level", level), ("never", always_overloaded)];
    let record = record(&curves, &RATES, 1);
    let summary = Summary::of(&record);
    (record, summary)
});

fn gallery(objective: Option<&str>) -> (Sweep, &'static Summary) {
    let (record, summary) = &*GALLERY;
    let sweep = match objective {
        Some(text) => Sweep::at(record, summary, text.parse().unwrap()),
        None => Sweep::of(record, summary),
    };
    (sweep.unwrap(), summary)
}

fn assert_near(value: Option<f64>, want: f64, share: f64) {
    let value = value.unwrap();
    assert!((value / want - 1.0).abs() < share, "{value}, expected about {want}");
}

#[test]
fn sweep_over_rate_has_offered_rates_and_percentiles() {
    // Not in the order of the rates.
    let record = record(&[("tokio", bent), ("smol", bent)], &["40%", "5%", "20%"], 1);
    let sweep = sweep(&record);
    let its = sweep.load.as_ref().unwrap();
    assert_eq!((sweep.over.as_str(), sweep.fixed.as_str()), ("rate", "conns=32"));
    assert_eq!(its.rates, ["5%", "20%", "40%"]);
    assert_eq!(its.offered_per_s, [1775.0, 7100.0, 14_200.0]);
    assert_eq!(sweep.values, [1775, 7100, 14_200]);
    assert_eq!((its.percentile, its.objective), (Metric::P99Ns, None));
    let lanes: Vec<_> = sweep.lanes.iter().map(|lane| lane.lane.as_str()).collect();
    assert_eq!(lanes, ["tokio", "smol"], "the control is no lane of its own");
    let points = &series(&sweep, "tokio").points;
    for (point, factor) in points.iter().zip([1.0, 1.0, 30_f64.powf(1.05)]) {
        let latency = point.latency_ns.unwrap();
        let p99 = latency.p99.unwrap();
        assert_near(Some(p99.ratio), P99_NS * factor, 0.2);
        assert!(p99.lo < p99.ratio && p99.ratio < p99.hi.unwrap(), "{p99:?}");
        assert!(latency.p50.unwrap().ratio < latency.p90.unwrap().ratio);
        assert!(latency.p90.unwrap().ratio < p99.ratio);
        // One of 1,200 samples of a round lie above it, but 14 of all.
        let p999 = latency.p999.unwrap();
        assert!(p999.ratio > p99.ratio && p999.hi.is_none(), "{p999:?}");
        assert!(point.cpu_ns_per_op.is_some());
        assert!(point.latency_ratio.is_none(), "it is the reference");
    }
    let ratio = series(&sweep, "smol").points[1].latency_ratio.as_ref().unwrap().ratio;
    assert_near(ratio, 1.0, 0.1);
    let json = serde_json::to_value(&sweep).unwrap();
    assert_eq!(json["load"]["percentile"], "p99_ns");
    assert!(json["lanes"][0]["points"][0]["latency_ns"]["p50"]["ratio"].is_f64(), "{json:#}");
    assert!(json["lanes"][0]["load"]["knee"]["per_s"]["at_least"].is_f64(), "{json:#}");
}

#[test]
fn overload_ends_line_of_lane() {
    let (sweep, _) = gallery(None);
    let smol = series(&sweep, "smol");
    assert_eq!(load(&sweep, "smol").overloaded_per_s, Some(16_000.0));
    for (point, per_s) in smol.points.iter().zip(&sweep.values) {
        let status = if *per_s < 16_000 { Status::Ok } else { Status::Overloaded };
        assert_eq!(point.status, status, "{per_s}");
        assert_eq!(point.latency_ns.is_some(), status == Status::Ok);
        assert_eq!(point.cpu_ns_per_op.is_some(), status == Status::Ok);
    }
    let overloaded = ["tokio", "level", "never"].map(|lane| load(&sweep, lane).overloaded_per_s);
    assert_eq!(overloaded, [Some(20_000.0), None, Some(2_000.0)]);
    assert_near(load(&sweep, "never").closed_loop_per_s, 42_000.0, 0.3);
    assert!(load(&sweep, "tokio").at_objective.is_none());
}

#[test]
fn knee_is_where_latency_is_three_times_its_least() {
    let (sweep, _) = gallery(None);
    let knee = |lane| load(&sweep, lane).knee;
    // 30^(x / 4,000) is 3 at 1,292.
    let Knee { limit_ns, per_s, .. } = knee("tokio").unwrap();
    assert_near(Some(limit_ns), 3.0 * P99_NS, 0.25);
    assert_near(per_s.known(), 11_292.0, 0.03);
    assert_near(knee("smol").unwrap().per_s.known(), 0.8 * 11_292.0, 0.03);
    assert_eq!(ends(knee("level").unwrap().per_s), (Some(20_000.0), None));
    assert_eq!(knee("never"), None, "it has no latency");
    // Overloaded before its latency grows: between the two rates.
    let cliff: Curve = |per_s| (per_s < 9_000.0).then_some(1.0);
    let record = record(&[("tokio", cliff)], &RATES[..6], 1);
    let knee = load(&Sweep::of(&record, &Summary::of(&record)).unwrap(), "tokio").knee.unwrap();
    assert_eq!((ends(knee.per_s), knee.per_s.known()), ((Some(8_000.0), Some(10_000.0)), None));
}

#[test]
fn capacity_at_objective_is_interpolated() {
    // 10 times the level: 4,000 · ln 10 / ln 30 above 10,000.
    let objective = p99(10.0);
    let (sweep, _) = gallery(Some(&objective));
    let truth = 10_000.0 + 4_000.0 * 10_f64.ln() / 30_f64.ln();
    let tokio = load(&sweep, "tokio").at_objective.unwrap();
    assert_near(tokio.per_s.known(), truth, 0.02);
    let (lo, hi) = ends(tokio.interval_per_s);
    assert!(lo < tokio.per_s.known() && tokio.per_s.known() < hi, "{tokio:?}");
    assert_eq!((tokio.rounds, tokio.ratio), (12, None), "it is the reference");
    let smol = load(&sweep, "smol").at_objective.unwrap();
    assert_near(smol.per_s.known(), 0.8 * truth, 0.02);
    assert_near(smol.ratio.unwrap().known(), 0.8, 0.02);
    let (lo, hi) = ends(smol.ratio_interval.unwrap());
    assert!(lo < Some(0.8) && Some(0.8) < hi && hi < Some(0.85), "{smol:?}");
}

#[test]
fn capacity_at_objective_has_bounds_at_ends_of_curve() {
    let of = |sweep: &Sweep, lane| load(sweep, lane).at_objective.unwrap();
    let (sweep, summary) = gallery(Some("p99=5s"));
    // The last rate meets it, the next is overloaded.
    assert_eq!(ends(of(&sweep, "tokio").per_s), (Some(18_000.0), Some(20_000.0)).map_ends());
    assert_eq!(ends(of(&sweep, "level").per_s), (Some(20_000.0), None).map_ends());
    assert_eq!(ends(of(&sweep, "level").interval_per_s), (Some(20_000.0), None).map_ends());
    assert_eq!(ends(of(&sweep, "level").ratio.unwrap()), (Some(1.0), None));
    assert_eq!(ends(of(&sweep, "never").per_s), (None, Some(2_000.0)).map_ends());
    let (strict, _) = gallery(Some("p99=1us"));
    for lane in ["tokio", "level", "never"] {
        assert_eq!(ends(of(&strict, lane).per_s), (None, Some(2_000.0)).map_ends(), "{lane}");
    }
    assert_eq!(ends(of(&strict, "level").ratio.unwrap()), (None, None));
    let text = strict.table(summary, &Style::default());
    assert!(text.contains("less than 2,000") && text.contains("unknown"), "{text}");
    let text = sweep.table(summary, &Style::default());
    assert!(text.contains("18,000 to 20,000") && text.contains("at least 20,000"), "{text}");
}

/// Rates that went through a logarithm and back.
trait MapEnds {
    fn map_ends(self) -> Self;
}

impl MapEnds for (Option<f64>, Option<f64>) {
    fn map_ends(self) -> Self {
        let there_and_back = |per_s: Option<f64>| per_s.map(|per_s| per_s.ln().exp());
        (there_and_back(self.0), there_and_back(self.1))
    }
}

#[test]
fn ratio_at_objective_covers_truth() {
    // Logarithms of latency that are linear in the rate, so that interpolation adds no bias.
    let steep: Curve = |per_s| Some((per_s / 4_000.0).exp());
    let steeper: Curve = |per_s| Some((per_s / 3_200.0).exp());
    let objective = p99(2.5_f64.exp());
    let covered = (0..40).filter(|seed| {
        let record = record(&[("tokio", steep), ("smol", steeper)], &RATES[2..6], 50 + seed);
        let ratio = load(&at(&record, &objective), "smol").at_objective.unwrap();
        let (lo, hi) = ends(ratio.ratio_interval.unwrap());
        lo <= Some(0.8) && Some(0.8) <= hi
    });
    let covered = covered.count();
    assert!(covered >= 35, "{covered} of 40");
}

#[test]
fn objective_decides_percentile_of_tables_and_knee() {
    let (sweep, summary) = gallery(Some("p50=1ms"));
    let its = sweep.load.as_ref().unwrap();
    assert_eq!(its.percentile, Metric::P50Ns);
    assert_eq!(its.objective, Some("p50=1ms".parse::<Objective>().unwrap()));
    let text = sweep.table(summary, &Style::default());
    assert!(text.contains("p50 of latency") && !text.contains("p99 of latency"), "{text}");
    assert!(text.contains("capacity at p50 <= 1 ms, requests per second"), "{text}");
    // A round has 1,200 samples, too few for p99.9.
    let (sweep, _) = gallery(Some("p99.9=5ms"));
    assert_eq!(load(&sweep, "level").at_objective, None);
    assert!(load(&sweep, "level").knee.is_some(), "all rounds together have enough");
}

#[test]
fn rounds_of_killed_run_are_bounded() {
    let mut record = GALLERY.0.clone();
    // The run ended in its last round, after the fourth rate.
    record.rounds.retain(|round| {
        round.round < 11
            || RATES[..4].iter().any(|rate| round.workload.ends_with(&format!("={rate}")))
    });
    let tokio = load(&at(&record, &p99(10.0)), "tokio").at_objective.unwrap();
    assert_eq!(tokio.rounds, 12);
    assert!(tokio.per_s.at_least.is_some());
    assert_near(tokio.per_s.at_least, 12_708.0, 0.03);
}

#[test]
fn rate_that_was_never_offered_comes_from_other_shares() {
    let mut record = record(&[("tokio", bent)], &["20%", "40%", "60%"], 1);
    let is_last = |name: &str| name.ends_with("=60%");
    record.offered_rates.retain(|rate| !is_last(&rate.workload));
    record.blocks.retain(|block| !is_last(&block.workload));
    record.rounds.retain(|round| !is_last(&round.workload));
    let its = sweep(&record);
    assert_eq!(its.values, [7_100, 14_200, 21_300]);
    assert_eq!(series(&its, "tokio").points[2].status, Status::Skipped);
    let text = its.table(&Summary::of(&record), &Style::default());
    assert!(text.contains("tokio, rate=60%: skipped: not measured"), "{text}");
    record.offered_rates.clear();
    let error = Sweep::of(&record, &Summary::of(&record)).unwrap_err().to_string();
    assert!(error.contains("shares of a capacity that was not measured"), "{error}");
}

#[test]
fn sweep_rejects_what_is_none_over_rate() {
    let fails = |record: &Record, objective: Option<&str>| {
        let summary = Summary::of(record);
        let sweep = match objective {
            Some(text) => Sweep::at(record, &summary, text.parse().unwrap()),
            None => Sweep::of(record, &summary),
        };
        let error = sweep.unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1);
        error
    };
    let mut conns = run(vec![lane("tokio", 1.0)]);
    let mut more = echo();
    more.name = "tcp-echo/size=1024/conns=64".to_owned();
    more.params.insert("conns".to_owned(), ParamValue::Number(64));
    conns.workloads.push(more);
    let error = fails(&conns.record(), Some("p99=1ms"));
    assert!(error.contains("needs a sweep over `rate`, and this is one over `conns`"), "{error}");
    let mut one = run(vec![lane("tokio", 1.0)]);
    one.workloads = vec![http("60%")];
    assert!(
        fails(&one.record(), Some("p99=1ms")).contains("do not differ in exactly one parameter")
    );
    let mut closed = http("60%");
    closed.name = "http/conns=32".to_owned();
    closed.params.insert("rate".to_owned(), ParamValue::Name("none".to_owned()));
    one.workloads.push(closed);
    assert!(fails(&one.record(), None).contains("one of its workloads has no rate"));
}

#[test]
fn table_of_rates_fits_width() {
    let (sweep, summary) = gallery(Some("p99=5ms"));
    for width in (64..200).step_by(5) {
        for unicode in [false, true] {
            let style = Style { width, unicode, ..Style::default() };
            let text = sweep.table(summary, &style);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} > {width}\n{text}");
            assert!(unicode || text.is_ascii(), "{text}");
            // Whatever is folded or left out, every rate and lane is there.
            for rate in ["2,000", "10,000", "20,000", "tokio", "never"] {
                assert!(text.contains(rate), "{rate}\n{text}");
            }
        }
    }
}

#[test]
fn report_on_rates_has_all_tables() {
    let (sweep, summary) = gallery(Some("p99=5ms"));
    insta::assert_snapshot!("sweep-load-110", sweep.table(summary, &Style::default()));
    insta::assert_snapshot!("sweep-load-markdown", sweep.markdown(summary));
}

#[test]
fn plot_has_every_lane_and_mark() {
    let svg = plot::svg(&gallery(Some("p99=5ms")).0);
    let count = |what: &str| svg.matches(what).count();
    for text in ["tokio", "smol", "level"] {
        // In the legends of both plots.
        assert_eq!(count(&format!("\n{text}\n")), 2, "{text}");
    }
    for text in [
        "http/conns=32 over the offered rate",
        "latency, from when an operation was due",
        "CPU time per request",
        "offered requests per second",
        "p99\n",
        "p50\n",
        "knee: p99 is 3 times its least",
        "overloaded",
        "objective: p99 ≤ 5 ms",
        "10 ms",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    // In the explanation, and the knees of two lanes.
    assert_eq!(count("<polygon"), 1 + 2);
    // A cross has two strokes, which plotters writes as lines; those of the axes are black or gray.
    let crosses = |color: &str| {
        let lines = svg.lines().filter(|line| line.starts_with("<line"));
        lines
            .filter(|line| line.contains(&format!("stroke=\"{color}\" stroke-width=\"2\"")))
            .count()
            / 2
    };
    assert_eq!(["#0072B2", "#E69F00", "#009E73", "#D55E00"].map(crosses), [1, 1, 0, 1]);
}

#[test]
fn plot_explains_only_marks_that_it_has() {
    let svg = plot::svg(&sweep(&record(&[("tokio", level)], &RATES[..3], 1)));
    for absent in ["overloaded", "knee", "objective", "<polygon"] {
        assert!(!svg.contains(absent), "{absent}");
    }
    assert!(svg.contains("\np99\n") && svg.contains("\np50\n"));
    let nothing = plot::svg(&sweep(&record(&[("tokio", always_overloaded)], &RATES[..3], 1)));
    assert!(nothing.contains("overloaded"), "{nothing}");
}
