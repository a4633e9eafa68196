//! Child processes that are confined to CPUs and do not outlive this process.
//!
//! The parent starts them with [`spawn_confined`]. The child calls [`die_with_parent`] first, which asks
//! the kernel for a death signal. `rtswap lane` does that on behalf of any command: between fork and exec
//! it would take unsafe code.

use std::io;
use std::num::NonZeroI32;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The environment variable that holds the parent's process id.
const PARENT_VARIABLE: &str = "RTSWAP_PARENT";

/// Starts `command` on `cpus`, in a process group of its own, so that Ctrl-C reaches this process only and
/// the child can be killed together with its own children.
///
/// # Errors
/// If the affinity cannot be set or the program cannot be started.
pub fn spawn_confined(command: &mut Command, cpus: &[usize]) -> io::Result<Child> {
    command.env(PARENT_VARIABLE, std::process::id().to_string()).process_group(0);
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    // A child inherits the affinity of the thread that starts it.
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &set)?;
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child
}

/// Has the kernel kill this process when the process that started it with [`spawn_confined`] dies.
///
/// # Errors
/// If the kernel refuses, or if the parent is dead already.
pub fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before that. Then another process has adopted this one.
    let started_by = std::env::var(PARENT_VARIABLE).ok().and_then(|pid| pid.parse().ok());
    let parent = getppid().map(Pid::as_raw_nonzero).map(NonZeroI32::get);
    match started_by {
        Some(pid) if parent != Some(pid) => {
            Err(io::Error::other(format!("process {pid}, which started this one, is dead")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn spawn_confined_sets_affinity_group_and_parent() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap();
        let script = r#"grep Cpus_allowed_list /proc/$$/status; echo "$RTSWAP_PARENT"
            cut -d' ' -f5 /proc/$$/stat; echo $$"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let child = spawn_confined(&mut command, &[cpu]).unwrap();
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[0], format!("Cpus_allowed_list:\t{cpu}"));
        assert_eq!(lines[1], std::process::id().to_string());
        assert_eq!(lines[2], lines[3], "it leads a process group");
        assert!(sched_getaffinity(None).unwrap() == before, "this thread is not confined");
    }

    #[test]
    fn spawn_confined_restores_affinity_after_failure() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap();
        assert!(spawn_confined(&mut Command::new("/nonexistent"), &[cpu]).is_err());
        assert!(sched_getaffinity(None).unwrap() == before);
    }
}
