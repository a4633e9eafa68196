//! Connections that are kept: each, or some of them, with one message in flight.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{Event, EventFlags};

use crate::LoadError;
use crate::connection::{Connection, Pulled};
use crate::pace::{Pace, Quota, Watch};
use crate::pattern::Pattern;
use crate::poll::{END, Poll, READ, Scratch};
use crate::share::{Opening, connect_error, read_size};

/// One thread's share of the connections of a session.
pub(crate) struct Kept {
    poll: Poll,
    connections: Vec<Connection>,
    /// Indices of the connections that exchange messages; the others stay silent.
    active: Arc<[usize]>,
    pattern: Arc<Pattern>,
    /// How much of the buffer a read is given: one more than a message.
    read_size: usize,
}

impl Kept {
    /// Opens the connections, in waves. Every connection of a wave exchanges one message before
    /// the next wave starts, so never are more connections waiting to be accepted than a wave has:
    /// where the queue of the listener overflows, the kernel drops connections silently and tries
    /// again after a second.
    ///
    /// `is_active` tells, of the number of a connection, whether it is to exchange messages
    /// afterwards.
    pub(crate) fn open(
        opening: Opening,
        is_active: impl Fn(usize) -> bool,
        scratch: &mut Scratch,
        watch: &Watch,
    ) -> Result<Self, LoadError> {
        let Opening { target, numbers, wave, pattern } = opening;
        let failed = |opened, error| connect_error(&target, opened, opened, error);
        let first = numbers.start;
        let mut share = Self {
            poll: Poll::new(target.addr).map_err(|error| failed(0, error))?,
            connections: Vec::with_capacity(numbers.len()),
            active: numbers.clone().filter(|&n| is_active(n)).map(|n| n - first).collect(),
            read_size: read_size(&target),
            pattern,
        };
        let mut fresh = 0;
        for number in numbers.clone() {
            watch.cancelled()?;
            let opened = share.connections.len();
            let stream =
                connect(target.addr, watch.stall).map_err(|error| failed(opened, error))?;
            share.poll.add(&stream, opened, READ).map_err(|error| failed(opened, error))?;
            let offset = share.pattern.first(number);
            share.connections.push(Connection::new(stream, target.addr, number, 0, offset));
            if opened + 1 - fresh == wave || number + 1 == numbers.end {
                let mut pace = Quota::new(1, watch.clone());
                share.exchange_on(fresh..=opened, scratch, &mut pace)?;
                fresh = opened + 1;
            }
        }
        Ok(share)
    }

    /// Exchanges messages on the active connections for as long as the pace says, then takes in what is
    /// still in flight.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        let active = Arc::clone(&self.active);
        self.exchange_on(active.iter().copied(), scratch, pace)
    }

    fn exchange_on(
        &mut self,
        indices: impl Iterator<Item = usize>,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        self.expect_silence(scratch)?;
        let mut outstanding = 0;
        for index in indices {
            self.connections[index].completed = 0;
            self.begin(index, Instant::now())?;
            outstanding += 1;
        }
        let mut now = Instant::now();
        let mut moved = true;
        while outstanding > 0 {
            let timeout = pace.tick(now, moved, outstanding)?;
            let ready = self.poll.wait(scratch, timeout)?;
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
            self.poll.modify(connection.stream(), index, READ.union(EventFlags::OUT))?;
        }
        Ok(())
    }

    /// Fails if a connection has something to read while none is due: a surplus, or an end.
    fn expect_silence(&mut self, scratch: &mut Scratch) -> Result<(), LoadError> {
        loop {
            let ready = self.poll.wait(scratch, Duration::ZERO)?;
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
}

fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, timeout)?;
    rtswap_runtime::socket::tune(&stream)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
