//! Time for which threads wait for a CPU, and the processes that they wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use procfs::process::all_processes;

use super::tasks::threads;

/// The most threads of a lane whose run delay is read: each takes some 10 µs, twice a slice.
const THREADS_MOST: usize = 64;

/// Time for which the threads of process `pid` and its descendants have been ready to run and have waited for a CPU,
/// the second number of `/proc/PID/task/TID/schedstat`. Threads that have ended are missing. `None` where the kernel
/// does not count it, or with more than 64 threads.
pub fn run_delay(pid: u32) -> Option<Duration> {
    let threads = threads(pid).ok()?;
    (threads.len() <= THREADS_MOST).then(|| run_delay_of(threads))?
}

/// The same of some threads.
pub fn run_delay_of(tids: impl IntoIterator<Item = i32>) -> Option<Duration> {
    let mut sum = None;
    for tid in tids {
        // A thread that has ended since it was listed.
        let Ok(text) = fs::read_to_string(format!("/proc/{tid}/schedstat")) else { continue };
        let ns: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        *sum.get_or_insert(Duration::ZERO) += Duration::from_nanos(ns);
    }
    sum
}

/// The threads of this process whose names begin so, with their CPU if they are pinned to one by name: `load-1`.
pub fn own_threads(prefix: &str) -> BTreeMap<i32, usize> {
    let named = |tid: &i32| {
        let name = fs::read_to_string(format!("/proc/{tid}/comm")).ok()?;
        name.trim().strip_prefix(prefix)?.parse().ok()
    };
    let tids = threads(std::process::id()).unwrap_or_default();
    tids.into_iter().filter_map(|tid| Some((tid, named(&tid)?))).collect()
}

/// The process that uses most CPU time on one of `cpus` while this function waits for 30 ms, this process and
/// those of `except` aside: its name and id. `None` if there is none that uses more than a tick.
pub fn busiest_on(cpus: &[usize], except: &BTreeSet<u32>) -> Option<(String, i32)> {
    let is_left_out = |pid: i32| {
        let pid = pid.cast_unsigned();
        pid == std::process::id() || except.contains(&pid)
    };
    let used = || -> BTreeMap<i32, (u64, i32, String)> {
        let stats = all_processes().into_iter().flatten().flatten();
        let stats =
            stats.filter_map(|process| process.stat().ok()).filter(|stat| !is_left_out(stat.pid));
        stats
            .map(|stat| {
                (stat.pid, (stat.utime + stat.stime, stat.processor.unwrap_or(-1), stat.comm))
            })
            .collect()
    };
    let before = used();
    std::thread::sleep(Duration::from_millis(30));
    let more = used().into_iter().filter_map(|(pid, (ticks, cpu, name))| {
        let ticks = ticks - before.get(&pid).map_or(0, |before| before.0.min(ticks));
        let is_there = usize::try_from(cpu).is_ok_and(|cpu| cpus.contains(&cpu));
        (is_there && ticks > 0).then_some((ticks, name, pid))
    });
    more.max().map(|(_, name, pid)| (name, pid))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// Two processes on one CPU, of which one waits whenever the other runs.
    #[test]
    fn run_delay_grows_while_another_process_has_the_cpu() {
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let cpu = (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap();
        let mut children = [0, 1].map(|_| {
            let spin =
                ["-c", &cpu.to_string(), "sh", "-c", "while :; do :; done"].map(str::to_owned);
            Command::new("taskset").args(spin).stdout(Stdio::null()).spawn().unwrap()
        });
        let begin = Instant::now();
        let delay = loop {
            let delay = run_delay(children[0].id());
            if delay.is_none_or(|delay| delay > Duration::from_millis(20)) {
                break delay;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{delay:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        let (name, pid) = loop {
            if let Some(busiest) = busiest_on(&[cpu], &BTreeSet::new()) {
                break busiest;
            }
            assert!(begin.elapsed() < Duration::from_secs(20));
        };
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if delay.is_none() {
            eprintln!("SKIPPED: this kernel does not count run delay");
        }
        assert!(!name.is_empty() && pid > 0);
    }

    #[test]
    fn own_threads_are_found_by_name() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (started, starts) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("delayed-17".to_owned()).spawn(move || {
            started.send(()).unwrap();
            let _ = ended.recv();
        });
        starts.recv().unwrap();
        let found = own_threads("delayed-");
        drop(end);
        thread.unwrap().join().unwrap();
        assert_eq!(found.into_values().collect::<Vec<_>>(), [17]);
    }
}
