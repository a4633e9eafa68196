//! The epoll of one thread's share of a session.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::LoadError;

/// Events fetched by one system call. 10,000 connections take few calls; the events take 12 KiB.
const EVENTS_MAX: usize = 1024;

/// The longest read. A message of 100 KiB fits into it, and it fits into the second-level cache.
pub(crate) const READ_BYTES_MAX: usize = 128 * 1024;

/// Edge-triggered: a level-triggered epoll checks every reported socket again in the next call.
pub(crate) const READ: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// Flags that announce that a read will return the end of the stream or an error.
pub(crate) const END: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// Memory that a thread lends to the share that it works on, so that it stays in the CPU's cache.
pub(crate) struct Scratch {
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<Event>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let no_event = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Self { buffer: vec![0; READ_BYTES_MAX], events: vec![no_event; EVENTS_MAX] }
    }
}

pub(crate) struct Epoll {
    epoll: OwnedFd,
    /// Address of the lane, for errors.
    addr: SocketAddr,
}

impl Epoll {
    pub(crate) fn new(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, addr })
    }

    /// Watches a stream until it is closed. Its events carry the index.
    pub(crate) fn add(
        &self,
        stream: &TcpStream,
        index: usize,
        flags: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(index as u64), flags)?)
    }

    /// Changes the flags that a stream is watched for.
    pub(crate) fn modify(
        &self,
        stream: &TcpStream,
        index: usize,
        flags: EventFlags,
    ) -> Result<(), LoadError> {
        epoll::modify(&self.epoll, stream, EventData::new_u64(index as u64), flags)
            .map_err(|errno| self.failed("watch a connection", errno))
    }

    /// Waits for events and writes them to the start of `scratch.events`. Returns how many.
    pub(crate) fn wait(
        &self,
        scratch: &mut Scratch,
        timeout: Duration,
    ) -> Result<usize, LoadError> {
        // Only a timeout of 292 billion years does not fit. It has no limit.
        let timeout = Timespec::try_from(timeout).ok();
        match epoll::wait(&self.epoll, scratch.events.as_mut_slice(), timeout.as_ref()) {
            Ok(ready) => Ok(ready),
            Err(Errno::INTR) => Ok(0),
            Err(errno) => Err(self.failed("wait for events", errno)),
        }
    }

    #[cold]
    fn failed(&self, action: &'static str, errno: Errno) -> LoadError {
        LoadError::System { addr: self.addr, action, source: errno.into() }
    }
}
