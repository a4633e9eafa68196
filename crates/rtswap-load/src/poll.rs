//! The epoll of one thread's share of a session.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::LoadError;

/// Events fetched by one system call. Enough that 10,000 connections take few calls; 12 KiB.
const BATCH: usize = 1024;

/// Longest read, in bytes. A message of 100 KiB fits, and the second level cache holds it.
pub(crate) const LONGEST_READ: usize = 128 * 1024;

/// Edge-triggered: a level-triggered epoll looks at every socket a second time, in the call after
/// the one that reported it, to find that it has been emptied.
pub(crate) const READ: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// Flags that say that a read will meet an end or an error.
pub(crate) const END: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// What a thread lends to the share it works on, so that it stays in the thread's cache.
pub(crate) struct Scratch {
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<Event>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Self { buffer: vec![0; LONGEST_READ], events: vec![none; BATCH] }
    }
}

pub(crate) struct Poll {
    epoll: OwnedFd,
    /// Of the lane, for errors.
    addr: SocketAddr,
}

impl Poll {
    pub(crate) fn new(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, addr })
    }

    /// Watches a stream. Its events carry the index. Closing the stream ends it.
    pub(crate) fn add(
        &self,
        stream: &TcpStream,
        index: usize,
        flags: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(index as u64), flags)?)
    }

    /// Watches a stream for something else.
    pub(crate) fn modify(
        &self,
        stream: &TcpStream,
        index: usize,
        flags: EventFlags,
    ) -> Result<(), LoadError> {
        epoll::modify(&self.epoll, stream, EventData::new_u64(index as u64), flags)
            .map_err(|errno| self.system("watch a connection", errno))
    }

    /// Waits for events and puts them at the start of those of `scratch`. Returns how many.
    pub(crate) fn wait(
        &self,
        scratch: &mut Scratch,
        timeout: Duration,
    ) -> Result<usize, LoadError> {
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
