//! Series of ratios, in the order of the commits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rtswap_schema::history::{Anchor, HistoryEntry};
use rtswap_schema::record::Status;
use rtswap_stats::changes::Search;
use serde::Serialize;

use super::entries::{HALF_WIDTH, metric as metric_of, name};
use super::search::{self, ChangePoint, Level};
use crate::format::{counted, one_line};
use crate::grid::status_word;
use crate::summary::{Interval, Metric};

/// The version of the history's JSON.
const SCHEMA: u32 = 1;

/// All series of a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// The version of this JSON, 1.
    pub schema: u32,
    /// By workload, lane, metric and machine.
    pub series: Vec<Series>,
    /// Commits with entries that are not on the line of commits that was asked for.
    pub left_out_commits: Vec<String>,
}

/// One metric of one workload on one lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// The workload's full name.
    pub workload: String,
    /// The lane.
    pub lane: String,
    /// The metric.
    pub metric: Metric,
    /// The kind of machine; `None` if all kinds are in one series.
    pub machine: Option<String>,
    /// What was measured against, in the order of use.
    pub anchors: Vec<AnchorUse>,
    /// The commits, in the order of the anchors and then of the commits.
    pub points: Vec<Point>,
    /// The points from which on the level is another, in the order of the points.
    pub changes: Vec<ChangePoint>,
    /// The levels between them.
    pub levels: Vec<Level>,
}

/// An anchor in a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnchorUse {
    /// The anchor.
    pub anchor: Anchor,
    /// Anchors of the same number are chained. Ratios of different numbers cannot be compared.
    pub chain: usize,
    /// Its ratio to the first anchor of the chain; `None` for the first.
    pub ratio_to_first: Option<Interval>,
    /// The anchor, by its index, that its commit was measured against; `None` for the first of a chain.
    pub linked_to: Option<usize>,
    #[serde(skip)]
    pub(super) offset: Log,
}

/// A measured commit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its full hash.
    pub commit: String,
    /// The committer's time, seconds since 1970.
    pub commit_unix_s: u64,
    /// Its place among the commits of the branch, or among those that were measured.
    pub position: usize,
    /// What it was measured against: an index into [`Series::anchors`].
    pub anchor: usize,
    /// The machines that measured it, without duplicates.
    pub machines: Vec<String>,
    /// Records that the ratio comes from: several of the same commit are pooled.
    pub records: usize,
    /// The ratio to the anchor; `None` without a figure.
    pub ratio: Option<Interval>,
    /// The ratio to the first anchor of the chain.
    pub chained: Option<Interval>,
    /// The verdict of the record, if there is one record.
    pub verdict: Option<String>,
    /// Why there is no figure, or why the search for change points does not use it.
    pub note: Option<String>,
    /// The log ratio to the anchor, if the search uses it.
    #[serde(skip)]
    pub(super) log: Option<Log>,
}

/// A log ratio with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Log {
    pub value: f64,
    pub se: f64,
}

impl Log {
    pub fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, se: self.se.hypot(other.se) }
    }

    pub fn interval(self) -> Interval {
        let half = HALF_WIDTH * self.se;
        Interval {
            ratio: self.value.exp(),
            lo: (self.value - half).exp(),
            hi: Some((self.value + half).exp()),
        }
    }
}

/// Which metrics are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricChoice {
    /// The one whose verdict counts.
    #[default]
    Deciding,
    /// Every one that was measured.
    All,
    /// This one.
    One(Metric),
}

/// How series are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The commits of the branch, the oldest first; `None` orders commits by their time.
    pub line: Option<&'a [String]>,
    /// Which metrics are shown.
    pub metric: MetricChoice,
    /// Whether all kinds of machine are in one series.
    pub any_machine: bool,
}

/// Entries with their places.
type Placed<'a> = Vec<(usize, &'a HistoryEntry)>;

impl History {
    /// The series of `entries`.
    pub fn of(entries: &[HistoryEntry], options: &Options) -> Self {
        let places = places(entries, options.line);
        let mut groups: BTreeMap<(&str, &str, &str), Placed> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        for entry in entries {
            let Some(&place) = places.get(entry.commit.as_str()) else {
                left_out.insert(entry.commit.clone());
                continue;
            };
            let machine = if options.any_machine { "" } else { entry.machine.as_str() };
            let group = groups.entry((&entry.workload, &entry.lane, machine)).or_default();
            group.push((place, entry));
        }
        let series = groups.values().flat_map(|group| {
            let all = metrics(group, options.metric).into_iter();
            all.map(|metric| Series::of(group, metric, options.any_machine))
        });
        Self {
            schema: SCHEMA,
            series: series.collect(),
            left_out_commits: left_out.into_iter().collect(),
        }
    }
}

/// The place of each commit.
fn places<'a>(entries: &'a [HistoryEntry], line: Option<&'a [String]>) -> HashMap<&'a str, usize> {
    if let Some(line) = line {
        return line.iter().enumerate().map(|(at, commit)| (commit.as_str(), at)).collect();
    }
    let commits: BTreeSet<(u64, &str)> =
        entries.iter().map(|it| (it.commit_unix_s, it.commit.as_str())).collect();
    commits.into_iter().enumerate().map(|(at, (_, commit))| (commit, at)).collect()
}

fn metrics(group: &Placed, choice: MetricChoice) -> Vec<Metric> {
    let names: BTreeSet<&String> = match choice {
        MetricChoice::Deciding => group.iter().filter_map(|(_, it)| it.deciding.as_ref()).collect(),
        MetricChoice::All => group.iter().flat_map(|(_, it)| it.metrics.keys()).collect(),
        MetricChoice::One(metric) => {
            let name = name(&metric);
            let is_there = group.iter().any(|(_, it)| it.metrics.contains_key(&name));
            return if is_there { vec![metric] } else { Vec::new() };
        }
    };
    let mut metrics: Vec<Metric> = names.into_iter().filter_map(|name| metric_of(name)).collect();
    metrics.sort_unstable();
    metrics
}

impl Series {
    fn of(group: &Placed, metric: Metric, any_machine: bool) -> Self {
        let first = group[0].1;
        // In the order of use: by the first commit that was measured against each.
        let mut firsts: BTreeMap<&Anchor, usize> = BTreeMap::new();
        for (place, entry) in group {
            let first = firsts.entry(&entry.anchor).or_insert(*place);
            *first = (*first).min(*place);
        }
        let mut order: Vec<(usize, &Anchor)> =
            firsts.into_iter().map(|(anchor, first)| (first, anchor)).collect();
        order.sort_unstable();

        let mut points = Vec::new();
        let mut anchors: Vec<AnchorUse> = Vec::new();
        for (index, (_, anchor)) in order.into_iter().enumerate() {
            anchors.push(chained(anchor, &anchors, &points));
            let mut places: BTreeMap<usize, Vec<&HistoryEntry>> = BTreeMap::new();
            for (place, entry) in group.iter().filter(|(_, entry)| entry.anchor == *anchor) {
                places.entry(*place).or_default().push(entry);
            }
            let offset = anchors[index].offset;
            points.extend(
                places.iter().map(|(place, entries)| point(*place, index, entries, metric, offset)),
            );
        }
        let found = search::find(&anchors, &points, metric.direction(), &Search::default());
        Self {
            // Entries come from others: a control character would reach the reader's terminal.
            workload: one_line(&first.workload),
            lane: one_line(&first.lane),
            metric,
            machine: (!any_machine).then(|| one_line(&first.machine)),
            anchors,
            points,
            changes: found.0,
            levels: found.1,
        }
    }

    /// The commits between two neighbouring points that were not measured, if the points are of one anchor.
    pub(super) fn skipped(&self, at: usize) -> usize {
        match at.checked_sub(1).map(|before| (&self.points[before], &self.points[at])) {
            Some((before, point)) if before.anchor == point.anchor => {
                point.position.saturating_sub(before.position + 1)
            }
            _ => 0,
        }
    }
}

/// An anchor, chained to the latest one before it that its commit was measured against.
fn chained(anchor: &Anchor, before: &[AnchorUse], points: &[Point]) -> AnchorUse {
    let links = points.iter().filter(|it| Some(&it.commit) == anchor.commit.as_ref());
    let link = links.filter_map(|it| Some((it.anchor, it.log?))).next_back();
    match link {
        Some((to, log)) => {
            let offset = before[to].offset.plus(log);
            AnchorUse {
                anchor: anchor.clone(),
                chain: before[to].chain,
                ratio_to_first: Some(offset.interval()),
                linked_to: Some(to),
                offset,
            }
        }
        None => AnchorUse {
            anchor: anchor.clone(),
            chain: before.iter().map(|it| it.chain + 1).max().unwrap_or(0),
            ratio_to_first: None,
            linked_to: None,
            offset: Log::default(),
        },
    }
}

fn point(
    position: usize,
    anchor: usize,
    entries: &[&HistoryEntry],
    metric: Metric,
    offset: Log,
) -> Point {
    let key = name(&metric);
    let mut read = Vec::new();
    let mut notes = Vec::new();
    for entry in entries {
        match entry.metrics.get(&key) {
            Some(figure) => read.push((*entry, figure)),
            None => notes.push(gap(entry, metric)),
        }
    }
    let distrusted =
        |cause: &Option<String>| matches!(cause.as_deref(), Some("control_differs" | "no_control"));
    // What the search uses: the mean, weighted by the inverse variances.
    let usable =
        read.iter().filter(|(_, figure)| !distrusted(&figure.cause)).filter_map(|(_, it)| {
            let log = Log { value: it.ratio.ln(), se: it.se_log? };
            (log.value.is_finite() && log.se.is_finite()).then_some(log)
        });
    let usable: Vec<Log> = usable.collect();
    let log = pooled(&usable);
    let interval = match (&read[..], log) {
        ([(_, one)], _) => {
            Some(Interval { ratio: one.ratio, lo: one.lo.unwrap_or(0.0), hi: one.hi })
        }
        ([.., (_, last)], None) => {
            Some(Interval { ratio: last.ratio, lo: last.lo.unwrap_or(0.0), hi: last.hi })
        }
        (_, log) => log.map(Log::interval),
    };
    if let (Some((entry, figure)), None) = (read.last(), log) {
        notes.push(match figure.cause.as_deref() {
            Some("control_differs") => "the control differs: not used".to_owned(),
            Some("no_control") => "there is no control: not used".to_owned(),
            _ => format!("no interval with {}: not used", counted(entry.rounds, "round")),
        });
    }
    let machines: BTreeSet<&String> = entries.iter().map(|it| &it.machine).collect();
    Point {
        commit: entries[0].commit.clone(),
        commit_unix_s: entries[0].commit_unix_s,
        position,
        anchor,
        machines: machines.into_iter().cloned().collect(),
        records: if log.is_some() { usable.len() } else { read.len() },
        ratio: interval,
        chained: log.map(|log| log.plus(offset).interval()).or(interval.map(|it| by(it, offset))),
        verdict: if let [(_, one)] = &read[..] { one.verdict.clone() } else { None },
        note: if log.is_some() { None } else { notes.into_iter().next_back() },
        log,
    }
}

/// An interval that is not used, relative to the first anchor.
fn by(of: Interval, offset: Log) -> Interval {
    let factor = offset.value.exp();
    Interval { ratio: of.ratio * factor, lo: of.lo * factor, hi: of.hi.map(|hi| hi * factor) }
}

fn pooled(logs: &[Log]) -> Option<Log> {
    // An exact count has no error; a search needs one.
    let weight = |log: &Log| log.se.max(LEAST_SE).powi(-2);
    let sum: f64 = logs.iter().map(weight).sum();
    (sum > 0.0).then(|| Log {
        value: logs.iter().map(|log| weight(log) * log.value).sum::<f64>() / sum,
        se: sum.sqrt().recip(),
    })
}

/// The least standard error that a search believes. Counts of system calls have intervals without width.
const LEAST_SE: f64 = 5e-4;

fn gap(entry: &HistoryEntry, metric: Metric) -> String {
    match (entry.status, &entry.reason) {
        (Status::Ok, None) => format!("{} was not measured", metric.words()),
        (Status::Ok, Some(reason)) => one_line(reason),
        (status, reason) => {
            let reason = reason.as_deref().unwrap_or("no reason given");
            format!("{}: {}", status_word(status), one_line(reason))
        }
    }
}
