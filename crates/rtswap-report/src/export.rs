//! A record in the formats of other tools.
//!
//! An [`Export`] is the cells of a record with their figures as [`Series`]: one for each metric of a cell, with a
//! fixed direction and a stable name. A format takes what its consumer can hold. A cell without figures has no
//! series, and figures that are infinite or missing have none either: none becomes a zero.
//!
//! | format | consumer | holds |
//! |---|---|---|
//! | [`Format::Benchfmt`] | benchstat | the figure of each round |
//! | [`Format::Bmf`] | Bencher | figures and ratios, with intervals |
//! | [`Format::GithubActionBenchmark`] | github-action-benchmark | figures of one direction |
//! | [`Format::Critcmp`] | critcmp | times of one lane |
//! | [`Format::Junit`] | CI systems | the outcome of each cell |
//! | [`Format::Openmetrics`] | Prometheus | figures, ratios, verdicts |
//! | [`Format::Csv`] | spreadsheets, pandas, R | all of it |
//! | [`Format::Hgrm`], [`Format::Hlog`] | HdrHistogram's tools | latencies of one cell |

mod benchfmt;
mod bmf;
mod critcmp;
mod csv;
mod github;
mod hdr;
mod junit;
mod measure;
mod name;
mod openmetrics;
mod series;

use rtswap_schema::record::Record;

use crate::summary::{Cell, Summary};

pub use measure::Measure;
pub use rtswap_stats::Direction;
pub use series::Series;

/// The format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Go benchmark format.
    Benchfmt,
    /// The Bencher Metric Format.
    Bmf,
    /// The custom JSON of github-action-benchmark, for the figures of one direction.
    GithubActionBenchmark(Direction),
    /// What `critcmp --export` writes: a baseline.
    Critcmp,
    /// JUnit XML.
    Junit,
    /// The OpenMetrics text format.
    Openmetrics,
    /// Comma-separated values, RFC 4180 with a header.
    Csv,
    /// The percentile distribution of HdrHistogram, in milliseconds.
    Hgrm,
    /// The interval log of HdrHistogram, in nanoseconds.
    Hlog,
}

/// Why a record cannot be written in a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No cell that was chosen has a figure that the format holds.
    #[error("no chosen cell has {what}; `rtswap summary RECORD` shows what was measured")]
    Nothing {
        /// What the format holds.
        what: &'static str,
    },
    /// The format holds one cell, or one lane, and several are chosen.
    #[error("this format holds one {what}: choose it with {with}, out of {found}")]
    Several {
        /// `cell` or `lane`.
        what: &'static str,
        /// The options that narrow the choice.
        with: &'static str,
        /// What was chosen.
        found: String,
    },
    /// The consumer rejects names of this length.
    #[error(
        "the name {name:.60}… has {length} bytes, and Bencher takes 1024: give the lane a shorter name"
    )]
    NameTooLong {
        /// The name.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A histogram of the record cannot be read.
    #[error("the latencies of {lane} in round {round} cannot be read: {why}")]
    Histogram {
        /// The lane.
        lane: String,
        /// The round.
        round: u32,
        /// What is wrong.
        why: String,
    },
}

/// A record in another format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub text: String,
    /// What the reader of the file should know: each in one sentence.
    pub notes: Vec<&'static str>,
}

impl From<String> for Exported {
    fn from(text: String) -> Self {
        Self { text, notes: Vec::new() }
    }
}

/// The cells of a record, and their figures.
#[derive(Clone, Debug)]
pub struct Export<'a> {
    record: &'a Record,
    summary: &'a Summary,
    cells: Vec<&'a Cell>,
    series: Vec<Series<'a>>,
}

impl<'a> Export<'a> {
    /// All cells of a record, `summary` being its summary.
    pub fn of(record: &'a Record, summary: &'a Summary) -> Self {
        let series = series::all(record, summary);
        Self { record, summary, cells: summary.cells.iter().collect(), series }
    }

    /// The cells that are chosen: workloads in running order, in each the lanes in listing order.
    pub fn cells(&self) -> &[&'a Cell] {
        &self.cells
    }

    /// Their figures.
    pub fn series(&self) -> &[Series<'a>] {
        &self.series
    }

    /// Keeps the cells that `is_chosen` accepts.
    pub fn retain_cells(&mut self, is_chosen: impl Fn(&Cell) -> bool) {
        self.cells.retain(|cell| is_chosen(cell));
        self.series.retain(|series| is_chosen(series.cell));
    }

    /// Keeps the figures whose [`Measure::name`] `is_chosen` accepts.
    pub fn retain_measures(&mut self, is_chosen: impl Fn(&str) -> bool) {
        self.series.retain(|series| is_chosen(series.measure.name()));
    }

    /// The chosen cells in a format.
    ///
    /// # Errors
    /// [`ExportError`] if the format cannot hold them.
    pub fn write(&self, format: Format) -> Result<Exported, ExportError> {
        match format {
            Format::Benchfmt => benchfmt::write(self),
            Format::Bmf => bmf::write(self).map(Exported::from),
            Format::GithubActionBenchmark(direction) => {
                github::write(self, direction).map(Exported::from)
            }
            Format::Critcmp => critcmp::write(self).map(Exported::from),
            Format::Junit => Ok(junit::write(self).into()),
            Format::Openmetrics => openmetrics::write(self).map(Exported::from),
            Format::Csv => Ok(csv::write(self).into()),
            Format::Hgrm => hdr::hgrm(self).map(Exported::from),
            Format::Hlog => hdr::hlog(self).map(Exported::from),
        }
    }

    /// The figures of one cell.
    fn series_of<'s>(&'s self, cell: &'a Cell) -> impl Iterator<Item = &'s Series<'a>> {
        self.series.iter().filter(move |series| std::ptr::eq(series.cell, cell))
    }
}

/// JSON, indented, with a newline at its end.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("an export is plain data") + "\n"
}
