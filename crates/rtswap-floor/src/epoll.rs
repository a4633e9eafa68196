//! `epoll(7)`, edge-triggered.
//!
//! Edge-triggered, because the kernel polls a level-triggered descriptor a second time at the next
//! wait, only to find that it is no longer readable. The price is that a connection has to be read
//! until a read comes back short.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

use rtswap_lane::host::Program;
use rtswap_lane::{Prepare, ReadySignal, Refusal};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::accept::{Accepted, DONT_BLOCK, PAUSE, accept};
use crate::connection::{Turn, Unsent};
use crate::order::{Task, buffer_note, sharded, start};
use crate::{Floor, always};

pub(crate) const FLOOR: Floor = Floor {
    name: "floor-epoll",
    about: "epoll by hand, edge-triggered",
    driver: "epoll",
    available: always,
    prepare,
};

/// Events that are fetched at once.
const BATCH: usize = 256;
/// Stands for the listener, where a connection's event has its descriptor.
const LISTENER: u64 = u64::MAX;
/// Full buffers that one connection is read before others have their turn.
const READS: usize = 16;

/// The end of a stream is asked for as well: it may arrive with the last bytes, and there is no second
/// edge for it.
const READABLE: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
const WRITABLE: EventFlags = EventFlags::OUT.union(EventFlags::ET);
/// After these a read that comes back short is not the last one.
const ENDING: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    let task = Task::of(order)?;
    let buffer_bytes = task.read_bytes;
    let notes = vec![("trigger", "edge".to_owned()), buffer_note(buffer_bytes)];
    start(order, &task, &sharded(order), FLOOR.driver, notes, move |listener, ready| {
        Shard::new(listener, buffer_bytes)?.serve(ready)
    })
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    unsent: Unsent,
}

struct Shard {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Whether the listener is left alone, for want of descriptors.
    paused: bool,
    /// By descriptor. In one batch there is at most one event for each descriptor, so that none is
    /// taken for one of the connection that had its number before.
    connections: Vec<Option<Connection>>,
    buffer: Vec<u8>,
}

impl Shard {
    fn new(listener: TcpListener, buffer_bytes: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let (connections, buffer) = (Vec::new(), vec![0; buffer_bytes]);
        Ok(Self { epoll, listener, paused: false, connections, buffer })
    }

    fn serve(mut self, ready: &ReadySignal) -> io::Result<()> {
        let pause = Timespec::try_from(PAUSE).expect("a pause is short");
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        ready.send();
        loop {
            events.clear();
            let timeout = self.paused.then_some(&pause);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout) {
                Ok(0) => self.listen(true)?,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    fd => self.turn(fd as usize, event.flags)?,
                }
            }
        }
    }

    /// Takes the listener up again, or leaves it alone.
    fn listen(&mut self, on: bool) -> io::Result<()> {
        let flags = if on { EventFlags::IN } else { EventFlags::empty() };
        epoll::modify(&self.epoll, &self.listener, EventData::new_u64(LISTENER), flags)?;
        self.paused = !on;
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        // One only: to find that there is no other costs more than to be told of it again, because the
        // kernel makes a socket before it looks. So the listener alone is level-triggered.
        match accept(&self.listener, DONT_BLOCK)? {
            Accepted::One(socket) => self.open(socket),
            Accepted::None => Ok(()),
            Accepted::Exhausted => self.listen(false),
        }
    }

    fn open(&mut self, socket: OwnedFd) -> io::Result<()> {
        let fd = socket.as_raw_fd() as usize;
        match epoll::add(&self.epoll, &socket, EventData::new_u64(fd as u64), READABLE) {
            Ok(()) => {}
            // Too many watches, or no memory for one: the connection is refused, the others go on.
            Err(Errno::NOSPC | Errno::NOMEM) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if fd >= self.connections.len() {
            self.connections.resize_with(fd + 1, || None);
        }
        self.connections[fd] = Some(Connection { socket, unsent: Unsent::default() });
        Ok(())
    }

    fn turn(&mut self, fd: usize, flags: EventFlags) -> io::Result<()> {
        let Some(Some(Connection { socket, unsent })) = self.connections.get_mut(fd) else {
            return Ok(());
        };
        let data = EventData::new_u64(fd as u64);
        let was_blocked = !unsent.is_empty();
        let mut turn = if was_blocked { unsent.flush(&socket) } else { Turn::More };
        if !was_blocked {
            for _ in 0..READS {
                turn = unsent.echo(&socket, &mut self.buffer);
                match turn {
                    Turn::More => {}
                    Turn::Done if flags.intersects(ENDING) => turn = Turn::More,
                    _ => break,
                }
            }
        }
        match turn {
            Turn::Done => {}
            // Asking again makes an edge of what is there already.
            Turn::More => epoll::modify(&self.epoll, &socket, data, READABLE)?,
            Turn::Blocked if was_blocked => {}
            Turn::Blocked => epoll::modify(&self.epoll, &socket, data, WRITABLE)?,
            Turn::Ended => {
                self.connections[fd] = None;
                if self.paused {
                    self.listen(true)?;
                }
            }
        }
        Ok(())
    }
}
