//! The machine: what it is, who else is on it, and which CPUs are whose.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use procfs::{Current, CurrentSI, FromRead};
use rustix::thread::sched_getaffinity;

use crate::record::Receipt;

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

/// Where, when and by what: `command` is the command line, of which the program keeps its name alone:
/// where it is installed is nobody's business.
pub fn receipt(mut command: Vec<String>) -> Receipt {
    if let Some(program) = command.first_mut()
        && let Some((_, name)) = program.rsplit_once('/')
    {
        *program = name.to_owned();
    }
    let cpu = procfs::CpuInfo::current().ok();
    let flags = cpu.as_ref().and_then(|cpu| cpu.flags(0)).unwrap_or_default();
    let kernel = rustix::system::uname();
    Receipt {
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

/// Totals since boot, to be subtracted from each other.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    total_ticks: u64,
    steal_ticks: u64,
    waited: Option<Duration>,
    at: std::time::Instant,
}

impl Weather {
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
    fn cpus_are_split_into_disjoint_halves() {
        assert_eq!(halves(&[3]), (vec![3], vec![3]));
        assert_eq!(halves(&[0, 1]), (vec![0], vec![1]));
        assert_eq!(halves(&[0, 1, 4]), (vec![0], vec![1, 4]));
    }

    #[test]
    fn sockets_in_time_wait_are_counted() {
        assert!(time_wait().is_some());
    }

    #[test]
    fn this_machine_has_a_cpu_and_a_name() {
        let receipt = receipt(vec!["/some/where/rtswap".to_owned(), "run".to_owned()]);
        assert_eq!(receipt.command, ["rtswap", "run"]);
        assert!(receipt.cpus > 0 && receipt.memory_bytes > 0);
        assert!(receipt.kernel.starts_with("Linux "), "{}", receipt.kernel);
    }
}
