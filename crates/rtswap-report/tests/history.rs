//! Entries, series, change points and plots of a history.

mod common;

use std::collections::BTreeMap;

use common::{ECHO, lane, run};
use rtswap_report::history::{History, Measurement, MetricChoice, Options, Series, entries, svg};
use rtswap_report::{Metric, Style, Summary};
use rtswap_schema::history::{Anchor, HISTORY_SCHEMA, HistoryEntry, HistoryFigure};
use rtswap_schema::record::Status;
use rtswap_stats::Verdict;
use rtswap_stats::simulate::{Errors, Step, history as simulated};

const CPU: &str = "cpu_ns_per_op";

/// The hash of a commit by its number.
fn commit(number: usize) -> String {
    format!("{number:010}{:030}", 0)
}

fn line(commits: usize) -> Vec<String> {
    (0..commits).map(commit).collect()
}

fn anchor(name: &str, number: Option<usize>) -> Anchor {
    Anchor { name: name.to_owned(), commit: number.map(commit) }
}

fn figure(log: f64, se: f64) -> HistoryFigure {
    HistoryFigure {
        ratio: log.exp(),
        lo: Some((log - 1.96 * se).exp()),
        hi: Some((log + 1.96 * se).exp()),
        se_log: Some(se),
        control: None,
        verdict: Some("undecided".to_owned()),
        cause: None,
    }
}

fn entry(number: usize, against: &Anchor, log: f64, se: f64) -> HistoryEntry {
    HistoryEntry {
        schema: HISTORY_SCHEMA,
        commit: commit(number),
        commit_unix_s: 1_769_000_000 + 86_400 * number as u64,
        anchor: against.clone(),
        workload: ECHO.to_owned(),
        lane: "head".to_owned(),
        status: Status::Ok,
        reason: None,
        deciding: Some(CPU.to_owned()),
        metrics: [(CPU.to_owned(), figure(log, se))].into(),
        rounds: 32,
        machine: "AMD EPYC, 2 CPUs, Linux 6.18, virtual".to_owned(),
        rtswap: "0.1.0".to_owned(),
        measured_unix_s: 1_769_000_500,
        head_sha256: None,
        anchor_sha256: None,
        record_sha256: "0".repeat(64),
    }
}

/// A quiet series around `level`.
fn quiet(numbers: std::ops::Range<usize>, against: &Anchor, level: f64) -> Vec<HistoryEntry> {
    let wiggle = [0.001, -0.002, 0.0, 0.002, -0.001, 0.0015, -0.0015];
    numbers.map(|at| entry(at, against, level + wiggle[at % wiggle.len()], 0.003)).collect()
}

fn history(entries: &[HistoryEntry], commits: usize) -> History {
    History::of(entries, &Options { line: Some(&line(commits)), ..Options::default() })
}

fn only(history: &History) -> &Series {
    let [series] = &history.series[..] else { panic!("{:?}", history.series.len()) };
    series
}

#[test]
fn entries_has_one_line_for_each_cell_that_is_compared() {
    let record = run(vec![
        lane("tokio", 1.0),
        lane("head", 1.1),
        lane("gone", 1.0).lost(Status::Failed, "exit code 101\nat once"),
    ])
    .record();
    let summary = Summary::of(&record);
    let measurement = Measurement {
        commit: commit(7),
        commit_unix_s: 1_769_000_000,
        anchor: anchor("v0.3.0", Some(1)),
        record_sha256: "e".repeat(64),
    };
    let all = entries(&summary, &measurement);
    let by_lane: BTreeMap<&str, &HistoryEntry> =
        all.iter().map(|it| (it.lane.as_str(), it)).collect();
    assert_eq!(by_lane.keys().collect::<Vec<_>>(), [&"gone", &"head"]);

    let head = by_lane["head"];
    let cell = summary.cell(ECHO, "head").unwrap();
    let expected = &cell.metrics[&Metric::CpuNsPerOp];
    let figure = &head.metrics[CPU];
    assert_eq!(
        (head.deciding.as_deref(), head.status, &head.reason),
        (Some(CPU), Status::Ok, &None)
    );
    assert!((figure.ratio - expected.ratio.unwrap()).abs() < 1e-5, "{figure:?}");
    assert_eq!(figure.verdict.as_deref(), Some("worse"));
    // The interval is 1.96 standard errors to each side.
    let half = (figure.hi.unwrap() / figure.lo.unwrap()).ln() / 2.0;
    assert!((figure.se_log.unwrap() * 1.96 / half - 1.0).abs() < 1e-3, "{figure:?}");
    let control = figure.control.unwrap();
    assert!((control.ratio - 1.0).abs() < 0.05 && control.lo.unwrap() < 1.0, "{control:?}");
    assert_eq!(head.commit, commit(7));
    assert!(head.rounds > 0);

    let gone = by_lane["gone"];
    assert_eq!(gone.status, Status::Failed);
    assert_eq!(gone.reason.as_deref(), Some("exit code 101 at once"));
    assert!(gone.metrics.is_empty());
    for entry in &all {
        assert_eq!(HistoryEntry::parse(&entry.line()).unwrap(), *entry);
    }
}

#[test]
fn change_point_names_commits_around_it_and_command() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..20, &v1, 0.0);
    // Commits 20 to 22 were not measured.
    all.extend(quiet(23..32, &v1, 0.03));
    let history = history(&all, 40);
    let series = only(&history);
    let [change] = &series.changes[..] else { panic!("{:?}", series.changes) };
    assert_eq!((&change.before, &change.after), (&commit(19), &commit(23)));
    assert_eq!((change.verdict, change.commits), (Verdict::Worse, 4));
    assert!((change.step.ratio.ln() - 0.03).abs() < 0.003, "{change:?}");
    assert_eq!(series.levels.len(), 2);
    let text = history.table(20, &Style { width: 200, ..Style::default() });
    assert!(text.contains("...         "), "{text}");
    assert!(text.contains("3 commits not measured"), "{text}");
    assert!(text.contains("worse: +3.0 %"), "{text}");
    assert!(text.contains("with one of the 4 commits after 0000000019 up to 0000000023"), "{text}");
    let command = format!("rtswap gate --base 0000000019 --head 0000000023 --workload {ECHO}");
    assert!(text.contains(&command), "{text}");
}

#[test]
fn higher_throughput_is_better() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..20, &v1, 0.0);
    all.extend(quiet(20..30, &v1, 0.03));
    for entry in &mut all {
        entry.deciding = Some("ops_per_s".to_owned());
        entry.metrics = [("ops_per_s".to_owned(), entry.metrics[CPU].clone())].into();
    }
    let history = history(&all, 40);
    assert_eq!(only(&history).metric, Metric::OpsPerS);
    assert_eq!(only(&history).changes[0].verdict, Verdict::Better);
}

#[test]
fn ratios_are_chained_where_new_anchor_was_measured_against_old() {
    let (v1, v2) = (anchor("v1", Some(0)), anchor("v2", Some(15)));
    // Commit 10 made it 4 % slower, v2 is commit 15, and nothing has changed since.
    let mut all = quiet(1..10, &v1, 0.0);
    all.extend(quiet(10..15, &v1, 0.04));
    all.push(entry(15, &v1, 0.04, 0.003));
    all.extend(quiet(16..30, &v2, 0.0));
    let history = history(&all, 40);
    let series = only(&history);
    assert_eq!(series.anchors.iter().map(|it| it.chain).collect::<Vec<_>>(), [0, 0]);
    let link = series.anchors[1].ratio_to_first.unwrap();
    assert!((link.ratio.ln() - 0.04).abs() < 1e-9, "{link:?}");
    let last = series.points.last().unwrap();
    assert_eq!(last.commit, commit(29));
    let (ratio, chained) = (last.ratio.unwrap(), last.chained.unwrap());
    assert!((chained.ratio / ratio.ratio - f64::exp(0.04)).abs() < 1e-9);
    // Variances add.
    let width = (chained.hi.unwrap() / chained.lo).ln() / (2.0 * 1.96);
    assert!((width - 0.003 * 2.0_f64.sqrt()).abs() < 1e-6, "{width}");
    // One change, at commit 10, and none at the anchor.
    assert_eq!(series.changes.iter().map(|it| it.after.clone()).collect::<Vec<_>>(), [commit(10)]);
    let text = history.table(40, &Style { width: 200, ..Style::default() });
    assert!(text.contains("ratio to the first anchor"), "{text}");
    assert!(text.contains("anchor; to the first one: 1.041"), "{text}");
    assert!(!text.contains("breaks"), "{text}");
}

#[test]
fn series_breaks_where_link_is_missing() {
    let (v1, v2, v3) = (anchor("v1", Some(0)), anchor("v2", Some(15)), anchor("v3", None));
    let mut all = quiet(1..15, &v1, 0.0);
    all.extend(quiet(16..30, &v2, 0.1));
    all.extend(quiet(30..35, &v3, -0.1));
    let history = history(&all, 40);
    let series = only(&history);
    assert_eq!(series.anchors.iter().map(|it| it.chain).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(series.changes.is_empty(), "{:?}", series.changes);
    let text = history.table(40, &Style { width: 400, ..Style::default() });
    let commit = &commit(15)[..10];
    assert!(
        text.contains(&format!(
            "The series breaks at anchor v2: its commit {commit} was not measured against v1. remedy: measure it \
             against v1 and add the record."
        )),
        "{text}"
    );
    assert!(text.contains("The series breaks at anchor v3, whose commit is unknown."), "{text}");
    assert!(text.contains("anchor, not linked: the series begins anew"), "{text}");
    assert!(svg(&history).contains("v2 (not linked)"));
}

#[test]
fn change_at_anchor_is_found_through_link() {
    let (v1, v2) = (anchor("v1", Some(0)), anchor("v2", Some(15)));
    let mut all = quiet(1..16, &v1, 0.0);
    all.extend(quiet(16..30, &v2, 0.05));
    let history = history(&all, 40);
    let [change] = &only(&history).changes[..] else { panic!("{:?}", only(&history).changes) };
    assert_eq!((&change.before, &change.after), (&commit(15), &commit(16)));
    assert!(change.is_at_anchor);
    let text = history.table(40, &Style { width: 400, ..Style::default() });
    assert!(text.contains("The anchor changes there, too."), "{text}");
}

#[test]
fn anchor_that_changes_nothing_is_rarely_called_change() {
    let (v1, v2) = (anchor("v1", Some(0)), anchor("v2", Some(20)));
    let mut called = 0;
    for seed in 0..300 {
        let points = simulated(Errors::HeavyTailed, 40, None, seed);
        let all: Vec<HistoryEntry> = points
            .iter()
            .enumerate()
            .map(|(at, it)| entry(at + 1, if at < 20 { &v1 } else { &v2 }, it.value, it.se))
            .collect();
        called += only(&history(&all, 50)).changes.iter().filter(|it| it.is_at_anchor).count();
    }
    assert!(called <= 3, "{called} of 300");
    // The error of a link is common to all later commits, which a step has to stand out from.
    let step = Some(Step { at: 20, size: 0.06 });
    let points = simulated(Errors::Stated, 40, step, 1);
    let all: Vec<HistoryEntry> = (1..)
        .zip(&points)
        .map(|(number, it)| entry(number, if number <= 20 { &v1 } else { &v2 }, it.value, it.se))
        .collect();
    assert!(only(&history(&all, 50)).changes.iter().any(|it| it.is_at_anchor));
}

#[test]
fn records_of_one_commit_are_pooled() {
    let v1 = anchor("v1", Some(0));
    let all = [entry(3, &v1, 0.00, 0.01), entry(3, &v1, 0.02, 0.01), entry(3, &v1, 0.04, 0.1)];
    let history = history(&all, 5);
    let [point] = &only(&history).points[..] else { panic!() };
    assert_eq!(point.records, 3);
    let ratio = point.ratio.unwrap();
    assert!((ratio.ratio.ln() - 0.010_15).abs() < 1e-4, "{ratio:?}");
    assert!((ratio.hi.unwrap() / ratio.lo).ln() < 2.0 * 1.96 * 0.008, "{ratio:?}");
}

#[test]
fn gaps_have_their_reason_and_take_no_part() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..12, &v1, 0.0);
    let gap = |entry: &mut HistoryEntry| {
        entry.metrics.clear();
        entry.status = Status::Failed;
        entry.reason = Some("exit code 101".to_owned());
    };
    gap(&mut all[3]);
    // A control that differs, and too few rounds for an interval.
    all[5].metrics.get_mut(CPU).unwrap().cause = Some("control_differs".to_owned());
    all[5].metrics.get_mut(CPU).unwrap().ratio = 3.0;
    let few = all[7].metrics.get_mut(CPU).unwrap();
    (few.lo, few.hi, few.se_log) = (None, None, None);
    all[7].rounds = 4;
    let history = history(&all, 20);
    let series = only(&history);
    assert!(series.changes.is_empty(), "{:?}", series.changes);
    let notes: Vec<_> = series.points.iter().filter_map(|it| it.note.as_deref()).collect();
    assert_eq!(
        notes,
        [
            "failed: exit code 101",
            "the control differs: not used",
            "no interval with 4 rounds: not used"
        ]
    );
    let text = history.table(20, &Style { width: 200, ..Style::default() });
    assert!(text.contains("failed: exit code 101"), "{text}");
    assert!(text.contains("No change point in 8 measured commits."), "{text}");
}

#[test]
fn kinds_of_machine_are_series_of_their_own_unless_asked_for() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..15, &v1, 0.0);
    let mut other = quiet(15..30, &v1, 0.05);
    for it in &mut other {
        it.machine = "Intel Xeon, 4 CPUs, Linux 6.8".to_owned();
    }
    all.extend(other);
    let apart = history(&all, 40);
    assert_eq!(apart.series.len(), 2);
    assert!(apart.series.iter().all(|it| it.changes.is_empty()));
    let line = line(40);
    let options = Options { line: Some(&line), any_machine: true, ..Options::default() };
    let together = History::of(&all, &options);
    let [change] = &only(&together).changes[..] else { panic!() };
    assert!(change.machine_changes);
    let text = together.table(20, &Style { width: 400, ..Style::default() });
    assert!(text.contains("The machine changes there, too, and may be the reason."), "{text}");
}

#[test]
fn commits_follow_line_and_not_time() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..4, &v1, 0.0);
    // A commit that was written earlier than its parent, and one of another branch.
    all[2].commit_unix_s = 1;
    all.push(HistoryEntry { commit: "f".repeat(40), ..all[0].clone() });
    let by_line = history(&all, 10);
    let order = |history: &History| {
        only(history).points.iter().map(|it| it.commit.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(&by_line), [commit(1), commit(2), commit(3)]);
    assert_eq!(by_line.left_out_commits, ["f".repeat(40)]);
    let by_time = History::of(&all[..3], &Options::default());
    assert_eq!(order(&by_time), [commit(3), commit(1), commit(2)]);
}

#[test]
fn metric_choice_selects_series() {
    let v1 = anchor("v1", Some(0));
    let mut all = quiet(1..4, &v1, 0.0);
    all[0].metrics.insert("syscalls_per_op".to_owned(), figure(0.0, 0.0));
    all[0].metrics.insert("of_a_later_version".to_owned(), figure(0.0, 0.0));
    let metrics = |metric| {
        let history = History::of(&all, &Options { metric, ..Options::default() });
        history.series.iter().map(|it| it.metric).collect::<Vec<_>>()
    };
    assert_eq!(metrics(MetricChoice::Deciding), [Metric::CpuNsPerOp]);
    assert_eq!(metrics(MetricChoice::All), [Metric::CpuNsPerOp, Metric::SyscallsPerOp]);
    assert_eq!(metrics(MetricChoice::One(Metric::SyscallsPerOp)), [Metric::SyscallsPerOp]);
    assert_eq!(metrics(MetricChoice::One(Metric::P99Ns)), []);
}

fn gallery() -> History {
    let (v1, v2) = (anchor("v0.3.0", Some(0)), anchor("v0.4.0", Some(26)));
    let mut all = quiet(1..14, &v1, 0.0);
    all.extend(quiet(16..26, &v1, 0.035));
    all.push(entry(26, &v1, 0.034, 0.003));
    all.extend(quiet(27..34, &v2, 0.0));
    all.extend(quiet(34..40, &v2, -0.02));
    all[5].metrics.clear();
    all[5].status = Status::Failed;
    all[5].reason = Some("exit code 101".to_owned());
    history(&all, 45)
}

#[test]
fn table_and_markdown_show_changes_gaps_and_anchors() {
    let style = Style { width: 110, ..Style::default() };
    insta::assert_snapshot!("history-table", gallery().table(50, &style));
    insta::assert_snapshot!("history-markdown", gallery().markdown(10));
}

#[test]
fn table_fits_terminal() {
    for width in [60, 80, 110] {
        let text = gallery().table(50, &Style { width, ..Style::default() });
        // Commands to copy stay on one line.
        let widest = text.lines().filter(|line| !line.contains("rtswap gate --base"));
        let widest = widest.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} > {width}\n{text}");
    }
}

#[test]
fn plot_has_changes_and_anchors_and_escapes_names() {
    let page = svg(&gallery());
    for text in ["ratio to v0.3.0", "v0.4.0", "+3.6 %", "-2.1 %"] {
        assert!(page.contains(text), "{text}");
    }
    let evil = anchor("<script>", Some(0));
    let page = svg(&history(&quiet(1..4, &evil, 0.0), 10));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    let empty = History { schema: 1, series: Vec::new(), left_out_commits: Vec::new() };
    assert!(svg(&empty).contains("no figures"));
}

#[test]
fn history_serializes_without_internals() {
    let json = serde_json::to_value(gallery()).unwrap();
    let change = &json["series"][0]["changes"][0];
    assert_eq!(change["verdict"], "worse");
    assert_eq!(change["commits"], 3);
    assert!(json["series"][0]["points"][0].get("log").is_none());
}

#[test]
fn foreign_names_have_no_effect() {
    let v1 = anchor("v\u{1b}[31m1", Some(0));
    let mut all = quiet(1..20, &v1, 0.0);
    all.extend(quiet(20..30, &v1, 0.05));
    for entry in &mut all {
        entry.workload = "a; rm -rf 'x'`\u{1b}[2J\n| b".to_owned();
        entry.lane = "head\u{7}".to_owned();
    }
    all[3].metrics.clear();
    all[3].reason = Some("\u{1b}]0;title".to_owned());
    let history = history(&all, 40);
    let style = Style { width: 400, ..Style::default() };
    for text in [history.table(40, &style), history.markdown(40), svg(&history)] {
        let is_harmless = |c: char| c == '\n' || !c.is_control();
        assert!(text.chars().all(is_harmless), "{text:?}");
    }
    let text = history.table(40, &style);
    assert!(text.contains(r"--workload 'a; rm -rf '\''x'\''` [2J | b'"), "{text}");
}
