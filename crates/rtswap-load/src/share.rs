//! One thread's share of a session: its connections and the epoll they are registered with.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::time::Timespec;

use crate::connection::{Connection, Pulled};
use crate::pace::{Pace, Quota, Watch};
use crate::pattern::Pattern;
use crate::{LoadError, Target};

/// Events fetched by one system call. Enough that 10,000 connections take few calls; 12 KiB.
const BATCH: usize = 1024;

/// Longest read, in bytes. A message of 100 KiB fits, and the second level cache holds it.
const LONGEST_READ: usize = 128 * 1024;

/// Edge-triggered: a level-triggered epoll looks at every socket a second time, in the call after
/// the one that reported it, to find that it has been emptied.
const READ: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// Flags that say that a read will meet an end or an error.
const END: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// What a thread lends to the share it works on, so that it stays in the thread's cache.
pub(crate) struct Scratch {
    buffer: Vec<u8>,
    events: Vec<Event>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Self { buffer: vec![0; LONGEST_READ], events: vec![none; BATCH] }
    }
}

/// What to connect.
pub(crate) struct Opening {
    pub(crate) target: Target,
    /// The numbers, within the session, of the connections of this share.
    pub(crate) numbers: Range<usize>,
    /// How many connections to open before each has to answer.
    pub(crate) wave: usize,
    pub(crate) pattern: Arc<Pattern>,
}

pub(crate) struct Share {
    addr: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    pattern: Arc<Pattern>,
    /// How much of the buffer a read is given: one more than a message.
    read_size: usize,
}

impl Share {
    /// Opens the connections, in waves. Every connection of a wave exchanges one message before
    /// the next wave starts, so never are more connections waiting to be accepted than a wave has:
    /// where the queue of the listener overflows, the kernel drops connections silently and tries
    /// again after a second.
    pub(crate) fn open(
        opening: Opening,
        scratch: &mut Scratch,
        watch: &Watch,
    ) -> Result<Self, LoadError> {
        let Opening { target, numbers, wave, pattern } = opening;
        let failed = |opened, error| connect_error(&target, opened, error);
        let mut share = Self {
            addr: target.addr,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(|errno| failed(0, errno.into()))?,
            connections: Vec::with_capacity(numbers.len()),
            read_size: LONGEST_READ.min(target.size + 1),
            pattern,
        };
        let mut fresh = 0;
        for number in numbers.clone() {
            watch.cancelled()?;
            let opened = share.connections.len();
            let stream =
                connect(target.addr, watch.stall).map_err(|error| failed(opened, error))?;
            epoll::add(&share.epoll, &stream, EventData::new_u64(opened as u64), READ)
                .map_err(|errno| failed(opened, errno.into()))?;
            share.connections.push(Connection::new(stream, target.addr, number, &share.pattern));
            if opened + 1 - fresh == wave || number + 1 == numbers.end {
                let mut pace = Quota::new(1, watch.clone());
                share.exchange_from(fresh, scratch, &mut pace)?;
                fresh = opened + 1;
            }
        }
        Ok(share)
    }

    /// Exchanges messages on all connections for as long as the pace says, then takes in what is
    /// still in flight.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        self.exchange_from(0, scratch, pace)
    }

    fn exchange_from(
        &mut self,
        first: usize,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        self.expect_silence(scratch)?;
        let mut outstanding = 0;
        for index in first..self.connections.len() {
            self.connections[index].completed = 0;
            self.begin(index, Instant::now())?;
            outstanding += 1;
        }
        let mut now = Instant::now();
        let mut moved = true;
        while outstanding > 0 {
            let timeout = pace.tick(now, moved, outstanding)?;
            let ready = self.wait(scratch, timeout)?;
            let mut stamped = false;
            moved = false;
            for &Event { flags, data } in &scratch.events[..ready] {
                let index = data.u64() as usize;
                let connection = &mut self.connections[index];
                if flags.intersects(EventFlags::IN.union(END)) {
                    let buffer = &mut scratch.buffer[..self.read_size];
                    let pulled = connection.pull(&self.pattern, buffer, flags.intersects(END))?;
                    moved |= pulled != Pulled::Nothing;
                    if pulled == Pulled::Whole {
                        // The only reading of the clock per message: the end of this one and the
                        // beginning of the next.
                        now = Instant::now();
                        stamped = true;
                        if pace.completed(now, connection.begun, connection.completed) {
                            self.begin(index, now)?;
                        } else {
                            outstanding -= 1;
                        }
                        continue;
                    }
                }
                if flags.contains(EventFlags::OUT) && connection.wants_push(&self.pattern) {
                    connection.push(&self.pattern)?;
                    moved = true;
                }
            }
            if !stamped {
                now = Instant::now();
            }
        }
        self.expect_silence(scratch)
    }

    /// Begins a message. Writability is watched only once a connection has needed it, and from
    /// then on always: edges of it cost nothing unless a write has failed for lack of space,
    /// while switching it on and off would cost two system calls a message.
    fn begin(&mut self, index: usize, now: Instant) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        if !connection.begin(&self.pattern, now)? && !connection.watches_write {
            connection.watches_write = true;
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, connection.stream(), data, READ.union(EventFlags::OUT))
                .map_err(|errno| self.system("watch a connection", errno))?;
        }
        Ok(())
    }

    /// Fails if a connection has something to read while none is due: a surplus, or an end.
    fn expect_silence(&mut self, scratch: &mut Scratch) -> Result<(), LoadError> {
        loop {
            let ready = self.wait(scratch, Duration::ZERO)?;
            for &Event { flags, data } in &scratch.events[..ready] {
                if flags.intersects(EventFlags::IN.union(END)) {
                    let buffer = &mut scratch.buffer[..self.read_size];
                    self.connections[data.u64() as usize].pull(&self.pattern, buffer, true)?;
                }
            }
            if ready < scratch.events.len() {
                return Ok(());
            }
        }
    }

    fn wait(&self, scratch: &mut Scratch, timeout: Duration) -> Result<usize, LoadError> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match epoll::wait(&self.epoll, scratch.events.as_mut_slice(), Some(&timeout)) {
            Ok(ready) => Ok(ready),
            Err(Errno::INTR) => Ok(0),
            Err(errno) => Err(self.system("wait for events", errno)),
        }
    }

    #[cold]
    fn system(&self, action: &'static str, errno: Errno) -> LoadError {
        LoadError::System { addr: self.addr, action, source: errno.into() }
    }
}

fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, timeout)?;
    rtswap_runtime::socket::tune(&stream)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn connect_error(target: &Target, opened: usize, source: io::Error) -> LoadError {
    let Target { addr, conns, .. } = *target;
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => LoadError::Refused { addr, opened },
        Some(Errno::MFILE | Errno::NFILE) => LoadError::Descriptors {
            addr,
            opened,
            conns,
            limit: (getrlimit(Resource::Nofile).current)
                .map_or_else(|| "unlimited".into(), |limit| limit.to_string()),
        },
        Some(Errno::ADDRNOTAVAIL) => LoadError::Ports { addr, opened, conns },
        _ => LoadError::Connect { addr, opened, source },
    }
}
