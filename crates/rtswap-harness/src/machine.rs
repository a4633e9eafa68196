//! The machine: its environment, its load, and the placement of lanes and load generator.

mod environment;
pub mod quota;
pub mod topology;

use std::time::Duration;

use procfs::{CurrentSI as _, FromRead as _};
use rustix::thread::sched_getaffinity;

pub(crate) use environment::hex;
pub use environment::{differences, environment, governors, programs, sha256};

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

/// Time since boot in which some CPUs were idle or ran other virtual machines, summed over the CPUs.
#[derive(Clone, Debug)]
pub struct UnusedTime {
    unused: Duration,
    cpus: Vec<usize>,
    at: std::time::Instant,
}

impl UnusedTime {
    /// Reads it for `cpus`; `None` without `/proc/stat`, or if it lacks one of them.
    pub fn of(cpus: &[usize]) -> Option<Self> {
        let stat = procfs::KernelStats::current().ok()?;
        let mut ticks = 0;
        for &cpu in cpus {
            let cpu = stat.cpu_time.get(cpu)?;
            ticks += cpu.idle + cpu.iowait.unwrap_or(0) + cpu.steal.unwrap_or(0);
        }
        let unused = Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        Some(Self { unused, cpus: cpus.to_vec(), at: std::time::Instant::now() })
    }

    /// Share of the CPUs' time since `before` that went to others than those that used `own` of CPU time, 0 to 1.
    /// `None` for less than half a second: a tick is 10 ms.
    pub fn used_by_others_since(&self, before: &Self, own: Duration) -> Option<f64> {
        let all = self.at.duration_since(before.at).as_secs_f64() * self.cpus.len() as f64;
        let unused = self.unused.saturating_sub(before.unused) + own;
        (all >= 0.5).then(|| (1.0 - unused.as_secs_f64() / all).clamp(0.0, 1.0))
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
    fn used_by_others_is_rest_of_time() {
        let begin = std::time::Instant::now();
        let at = |s, unused_ms| UnusedTime {
            unused: Duration::from_millis(unused_ms),
            cpus: vec![0, 1],
            at: begin + Duration::from_secs(s),
        };
        let others = |own_ms| {
            at(3, 1_500).used_by_others_since(&at(1, 500), Duration::from_millis(own_ms)).unwrap()
        };
        // Two CPUs for two seconds, of which one second is unused.
        assert!((others(1_000) - 0.5).abs() < 1e-9);
        assert!((others(3_000) - 0.0).abs() < 1e-9);
        assert!((others(4_000) - 0.0).abs() < 1e-9, "clocks that disagree by a tick");
        let short = at(1, 500).used_by_others_since(&at(1, 500), Duration::ZERO);
        assert_eq!(short, None);
        assert!(UnusedTime::of(&cpus()).is_some());
        assert!(UnusedTime::of(&[1 << 20]).is_none());
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
