//! `rtswap.toml`: what a project asks of its gates, under version control.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use globset::Glob;
use rtswap_harness::record::Accepted;
use rtswap_workload::Spec;
use serde::{Deserialize, Deserializer};

use crate::Registry;
use crate::cli::{Exit, args};

/// The file, in the current folder.
pub(super) const FILE: &str = "rtswap.toml";

/// The parts of the file that a gate reads. Other commands have tables of their own.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    gate: Config,
}

/// The table `[gate]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct Config {
    /// Names or globs.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// The largest change for the worse that passes.
    #[serde(default, deserialize_with = "share")]
    pub tolerance: Option<f64>,
    /// Time for measuring.
    #[serde(default, deserialize_with = "duration")]
    pub budget: Option<Duration>,
    /// How an executable is started.
    pub run: Option<String>,
    /// The executable of a package, by cargo's name.
    pub bin: Option<String>,
    /// Further arguments of `cargo build`.
    #[serde(default)]
    pub cargo_args: Vec<String>,
    /// Changes that were accepted.
    #[serde(default)]
    pub accept: Vec<Accept>,
}

/// One table `[[gate.accept]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct Accept {
    /// A workload's name, or a glob.
    pub workload: String,
    /// A lane's name, or a glob over what the new version was asked for by; all unless given.
    pub lane: Option<String>,
    #[serde(deserialize_with = "share_needed")]
    up_to: f64,
    since: String,
    why: String,
}

impl Config {
    /// Reads a file: the one that was named, or [`FILE`] if there is one.
    ///
    /// # Errors
    /// If it was named and does not exist, cannot be read, or is not valid.
    pub fn read(named: Option<&Path>) -> Result<Self> {
        let path = named.map_or_else(|| PathBuf::from(FILE), Path::to_owned);
        let wrong = |why: String| Exit::Usage(format!("invalid {}: {why}", path.display()));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(Exit::Usage(format!("cannot read {}: {error}", path.display())).into());
            }
        };
        let File { gate } = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            wrong(format!("{place}{}", error.message().replace('\n', ", ")))
        })?;
        for accept in &gate.accept {
            let globs = [Some(&accept.workload), accept.lane.as_ref()];
            if let Some(error) = globs.into_iter().flatten().find_map(|it| Glob::new(it).err()) {
                let of = &accept.workload;
                return Err(wrong(format!("the accepted change of `{of}`: {error}")).into());
            }
            if accept.since.trim().is_empty() || accept.why.trim().is_empty() {
                let of = &accept.workload;
                let why = format!("the accepted change of `{of}` needs `since` and `why`");
                return Err(wrong(why).into());
            }
        }
        Ok(gate)
    }

    /// What was accepted for a workload: one that the file names as `--workload` does, whose full name begins with what
    /// the file names, or that matches a glob.
    pub fn accepted(&self, registry: &Registry, workload: &str, lane: &str) -> Option<Accepted> {
        let is_named = |pattern: &str| {
            Spec::parse(pattern, registry.catalogue).is_ok_and(|spec| spec.to_string() == workload)
        };
        let is_match = |pattern: &str, name: &str| {
            let whole = Glob::new(pattern).is_ok_and(|it| it.compile_matcher().is_match(name));
            let begins = name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/'));
            whole || begins
        };
        let fits = |accept: &&Accept| {
            (is_named(&accept.workload) || is_match(&accept.workload, workload))
                && accept.lane.as_ref().is_none_or(|pattern| is_match(pattern, lane))
        };
        let Accept { up_to, since, why, .. } = self.accept.iter().find(fits)?.clone();
        Some(Accepted { up_to, since, why })
    }
}

fn share_needed<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = String::deserialize(from)?;
    args::share(&text).map_err(serde::de::Error::custom)
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    share_needed(from).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    args::duration(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, text).unwrap();
        let named = path.display().to_string();
        Config::read(Some(&path)).map_err(|error| error.to_string().replace(&named, FILE))
    }

    const ACCEPT: &str = "
        [[gate.accept]]
        workload = 'tcp-echo'
        up-to = '5%'
        since = '2026-11-01'
        why = 'checks every message'

        [[gate.accept]]
        workload = '*'
        lane = 'smol*'
        up-to = '0.1'
        since = 'v2'
        why = 'fairness'
    ";

    #[test]
    fn read_takes_its_own_table() {
        let config = read("[gate]\ntolerance = '3%'\nbudget = '90s'\n[http.user]\npath = '/'\n");
        let config = config.unwrap();
        assert_eq!(config.tolerance, Some(0.03));
        assert_eq!(config.budget, Some(Duration::from_secs(90)));
        assert!(read("").unwrap().workloads.is_empty());
    }

    #[test]
    fn read_names_line_and_cause() {
        let cases = [
            ("[gate]\ntolerance = '3'\n", "line 2: invalid share \"3\": expected 1% or 0.01"),
            ("\n[gate]\ntolerence = '3%'\n", "line 3: unknown field `tolerence`"),
            ("[gate\n", "line 1: "),
            ("[[gate.accept]]\nworkload = 'a'\nup-to = '5%'\nsince = 'x'\n", "missing field `why`"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("invalid rtswap.toml: "), "{error}");
            assert!(error.contains(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let empty = ACCEPT.replace("fairness", " ");
        assert!(read(&empty).unwrap_err().contains("needs `since` and `why`"));
        let glob = ACCEPT.replace("smol*", "smol[");
        assert!(read(&glob).unwrap_err().contains("the accepted change of `*`"));
    }

    #[test]
    fn read_reports_missing_file_only_if_named() {
        let error = Config::read(Some(Path::new("/nonexistent/rtswap.toml"))).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nonexistent/rtswap.toml: "));
    }

    #[test]
    fn accepted_matches_workload_and_lane() {
        let config = read(ACCEPT).unwrap();
        let registry = Registry::standard();
        let up_to = |workload, lane| config.accepted(&registry, workload, lane).map(|it| it.up_to);
        assert_eq!(up_to("tcp-echo/size=1024/conns=32", "tokio"), Some(0.05));
        assert_eq!(up_to("tcp-echoes/size=1024", "tokio"), None);
        assert_eq!(up_to("spawn/tasks=1000", "smol-local"), Some(0.1));
        assert_eq!(up_to("spawn/tasks=1000", "tokio"), None);
        let named = ACCEPT.replace("'tcp-echo'", "'http/path=/users/7'");
        let accept = read(&named).unwrap().accepted(
            &registry,
            "http/conns=32/pipeline=1/path=/users/7",
            "tokio",
        );
        assert_eq!(accept.map(|it| it.up_to), Some(0.05));
    }
}
