//! What `cargo bench -- …` was told, as far as criterion does not tell it on.

use std::env;

use regex::Regex;

/// The command line of a bench target, read as criterion reads it.
#[derive(Debug)]
pub struct Args {
    /// What to do.
    pub mode: Mode,
    filter: Filter,
}

/// What a bench target is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Measure.
    Bench,
    /// See that it works: `--test`, and whatever is not started by `cargo bench`.
    Test,
    /// Name what there is.
    List,
    /// Work on figures that were saved.
    Load,
}

#[derive(Debug)]
enum Filter {
    All,
    Nothing,
    Exact(String),
    Regex(Regex),
}

/// Criterion's options that take a value, which is then no filter.
const VALUED: &[&str] = &[
    "--color",
    "--colour",
    "-c",
    "--save-baseline",
    "-s",
    "--baseline",
    "-b",
    "--baseline-lenient",
    "--load-baseline",
    "--format",
    "--profile-time",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--plotting-backend",
    "--output-format",
];

impl Args {
    /// The command line of this process.
    ///
    /// # Errors
    /// If the filter is no regular expression.
    pub fn of_process() -> Result<Self, regex::Error> {
        Self::read(env::args().skip(1))
    }

    fn read(args: impl IntoIterator<Item = String>) -> Result<Self, regex::Error> {
        let (mut name, mut rest) = (None, args.into_iter());
        let mut flags = Vec::new();
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') {
                name.get_or_insert(arg);
                continue;
            }
            if VALUED.contains(&arg.as_str()) {
                rest.next();
            }
            flags.push(arg);
        }
        let has = |flag: &str| {
            flags.iter().any(|given| given.split('=').next().is_some_and(|given| given == flag))
        };
        let mode = if has("--list") {
            Mode::List
        } else if has("--load-baseline") {
            Mode::Load
        } else if has("--test") || !has("--bench") {
            Mode::Test
        } else {
            Mode::Bench
        };
        let filter = match name {
            // Nothing here is an ignored test.
            _ if has("--ignored") => Filter::Nothing,
            None => Filter::All,
            Some(name) if has("--exact") => Filter::Exact(name),
            Some(name) => Filter::Regex(Regex::new(&as_workload(&name))?),
        };
        Ok(Self { mode, filter })
    }

    /// Whether the filter lets `id` through.
    pub fn matches(&self, id: &str) -> bool {
        match &self.filter {
            Filter::All => true,
            Filter::Nothing => false,
            Filter::Exact(name) => id == name,
            Filter::Regex(regex) => regex.is_match(id),
        }
    }

    /// Whether there is a filter at all.
    pub fn is_filtered(&self) -> bool {
        !matches!(self.filter, Filter::All)
    }

    /// The filter's pattern in the spelling of workloads, if it is one.
    pub(crate) fn pattern(&self) -> Option<&str> {
        match &self.filter {
            Filter::Regex(regex) => Some(regex.as_str()),
            _ => None,
        }
    }
}

/// A target is called `tcp_echo` and its workload `tcp-echo`; a filter may say either. No workload's
/// or lane's name has an underscore.
fn as_workload(filter: &str) -> String {
    filter.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Args {
        Args::read(line.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn the_value_of_an_option_is_no_filter() {
        for line in [
            "--bench",
            "--save-baseline before --bench",
            "-s before --noplot --bench",
            "--sample-size 20 --quick --color=never --bench",
        ] {
            let args = read(line);
            assert!(!args.is_filtered() && args.mode == Mode::Bench, "{line}: {args:?}");
        }
        assert!(!read("--save-baseline before sleep --bench").matches("spawn/tasks=1/tokio"));
    }

    #[test]
    fn a_filter_may_name_the_target_or_the_workload() {
        for name in ["tcp_echo", "tcp-echo", "^tcp.echo/.*/tokio$"] {
            let args = read(&format!("{name} --bench"));
            assert!(args.matches("tcp-echo/size=1024/conns=32/tokio"), "{name}");
            assert!(!args.matches("spawn/tasks=1/tokio"), "{name}");
        }
        assert!(!read("--exact spawn --bench").matches("spawn/tasks=1/tokio"));
        assert!(!read("--ignored --bench").matches("spawn/tasks=1/tokio"));
    }

    #[test]
    fn only_cargo_bench_measures() {
        assert_eq!(read("").mode, Mode::Test);
        assert_eq!(read("--test --bench").mode, Mode::Test);
        assert_eq!(read("--list --bench").mode, Mode::List);
        assert_eq!(read("--load-baseline=before --bench").mode, Mode::Load);
    }
}
