//! Looks at this machine, and leaves it to others what that means.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rtswap_harness::counters::SyscallCounter;
use rtswap_harness::machine;
use rtswap_harness::record::Kind;
use rtswap_workload::Spec;
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

use super::check::Check;
use super::{cpu, limits};
use crate::Registry;
use crate::cli::measure;

/// How long steal and the work of others are watched: 100 of the kernel's ticks for each CPU.
const SAMPLE: Duration = Duration::from_secs(1);

/// All checks, in the order of the listing: what ruins a run first.
pub(super) fn checks(registry: &Registry, server: &[usize], load: &[usize]) -> Vec<Check> {
    let stat = || read("/proc/stat").unwrap_or_default();
    // First, because looking at all else is work, too.
    let before = stat();
    std::thread::sleep(SAMPLE);
    let after = stat();
    let allowed = machine::cpus();
    let virtual_machine = machine::environment(Vec::new()).virtual_machine;
    let of_cpus = |file: &str| -> Vec<(usize, String)> {
        let read =
            |cpu: &usize| Some((*cpu, read(&format!("/sys/devices/system/cpu/cpu{cpu}/{file}"))?));
        allowed.iter().filter_map(read).collect()
    };
    let governors: Vec<String> =
        of_cpus("cpufreq/scaling_governor").into_iter().map(|(_, text)| text).collect();
    let available: Vec<(&str, Result<(), String>)> = registry
        .lanes
        .iter()
        // What is installed for other languages is no property of this machine.
        .filter(|lane| lane.kind != Kind::Peer)
        .map(|lane| (lane.name.as_str(), (lane.available)().map_err(|error| error.to_string())))
        .collect();
    let descriptors = getrlimit(Resource::Nofile);
    let need = need(registry);
    let opened = SyscallCounter::open(std::process::id());
    let opened = opened.map(drop).map_err(|error| error.to_string());
    let folder = Path::new(measure::FOLDER);
    let folder = if folder.is_dir() { folder } else { Path::new(".") };
    let free = statvfs(folder).ok().map(|it| it.f_bavail.saturating_mul(it.f_frsize));
    vec![
        limits::build(cfg!(debug_assertions)),
        cpu::cpus(&allowed, server, load, read("/sys/devices/system/cpu/online").as_deref()),
        cpu::quota(read("/sys/fs/cgroup/cpu.max").as_deref(), allowed.len()),
        cpu::smt(&of_cpus("topology/thread_siblings_list"), server, load),
        cpu::governor(&governors, virtual_machine),
        cpu::machine(virtual_machine),
        cpu::steal(&before, &after),
        cpu::load(
            &before,
            &after,
            read("/proc/loadavg").as_deref(),
            read("/proc/pressure/cpu").as_deref(),
        ),
        limits::lanes(&available),
        limits::perf(opened.as_ref().map(|&()| ()).map_err(String::as_str)),
        limits::aslr(
            read("/proc/sys/kernel/randomize_va_space").as_deref(),
            read("/proc/self/personality").as_deref(),
        ),
        limits::loopback(connect()),
        limits::congestion(read("/proc/sys/net/ipv4/tcp_congestion_control").as_deref()),
        limits::ports(read("/proc/sys/net/ipv4/ip_local_port_range").as_deref(), need),
        limits::descriptors(descriptors.current, descriptors.maximum, need),
        limits::memory(read("/proc/meminfo").as_deref()),
        limits::disk(folder, free, access(folder, Access::WRITE_OK).is_ok()),
    ]
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn connect() -> Result<(), String> {
    let connected = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| TcpStream::connect(listener.local_addr()?));
    connected.map(drop).map_err(|error| error.to_string())
}

fn need(registry: &Registry) -> limits::Need {
    let conns = |spec: &Spec| spec.number("conns").unwrap_or(1);
    let all = registry.catalogue.iter().flat_map(|family| Spec::matrix(family));
    let default =
        registry.default.iter().filter_map(|name| Spec::parse(name, registry.catalogue).ok());
    limits::Need {
        most_conns: all.map(|spec| conns(&spec)).max().unwrap_or(1),
        default_conns: default.map(|spec| conns(&spec)).max().unwrap_or(1),
        lanes: registry.lanes.iter().filter(|lane| lane.in_default).count() as u64 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn this_machine_can_be_looked_at_and_every_fault_has_a_remedy() {
        let checks = checks(&Registry::standard(), &[0], &[0]);
        for check in &checks {
            assert!(!check.found.is_empty(), "{check:?}");
            assert_eq!(check.remedy.is_none(), check.status == Status::Ok, "{check:?}");
        }
        let names: std::collections::BTreeSet<_> = checks.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), checks.len(), "each has a name of its own");
    }

    #[test]
    fn the_largest_workloads_are_found_in_the_catalogue() {
        let registry = Registry::standard();
        let need = need(&registry);
        assert!(need.most_conns >= need.default_conns && need.default_conns >= 32, "{need:?}");
        assert!(need.lanes > 1 && need.lanes <= registry.lanes.len() as u64);
    }
}
