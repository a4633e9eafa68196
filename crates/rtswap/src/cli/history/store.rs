//! Where entries are kept: lines of JSON in git notes or in a file.

use std::path::PathBuf;

use anyhow::Result;
use rtswap_report::format::counted;
use rtswap_schema::history::HistoryEntry;

use super::file;
use super::notes::Notes;

/// The notes that are used unless others are named.
pub(super) const NOTES: &str = "refs/notes/rtswap";

/// A place for entries.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Keep the history in this file, one JSON line a cell, instead of in git notes.
    #[arg(long, value_name = "FILE", conflicts_with = "notes")]
    pub file: Option<PathBuf>,
    /// Keep the history in these git notes.
    #[arg(long, value_name = "REF", value_parser = notes_ref, default_value = NOTES)]
    pub notes: String,
}

/// A ref of notes: `rtswap` or `refs/notes/rtswap`.
pub(super) fn notes_ref(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("refs/notes/").unwrap_or(text);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
    let parts = || name.split('/');
    if parts().any(|part| part.is_empty() || part.starts_with('-')) || !name.chars().all(is_plain) {
        return Err("expected a name of git notes such as refs/notes/rtswap".to_owned());
    }
    if text.starts_with("refs/") && !text.starts_with("refs/notes/") {
        return Err("git keeps notes under refs/notes/ alone".to_owned());
    }
    Ok(format!("refs/notes/{name}"))
}

/// A line that is no entry.
#[derive(Debug)]
pub(super) struct Damage {
    /// Where it stands: the file or the note, and the number of the line.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// Entries that were read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub entries: Vec<HistoryEntry>,
    pub damages: Vec<Damage>,
}

impl Read {
    /// Reads the lines of a text. Empty lines count, and are skipped.
    pub fn push_lines(&mut self, text: &str, place: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match HistoryEntry::parse(line) {
                Ok(entry) => self.entries.push(entry),
                Err(error) => self.damages.push(Damage {
                    place: format!("{place}, line {number}"),
                    why: rtswap_schema::one_line(&error.to_string()),
                }),
            }
        }
    }
}

impl Place {
    /// The place in a message.
    pub fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => self.notes.clone(),
        }
    }

    /// All entries; `None` if there is no history yet.
    pub fn read(&self) -> Result<Option<Read>> {
        match &self.file {
            Some(file) => file::read(file),
            None => Notes::open(&self.notes)?.read(),
        }
    }

    /// Adds entries of one commit. Returns how many were not there yet.
    pub fn add(&self, commit: &str, entries: &[HistoryEntry]) -> Result<usize> {
        let lines: Vec<String> = entries.iter().map(HistoryEntry::line).collect();
        match &self.file {
            Some(file) => file::add(file, &lines),
            None => Notes::open(&self.notes)?.add(commit, &lines),
        }
    }
}

/// Warns of lines that are no entries.
pub(super) fn warn(damages: &[Damage]) {
    // A whole file of something else needs no line for each.
    const MOST: usize = 5;
    for Damage { place, why } in damages.iter().take(MOST) {
        note!("warning: {place} is damaged and left out: {why}");
    }
    if let Some(more) = damages.len().checked_sub(MOST).filter(|more| *more > 0) {
        note!("warning: {} more left out", counted(more, "damaged line"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_ref_accepts_short_and_full_names() {
        for (text, expected) in [
            ("rtswap", "refs/notes/rtswap"),
            ("refs/notes/rtswap", "refs/notes/rtswap"),
            ("ci/main", "refs/notes/ci/main"),
        ] {
            assert_eq!(notes_ref(text).as_deref(), Ok(expected));
        }
        for wrong in ["", "refs/heads/main", "a b", "-d", "a//b", "a/-b", "+refs/notes/x", "x:y"] {
            assert!(notes_ref(wrong).is_err(), "{wrong}");
        }
    }
}
