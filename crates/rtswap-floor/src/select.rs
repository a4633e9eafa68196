//! `select(2)`.
//!
//! It knows descriptors below 1,024 only, and looks at all of them up to the highest in every call.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rtswap_lane::host::Program;
use rtswap_lane::{Prepare, ReadySignal, Refusal};
use rustix::event::{
    FdSetElement, FdSetIter, Timespec, fd_set_bound, fd_set_insert, fd_set_num_elements,
    fd_set_remove, select,
};
use rustix::io::Errno;

use crate::accept::{Accepted, DONT_BLOCK, PAUSE, accept};
use crate::connection::{Turn, Unsent};
use crate::order::{Task, buffer_note, sharded, start};
use crate::{Floor, always};

pub(crate) const FLOOR: Floor = Floor {
    name: "floor-select",
    about: "select by hand, for up to 1,024 descriptors",
    driver: "select",
    available: always,
    prepare,
};

/// Descriptors that the interface has room for (`FD_SETSIZE`). The kernel's own limit is higher, but a
/// program that does not make its sets itself has this one.
const LIMIT: RawFd = 1024;

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    let (task, place) = (Task::of(order)?, sharded(order));
    let others = fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    // The listeners are still to come.
    let needed = task.descriptors() + place.shards.len() + others;
    if needed > LIMIT as usize {
        return Err(Refusal::Unsupported(format!(
            "select knows {LIMIT} descriptors, and {} needs {needed}",
            order.workload
        )));
    }
    let bytes = task.read_bytes;
    start(order, &task, &place, FLOOR.driver, vec![buffer_note(bytes)], move |listener, ready| {
        Shard::new(listener, bytes)?.serve(ready)
    })
}

type Set = Vec<FdSetElement>;

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    unsent: Unsent,
}

struct Shard {
    listener: TcpListener,
    /// Whether the listener is left alone, for want of descriptors.
    paused: bool,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    buffer: Vec<u8>,
    reading: Set,
    writing: Set,
}

impl Shard {
    fn new(listener: TcpListener, buffer_bytes: usize) -> io::Result<Self> {
        if listener.as_raw_fd() >= LIMIT {
            return Err(io::Error::other("select does not know the listener's descriptor"));
        }
        let set = vec![FdSetElement::default(); fd_set_num_elements(LIMIT as usize, LIMIT)];
        let mut shard = Self {
            listener,
            paused: false,
            connections: (0..LIMIT).map(|_| None).collect(),
            buffer: vec![0; buffer_bytes],
            reading: set.clone(),
            writing: set,
        };
        shard.listen(true);
        Ok(shard)
    }

    /// Takes the listener up again, or leaves it alone.
    fn listen(&mut self, on: bool) {
        let change = if on { fd_set_insert } else { fd_set_remove };
        change(&mut self.reading, self.listener.as_raw_fd());
        self.paused = !on;
    }

    fn serve(mut self, ready: &ReadySignal) -> io::Result<()> {
        let pause = Timespec::try_from(PAUSE).expect("a pause is short");
        let (mut readable, mut writable) = (self.reading.clone(), self.writing.clone());
        ready.send();
        loop {
            let bound = fd_set_bound(&self.reading).max(fd_set_bound(&self.writing));
            let words = fd_set_num_elements(LIMIT as usize, bound);
            let (readable, writable) = (&mut readable[..words], &mut writable[..words]);
            readable.copy_from_slice(&self.reading[..words]);
            writable.copy_from_slice(&self.writing[..words]);
            let timeout = self.paused.then_some(&pause);
            let writes = (fd_set_bound(writable) > 0).then_some(&mut *writable);
            // SAFETY: the sets have room for `bound` descriptors, and every one in them is open: it is
            // taken out before it is closed.
            match unsafe { select(bound, Some(readable), writes, None, timeout) } {
                Ok(0) => self.listen(true),
                Ok(_) => {
                    for fd in FdSetIter::new(readable) {
                        if fd == self.listener.as_raw_fd() {
                            self.accept()?;
                        } else {
                            self.turn(fd);
                        }
                    }
                    // A connection is in one of the sets.
                    for fd in FdSetIter::new(writable) {
                        self.turn(fd);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        match accept(&self.listener, DONT_BLOCK)? {
            Accepted::One(socket) => {
                let fd = socket.as_raw_fd();
                // What the sets have no room for is closed.
                if fd < LIMIT {
                    fd_set_insert(&mut self.reading, fd);
                    let connection = Connection { socket, unsent: Unsent::default() };
                    self.connections[fd as usize] = Some(connection);
                }
            }
            Accepted::None => {}
            Accepted::Exhausted => self.listen(false),
        }
        Ok(())
    }

    fn turn(&mut self, fd: RawFd) {
        // One that was opened since has its number, but not its event, from one that was closed.
        let Some(Connection { socket, unsent }) = &mut self.connections[fd as usize] else {
            return;
        };
        let was_blocked = !unsent.is_empty();
        let turn = if was_blocked {
            unsent.flush(&socket)
        } else {
            unsent.echo(&socket, &mut self.buffer)
        };
        match (turn, was_blocked) {
            (Turn::Ended, _) => {
                fd_set_remove(&mut self.reading, fd);
                fd_set_remove(&mut self.writing, fd);
                self.connections[fd as usize] = None;
                if self.paused {
                    self.listen(true);
                }
            }
            (Turn::Blocked, false) => {
                fd_set_remove(&mut self.reading, fd);
                fd_set_insert(&mut self.writing, fd);
            }
            (Turn::Done | Turn::More, true) => {
                fd_set_remove(&mut self.writing, fd);
                fd_set_insert(&mut self.reading, fd);
            }
            (Turn::Blocked, true) | (Turn::Done | Turn::More, false) => {}
        }
    }
}
