//! Runs a self-test: aims at 1, 2 and 5 %, measures, and hands the record to be judged.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use rtswap_harness::backend::ProcessBackend;
use rtswap_harness::lane::LaneError;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{self, Request};
use rtswap_harness::schedule::Backend as _;
use rtswap_report::{Style, Summary, words};
use rtswap_workload::Spec;

use super::outcome::{Delayed, Noise, Outcome};
use super::{Args, print};
use crate::Registry;
use crate::cli::measure::Job;
use crate::cli::{Exit, select, signals};
use rtswap_service::Services;
use rtswap_workload::Resources;

const REFERENCE: &str = "tokio";
/// The workload whose noise and cost are best known.
const WORKLOAD: &str = "tcp-echo/size=1024/conns=32";
/// Differences to aim at.
const EFFECTS: [f64; 3] = [0.01, 0.02, 0.05];

/// Processes and slices for taking aim: about a second.
const AIM_PROCESSES: u64 = 4;
const AIM_SLICES: u32 = 4;

type Cpus = Vec<usize>;

pub(super) fn run(
    registry: &Registry,
    args: &Args,
    (server_cpus, load_cpus): (Cpus, Cpus),
) -> Result<ExitCode> {
    let begin = Instant::now();
    if cfg!(debug_assertions) {
        eprintln!(
            "warning: built without optimisation, so this shows little about real runs; \
             `cargo run --release -- doctor --self-test`"
        );
    }
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let spec = select::workloads(registry, &[WORKLOAD.to_owned()])?.swap_remove(0);
    let mut delays = args.delays.clone();
    if delays.is_empty() {
        let fleet = alone(registry, (&server_cpus, &load_cpus), Arc::clone(&cancel))?;
        let cpu_ns = aim(fleet, &spec)?;
        delays = delays_for(cpu_ns);
        eprintln!(
            "{REFERENCE} takes about {} of CPU time for each {}: lanes are slowed down by {} ns.",
            words::time(cpu_ns),
            spec.family().unit,
            words::list(&delays.iter().map(ToString::to_string).collect::<Vec<_>>())
        );
    }
    delays.sort_unstable();
    delays.dedup();
    let delayed: Vec<Delayed> = delays
        .iter()
        .map(|&ns| Delayed { lane: format!("{REFERENCE}?delay_ns={ns}"), ns })
        .collect();
    let spellings: Vec<String> = delayed.iter().map(|it| it.lane.clone()).collect();
    let lanes = select::lanes(registry, &spellings, REFERENCE)?;
    let request = Request {
        workloads: vec![spec],
        lanes,
        reference: REFERENCE.to_owned(),
        budget: args.budget.saturating_sub(begin.elapsed()).max(Duration::from_secs(1)),
        precision: None,
        weight: |_| 1,
        slice_ms: plan::SLICE_MS,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
    };
    let record =
        Job::begin(request, args.seed, args.out.as_deref(), Resources::new())?.carry_out(cancel)?;
    let summary = Summary::of(&record);
    let outcome = Outcome::of(&summary, &delayed, Noise::of(&record))
        .context("the record holds no workload")?;
    print(args.format, &outcome, |style| outcome.text(style))?;
    eprint!("{}", rtswap_report::warnings(&summary, &Style::of_stdout()));
    match outcome.remedy {
        None => Ok(ExitCode::SUCCESS),
        Some(remedy) => Err(Exit::Inconclusive(format!("inconclusive; {remedy}")).into()),
    }
}

fn alone(
    registry: &Registry,
    (server, load): (&[usize], &[usize]),
    cancel: Arc<AtomicBool>,
) -> Result<ProcessBackend> {
    let lanes = select::lanes_or(registry, &[REFERENCE.to_owned()], |_| true)?;
    ProcessBackend::new(lanes, server.to_vec(), load.to_vec(), Services::default(), cancel)
        .context("cannot start the load generator")
}

/// CPU time of the fleet's only lane for one operation, nanoseconds: the lower quartile over a few
/// slices of a few processes, because whatever disturbs a slice makes it dearer.
fn aim(mut fleet: ProcessBackend, spec: &Spec) -> Result<f64> {
    let workload = plan::workload(spec, plan::SLICE_MS);
    let mut figures = Vec::new();
    let failed = |trouble| match trouble {
        LaneError::Cancelled => anyhow::Error::from(Exit::Interrupted(String::new())),
        LaneError::Lost(_, reason) => anyhow!("{REFERENCE} cannot be measured: {reason}"),
    };
    for process in 0..AIM_PROCESSES {
        // Only the length of the environment is drawn from it.
        let mut rng = Pcg64::seed_from_u64(process);
        fleet.start(&workload, &[0], &mut rng).swap_remove(0).map_err(failed)?;
        for _ in 0..AIM_SLICES {
            let slice = fleet.slice(&workload, 0).map_err(failed)?;
            if slice.ops > 0 {
                figures.push(slice.cpu_ns as f64 / slice.ops as f64);
            }
        }
        fleet.stop(None);
    }
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 4).copied().with_context(|| {
        format!("{REFERENCE} finished no operation; `rtswap verify` shows what is wrong")
    })
}

/// [`EFFECTS`] in nanoseconds.
fn delays_for(cpu_ns: f64) -> Vec<u64> {
    EFFECTS.iter().map(|effect| (cpu_ns * effect).round().max(1.0) as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_shares_of_what_an_operation_takes() {
        assert_eq!(delays_for(8_049.0), [80, 161, 402]);
        assert_eq!(delays_for(10.0), [1, 1, 1], "a lane without a delay would be no test");
    }

    #[test]
    fn what_the_test_needs_ships() {
        let registry = Registry::standard();
        let workloads = select::workloads(&registry, &[WORKLOAD.to_owned()]).unwrap();
        assert_eq!(workloads[0].to_string(), WORKLOAD);
        assert!(registry.lane(REFERENCE).is_some());
    }
}
