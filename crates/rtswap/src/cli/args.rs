//! What several subcommands take.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;

use crate::cli::select;
use rtswap_workload::{Resources, ServerKind, ServerUrl};

/// Where something is measured, from which seed, and where its record goes.
#[derive(Debug, clap::Args)]
pub(super) struct Setting {
    /// Draw orders from this number instead of a random one.
    #[arg(long)]
    pub seed: Option<u64>,
    /// CPUs for the lanes: 0 or 0-3 or 0,2.
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<CpuList>,
    /// CPUs for the load generator.
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<CpuList>,
    /// Where to keep the record; a new file.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 0 even if a named lane or workload has no figure.
    #[arg(long)]
    pub allow_missing: bool,
    #[command(flatten)]
    pub servers: Servers,
}

/// Servers that the user has running already.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Servers {
    /// A Redis server to use, instead of one that is started for it: `redis://127.0.0.1:6379`.
    ///
    /// Few keys that begin with `rtswap:` are left behind. A server that is started is the `redis-server`
    /// of PATH, or of the folders that `RTSWAP_SERVERS` names; the others likewise.
    #[arg(long = "redis-url", value_name = "URL", value_parser = url(ServerKind::Redis))]
    redis: Option<String>,
    /// A MySQL or MariaDB server to use: `mysql://user:password@127.0.0.1:3306/database`.
    ///
    /// The tables `rtswap_world` and `rtswap_fortune` are made there and left behind.
    #[arg(long = "mysql-url", value_name = "URL", value_parser = url(ServerKind::Mysql))]
    mysql: Option<String>,
    /// A PostgreSQL server to use: `postgres://user:password@127.0.0.1:5432/database`.
    ///
    /// The tables `rtswap_world` and `rtswap_fortune` are made there and left behind.
    #[arg(long = "postgres-url", value_name = "URL", value_parser = url(ServerKind::Postgres))]
    postgres: Option<String>,
}

/// Reads the URL of a server of that kind.
fn url(
    kind: ServerKind,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| ServerUrl::parse(kind, text).map(|_| text.to_owned())
}

impl Servers {
    /// By the name of the resource.
    pub fn urls(&self) -> Resources {
        [("redis", &self.redis), ("mysql", &self.mysql), ("postgres", &self.postgres)]
            .into_iter()
            .filter_map(|(name, url)| Some((name.to_owned(), url.clone()?)))
            .collect()
    }
}

impl Setting {
    /// CPUs of the lanes and of the generator.
    pub fn placement(&self) -> Result<(Vec<usize>, Vec<usize>)> {
        select::placement(self.server_cpus.as_ref(), self.load_cpus.as_ref())
    }
}

/// How to print results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people, on a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For documents and pull requests.
    Markdown,
}

/// CPUs by number.
#[derive(Clone, Debug)]
pub(super) struct CpuList(pub Vec<usize>);

/// A value that an option does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {text:?}: expected {expected}")]
pub(super) struct InvalidValue {
    what: &'static str,
    text: String,
    expected: &'static str,
}

impl InvalidValue {
    pub fn new(what: &'static str, text: &str, expected: &'static str) -> Self {
        Self { what, text: text.to_owned(), expected }
    }
}

/// Parses `90s`, `5m`, `1.5h`, `1h 30m`, and a number of seconds: `90`.
pub(super) fn duration(text: &str) -> Result<Duration, InvalidValue> {
    let parsed = humantime::parse_duration(text).ok().or_else(|| {
        let seconds = text.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    });
    parsed
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| InvalidValue::new("duration", text, "90s, 5m or 1h"))
}

/// `1%` or `0.01`.
pub(super) fn share(text: &str) -> Result<f64, InvalidValue> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match parsed {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(InvalidValue::new("share", text, "1% or 0.01")),
    }
}

impl FromStr for CpuList {
    type Err = InvalidValue;

    /// `0`, `0-3`, `0,2`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let wrong = || InvalidValue::new("list of CPUs", text, "0, 0-3 or 0,2");
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.trim().parse().map_err(|_| wrong())?;
            let last: usize = last.trim().parse().map_err(|_| wrong())?;
            if first > last || last > 4096 {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

/// The arguments of a subcommand, from what follows its name.
#[cfg(test)]
pub(super) fn parsed<A: clap::Args>(line: &[&str]) -> A {
    let command = A::augment_args(clap::Command::new("test").no_binary_name(true));
    A::from_arg_matches(&command.get_matches_from(line)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_accepts_units_fractions_and_seconds() {
        let cases =
            [("90", 90), ("90s", 90), ("5m", 300), ("1.5m", 90), ("1h", 3600), ("1h 30m", 5400)];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn duration_rejects_other_text() {
        for text in ["", "s", "0", "0s", "-1s", "-1", "5 parsecs", "nan", "inf", "1e999"] {
            let expected = format!("invalid duration {text:?}: expected 90s, 5m or 1h");
            assert_eq!(duration(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn share_accepts_percent_and_fraction() {
        assert_eq!((share("1%"), share("0.5")), (Ok(0.01), Ok(0.5)));
        for wrong in ["0", "1", "-1%", "x"] {
            assert_eq!(
                share(wrong).unwrap_err().to_string(),
                format!("invalid share {wrong:?}: expected 1% or 0.01")
            );
        }
    }

    #[test]
    fn cpu_list_accepts_numbers_and_ranges() {
        assert_eq!(CpuList::from_str("0,2-4,2").unwrap().0, [0, 2, 3, 4]);
        for wrong in ["", "3-1", "a", "0-99999"] {
            assert_eq!(
                CpuList::from_str(wrong).unwrap_err().to_string(),
                format!("invalid list of CPUs {wrong:?}: expected 0, 0-3 or 0,2")
            );
        }
    }
}
