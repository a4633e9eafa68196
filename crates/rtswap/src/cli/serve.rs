use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use rtswap_harness::machine;
use rtswap_lane::Prepare;
use rtswap_workload::{Drive, Spec};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Registry;
use crate::cli::{CpuList, Exit, lane_spec, select, signals};

/// Serve a workload on one lane, for any client of yours, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap serve --lane smol --workload tcp-echo --addr 127.0.0.1:7000\n  \
    printf hello | nc -N 127.0.0.1 7000\n  \
    rtswap serve --lane tokio --workload http --addr 127.0.0.1:7001\n  \
    curl -v http://127.0.0.1:7001/json")]
pub(super) struct Args {
    /// The lane.
    #[arg(short, long)]
    lane: String,
    /// The workload.
    #[arg(short, long, default_value = "tcp-echo")]
    workload: String,
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(short, long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// CPUs to run on: 0 or 0-3 or 0,2.
    #[arg(long, value_name = "LIST")]
    cpus: Option<CpuList>,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let lane = lane_spec::registered(registry, &args.lane)?;
    let spec = Spec::parse(&args.workload, registry.catalogue)
        .map_err(|error| Exit::Usage(error.to_string()))?
        // The rate is its clients' choice.
        .closed_loop();
    if spec.drive() == Drive::Lane {
        let name = spec.family().name;
        return Err(Exit::Usage(format!("`{name}` is not served: its lane drives itself")).into());
    }
    let cpus = match &args.cpus {
        None => machine::cpus(),
        chosen => select::placement(chosen.as_ref(), None)?.0,
    };
    confine(&cpus).context("cannot confine this process to its CPUs")?;
    let order =
        Prepare { workload: spec.to_string(), cpus, addr: Some(args.addr), ..Prepare::default() };
    let Err(refusal) = crate::registry::serve(lane, &order, |ready| {
        let addr = ready.addr.map(|addr| addr.to_string()).unwrap_or_default();
        // A closed standard output does not end the server.
        let _ = writeln!(io::stdout(), "{} serves {spec} on {addr}", lane.name);
    });
    Err(anyhow::anyhow!("{}: {refusal}", lane.name))
}

/// As the harness does with a lane: the threads of a runtime inherit it.
fn confine(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}
