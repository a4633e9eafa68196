//! The claims of uvloop's authors, checked against measurements.

use std::collections::BTreeSet;

use rtswap_schema::record::Status;
use rtswap_schema::workload::ParamValue;
use serde::Serialize;

use crate::grid::{Column, MISSING, status_word};
use crate::markdown;
use crate::style::{Style, Tone};
use crate::summary::{Bound, Cell, Interval, Metric, Summary, WorkloadSummary};
use crate::{format, machine, table};

/// The lane that the claims are about.
pub const SUBJECT: &str = "uvloop";

/// The source of the claims and the published figures; "2 to 4 times" is from uvloop's own page.
pub const SOURCE: &str = "https://magic.io/blog/uvloop-blazing-fast-python-networking/ (May 2016)";

/// Echoes per second that uvloop's authors published for uvloop, with messages of 1 KiB.
pub const PUBLISHED: f64 = 106_000.0;

/// Bytes of a message in the published measurement.
pub const PUBLISHED_SIZE: u64 = 1024;

/// Operations per second of uvloop, compared with those of another lane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// The lane that uvloop is compared with.
    pub than: &'static str,
    /// The claim as text.
    pub says: &'static str,
    /// The claim for narrow tables.
    pub brief: &'static str,
    /// The least ratio uvloop / other for which the claim holds.
    pub least: f64,
    /// The largest such ratio, if the claim has one.
    pub most: Option<f64>,
    /// Echoes per second that uvloop's authors published for the other, with messages of 1 KiB.
    pub published: f64,
}

/// The claims. "Close to Go" has no bounds in the source: here it is up to a quarter more or less.
pub const CLAIMS: [Claim; 4] = [
    Claim {
        than: "gevent",
        says: "at least twice as fast as gevent",
        brief: "≥ 2 × gevent",
        least: 2.0,
        most: None,
        published: 30_500.0,
    },
    Claim {
        than: "node",
        says: "at least twice as fast as Node.js",
        brief: "≥ 2 × Node.js",
        least: 2.0,
        most: None,
        published: 44_100.0,
    },
    Claim {
        than: "go",
        says: "close to Go: 0.8 to 1.25 times as fast",
        brief: "≈ Go",
        least: 0.8,
        most: Some(1.25),
        published: 103_300.0,
    },
    Claim {
        than: "asyncio",
        says: "2 to 4 times as fast as asyncio",
        brief: "2–4 × asyncio",
        least: 2.0,
        most: Some(4.0),
        published: 42_500.0,
    },
];

/// Whether a claim holds in the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The whole interval lies within the bounds of the claim.
    Holds,
    /// The whole interval lies outside of the bounds.
    DoesNotHold,
    /// Neither, or the run cannot decide.
    Undecided,
}

impl Finding {
    /// The finding as text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Undecided => "undecided",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Holds => Tone::Good,
            Self::DoesNotHold => Tone::Bad,
            Self::Undecided => Tone::Unsure,
        }
    }
}

/// One claim in one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The claim.
    pub claim: Claim,
    /// The workload's full name.
    pub workload: String,
    /// Operations per second of uvloop.
    pub subject_ops_per_s: Option<f64>,
    /// Operations per second of the other lane.
    pub other_ops_per_s: Option<f64>,
    /// uvloop / other, from slices in the same blocks, with its 95 % interval.
    pub ratio: Option<Interval>,
    /// The published ratio; only for messages of 1 KiB.
    pub published_ratio: Option<f64>,
    /// Whether the claim holds in the measurement.
    pub finding: Finding,
    /// Why the finding is undecided, with the remedy.
    pub why: Option<String>,
}

/// Judges the claims in every workload of a record whose reference is uvloop, claim by claim.
pub fn judge(summary: &Summary) -> Vec<Judgement> {
    if summary.reference != SUBJECT {
        return Vec::new();
    }
    let workloads = || summary.workloads.iter();
    let each = CLAIMS.iter().flat_map(|claim| workloads().map(move |it| (claim, it)));
    each.filter_map(|(claim, workload)| one(summary, claim, workload)).collect()
}

fn one(summary: &Summary, claim: &Claim, workload: &WorkloadSummary) -> Option<Judgement> {
    let subject = summary.cell(&workload.name, SUBJECT)?;
    let other = summary.cell(&workload.name, claim.than)?;
    let figure = |cell: &Cell| cell.metrics.get(&Metric::OpsPerS).cloned();
    let ratio = figure(other).and_then(|it| it.interval()).map(|it| inverse(&it));
    let (finding, why) = match obstacle(subject, other) {
        Some(why) => (Finding::Undecided, Some(why)),
        None => decide(claim, ratio),
    };
    let size = other.params.get("size").and_then(ParamValue::number);
    Some(Judgement {
        claim: *claim,
        workload: workload.name.clone(),
        subject_ops_per_s: figure(subject).map(|it| it.value),
        other_ops_per_s: figure(other).map(|it| it.value),
        ratio,
        published_ratio: (size == Some(PUBLISHED_SIZE)).then(|| PUBLISHED / claim.published),
        finding,
        why,
    })
}

/// The inverse ratio.
fn inverse(of: &Interval) -> Interval {
    let inverse = |it: f64| (it > 0.0).then(|| 1.0 / it);
    Interval {
        ratio: 1.0 / of.ratio,
        lo: of.hi.and_then(inverse).unwrap_or(0.0),
        hi: inverse(of.lo),
    }
}

/// Why a claim cannot be judged at all.
fn obstacle(subject: &Cell, other: &Cell) -> Option<String> {
    for cell in [subject, other] {
        if cell.status != Status::Ok {
            let reason = cell.reason.as_deref().map(format::one_line).unwrap_or_default();
            return Some(format!("{} {}: {reason}", cell.lane, status_word(cell.status)));
        }
    }
    // What hinders a verdict hinders a claim: a control that differs, too few rounds.
    let figure = other.metrics.get(&Metric::OpsPerS);
    if let Some(figure) = figure.filter(|figure| !figure.is_decidable()) {
        let why = figure.why.clone();
        return Some(why.unwrap_or_else(|| "the ratio was not decided; measure again".to_owned()));
    }
    let limited = |cell: &&Cell| cell.bound == Some(Bound::Generator);
    let limited: Vec<_> = [subject, other].into_iter().filter(limited).map(|it| &it.lane).collect();
    (!limited.is_empty()).then(|| {
        let lanes = format::list(&limited);
        format!("the load generator was the bottleneck for {lanes}; give it more CPUs")
    })
}

/// A ratio lies beyond a bound if its whole interval does.
fn decide(claim: &Claim, ratio: Option<Interval>) -> (Finding, Option<String>) {
    let Some(Interval { lo, hi: Some(hi), .. }) = ratio else {
        let why = "the ratio has no interval; measure longer";
        return (Finding::Undecided, Some(why.to_owned()));
    };
    let above = |bound: f64| lo >= bound;
    let below = |bound: f64| hi <= bound;
    let Claim { least, most, .. } = *claim;
    if below(least) || most.is_some_and(above) {
        (Finding::DoesNotHold, None)
    } else if above(least) && most.is_none_or(below) {
        (Finding::Holds, None)
    } else {
        let doubt = |bound: f64| format!("{bound} lies within the interval");
        let why = match most {
            Some(most) if above(least) => {
                format!("the ratio is at least {least}, but {}", doubt(most))
            }
            _ => doubt(least),
        };
        (Finding::Undecided, Some(why + "; measure longer"))
    }
}

/// The claims for a terminal.
pub fn claims(summary: &Summary, style: &Style) -> String {
    let judged = judge(summary);
    let mut parts = vec![
        style.paint("Claims of uvloop's authors, and measurements", Tone::Strong),
        String::new(),
    ];
    parts.extend(fitting(&judged, style));
    parts.push(String::new());
    for why in reasons(&judged) {
        parts.push(style.paint(&style.wrap(&why, "", "  "), Tone::Unsure));
    }
    for line in [key(), machine::line(summary)] {
        let wrapped = style.wrap(&line, "", "");
        parts.extend(wrapped.lines().map(|line| style.paint(line, Tone::Faint)));
    }
    parts.join("\n") + "\n"
}

/// The table. If it is too wide, it loses columns, and then the long form of the claims.
fn fitting(judged: &[Judgement], style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    for brief in [false, true] {
        let mut columns = columns(judged, brief);
        loop {
            lines = table::laid_out(&columns, *style);
            let least = columns.iter().map(|column| column.dispensable).max().unwrap_or(0);
            if table::widest(&lines) <= style.width {
                return lines;
            }
            if least == 0 {
                break;
            }
            columns.retain(|column| column.dispensable < least);
        }
    }
    lines
}

/// The claims for documents.
pub fn claims_in_markdown(summary: &Summary) -> String {
    let judged = judge(summary);
    let mut parts = vec![markdown::rows(&columns(&judged, false))];
    let reasons = reasons(&judged);
    if !reasons.is_empty() {
        let reasons = reasons.iter().map(|why| format!("- {}", markdown::escaped(why)));
        parts.push(reasons.collect::<Vec<_>>().join("\n"));
    }
    parts.push(format!("<sub>{}</sub>", markdown::escaped(&key())));
    parts.join("\n\n")
}

fn columns(judged: &[Judgement], brief: bool) -> Vec<Column> {
    let column = |head: [&str; 2], right, dispensable, entry: &dyn Fn(&Judgement) -> Entry| {
        let entries = judged.iter().map(|it| entry(it).unwrap_or((MISSING.into(), Tone::Faint)));
        Column { head: head.map(str::to_owned), entries: entries.collect(), right, dispensable }
    };
    let rate = |rate: Option<f64>| Some((format::rate(rate?), Tone::Plain));
    vec![
        column(["", "uvloop is"], false, 0, &|it| {
            let says = if brief { it.claim.brief } else { it.claim.says };
            Some((says.to_owned(), Tone::Strong))
        }),
        column(["", "tcp-echo"], false, 0, &|it| {
            let family = it.workload.split_inclusive('/').next().unwrap_or_default();
            Some((it.workload[family.len()..].to_owned(), Tone::Plain))
        }),
        column(["", "verdict"], false, 0, &|it| {
            Some((it.finding.name().to_owned(), it.finding.tone()))
        }),
        column(["ratio", "[95 % interval]"], false, 0, &|it| {
            Some((format::interval(it.ratio.as_ref()?), Tone::Plain))
        }),
        column(["ratio", "of 2016"], true, 1, &|it| {
            Some((format::number(it.published_ratio?), Tone::Faint))
        }),
        column(["uvloop,", "op/s"], true, 2, &|it| rate(it.subject_ops_per_s)),
        column(["other lane,", "op/s"], true, 2, &|it| rate(it.other_ops_per_s)),
    ]
}

type Entry = Option<(String, Tone)>;

/// Why findings are undecided, each reason once.
fn reasons(judged: &[Judgement]) -> Vec<String> {
    let all = judged.iter().filter_map(|it| {
        let why = it.why.as_ref()?;
        Some(format!("{}: undecided: {why}", it.claim.says))
    });
    let mut reasons: Vec<String> = all.collect();
    let mut seen = BTreeSet::new();
    reasons.retain(|why| seen.insert(why.clone()));
    reasons
}

fn key() -> String {
    let others = CLAIMS.iter().map(|it| format!("{} {}", it.than, format::rate(it.published)));
    format!(
        "ratio: uvloop's operations per second divided by the other lane's, from slices in the same blocks. A \
         claim holds if the whole interval lies within its bounds; it does not hold if the whole interval lies outside. \
         ratio of 2016: from the figures that uvloop's authors published for \
         messages of 1 KiB, in echoes per second: uvloop {}, {}; {SOURCE}.",
        format::rate(PUBLISHED),
        others.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(claim: &Claim, lo: f64, hi: f64) -> Finding {
        let ratio = Some(Interval { ratio: f64::midpoint(lo, hi), lo, hi: Some(hi) });
        decide(claim, ratio).0
    }

    #[test]
    fn decide_claim_with_least_ratio() {
        let [gevent, ..] = &CLAIMS;
        assert_eq!(found(gevent, 2.1, 2.2), Finding::Holds);
        assert_eq!(found(gevent, 1.5, 1.6), Finding::DoesNotHold);
        assert_eq!(found(gevent, 1.9, 2.1), Finding::Undecided);
        assert_eq!(found(gevent, 9.0, 9.1), Finding::Holds);
    }

    #[test]
    fn decide_claim_with_range() {
        let [.., asyncio] = &CLAIMS;
        assert_eq!(found(asyncio, 2.5, 3.5), Finding::Holds);
        assert_eq!(found(asyncio, 4.2, 4.3), Finding::DoesNotHold);
        assert_eq!(found(asyncio, 1.7, 1.8), Finding::DoesNotHold);
        for (lo, hi) in [(3.9, 4.1), (1.9, 2.1), (1.5, 5.0)] {
            assert_eq!(found(asyncio, lo, hi), Finding::Undecided);
        }
    }

    #[test]
    fn decide_names_bound_in_doubt() {
        let doubt = |lo: f64, hi: Option<f64>| {
            let (finding, why) = decide(&CLAIMS[3], Some(Interval { ratio: 3.0, lo, hi }));
            assert_eq!(finding, Finding::Undecided);
            why.unwrap()
        };
        assert!(doubt(2.9, Some(4.1)).starts_with("the ratio is at least 2, but 4 lies within"));
        assert!(doubt(1.9, Some(3.1)).starts_with("2 lies within the interval"));
        assert!(doubt(2.9, None).contains("no interval"));
    }

    #[test]
    fn inverse_keeps_ends_in_order() {
        let closed = inverse(&Interval { ratio: 0.5, lo: 0.4, hi: Some(0.625) });
        assert_eq!(closed, Interval { ratio: 2.0, lo: 1.6, hi: Some(2.5) });
        let open = inverse(&Interval { ratio: 0.5, lo: 0.0, hi: None });
        assert_eq!(open, Interval { ratio: 2.0, lo: 0.0, hi: None });
    }
}
