//! The machine: its environment, its load, and the placement of lanes and load generator.

mod environment;
pub mod quota;
pub mod topology;

use std::time::Duration;

use procfs::{CurrentSI as _, FromRead as _};
use rustix::thread::sched_getaffinity;

pub use environment::{differences, environment, governors, programs};

/// CPUs that this process may use, in ascending order.
pub fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Totals of the machine since boot. The difference of two is the load between them.
#[derive(Clone, Copy, Debug)]
pub struct SystemLoad {
    total_ticks: u64,
    steal_ticks: u64,
    waited: Option<Duration>,
    at: std::time::Instant,
}

impl SystemLoad {
    /// Reads the totals; `None` without `/proc/stat`.
    pub fn now() -> Option<Self> {
        let cpu = procfs::KernelStats::current().ok()?.total;
        let steal_ticks = cpu.steal.unwrap_or(0);
        let busy =
            cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
        let idle = cpu.idle + cpu.iowait.unwrap_or(0);
        let waited = procfs::CpuPressure::from_file("/proc/pressure/cpu")
            .ok()
            .map(|pressure| Duration::from_micros(pressure.some.total));
        let at = std::time::Instant::now();
        Some(Self { total_ticks: busy + idle + steal_ticks, steal_ticks, waited, at })
    }

    /// Share of CPU time since `before` that the hypervisor gave to others, 0 to 1.
    pub fn steal_since(&self, before: &Self) -> Option<f64> {
        let total = self.total_ticks.checked_sub(before.total_ticks).filter(|total| *total > 0)?;
        let steal = self.steal_ticks.checked_sub(before.steal_ticks)?;
        Some(steal as f64 / total as f64)
    }

    /// Share of time since `before` in which some task waited for a CPU, 0 to 1.
    pub fn pressure_since(&self, before: &Self) -> Option<f64> {
        let waited = self.waited?.checked_sub(before.waited?)?;
        let passed = self.at.duration_since(before.at);
        (!passed.is_zero()).then(|| (waited.as_secs_f64() / passed.as_secs_f64()).min(1.0))
    }
}

/// Sockets in `TIME_WAIT`, of all processes.
pub fn time_wait() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    let tcp = stat.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = tcp.split_whitespace().skip_while(|word| *word != "tw").skip(1);
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_wait_counts_closed_connections() {
        use std::io::Read as _;
        use std::net::{TcpListener, TcpStream};

        const CONNS: u64 = 50;
        let before = time_wait().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..CONNS {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            // The end that closes first is the one that waits.
            drop(listener.accept().unwrap());
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        let after = time_wait().unwrap();
        // Half, because sockets of other processes leave the state meanwhile.
        assert!(after >= before + CONNS / 2, "{before} before, {after} after");
    }

    #[test]
    fn steal_since_is_share_of_all_ticks() {
        let load = |total_ticks, steal_ticks| SystemLoad {
            total_ticks,
            steal_ticks,
            waited: None,
            at: std::time::Instant::now(),
        };
        assert_eq!(load(300, 60).steal_since(&load(100, 10)), Some(0.25));
        assert_eq!(load(100, 10).steal_since(&load(100, 10)), None, "no time has passed");
        assert_eq!(load(300, 5).steal_since(&load(100, 10)), None, "the total went back");
        assert_eq!(load(300, 60).pressure_since(&load(100, 10)), None, "without PSI");
    }
}
