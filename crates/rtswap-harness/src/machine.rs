//! The machine: its environment, its load, and the placement of lanes and load generator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use procfs::{Current, CurrentSI, FromRead};
use rustix::thread::sched_getaffinity;

use crate::record::Environment;

/// CPUs that this process may use, in ascending order.
pub fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Server CPUs and generator CPUs: the first half and the second. A single CPU serves both.
pub fn halves(cpus: &[usize]) -> (Vec<usize>, Vec<usize>) {
    if let [only] = cpus {
        return (vec![*only], vec![*only]);
    }
    let (server, load) = cpus.split_at(cpus.len() / 2);
    (server.to_vec(), load.to_vec())
}

/// The environment of a run. `command` is the command line. Of the program's path only the name is kept,
/// because records are published.
pub fn environment(mut command: Vec<String>) -> Environment {
    if let Some(program) = command.first_mut()
        && let Some((_, name)) = program.rsplit_once('/')
    {
        *program = name.to_owned();
    }
    let cpu = procfs::CpuInfo::current().ok();
    let flags = cpu.as_ref().and_then(|cpu| cpu.flags(0)).unwrap_or_default();
    let kernel = rustix::system::uname();
    Environment {
        rtswap: env!("CARGO_PKG_VERSION").to_owned(),
        command,
        started_unix_s: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        kernel: format!(
            "{} {}",
            kernel.sysname().to_string_lossy(),
            kernel.release().to_string_lossy()
        ),
        cpu_model: cpu
            .as_ref()
            .and_then(|cpu| cpu.model_name(0))
            .unwrap_or("unknown")
            .trim()
            .to_owned(),
        cpus: cpus().len(),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        virtual_machine: flags.contains(&"hypervisor"),
    }
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
    fn halves_are_disjoint() {
        assert_eq!(halves(&[3]), (vec![3], vec![3]));
        assert_eq!(halves(&[0, 1]), (vec![0], vec![1]));
        assert_eq!(halves(&[0, 1, 4]), (vec![0], vec![1, 4]));
    }

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

    #[test]
    fn environment_has_program_name_and_machine() {
        let found = environment(vec!["/some/where/rtswap".to_owned(), "run".to_owned()]);
        assert_eq!(found.command, ["rtswap", "run"]);
        assert!(found.cpus > 0 && found.memory_bytes > 0);
        assert!(found.kernel.starts_with("Linux "), "{}", found.kernel);
    }
}
