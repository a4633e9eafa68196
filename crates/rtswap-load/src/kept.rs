//! Connections that are kept: each, or some of them, with something in flight.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{Event, EventFlags};

use crate::LoadError;
use crate::connection::Pulled;
use crate::pace::{Pace, Quota, Watch};
use crate::poll::{END, Poll, READ, Scratch};
use crate::share::{Opening, connect_error};

/// What is said on a connection: messages are sent, one or several at once, and their answers read and
/// checked.
pub(crate) trait Talk: Sized {
    /// What all connections of a share have in common.
    type Script;

    /// Takes over a non-blocking stream.
    fn over(stream: TcpStream, addr: SocketAddr, number: usize, script: &Self::Script) -> Self;

    fn stream(&self) -> &TcpStream;

    /// Counts completed messages from 0 again.
    fn restart(&mut self);

    /// Begins what is to be sent at once, of at most `most` messages (never 0), and sends what the socket
    /// takes of it. Returns whether that was all.
    fn begin(&mut self, script: &Self::Script, now: Instant, most: u64) -> Result<bool, LoadError>;

    /// Whether something is still to be sent.
    fn wants_push(&self, script: &Self::Script) -> bool;

    /// Sends what the socket takes. Returns whether that was all.
    fn push(&mut self, script: &Self::Script) -> Result<bool, LoadError>;

    /// Reads what has come and checks it; with `to_the_end`, until the end or error is met that the
    /// kernel has reported. Returns the numbers of the messages that were completed, too, the first
    /// since [`restart`](Self::restart) being 1.
    fn pull(
        &mut self,
        script: &mut Self::Script,
        buffer: &mut [u8],
        to_the_end: bool,
    ) -> Result<(Pulled, RangeInclusive<u64>), LoadError>;

    /// When what is in flight was begun.
    fn begun(&self) -> Instant;
}

/// One thread's share of the connections of a session.
pub(crate) struct Kept<T: Talk> {
    poll: Poll,
    connections: Vec<T>,
    /// Of each connection, whether the epoll was told to report writability.
    watches_write: Vec<bool>,
    /// Indices of the connections that exchange messages; the others stay silent.
    active: Arc<[usize]>,
    script: T::Script,
    /// How much of the buffer a read is given: more than comes at once.
    read_size: usize,
}

impl<T: Talk> Kept<T> {
    /// Opens the connections, in waves. Every connection of a wave exchanges one message before
    /// the next wave starts, so never are more connections waiting to be accepted than a wave has:
    /// where the queue of the listener overflows, the kernel drops connections silently and tries
    /// again after a second.
    ///
    /// `is_active` tells, of the number of a connection, whether it is to exchange messages
    /// afterwards.
    pub(crate) fn open(
        opening: Opening,
        script: T::Script,
        read_size: usize,
        is_active: impl Fn(usize) -> bool,
        scratch: &mut Scratch,
        watch: &Watch,
    ) -> Result<Self, LoadError> {
        let Opening { target, numbers, wave, .. } = opening;
        let failed = |opened, error| connect_error(&target, opened, opened, error);
        let first = numbers.start;
        let mut share = Self {
            poll: Poll::new(target.addr).map_err(|error| failed(0, error))?,
            connections: Vec::with_capacity(numbers.len()),
            watches_write: vec![false; numbers.len()],
            active: numbers.clone().filter(|&n| is_active(n)).map(|n| n - first).collect(),
            read_size,
            script,
        };
        let mut fresh = 0;
        for number in numbers.clone() {
            watch.cancelled()?;
            let opened = share.connections.len();
            let stream =
                connect(target.addr, watch.stall).map_err(|error| failed(opened, error))?;
            share.poll.add(&stream, opened, READ).map_err(|error| failed(opened, error))?;
            share.connections.push(T::over(stream, target.addr, number, &share.script));
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
            self.connections[index].restart();
            self.begin(index, Instant::now(), pace.left(0))?;
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
                    let to_the_end = flags.intersects(END);
                    let (pulled, done) = connection.pull(&mut self.script, buffer, to_the_end)?;
                    moved |= pulled != Pulled::Nothing;
                    if !done.is_empty() {
                        // The only reading of the clock for what has come at once: the end of that
                        // and the beginning of what is next.
                        now = Instant::now();
                        stamped = true;
                        let (begun, last) = (connection.begun(), *done.end());
                        let mut goes_on = true;
                        for nth in done {
                            goes_on = pace.completed(now, begun, nth);
                        }
                        if pulled == Pulled::Whole {
                            if goes_on {
                                self.begin(index, now, pace.left(last))?;
                            } else {
                                outstanding -= 1;
                            }
                            continue;
                        }
                    }
                }
                if flags.contains(EventFlags::OUT) && connection.wants_push(&self.script) {
                    connection.push(&self.script)?;
                    moved = true;
                }
            }
            if !stamped {
                now = Instant::now();
            }
        }
        self.expect_silence(scratch)
    }

    /// Begins what is sent at once. Writability is watched only once a connection has needed it, and
    /// from then on always: edges of it cost nothing unless a write has failed for lack of space,
    /// while switching it on and off would cost two system calls a message.
    fn begin(&mut self, index: usize, now: Instant, most: u64) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        if !connection.begin(&self.script, now, most)? && !self.watches_write[index] {
            self.watches_write[index] = true;
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
                    self.connections[data.u64() as usize].pull(&mut self.script, buffer, true)?;
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
