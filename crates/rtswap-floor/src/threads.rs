//! A thread for each connection, and system calls that block.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::thread;

use rtswap_lane::host::Program;
use rtswap_lane::{Place, Prepare, ReadySignal, Refusal};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, recv, send};
use rustix::process::{Resource, getrlimit};

use crate::accept::{Accepted, PAUSE, accept};
use crate::order::{Task, start};
use crate::{Floor, always};

pub(crate) const FLOOR: Floor = Floor {
    name: "floor-threads",
    about: "a blocking thread for each connection",
    driver: "threads",
    available: always,
    prepare,
};

/// A thread's stack: it holds a few frames, and the buffer is not among them.
const STACK: usize = 32 << 10;
/// Threads and mappings that the rest of the process may need.
const SPARE: usize = 64;

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    let task = Task::of(order)?;
    if !task.holds_buffer {
        let message = "buffer=none: a thread holds its buffer while it waits";
        return Err(Refusal::Unsupported(message.to_owned()));
    }
    let (threads, bytes) = (task.conns(), task.read_bytes);
    for (limit, name) in limits() {
        if threads + SPARE > limit {
            return Err(Refusal::Unsupported(format!(
                "{} needs {threads} threads, and {name} allows {limit}",
                order.workload
            )));
        }
    }
    let notes = vec![
        ("buffer", format!("{bytes} bytes, one for each connection")),
        ("stack", format!("{STACK} bytes for each connection")),
    ];
    let place = Place::whole(&order.cpus);
    let mut program = start(order, &task, &place, FLOOR.driver, notes, move |listener, ready| {
        serve(&listener, ready, bytes)
    })?;
    program.info.workers = threads;
    Ok(program)
}

/// How many threads the machine allows, by what says so. What cannot be read does not limit.
fn limits() -> impl Iterator<Item = (usize, &'static str)> {
    let read = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    [
        (getrlimit(Resource::Nproc).current.map(|limit| limit as usize), "`ulimit -u`"),
        (read("/proc/sys/kernel/threads-max"), "kernel.threads-max"),
        (read("/proc/sys/kernel/pid_max"), "kernel.pid_max"),
        (read(&format!("/sys/fs/cgroup{group}/pids.max")), "pids.max"),
        // A stack is two: itself, and the page below that must not be touched.
        (read("/proc/sys/vm/max_map_count").map(|maps: usize| maps / 2), "vm.max_map_count"),
    ]
    .into_iter()
    .filter_map(|(limit, name)| Some((limit?, name)))
}

fn serve(listener: &TcpListener, ready: &ReadySignal, bytes: usize) -> io::Result<()> {
    listener.set_nonblocking(false)?;
    ready.send();
    loop {
        match accept(listener, SocketFlags::CLOEXEC)? {
            Accepted::One(socket) => {
                let thread = thread::Builder::new().stack_size(STACK);
                // Without a thread the connection is dropped, and so closed.
                if thread.spawn(move || echo(&socket, bytes)).is_err() {
                    thread::sleep(PAUSE);
                }
            }
            Accepted::None => {}
            Accepted::Exhausted => thread::sleep(PAUSE),
        }
    }
}

/// The thread ends with the connection.
fn echo(socket: &OwnedFd, bytes: usize) {
    let mut buffer = vec![0; bytes];
    loop {
        let read = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((read @ 1.., _)) => read,
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => return,
        };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            match send(socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
