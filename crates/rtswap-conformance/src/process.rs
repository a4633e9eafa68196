//! What a process has: its threads and descriptors, as `/proc/self` shows them.

use std::fs::{self, File};
use std::iter;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::Socket;

use crate::Allow;

/// Threads and descriptors of this process at one moment, by name, sorted; equal names are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The kernel's names of the threads.
    pub threads: Vec<String>,
    /// What the descriptors lead to, without numbers: `socket`, `anon_inode:[eventpoll]`.
    pub descriptors: Vec<String>,
}

impl Snapshot {
    /// Of now.
    pub fn take() -> Self {
        let mut threads: Vec<String> = entries("/proc/self/task")
            // A thread that has ended since it was listed has no name.
            .filter_map(|task| fs::read_to_string(task.join("comm")).ok())
            .map(|name| name.trim_end().to_owned())
            .collect();
        threads.sort();
        let mut descriptors: Vec<String> = entries("/proc/self/fd")
            .filter_map(|descriptor| fs::read_link(descriptor).ok())
            .map(|target| target.to_string_lossy().into_owned())
            // The directory that is being listed.
            .filter(|target| !target.starts_with("/proc/"))
            .map(|target| match target.split_once(":[") {
                Some((kind @ ("socket" | "pipe"), _)) => kind.to_owned(),
                _ => target,
            })
            .collect();
        descriptors.sort();
        Self { threads, descriptors }
    }

    /// What is here and was not there `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            threads: without(&self.threads, &before.threads),
            descriptors: without(&self.descriptors, &before.descriptors),
        }
    }

    /// What is here and nobody allowed.
    #[must_use]
    pub fn forbidden(&self, allow: &Allow) -> Self {
        let unless = |names: &[String], allowed: &[&str]| {
            names.iter().filter(|name| !allowed.contains(&name.as_str())).cloned().collect()
        };
        Self {
            threads: unless(&self.threads, allow.threads),
            descriptors: unless(&self.descriptors, allow.descriptors),
        }
    }

    /// What is here beyond what so many `block_on`s are allowed to leak.
    #[must_use]
    pub fn beyond_leaks(&self, allow: &Allow, block_ons: usize) -> Self {
        let leaked: Vec<_> =
            iter::repeat_n(allow.leaks, block_ons).flatten().map(|&name| name.to_owned()).collect();
        Self { threads: self.threads.clone(), descriptors: without(&self.descriptors, &leaked) }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.descriptors.is_empty()
    }
}

/// Takes snapshots until `enough` is content with one or ten seconds are over, and gives the last: a
/// thread that was joined is listed for a moment longer.
pub fn settle(enough: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let start = Instant::now();
    loop {
        let snapshot = Snapshot::take();
        // The kernel's list of threads may lack one while another ends, so that a thread is seen once and not again.
        let is_stable = || Snapshot::take() == snapshot;
        if (enough(&snapshot) && is_stable()) || start.elapsed() > Duration::from_secs(10) {
            return snapshot;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// This process's sockets that are connected to `peer`, each as a descriptor of one's own.
pub fn sockets_to(peer: SocketAddr) -> Vec<Socket> {
    let numbers =
        entries("/proc/self/fd").filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    numbers
        // SAFETY: nothing is done with the number but to ask for a descriptor of one's own, which the kernel
        // refuses if it is closed by now.
        .filter_map(|it| unsafe { BorrowedFd::borrow_raw(it) }.try_clone_to_owned().ok())
        .map(Socket::from)
        .filter(|socket| socket.peer_addr().is_ok_and(|it| it.as_socket() == Some(peer)))
        .collect()
}

fn entries(directory: &str) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(directory).expect("/proc is mounted").flatten().map(|entry| entry.path())
}

fn without(names: &[String], fewer: &[String]) -> Vec<String> {
    let mut rest = names.to_vec();
    for name in fewer {
        if let Some(place) = rest.iter().position(|other| other == name) {
            rest.remove(place);
        }
    }
    rest
}

/// Takes all descriptors that this process may still open, of few. Dropping what is returned gives them back.
///
/// # Panics
/// If the limit cannot be set.
pub fn exhaust_descriptors() -> Vec<File> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(entries("/proc/self/fd").count() as u64 + 64);
    setrlimit(Resource::Nofile, limit).expect("a limit may be lowered");
    iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(threads: &[&str], descriptors: &[&str]) -> Snapshot {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Snapshot { threads: own(threads), descriptors: own(descriptors) }
    }

    #[test]
    fn a_second_thread_of_the_same_name_is_new() {
        let before = snapshot(&["a", "b"], &["socket"]);
        let after = snapshot(&["a", "a", "b"], &["socket", "socket"]);
        assert_eq!(after.since(&before), snapshot(&["a"], &["socket"]));
        assert!(before.since(&after).is_empty());
    }

    #[test]
    fn only_what_is_named_is_allowed() {
        let left = snapshot(&["async-io", "worker"], &["socket", "anon_inode:[eventfd]"]);
        let forbidden = left.forbidden(&Allow::ASYNC_IO);
        assert_eq!(forbidden, snapshot(&["worker"], &["socket"]));
    }
    #[test]
    fn one_leak_for_each_block_on_is_allowed_and_no_more() {
        let allow = Allow { leaks: &["anon_inode:[eventfd]"], ..Allow::NOTHING };
        let left = snapshot(&["worker"], &["anon_inode:[eventfd]"; 3]);
        assert_eq!(left.beyond_leaks(&allow, 2), snapshot(&["worker"], &["anon_inode:[eventfd]"]));
        assert_eq!(left.beyond_leaks(&allow, 4), snapshot(&["worker"], &[]));
    }
}
