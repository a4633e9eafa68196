//! Builds the lanes of a plan that name a version of their runtime.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use rtswap_build::lane::{self, BuiltLane, Request, Steps};
use rtswap_build::{BuildError, Cache};
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::record::{LanePlan, other_changes};
use rtswap_report::format;
use rtswap_schema::one_line;

use crate::Registry;
use crate::cli::Exit;
use crate::cli::lane_spec::{LaneSpec, ToBuild};

/// Builds those of the lanes that have to be built, unless they are in the cache, and has them started from there. A
/// lane whose build fails is started as one that fails for that reason.
///
/// # Errors
/// If nothing can be built, or a spec names something that does not exist.
pub(super) fn build(
    registry: &Registry,
    lanes: &mut [PlannedLane],
    cancel: &AtomicBool,
) -> Result<()> {
    // The control is the reference once more, and two variants of a runtime are one executable.
    let mut done: BTreeMap<String, Result<BuiltLane, String>> = BTreeMap::new();
    for PlannedLane { plan, launch } in &mut *lanes {
        let Some(wanted) = LaneSpec::parse(registry, &plan.spec)?.to_build() else { continue };
        let spec = wanted.spec();
        if !done.contains_key(&spec) {
            let built = match one(&wanted, &plan.spec, cancel) {
                Err(error) if error.is_of_lane() => {
                    let reason = one_line(&error.with_causes());
                    note!("warning: {} cannot be built: {reason}", plan.name);
                    Err(format!("it cannot be built: {reason}"))
                }
                built => Ok(built.map_err(to_exit)?),
            };
            done.insert(spec.clone(), built);
        }
        match &done[&spec] {
            Ok(built) => {
                plan.built = Some(Box::new(built.built.clone()));
                launch.command = vec![built.executable.clone().into(), wanted.lane.into()];
            }
            Err(reason) => {
                let command = ["/proc/self/exe", "lane", "--failed", reason];
                launch.command = command.map(Into::into).into();
            }
        }
    }
    let plans: Vec<_> = lanes.iter().map(|lane| lane.plan.clone()).collect();
    warn_of_other_changes(&plans);
    Ok(())
}

/// Builds a lane, unless it is in the cache, with messages on standard error. `name` is what it is called in them.
pub(super) fn one(
    wanted: &ToBuild<'_>,
    name: &str,
    cancel: &AtomicBool,
) -> Result<BuiltLane, BuildError> {
    let request = request(wanted)?;
    let mut shown = Shown { name, bar: None };
    let built = lane::build(&Cache::of_user()?, &request, &mut shown, cancel);
    shown.stop();
    let built = built?;
    if let Some(took) = built.took {
        note!("Built {name} in {}", seconds(took));
    }
    Ok(built)
}

/// `63 s`, or `0.4 s`.
pub(super) fn seconds(took: Duration) -> String {
    let decimals = usize::from(took < Duration::from_secs(10));
    format!("{:.decimals$} s", took.as_secs_f64())
}

fn request(wanted: &ToBuild<'_>) -> Result<Request, BuildError> {
    let adapter = wanted.adapter.name();
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = rtswap_build::source(&adapter, &built_from, env!("CARGO_PKG_VERSION"))?;
    // As this rtswap has it: `tokio::fs` on io_uring is a build of its own.
    let unstable =
        cfg!(all(feature = "tokio-unstable", tokio_unstable)) && adapter == "rtswap-tokio";
    let (features, mut rustflags) = (Vec::new(), Vec::new());
    let features = if unstable { vec!["tokio-unstable".to_owned()] } else { features };
    if unstable {
        rustflags.extend(["--cfg".to_owned(), "tokio_unstable".to_owned()]);
    }
    rustflags.extend(wanted.rustflags.iter().cloned());
    Ok(Request {
        spec: wanted.spec(),
        features,
        apps: cfg!(feature = "apps"),
        package: wanted.adapter.package.to_owned(),
        repository: Some(wanted.adapter.repository.to_owned()),
        version: wanted.version.clone(),
        toolchain: wanted.toolchain.clone(),
        rustflags,
        lockfile: include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock")),
        source,
        adapter,
    })
}

/// The error of a command.
pub(super) fn to_exit(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::Interrupted => {
            Exit::Interrupted("; `rtswap lanes list` shows what is built".to_owned()).into()
        }
        error if error.is_usage() => Exit::Usage(error.with_causes()).into(),
        error => error.into(),
    }
}

/// Warns of built lanes of one runtime that differ in more than its version.
fn warn_of_other_changes(lanes: &[LanePlan]) {
    for (first, second, others) in other_changes(lanes) {
        let others: Vec<_> = others.iter().map(ToString::to_string).collect();
        note!(
            "warning: {} and {} also differ in {}",
            first.name,
            second.name,
            format::list(&others)
        );
    }
}

/// On a terminal what cargo does; in a log that it began.
struct Shown<'a> {
    name: &'a str,
    bar: Option<ProgressBar>,
}

impl Shown<'_> {
    fn stop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Steps for Shown<'_> {
    fn waits(&mut self) {
        note!("{}: waiting for another rtswap, which builds lanes in the same cache", self.name);
    }

    fn begins(&mut self, request: &Request) {
        let from = match &request.source {
            rtswap_build::Source::Checkout(folder) => folder.display().to_string(),
            rtswap_build::Source::Registry(version) => format!("version {version} of the registry"),
        };
        note!("Building {}, with {} from {from}", self.name, request.adapter);
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {wide_msg} ({elapsed})");
        bar.set_style(style.expect("the template is right"));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = Some(bar);
    }

    fn line(&mut self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(one_line(line));
        }
    }
}
