use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use rtswap_harness::machine;
use rtswap_lane::{Lane, Prepare, Ready, Refusal};
use rtswap_workload::{Drive, Spec};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Registry;
use crate::cli::lane_spec::{LaneSpec, ToBuild};
use crate::cli::{CpuList, Exit, built, lane_spec, select, signals};

/// Serve a workload on one lane, for any client of yours, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap serve --lane smol --workload tcp-echo --addr 127.0.0.1:7000\n  \
    printf hello | nc -N 127.0.0.1 7000\n  \
    rtswap serve --lane tokio --workload http --addr 127.0.0.1:7001\n  \
    curl -v http://127.0.0.1:7001/json\n  \
    rtswap serve --lane tokio@1.50.0 --workload http")]
pub(super) struct Args {
    /// The lane: a name, or NAME@VERSION.
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
    let lane = Served::parse(registry, &args.lane)?;
    let spec = Spec::parse(&args.workload, registry.catalogue)
        .map_err(|error| Exit::Usage(error.to_string()))?
        // The rate is its clients' choice.
        .closed_loop();
    if spec.drive() == Drive::Lane {
        let name = spec.family().name;
        return Err(Exit::Usage(format!("`{name}` is not served: its lane drives itself")).into());
    }
    let lane = lane.build(&args.lane)?;
    let cpus = match &args.cpus {
        None => machine::cpus(),
        chosen => select::placement(chosen.as_ref(), None)?.0,
    };
    confine(&cpus).context("cannot confine this process to its CPUs")?;
    let order =
        Prepare { workload: spec.to_string(), cpus, addr: Some(args.addr), ..Prepare::default() };
    let name = &args.lane;
    let Err(refusal) = lane.serve(name, &order, |ready| {
        let addr = ready.addr.map(|addr| addr.to_string()).unwrap_or_default();
        // A closed standard output does not end the server.
        let _ = writeln!(io::stdout(), "{name} serves {spec} on {addr}");
    });
    Err(anyhow::anyhow!("{name}: {refusal}"))
}

/// What serves.
enum Served<'a> {
    /// A lane of this program.
    Registered(&'a Lane),
    /// A lane that has to be built.
    ToBuild(ToBuild<'a>),
    /// The executable of a lane that is built, with its argument.
    Built(PathBuf, &'a str),
}

impl<'a> Served<'a> {
    fn parse(registry: &'a Registry, spec: &'a str) -> Result<Self> {
        if !spec.contains('@') {
            return Ok(Self::Registered(lane_spec::registered(registry, spec)?));
        }
        let to_build = LaneSpec::parse(registry, spec)?.to_build();
        let command = || Exit::Usage(format!("`{spec}` is a command, and no lane of a version"));
        Ok(Self::ToBuild(to_build.ok_or_else(command)?))
    }

    fn build(self, spec: &str) -> Result<Self> {
        let Self::ToBuild(wanted) = self else { return Ok(self) };
        let cancel = signals::cancel()?;
        let lane = built::one(&wanted, spec, &cancel).map_err(built::to_exit)?;
        // From now on, as with a second Ctrl-C, the next one ends this process at once.
        cancel.store(true, Ordering::Relaxed);
        Ok(Self::Built(lane.executable, wanted.lane))
    }

    fn serve(
        &self,
        name: &str,
        order: &Prepare,
        ready: impl FnOnce(&Ready),
    ) -> Result<Infallible, Refusal> {
        match self {
            Self::Registered(lane) => crate::registry::serve(lane, order, ready),
            Self::ToBuild(_) => Err(Refusal::Failed("it is not built".to_owned())),
            Self::Built(executable, lane) => {
                let mut command = Command::new(executable);
                command.arg(lane);
                rtswap_peers::serve_command(command, name, order, ready)
            }
        }
    }
}

/// As the harness does with a lane: the threads of a runtime inherit it.
fn confine(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}
