//! The history of a branch: what each commit measured against an anchor, such as the last release.
//!
//! One [`HistoryEntry`] is one line of JSON. Entries are kept in a file of such lines or in git notes of the commits, whose
//! lines `git notes merge -s cat_sort_uniq` merges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Status;

/// The version of [`HistoryEntry`].
pub const HISTORY_SCHEMA: u32 = 1;

/// One cell of one record: a workload on a lane, built from a commit, against the anchor in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// [`HISTORY_SCHEMA`].
    pub schema: u32,
    /// The commit that was measured, its full hash.
    pub commit: String,
    /// The committer's time, seconds since 1970.
    pub commit_unix_s: u64,
    /// What it was measured against.
    pub anchor: Anchor,
    /// The workload's full name.
    pub workload: String,
    /// The lane in the record.
    pub lane: String,
    /// The outcome of the cell.
    pub status: Status,
    /// Why there are no figures; `None` with figures.
    pub reason: Option<String>,
    /// The metric whose verdict counts, a key of [`metrics`](Self::metrics).
    pub deciding: Option<String>,
    /// The figures by the name of the metric, as the summary's JSON has it: `cpu_ns_per_op`.
    pub metrics: BTreeMap<String, HistoryFigure>,
    /// Rounds with data.
    pub rounds: usize,
    /// The kind of machine: CPU model, CPUs, kernel, virtualisation.
    pub machine: String,
    /// The version of rtswap that measured.
    pub rtswap: String,
    /// When the run began, seconds since 1970.
    pub measured_unix_s: u64,
    /// SHA-256 of the executable of the lane, in hexadecimal, if known.
    pub head_sha256: Option<String>,
    /// SHA-256 of the executable of the anchor, in hexadecimal, if known.
    pub anchor_sha256: Option<String>,
    /// SHA-256 of the record's file, in hexadecimal.
    pub record_sha256: String,
}

/// What ratios are taken against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Anchor {
    /// A tag, a release, a version: `v0.3.0`.
    pub name: String,
    /// Its commit, the full hash; `None` if it is of another repository.
    pub commit: Option<String>,
}

/// The ratio of a lane to the anchor in one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryFigure {
    /// The lane's figure over the anchor's; 1 is no difference.
    pub ratio: f64,
    /// Lower end of the 95 % interval; `None` without a bound.
    pub lo: Option<f64>,
    /// Upper end of the 95 % interval; `None` without a bound.
    pub hi: Option<f64>,
    /// Standard error of the natural log of the ratio, from the width of the interval; `None` without bounds.
    pub se_log: Option<f64>,
    /// The second process of the anchor against the first, whose true ratio is 1.
    pub control: Option<ControlRatio>,
    /// `better`, `worse`, `equivalent` or `undecided`.
    pub verdict: Option<String>,
    /// Why the verdict is undecided: `control_differs`, `not_significant`, and others of the summary's JSON.
    pub cause: Option<String>,
}

/// The ratio of two processes of the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlRatio {
    /// The second over the first.
    pub ratio: f64,
    /// Lower end of the 95 % interval; `None` without a bound.
    pub lo: Option<f64>,
    /// Upper end of the 95 % interval; `None` without a bound.
    pub hi: Option<f64>,
}

/// Why a line is no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It is not JSON, or lacks a field.
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error(
        "it has schema {0}, this rtswap reads up to {HISTORY_SCHEMA}: use the version that wrote it"
    )]
    Schema(u64),
    /// A commit is not given by its full hash.
    #[error("{0:?} is not the full hash of a commit")]
    Commit(String),
}

impl HistoryEntry {
    /// Reads one line.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn parse(line: &str) -> Result<Self, EntryError> {
        let value: serde_json::Value = serde_json::from_str(line)?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        match schema {
            Some(schema) if schema > u64::from(HISTORY_SCHEMA) => Err(EntryError::Schema(schema)),
            _ => serde_json::from_value::<Self>(value)?.checked(),
        }
    }

    /// Entries come from files and repositories of others, and commits become part of commands to copy.
    fn checked(self) -> Result<Self, EntryError> {
        let is_hash = |text: &&String| {
            matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let commits = [Some(&self.commit), self.anchor.commit.as_ref()];
        if let Some(other) = commits.into_iter().flatten().find(|commit| !is_hash(commit)) {
            return Err(EntryError::Commit(other.clone()));
        }
        Ok(self)
    }

    /// The entry as one line, without a line break. The same entry is always the same text.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("an entry is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HistoryEntry {
        let figure = HistoryFigure {
            ratio: 1.021,
            lo: Some(1.012),
            hi: Some(1.03),
            se_log: Some(0.0045),
            control: Some(ControlRatio { ratio: 0.999, lo: Some(0.99), hi: None }),
            verdict: Some("worse".to_owned()),
            cause: None,
        };
        HistoryEntry {
            schema: HISTORY_SCHEMA,
            commit: "c".repeat(40),
            commit_unix_s: 1_769_862_896,
            anchor: Anchor { name: "v0.3.0".to_owned(), commit: Some("a".repeat(40)) },
            workload: "spawn/tasks=1000".to_owned(),
            lane: "head".to_owned(),
            status: Status::Ok,
            reason: None,
            deciding: Some("cpu_ns_per_op".to_owned()),
            metrics: [("cpu_ns_per_op".to_owned(), figure)].into(),
            rounds: 32,
            machine: "AMD EPYC, 2 CPUs, Linux 6.18, virtual".to_owned(),
            rtswap: "0.1.0".to_owned(),
            measured_unix_s: 1_769_862_990,
            head_sha256: None,
            anchor_sha256: None,
            record_sha256: "d".repeat(64),
        }
    }

    #[test]
    fn line_is_read_back_as_same_entry() {
        let line = entry().line();
        assert!(!line.contains('\n'), "{line}");
        assert!(line.contains("\"hi\":null"), "{line}");
        assert_eq!(HistoryEntry::parse(&line).unwrap(), entry());
    }

    #[test]
    fn parse_ignores_unknown_fields_and_names_what_is_wrong() {
        let line = entry().line();
        let more = line.replacen("{\"schema\":1", "{\"more\":[1],\"schema\":1", 1);
        assert_eq!(HistoryEntry::parse(&more).unwrap(), entry());
        let later = line.replacen("{\"schema\":1", "{\"schema\":2", 1);
        let error = HistoryEntry::parse(&later).unwrap_err().to_string();
        assert_eq!(
            error,
            "it has schema 2, this rtswap reads up to 1: use the version that wrote it"
        );
        for other in ["HEAD", "--help", &"x".repeat(40)] {
            let line = line.replace(&"a".repeat(40), other);
            let error = HistoryEntry::parse(&line).unwrap_err().to_string();
            assert_eq!(error, format!("{other:?} is not the full hash of a commit"));
        }
        let cut = &line[..line.len() / 2];
        assert!(HistoryEntry::parse(cut).unwrap_err().to_string().contains("EOF"));
    }
}
