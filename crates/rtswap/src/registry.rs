//! The lanes and workloads that a program knows.

use std::convert::Infallible;
use std::io::{self, BufReader, stdin, stdout};
use std::process::ExitCode;

use rtswap_lane::{Prepare, Ready, Refusal, host};
use rtswap_runtime::{Runtime, Threads};
use rtswap_workload::{Family, Standard, Suite};

use crate::runtimes::{AsyncStd, Smol, SmolLocal, Tokio, TokioLocal, TokioUring};

/// Lanes and workloads, by name.
#[derive(Debug)]
pub struct Registry {
    /// The lanes, in the order of listings.
    pub lanes: Vec<Lane>,
    /// The workloads.
    pub catalogue: &'static [&'static Family],
    /// Workloads that a run measures unless told otherwise.
    pub default: &'static [&'static str],
    /// Workloads that `--quick` measures.
    pub quick: &'static [&'static str],
}

/// A runtime in one configuration.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// `tokio 1.54.1`, or `tokio` where the version is unknown.
    pub version: String,
    /// `epoll`, `io_uring`.
    pub driver: &'static str,
    /// Who runs its tasks.
    pub threads: Threads,
    /// Whether this machine lets it work; the error says why not.
    pub available: fn() -> io::Result<()>,
    host: fn(&str) -> ExitCode,
    serve: Serve,
}

type Serve = fn(&Prepare, &mut dyn FnMut(&Ready)) -> Result<Infallible, Refusal>;

/// Makes a lane of a runtime, for the workloads of a suite.
pub fn lane<S: Suite, R: Runtime>(name: &'static str, about: &'static str) -> Lane {
    Lane {
        name,
        about,
        version: version_of(R::ABOUT.package).unwrap_or_default().to_owned(),
        driver: R::ABOUT.driver.name(),
        threads: R::ABOUT.threads,
        available: R::available,
        host: |version| host::run::<S, R>(version, BufReader::new(stdin()), stdout()),
        serve: |order, ready| host::serve::<S, R>(order, ready),
    }
}

/// All lanes that ship. Adding a runtime is one line here.
fn lanes<S: Suite>() -> Vec<Lane> {
    vec![
        lane::<S, Tokio>("tokio", "tokio, multi-threaded, as by default"),
        lane::<S, TokioLocal>("tokio-local", "tokio on one thread"),
        lane::<S, AsyncStd>("async-std", "async-std, as by default"),
        lane::<S, Smol>("smol", "smol, multi-threaded executor"),
        lane::<S, SmolLocal>("smol-local", "smol on one thread"),
        lane::<S, TokioUring>("tokio-uring", "tokio-uring, one thread, io_uring"),
    ]
}

impl Registry {
    /// The lanes and workloads that ship.
    pub fn standard() -> Self {
        Self::of::<Standard>()
    }

    /// The lanes that ship, for the workloads of another suite.
    pub fn of<S: Suite>() -> Self {
        Self { lanes: lanes::<S>(), catalogue: S::CATALOGUE, default: S::DEFAULT, quick: S::QUICK }
    }

    /// With one more lane; one of the same name gives way.
    #[must_use]
    pub fn with(mut self, lane: Lane) -> Self {
        self.lanes.retain(|other| other.name != lane.name);
        self.lanes.push(lane);
        self
    }

    /// The lane of that name.
    pub fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.name == name)
    }
}

impl Lane {
    /// Speaks the lane protocol on standard input and output until told to stop.
    pub fn host(&self) -> ExitCode {
        (self.host)(&self.version)
    }

    /// Serves a workload until the process ends; `ready` hears the address.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn serve(
        &self,
        order: &Prepare,
        mut ready: impl FnMut(&Ready),
    ) -> Result<Infallible, Refusal> {
        (self.serve)(order, &mut ready)
    }
}

const VERSIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/versions.rs"));

fn version_of(package: &str) -> Option<&'static str> {
    VERSIONS.iter().rev().find(|(name, _)| *name == package).map(|(_, version)| *version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_knows_the_version_of_its_runtime() {
        for lane in Registry::standard().lanes {
            assert!(lane.version.contains('.'), "{}: {:?}", lane.name, lane.version);
        }
    }

    #[test]
    fn a_lane_of_the_same_name_gives_way() {
        let registry =
            Registry::standard().with(lane::<Standard, Tokio>("smol", "not really smol"));
        assert_eq!(registry.lane("smol").unwrap().about, "not really smol");
        assert_eq!(registry.lanes.len(), Registry::standard().lanes.len());
    }
}
