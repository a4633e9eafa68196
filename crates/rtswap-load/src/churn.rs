//! Connections that are made anew for each message.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::event::epoll::{Event, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::connection::{Connection, Pulled};
use crate::pace::{Pace, Quota, Watch};
use crate::pattern::Pattern;
use crate::poll::{END, Poll, READ, Scratch};
use crate::share::{Opening, connect_error, read_size};
use crate::source::Source;
use crate::{LoadError, Target};

/// How many source addresses without a port are tried before ports count as used up.
const ADDRESSES_TRIED: u32 = 4;

/// One loop: operation after operation.
struct Lap {
    /// The connection of the operation under way.
    connection: Option<Connection>,
    /// Whether the answer has come, so that the end of the lane's stream is due.
    answered: bool,
    /// Operations completed since the session was opened.
    message: u64,
    /// Operations completed in the present exchange.
    completed: u64,
    /// Where the present message starts in the pattern.
    offset: usize,
}

/// One thread's share of the loops of a session. Between exchanges it has no connection.
///
/// On the loopback a connection is established before `connect` returns, although a non-blocking
/// one says `EINPROGRESS` even then: so the message is sent at once, and only where the socket does
/// not take it is writability waited for. Nothing is watched before that, so that one order to the
/// epoll is all that a connection needs.
pub(crate) struct Churn {
    target: Target,
    poll: Poll,
    laps: Vec<Lap>,
    /// The number of the first of them within the session.
    first: usize,
    /// Laps whose next operation is to start, in turn.
    waiting: VecDeque<usize>,
    /// Connections without an answer yet; at most `wave`.
    unanswered: usize,
    wave: usize,
    /// Connections open.
    open: usize,
    /// Connections begun since the session was opened.
    begun: usize,
    source: Option<Source>,
    pattern: Arc<Pattern>,
    read_size: usize,
}

impl Churn {
    /// Does one operation on each loop.
    pub(crate) fn open(
        opening: Opening,
        scratch: &mut Scratch,
        watch: &Watch,
    ) -> Result<Self, LoadError> {
        let Opening { target, numbers, wave, pattern } = opening;
        let lap = |number| Lap {
            connection: None,
            answered: false,
            message: 0,
            completed: 0,
            offset: pattern.first(number),
        };
        let mut share = Self {
            target,
            poll: Poll::new(target.addr).map_err(|error| connect_error(&target, 0, 0, error))?,
            laps: numbers.clone().map(lap).collect(),
            first: numbers.start,
            waiting: VecDeque::with_capacity(numbers.len()),
            unanswered: 0,
            wave,
            open: 0,
            begun: 0,
            source: Source::towards(target.addr),
            read_size: read_size(&target),
            pattern,
        };
        share.exchange(scratch, &mut Quota::new(1, watch.clone()))?;
        Ok(share)
    }

    /// Does operations on all loops for as long as the pace says, then completes those under way.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        for lap in &mut self.laps {
            lap.completed = 0;
        }
        self.waiting.extend(0..self.laps.len());
        let mut moved = true;
        loop {
            let timeout = pace.tick(Instant::now(), moved, self.open + self.waiting.len())?;
            if pace.is_over() {
                self.waiting.clear();
            }
            self.start_waiting()?;
            if self.open == 0 {
                return Ok(());
            }
            let ready = self.poll.wait(scratch, timeout)?;
            moved = false;
            for at in 0..ready {
                let Event { flags, data } = scratch.events[at];
                let buffer = &mut scratch.buffer[..self.read_size];
                moved |= self.advance(data.u64() as usize, flags, buffer, pace)?;
            }
        }
    }

    /// Starts what waits, as far as the lane's queue is known to have room.
    fn start_waiting(&mut self) -> Result<(), LoadError> {
        while self.unanswered < self.wave {
            let Some(index) = self.waiting.pop_front() else { break };
            self.start(index)?;
        }
        Ok(())
    }

    /// Connects and sends.
    fn start(&mut self, index: usize) -> Result<(), LoadError> {
        let (stream, begun) = self.connect().map_err(|error| self.failed(error))?;
        self.begun += 1;
        self.open += 1;
        self.unanswered += 1;
        let lap = &mut self.laps[index];
        let number = self.first + index;
        let connection = lap.connection.insert(Connection::new(
            stream,
            self.target.addr,
            number,
            lap.message,
            lap.offset,
        ));
        lap.answered = false;
        let all = match connection.begin(&self.pattern, begun) {
            Ok(all) => all,
            Err(error) => return Err(self.explain(index, error)),
        };
        let flags = if all { READ } else { READ.union(EventFlags::OUT) };
        self.poll.add(connection.stream(), index, flags).map_err(|error| self.failed(error))
    }

    /// A stream that is connecting, and since when.
    fn connect(&mut self) -> io::Result<(TcpStream, Instant)> {
        let mut tried = 0;
        loop {
            let addr = self.target.addr;
            let kind = Type::STREAM.nonblocking();
            let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
            rtswap_runtime::socket::tune(&socket)?;
            if let Some(source) = &mut self.source {
                setsockopt(&socket, IpBindAddressNoPort, &true)?;
                match socket.bind(&SocketAddr::from((source.next(), 0)).into()) {
                    Err(error) if is(&error, Errno::ADDRNOTAVAIL) => {
                        // A loopback with fewer addresses than is usual. The socket is as good
                        // without one.
                        self.source = None;
                    }
                    bound => bound?,
                }
            }
            let begun = Instant::now();
            match (socket.connect(&addr.into()), &mut self.source) {
                (Err(error), Some(source))
                    if is(&error, Errno::ADDRNOTAVAIL) && tried < ADDRESSES_TRIED =>
                {
                    // Far fewer ports than by default, or others that use this address, too.
                    source.leave();
                    tried += 1;
                }
                (Err(error), _) if !is(&error, Errno::INPROGRESS) => return Err(error),
                _ => return Ok((socket.into(), begun)),
            }
        }
    }

    /// Takes an operation further, as its events allow. Returns whether anything moved.
    fn advance(
        &mut self,
        index: usize,
        flags: EventFlags,
        buffer: &mut [u8],
        pace: &mut impl Pace,
    ) -> Result<bool, LoadError> {
        let lap = &mut self.laps[index];
        let Some(connection) = &mut lap.connection else { return Ok(false) };
        if flags.intersects(EventFlags::IN.union(END)) {
            if lap.answered {
                if !connection.ended(buffer)? {
                    return Ok(false);
                }
                self.complete(index, pace);
                return self.start_waiting().map(|()| true);
            }
            // An end that is there already is one that the lane was not asked for.
            match connection.pull(&self.pattern, buffer, flags.intersects(END)) {
                Ok(Pulled::Whole) => {
                    connection.end()?;
                    lap.answered = true;
                    self.unanswered -= 1;
                    return self.start_waiting().map(|()| true);
                }
                Ok(Pulled::Part) => return self.push_rest(index, flags).map(|_| true),
                Ok(Pulled::Nothing) => {}
                Err(error) => return Err(self.explain(index, error)),
            }
        }
        self.push_rest(index, flags)
    }

    /// Sends more of the message where there is room. Returns whether there was.
    fn push_rest(&mut self, index: usize, flags: EventFlags) -> Result<bool, LoadError> {
        let Some(connection) = &mut self.laps[index].connection else { return Ok(false) };
        if !flags.contains(EventFlags::OUT) || !connection.wants_push(&self.pattern) {
            return Ok(false);
        }
        match connection.push(&self.pattern) {
            Ok(_) => Ok(true),
            Err(error) => Err(self.explain(index, error)),
        }
    }

    /// Closes the connection of an operation, and lines up for the next if there is to be one.
    fn complete(&mut self, index: usize, pace: &mut impl Pace) {
        let now = Instant::now();
        let lap = &mut self.laps[index];
        let begun = lap.connection.take().map_or(now, |connection| connection.begun);
        self.open -= 1;
        lap.message += 1;
        lap.completed += 1;
        lap.offset = self.pattern.next(lap.offset);
        if pace.completed(now, begun, lap.completed) {
            self.waiting.push_back(index);
        } else if pace.is_over() {
            self.waiting.clear();
        }
    }

    #[cold]
    fn failed(&self, source: io::Error) -> LoadError {
        connect_error(&self.target, self.begun, self.open, source)
    }

    /// What an error means on a connection that may not have been established: then it says why.
    #[cold]
    fn explain(&self, index: usize, error: LoadError) -> LoadError {
        let has_sent = self.laps[index].connection.as_ref().is_some_and(Connection::has_sent);
        match error {
            LoadError::System { source, .. } if !has_sent => {
                connect_error(&self.target, self.begun - 1, self.open - 1, source)
            }
            error => error,
        }
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
