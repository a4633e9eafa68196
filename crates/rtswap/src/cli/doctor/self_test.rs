//! Runs a self-test: chooses delays of 2 and 5 %, measures them next to a third process of the reference, and takes
//! the figures from the record.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use rtswap_harness::backend::ProcessBackend;
use rtswap_harness::lane::LaneError;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{self, MARGIN, Request};
use rtswap_harness::schedule::Backend as _;
use rtswap_lane::Pace;
use rtswap_report::{Cause, Figure, Metric, Style, Summary, format};
use rtswap_service::Services;
use rtswap_stats::Verdict;
use rtswap_workload::{Rate, Resources, Spec};

use super::outcome::{Figures, Outcome, Row};
use super::{Args, print};
use crate::Registry;
use crate::cli::measure::Job;
use crate::cli::{Exit, message, select, signals};

const REFERENCE: &str = "tokio";
/// The default workload: the one whose noise and cost are known best.
const WORKLOAD: &str = "tcp-echo/size=1024/conns=32";
const EFFECTS: [f64; 2] = [0.02, 0.05];
/// A third process of the reference: every difference that is found in it is a false alarm.
const SAME: &str = "same";

/// Processes and slices for the estimate of the reference's CPU time: about a second.
const ESTIMATE_PROCESSES: u64 = 4;
const ESTIMATE_SLICES: u32 = 4;

pub(super) fn run(
    registry: &Registry,
    args: &Args,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
) -> Result<ExitCode> {
    let begin = Instant::now();
    let spec = workload(registry, &args.agreement.workload)?;
    if cfg!(debug_assertions) {
        note!(
            "warning: built without optimisation, so this says little about real runs; \
             `cargo run --release -- doctor --self-test`"
        );
    }
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let mut delays = args.delays.clone();
    if delays.is_empty() {
        let alone = select::lanes_or(registry, &[REFERENCE.to_owned()], |_| true)?;
        let (server, load) = (server_cpus.clone(), load_cpus.clone());
        let uses = spec.family().uses.iter().copied().collect();
        let config = rtswap_service::Config { cpus: load.clone(), ..Default::default() };
        let services = Services::start(&uses, &config);
        let backend = ProcessBackend::new(alone, server, load, services, cancel.clone())
            .context("cannot start the load generator")?;
        let cpu_ns = estimate(backend, &spec)?;
        delays = delays_for(cpu_ns);
        note!(
            "{REFERENCE} uses about {} of CPU time per {}; delays in ns: {delays:?}",
            format::time(cpu_ns),
            spec.family().unit
        );
    }
    delays.sort_unstable();
    delays.dedup();
    let spellings: Vec<String> = delays.iter().copied().map(lane).collect();
    let mut lanes = select::lanes(registry, &spellings, REFERENCE)?;
    let mut same = lanes[0].clone();
    SAME.clone_into(&mut same.plan.name);
    lanes.insert(1, same);
    let request = Request {
        workloads: vec![spec],
        lanes,
        reference: REFERENCE.to_owned(),
        budget: args.budget.saturating_sub(begin.elapsed()).max(Duration::from_secs(1)),
        precision: None,
        margin: MARGIN,
        weight: |_| 1,
        slice_ms: None,
        trickle: true,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
        gate: None,
    };
    let record =
        Job::begin(request, args.seed, args.out.as_deref(), Resources::new())?.carry_out(cancel)?;
    let summary = Summary::of(&record);
    let outcome = Outcome::of(figures(&summary, &delays)?);
    print(args.format, &outcome, |style| outcome.text(style))?;
    message::print(&rtswap_report::warnings(&summary, &Style::of_stdout()));
    match outcome.remedy {
        None => Ok(ExitCode::SUCCESS),
        Some(remedy) => Err(Exit::Inconclusive(format!("inconclusive; {remedy}")).into()),
    }
}

fn workload(registry: &Registry, asked: &[String]) -> Result<Spec> {
    let default = [WORKLOAD.to_owned()];
    let asked = if asked.is_empty() { &default } else { asked };
    let mut specs = select::workloads(registry, asked)?;
    if specs.len() != 1 {
        let usage = format!("--self-test measures one workload, and these are {}", specs.len());
        return Err(Exit::Usage(usage).into());
    }
    Ok(specs.swap_remove(0))
}

fn lane(delay_ns: u64) -> String {
    format!("{REFERENCE}?delay_ns={delay_ns}")
}

fn no_figures(lane: &str, why: &str) -> anyhow::Error {
    anyhow!(
        "{lane} has no figures: {}; `rtswap verify --lane {REFERENCE}` shows whether it works",
        format::one_line(why)
    )
}

/// CPU time of the backend's only lane per operation, nanoseconds: the lower quartile over a few slices of
/// a few processes, because every disturbance of a slice adds to it.
fn estimate(mut backend: ProcessBackend, spec: &Spec) -> Result<f64> {
    let workload = plan::workload(spec, None);
    let failed = |error| match error {
        LaneError::Cancelled => anyhow::Error::from(Exit::Interrupted(String::new())),
        LaneError::Failure(_, reason) => no_figures(REFERENCE, &reason),
    };
    let (mut figures, mut pace) = (Vec::new(), None);
    for process in 0..ESTIMATE_PROCESSES {
        // The seed decides the length of the environment alone.
        let mut rng = Pcg64::seed_from_u64(process);
        backend.start(&workload, &[0], &mut rng).swap_remove(0).map_err(failed)?;
        if let (None, Some(rate)) = (pace, workload.rate()) {
            let rate_per_s = match rate {
                Rate::PerSecond(number) => f64::from(number),
                Rate::Share(percent) => {
                    backend.capacity(&workload, 0).map_err(failed)? * f64::from(percent) / 100.0
                }
            };
            pace = Some(Pace { rate_per_s, arrivals: workload.arrivals(), seed: process });
        }
        for _ in 0..ESTIMATE_SLICES {
            let slice = backend.slice(&workload, 0, pace.as_ref()).map_err(failed)?;
            if slice.ops > 0 {
                figures.push(slice.cpu_ns as f64 / slice.ops as f64);
            }
        }
        backend.stop(None);
    }
    figures.sort_unstable_by(f64::total_cmp);
    let quartile = figures.get(figures.len() / 4).copied();
    quartile.ok_or_else(|| no_figures(REFERENCE, "it finished no operation"))
}

/// [`EFFECTS`] in nanoseconds.
fn delays_for(cpu_ns: f64) -> Vec<u64> {
    EFFECTS.iter().map(|effect| (cpu_ns * effect).round().max(1.0) as u64).collect()
}

fn figures(summary: &Summary, delays: &[u64]) -> Result<Figures> {
    let workload = summary.workloads.first().context("the record holds no workload")?;
    let figure = |lane: &str| -> Result<&Figure> {
        let cell = summary.cell(&workload.name, lane).context("the record lacks a lane")?;
        let why = cell.reason.as_deref().unwrap_or("no reason was recorded");
        cell.metrics.get(&Metric::CpuNsPerOp).ok_or_else(|| no_figures(lane, why))
    };
    let cpu_ns_per_op = figure(REFERENCE)?.value;
    let row = |lane: &str, delay_ns: u64| -> Result<Row> {
        let figure = figure(lane)?;
        let interval = figure.interval().ok_or_else(|| no_figures(lane, "it has no ratio"))?;
        let detected = match lane {
            select::CONTROL => figure.cause == Some(Cause::ControlDiffers),
            SAME => figure.is(Verdict::Worse) || figure.is(Verdict::Better),
            _ => figure.is(Verdict::Worse),
        };
        Ok(Row::new(lane, delay_ns, cpu_ns_per_op, interval, detected))
    };
    Ok(Figures {
        workload: workload.name.clone(),
        unit: workload.unit.clone(),
        reference: REFERENCE.to_owned(),
        cpu_ns_per_op,
        control: row(select::CONTROL, 0)?,
        same: row(SAME, 0)?,
        lanes: delays.iter().map(|&ns| row(&lane(ns), ns)).collect::<Result<_>>()?,
        steal: workload.steal,
        smallest_effect: workload.mde.get(&Metric::CpuNsPerOp).copied(),
        rounds: workload.rounds,
        blocks: workload.blocks,
        seed: summary.seed,
        budget_s: summary.plan.budget_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_for_shares_of_cpu_time() {
        assert_eq!(delays_for(8_049.0), [161, 402]);
        assert_eq!(delays_for(10.0), [1, 1], "a lane without a delay is no test");
    }
}
