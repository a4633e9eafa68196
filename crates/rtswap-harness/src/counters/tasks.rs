//! The threads of a lane: those of its process and of the processes that it has started.

use std::collections::BTreeSet;
use std::io;

use procfs::ProcError;
use procfs::process::Process;
use rustix::io::Errno;

/// How often threads are listed until no thread has started meanwhile.
const ATTEMPTS: u32 = 10;

/// Why counters are not open on every thread.
#[derive(Debug)]
pub(super) enum AttachError {
    /// The threads of this process cannot be listed.
    Threads(u32, ProcError),
    /// The kernel refuses.
    Refused(io::Error),
    /// Threads started during each attempt.
    Unstable,
}

/// The thread ids of a process and of its descendants.
///
/// # Errors
/// If the process does not exist or may not be examined.
pub(super) fn threads(pid: u32) -> Result<BTreeSet<i32>, ProcError> {
    family(pid).map(|(_, threads)| threads)
}

/// The ids of a process and of its descendants.
///
/// # Errors
/// If the process does not exist or may not be examined.
pub(super) fn processes(pid: u32) -> Result<BTreeSet<i32>, ProcError> {
    family(pid).map(|(processes, _)| processes)
}

/// The processes and the threads.
fn family(pid: u32) -> Result<(BTreeSet<i32>, BTreeSet<i32>), ProcError> {
    let (mut processes, mut threads) = (BTreeSet::new(), BTreeSet::new());
    let mut children = vec![pid.cast_signed()];
    while let Some(process) = children.pop() {
        let tasks = match Process::new(process).and_then(|process| process.tasks()) {
            Ok(tasks) => tasks,
            Err(error) if process == pid.cast_signed() => return Err(error),
            // A descendant that has ended since it was listed.
            Err(_) => continue,
        };
        for task in tasks.flatten() {
            // A kernel without CONFIG_PROC_CHILDREN lists none.
            children.extend(task.children().into_iter().flatten().map(u32::cast_signed));
            threads.insert(task.tid);
        }
        processes.insert(process);
    }
    Ok((processes, threads))
}

/// Opens counters on every thread of a process and of its descendants. `open` must open counters that new
/// threads inherit.
///
/// # Errors
/// [`AttachError`]; never with counters on a part of the threads.
pub(super) fn attach<T>(
    pid: u32,
    mut open: impl FnMut(i32) -> io::Result<T>,
) -> Result<Vec<T>, AttachError> {
    for _ in 0..ATTEMPTS {
        let listed = threads(pid).map_err(|error| AttachError::Threads(pid, error))?;
        let mut opened = Vec::with_capacity(listed.len());
        for &tid in &listed {
            match open(tid) {
                Ok(counters) => opened.push(counters),
                // The thread has ended since it was listed.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
                Err(error) => return Err(AttachError::Refused(error)),
            }
        }
        // A thread that started meanwhile has inherited the counters of its parent or has none, depending on
        // which came first. Another attempt avoids to count it twice or not at all.
        let now = threads(pid).map_err(|error| AttachError::Threads(pid, error))?;
        if now.is_subset(&listed) {
            return Ok(opened);
        }
    }
    Err(AttachError::Unstable)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn threads_include_those_of_descendants() {
        // The shell waits for `cat`, which waits for the end of its input.
        let mut shell = Command::new("sh")
            .args(["-c", "cat; true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let listed = loop {
            let listed = threads(shell.id()).unwrap();
            if listed.len() > 1 {
                break listed;
            }
            std::thread::yield_now();
        };
        assert!(listed.contains(&shell.id().cast_signed()), "{listed:?}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn attach_lists_again_if_thread_started_meanwhile() {
        let (end, ended) = channel::<()>();
        let mut ended = Some(ended);
        let mut opened = Vec::new();
        let all = attach(std::process::id(), |tid| {
            opened.push(tid);
            if let Some(ended) = ended.take() {
                std::thread::spawn(move || ended.recv());
            }
            Ok(tid)
        })
        .unwrap();
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len(), "a thread has two counters: {all:?}");
        assert!(opened.len() > all.len(), "{opened:?} for {all:?}");
        drop(end);
    }

    #[test]
    fn attach_gives_up_if_threads_keep_starting() {
        let (end, ended) = channel::<()>();
        let ended = std::sync::Arc::new(std::sync::Mutex::new(ended));
        let main = std::process::id().cast_signed();
        let attached = attach(std::process::id(), |tid| {
            let ended = ended.clone();
            if tid == main {
                std::thread::spawn(move || ended.lock().unwrap().recv());
            }
            Ok(tid)
        });
        assert!(matches!(attached, Err(AttachError::Unstable)), "{attached:?}");
        drop(end);
    }
}
