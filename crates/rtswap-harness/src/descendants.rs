//! Processes that lanes start, wherever they put them.
//!
//! A lane is killed with its process group. A process that has left the group, as with `setsid`, would survive. So
//! the harness is a subreaper: such a process becomes its child when the lane ends. The lane that it comes from is
//! known by an environment variable, which processes inherit. A process that removes the variable is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use procfs::process::{Process, all_processes};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};

/// The environment variable that marks the processes of a lane.
const VARIABLE: &str = "RTSWAP_LANE_PROCESS";
/// How often it is looked for more, because a process may fork while it is being killed.
const PASSES_MOST: u32 = 50;

/// Marks one lane process and everything that it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// A tag that no other lane process on this machine has.
    #[expect(clippy::new_without_default, reason = "each one differs")]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{count}", getpid().as_raw_nonzero()))
    }

    /// The tag of this process, if it is one of a lane.
    pub fn of_self() -> Option<Self> {
        std::env::var(VARIABLE).ok().map(Self)
    }

    /// The environment variable and its value.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }
}

/// Makes this process the parent of processes whose own parent ends.
///
/// # Errors
/// If the kernel refuses.
pub fn adopt() -> io::Result<()> {
    // Any id but none switches it on.
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills what is left of lanes that have been stopped, and waits for it. Returns the name and the arguments of each
/// process, in the order of the tags.
pub fn end(tags: &[Tag]) -> Vec<(Tag, String)> {
    let mut named = BTreeMap::new();
    for _ in 0..PASSES_MOST {
        let left = marked(tags);
        if left.is_empty() {
            break;
        }
        for (process, position) in left {
            let Some(pid) = Pid::from_raw(process.pid) else { continue };
            named.entry((position, process.pid)).or_insert_with(|| command_line(&process));
            let _ = kill_process(pid, Signal::KILL);
            // Its parent may be another process that is killed, too; then it is waited for in the next pass.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(1));
        reap(named.keys().map(|(_, pid)| *pid));
    }
    named.into_iter().map(|((position, _), name)| (tags[position].clone(), name)).collect()
}

/// Waits for children that have ended.
fn reap(pids: impl Iterator<Item = i32>) {
    for pid in pids.filter_map(Pid::from_raw) {
        // An error if it is not a child, or was waited for already.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// The processes that a lane with process id `pid` has started, also those whose own parent has ended.
pub fn of_lane(pid: i32, tag: &Tag) -> BTreeSet<i32> {
    let marked = marked(std::slice::from_ref(tag)).into_iter().map(|(process, _)| process.pid);
    // Those of another user show no environment.
    let mut all = family(&running(), pid);
    all.extend(marked);
    all.remove(&pid);
    all
}

/// All processes of the machine that have not ended, with their parents.
fn running() -> Vec<(Process, i32)> {
    let Ok(all) = all_processes() else { return Vec::new() };
    let running = all.flatten().filter_map(|process| {
        let stat = process.stat().ok()?;
        (stat.state != 'Z').then_some((process, stat.ppid))
    });
    running.collect()
}

/// A process and its descendants.
fn family(running: &[(Process, i32)], pid: i32) -> BTreeSet<i32> {
    let mut family = BTreeSet::from([pid]);
    // All generations: the parent of a process is listed before or after it.
    loop {
        let before = family.len();
        let children = running.iter().filter(|(_, parent)| family.contains(parent));
        let children: Vec<_> = children.map(|(process, _)| process.pid).collect();
        family.extend(children);
        if family.len() == before {
            return family;
        }
    }
}

/// The descendants of this process that have one of these tags, with the position of the tag.
fn marked(tags: &[Tag]) -> Vec<(Process, usize)> {
    let own = getpid().as_raw_nonzero().get();
    let running = running();
    let family = family(&running, own);
    let of_lane = running.into_iter().filter_map(|(process, _)| {
        if process.pid == own || !family.contains(&process.pid) {
            return None;
        }
        let environment = process.environ().ok()?;
        let value = environment.get(OsStr::new(VARIABLE))?;
        let position = tags.iter().position(|tag| value == OsStr::new(&tag.0))?;
        Some((process, position))
    });
    of_lane.collect()
}

/// The name of the program, without its folder, and its arguments.
fn command_line(process: &Process) -> String {
    let words = process.cmdline().unwrap_or_default();
    let Some((program, arguments)) = words.split_first() else {
        let name = fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
        return name.trim().to_owned();
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let all: Vec<&str> = [name].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    rtswap_schema::one_line(&all.join(" "))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn end_kills_processes_that_left_their_session() {
        adopt().unwrap();
        let (tag, other) = (Tag::new(), Tag::new());
        let start = |tag: &Tag| {
            let (name, value) = tag.variable();
            // The shell ends at once, and leaves a process of a session of its own.
            let script = "setsid sleep 991 >/dev/null 2>&1 & setsid sh -c 'sleep 992; true' >/dev/null 2>&1 &";
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).env(name, value).stdin(Stdio::null());
            assert!(shell.status().unwrap().success());
        };
        start(&tag);
        start(&other);
        // The second shell may not have started its own child yet.
        std::thread::sleep(Duration::from_millis(200));
        let mut ended: Vec<_> =
            end(std::slice::from_ref(&tag)).into_iter().map(|it| it.1).collect();
        ended.sort();
        assert_eq!(ended, ["sh -c sleep 992; true", "sleep 991", "sleep 992"]);
        assert!(marked(std::slice::from_ref(&tag)).is_empty());
        assert_eq!(marked(std::slice::from_ref(&other)).len(), 3, "of another lane");
        assert_eq!(end(&[tag.clone(), other.clone()]).len(), 3);
        assert_eq!(end(&[tag, other]), []);
    }
}
