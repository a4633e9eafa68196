//! What this machine is and what it allows, read from the kernel. [`super::check`] judges it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use procfs::{CpuTime, Current as _, CurrentSI as _, KernelStats, LoadAverage, Meminfo};
use rtswap_harness::counters::SyscallCounter;
use rtswap_harness::limits::Limits;
use rtswap_harness::machine;
use rtswap_harness::machine::quota::{ControlGroups, Quota};
use rtswap_harness::machine::topology::Topology;
use rtswap_harness::record::{Environment, Kind};
use rtswap_workload::Spec;
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

use crate::Registry;
use crate::cli::measure;

/// How long steal and the load are sampled: 100 of the kernel's ticks per CPU.
const SAMPLE: Duration = Duration::from_secs(1);
/// `ADDR_NO_RANDOMIZE` of personality(2).
const NO_RANDOMIZE: u32 = 0x0004_0000;

/// `None` and empty collections stand for what the kernel does not show, unless stated otherwise.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub optimised: bool,
    /// CPUs that this process may use.
    pub allowed: Vec<usize>,
    pub server: Vec<usize>,
    pub load: Vec<usize>,
    /// CPUs of the machine.
    pub online: usize,
    /// The limit of CPU time of the control groups.
    pub quota: Option<Quota>,
    /// Allowed CPUs by physical core and node.
    pub topology: Topology,
    pub environment: Environment,
    pub governors: Vec<String>,
    pub used: Option<Used>,
    /// Load average over one minute.
    pub load_average: Option<f32>,
    /// Lanes, with the reason why they cannot run.
    pub lanes: Vec<(String, Result<(), String>)>,
    pub counters: Result<(), String>,
    /// `kernel.randomize_va_space`.
    pub randomize: Option<String>,
    /// Whether this process and its children have a fixed address layout.
    pub layout_fixed: bool,
    pub loopback: Result<(), String>,
    pub congestion: Option<String>,
    /// Connections of the largest workload in the listing.
    pub most_conns: u64,
    pub ports: Option<u64>,
    /// The hard limit, up to which rtswap raises its own; `None` for no limit.
    pub descriptors: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Where records go, with the free bytes or the reason why no file can be created.
    pub disk: (String, Result<u64, String>),
}

/// CPU time used during [`SAMPLE`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Used {
    /// CPUs kept busy by other programs.
    pub busy: f64,
    /// Share of all CPU time that the hypervisor gave to others, 0 to 1.
    pub steal: f64,
}

impl Facts {
    pub fn of(registry: &Registry, server: Vec<usize>, load: Vec<usize>) -> Self {
        // Sampled first: reading the other facts uses CPU time, too.
        let before = KernelStats::current().ok();
        thread::sleep(SAMPLE);
        let after = KernelStats::current().ok();
        let online = after.as_ref().map_or(0, |stat| stat.cpu_time.len());
        let used = before.zip(after).and_then(|(before, after)| {
            Used::between(ticks(&before.total), ticks(&after.total), online)
        });
        let allowed = machine::cpus();
        let specs = registry.catalogue.iter().flat_map(|family| Spec::matrix(family));
        let personality = read("/proc/self/personality");
        let folder = Path::new(measure::FOLDER);
        let folder = if folder.is_dir() { folder } else { Path::new(".") };
        let free = access(folder, Access::WRITE_OK)
            .and_then(|()| statvfs(folder))
            .map(|it| it.f_bavail.saturating_mul(it.f_frsize));
        Self {
            optimised: cfg!(not(debug_assertions)),
            server,
            load,
            online,
            quota: ControlGroups::of_self().quota(),
            topology: Topology::of(&allowed),
            environment: machine::environment(Vec::new()),
            governors: machine::governors(&allowed),
            used,
            load_average: LoadAverage::current().ok().map(|average| average.one),
            lanes: registry
                .lanes
                .iter()
                // A missing peer or feature is not a property of the machine.
                .filter(|lane| lane.kind != Kind::Peer && lane.missing_feature.is_none())
                .map(|lane| (lane.name.clone(), lane.available().map_err(|why| why.to_string())))
                .collect(),
            counters: SyscallCounter::open(std::process::id())
                .map(drop)
                .map_err(|error| error.to_string()),
            randomize: read("/proc/sys/kernel/randomize_va_space"),
            layout_fixed: personality
                .and_then(|flags| u32::from_str_radix(&flags, 16).ok())
                .is_some_and(|flags| flags & NO_RANDOMIZE != 0),
            loopback: connect().map_err(|why| why.to_string()),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            most_conns: specs.filter_map(|spec| spec.number("conns")).max().unwrap_or(0),
            ports: Limits::now().ports,
            descriptors: getrlimit(Resource::Nofile).maximum,
            memory: Meminfo::current().ok().and_then(|memory| memory.mem_available),
            disk: (folder.display().to_string(), free.map_err(|why| why.to_string())),
            allowed,
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The interface's flags do not show this: a process in a network namespace may see those of another one.
fn connect() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect(listener.local_addr()?).map(drop)
}

/// Busy, stolen and total time of all CPUs since boot. The time of guests is part of `user`.
fn ticks(cpu: &CpuTime) -> [u64; 3] {
    let or_0 = |ticks: Option<u64>| ticks.unwrap_or(0);
    let busy = cpu.user + cpu.nice + cpu.system + or_0(cpu.irq) + or_0(cpu.softirq);
    let steal = or_0(cpu.steal);
    [busy, steal, busy + steal + cpu.idle + or_0(cpu.iowait)]
}

impl Used {
    /// `None` if the ticks did not advance: idle and iowait may decrease.
    fn between(before: [u64; 3], after: [u64; 3], cpus: usize) -> Option<Self> {
        let passed = |i: usize| after[i].checked_sub(before[i]).map(|ticks| ticks as f64);
        let total = passed(2).filter(|total| *total > 0.0)?;
        Some(Self { busy: passed(0)? / total * cpus as f64, steal: passed(1)? / total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_this_machine() {
        let facts = Facts::of(&Registry::standard(), vec![0], vec![0]);
        assert!(facts.online >= facts.allowed.len() && !facts.allowed.is_empty(), "{facts:?}");
        assert!(facts.used.is_some() && facts.load_average.is_some(), "{facts:?}");
        assert!(facts.memory.is_some() && facts.ports.is_some(), "{facts:?}");
        assert!(facts.lanes.iter().any(|(lane, usable)| lane == "tokio" && usable.is_ok()));
        assert!(facts.most_conns >= 1_000, "{facts:?}");
    }

    #[test]
    fn used_between_samples() {
        let before = [150, 20, 1_000];
        let used = |after| Used::between(before, after, 2);
        assert_eq!(used([170, 25, 1_100]), Some(Used { busy: 0.4, steal: 0.05 }));
        assert_eq!(used(before), None);
        assert_eq!(used([140, 20, 1_100]), None);
    }
}
