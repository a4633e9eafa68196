//! A record as a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::record::{Header, Line, OLDEST_SCHEMA, Record, SCHEMA};

/// Why a file is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be opened, read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process is writing it.
    #[error("{} is being written by another run: wait for its end, or end it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It does not begin as a record does.
    #[error("{} is not an rtswap record: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first line.
        why: String,
    },
    /// It is of another version.
    #[error(
        "{} has schema {found}, this rtswap reads {OLDEST_SCHEMA} to {SCHEMA}: use the version that wrote it",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// A line is damaged.
    #[error("{}, line {line} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A line in the middle begins another record.
    #[error(
        "{} holds two records, the second from line {line}: `split -l {} {}` puts them into files of their own",
        path.display(), line - 1, path.display()
    )]
    TwoRecords {
        /// The file.
        path: PathBuf,
        /// The line of the second header, from 1.
        line: usize,
    },
    /// The last line is cut off, as by a kill or a full disk.
    #[error(
        "{} is cut off in line {line}: `rtswap run --resume {}` drops that line and completes the record",
        path.display(), path.display()
    )]
    CutOff {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// A record in a file.
pub trait RecordFile: Sized {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`], naming the line.
    fn read(path: &Path) -> Result<Self, RecordError>;

    /// Reads the whole lines of a record, with the number of the last line if that is cut off.
    ///
    /// # Errors
    /// [`RecordError`] for any other damage.
    fn read_whole_lines(path: &Path) -> Result<(Self, Option<usize>), RecordError>;

    /// Reads a record to continue it: a last line that is cut off is removed from the file.
    ///
    /// # Errors
    /// [`RecordError`] for any other damage.
    fn recover(path: &Path) -> Result<Self, RecordError>;
}

impl RecordFile for Record {
    fn read(path: &Path) -> Result<Self, RecordError> {
        let (record, cut) = read_up_to_cut(path)?;
        match cut {
            None => Ok(record),
            Some(cut) => Err(RecordError::CutOff { path: path.into(), line: cut.line }),
        }
    }

    fn read_whole_lines(path: &Path) -> Result<(Self, Option<usize>), RecordError> {
        let (record, cut) = read_up_to_cut(path)?;
        Ok((record, cut.map(|cut| cut.line)))
    }

    fn recover(path: &Path) -> Result<Self, RecordError> {
        let (record, cut) = read_up_to_cut(path)?;
        if let Some(cut) = cut {
            let io = |source| RecordError::Io { doing: "mend", path: path.into(), source };
            let file = OpenOptions::new().write(true).open(path).map_err(io)?;
            file.set_len(cut.at_byte).map_err(io)?;
        }
        Ok(record)
    }
}

fn read_up_to_cut(path: &Path) -> Result<(Record, Option<Cut>), RecordError> {
    let io = |source| RecordError::Io { doing: "read", path: path.into(), source };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut record: Option<Record> = None;
    let (mut text, mut number, mut at_byte) = (Vec::new(), 0, 0);
    loop {
        text.clear();
        let bytes = reader.read_until(b'\n', &mut text).map_err(io)?;
        if bytes == 0 {
            break;
        }
        number += 1;
        let whole = text.last() == Some(&b'\n');
        match &mut record {
            None => record = Some(Record::new(header(path, &text)?)),
            Some(_) if !whole => {
                return Ok((record.unwrap(), Some(Cut { line: number, at_byte })));
            }
            Some(record) => {
                let damaged = |error: serde_json::Error| RecordError::Damaged {
                    path: path.into(),
                    line: number,
                    why: error.to_string(),
                };
                match serde_json::from_slice(&text).map_err(damaged)? {
                    Line::Header(_) => {
                        return Err(RecordError::TwoRecords { path: path.into(), line: number });
                    }
                    line => record.push(line),
                }
            }
        }
        at_byte += bytes as u64;
    }
    let empty = || RecordError::Foreign { path: path.into(), why: "it is empty".to_owned() };
    record.ok_or_else(empty).map(|record| (record, None))
}

struct Cut {
    line: usize,
    at_byte: u64,
}

fn header(path: &Path, text: &[u8]) -> Result<Header, RecordError> {
    let foreign = |why: String| RecordError::Foreign { path: path.into(), why };
    let json: serde_json::Value = serde_json::from_slice(text)
        .map_err(|error| foreign(format!("its first line is not JSON ({error})")))?;
    if json["kind"] != "header" {
        return Err(foreign("its first line is not a header".to_owned()));
    }
    match json["schema"].as_u64() {
        Some(schema) if (u64::from(OLDEST_SCHEMA)..=u64::from(SCHEMA)).contains(&schema) => {}
        Some(found) => return Err(RecordError::Schema { path: path.into(), found }),
        None => return Err(foreign("its header names no schema".to_owned())),
    }
    match serde_json::from_value(json) {
        Ok(Line::Header(header)) if text.ends_with(b"\n") => Ok(*header),
        // If only by its end: what comes next would be appended to it.
        Ok(_) => Err(foreign("its first line is cut off".to_owned())),
        Err(error) => Err(foreign(format!("its header is incomplete ({error})"))),
    }
}

/// Appends lines to a record's file, each flushed at once.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Makes a new file; refuses one that exists, so that no record is overwritten by mistake.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        Self::open(path, OpenOptions::new().write(true).create_new(true), "create")
    }

    /// Goes on at the end of a file.
    ///
    /// # Errors
    /// [`RecordError::Io`]; [`RecordError::Busy`] while another writer is alive.
    pub fn append(path: &Path) -> Result<Self, RecordError> {
        Self::open(path, OpenOptions::new().append(true), "append to")
    }

    fn open(path: &Path, options: &OpenOptions, doing: &'static str) -> Result<Self, RecordError> {
        let file = options.open(path).map_err(|source| RecordError::Io {
            doing,
            path: path.into(),
            source,
        })?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(RecordError::Busy { path: path.into() }),
            // Some file systems have no locks: then it is as it was without.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { file, path: path.into() }),
        }
    }

    /// Where it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line, in one system call so that a kill cuts it at worst.
    ///
    /// # Errors
    /// [`RecordError::Io`], on a full disk for example.
    pub fn write(&mut self, line: &Line) -> Result<(), RecordError> {
        let mut text = serde_json::to_vec(line).expect("a record line is plain data");
        text.push(b'\n');
        self.file.write_all(&text).map_err(|source| RecordError::Io {
            doing: "write to",
            path: self.path.clone(),
            source,
        })
    }
}
