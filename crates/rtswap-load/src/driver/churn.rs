//! Loops that open a new connection for each message.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::event::epoll::{Event, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::share::{ShareConfig, connect_error, read_bytes};
use super::source_addresses::SourceAddresses;
use crate::control::ExchangeControl;
use crate::control::paced::PacedWindow;
use crate::control::quota::MessageQuota;
use crate::control::watchdog::Limits;
use crate::io::epoll::{END, Epoll, READ, Scratch};
use crate::protocol::echo::EchoConnection;
use crate::protocol::echo::pattern::Pattern;
use crate::protocol::{Connection, ReadOutcome};
use crate::{LoadError, Target};

/// How many source addresses without a free port are tried before the error is reported.
const ADDRESSES_TRIED_MAX: u32 = 4;

/// One loop. It performs operation after operation.
struct ChurnLoop {
    /// The connection of the present operation.
    connection: Option<EchoConnection>,
    /// Whether the answer has come, so that the end of the lane's stream is due.
    is_answered: bool,
    /// Operations completed since the session was opened.
    message: u64,
    /// Operations completed in the present exchange.
    completed: u64,
    /// Where the present message starts in the pattern.
    offset: usize,
}

/// How far an event has brought an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Advance {
    /// Nothing moved.
    None,
    Some,
    /// The lane has ended its stream after the answer.
    Completed,
}

/// One thread's share of the loops of a session. Between exchanges it has no connection.
///
/// On the loopback, a connection is established before `connect` returns, although a non-blocking
/// `connect` returns `EINPROGRESS`. Therefore the message is sent at once. The connection is watched
/// for writability only if the socket does not take the message. It is added to the epoll after
/// the attempt to send, so that each connection needs only one `epoll_ctl`.
pub(crate) struct ChurnLoops {
    target: Target,
    epoll: Epoll,
    loops: Vec<ChurnLoop>,
    /// The number of the first loop within the session.
    first: usize,
    /// Loops that wait to start their next operation, in order.
    waiting: VecDeque<usize>,
    /// Connections without an answer yet; at most `pending_max`.
    pending: usize,
    pending_max: usize,
    /// Open connections.
    open: usize,
    /// Connections started since the session was opened.
    opened: usize,
    sources: Option<SourceAddresses>,
    pattern: Arc<Pattern>,
    read_bytes: usize,
}

impl ChurnLoops {
    /// Performs one operation on each loop.
    pub(crate) fn open(
        config: ShareConfig,
        scratch: &mut Scratch,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let ShareConfig { target, conns, pending_max, pattern } = config;
        let new_loop = |number| ChurnLoop {
            connection: None,
            is_answered: false,
            message: 0,
            completed: 0,
            offset: pattern.first(number),
        };
        let addr = target.first_addr();
        let mut share = Self {
            epoll: Epoll::new(addr).map_err(|error| connect_error(&target, addr, 0, 0, error))?,
            loops: conns.clone().map(new_loop).collect(),
            first: conns.start,
            waiting: VecDeque::with_capacity(conns.len()),
            pending: 0,
            pending_max,
            open: 0,
            opened: 0,
            sources: SourceAddresses::towards(&target.addrs),
            read_bytes: read_bytes(&target),
            pattern,
            target,
        };
        share.exchange(scratch, &mut MessageQuota::new(1, limits.clone()))?;
        Ok(share)
    }

    /// Performs operations on all loops for as long as `control` says, then completes those under
    /// way.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        control: &mut impl ExchangeControl,
    ) -> Result<(), LoadError> {
        for each in &mut self.loops {
            each.completed = 0;
        }
        self.waiting.extend(0..self.loops.len());
        let mut moved = true;
        loop {
            let timeout = control.tick(Instant::now(), moved, self.open + self.waiting.len())?;
            if control.is_over() {
                self.waiting.clear();
            }
            self.start_waiting()?;
            if self.open == 0 {
                return Ok(());
            }
            let ready = self.epoll.wait(scratch, timeout)?;
            moved = false;
            for at in 0..ready {
                let Event { flags, data } = scratch.events[at];
                let (index, buffer) = (data.u64() as usize, &mut scratch.buffer[..self.read_bytes]);
                let advance = self.advance(index, flags, buffer)?;
                moved |= advance != Advance::None;
                if advance == Advance::Completed {
                    let (now, started_at) = self.complete(index);
                    if control.completed(now, started_at, self.loops[index].completed) {
                        self.waiting.push_back(index);
                    } else if control.is_over() {
                        self.waiting.clear();
                    }
                }
                self.start_waiting()?;
            }
        }
    }

    /// Performs operations as they become due, until the window of `control` is over and its operations
    /// are completed. One that is due goes to the loop that has been free for longest.
    pub(crate) fn exchange_paced(
        &mut self,
        scratch: &mut Scratch,
        control: &mut PacedWindow<'_>,
    ) -> Result<(), LoadError> {
        let mut now = Instant::now();
        let mut free: VecDeque<_> = (0..self.loops.len()).map(|index| (index, now)).collect();
        let mut due = vec![VecDeque::new(); self.loops.len()];
        let mut moved = true;
        loop {
            let timeout = control.tick(now, moved, self.open)?;
            self.start_due(&mut free, &mut due, control)?;
            if control.is_over(self.open) {
                return Ok(());
            }
            let ready = self.epoll.wait(scratch, timeout)?;
            moved = false;
            for at in 0..ready {
                let Event { flags, data } = scratch.events[at];
                let (index, buffer) = (data.u64() as usize, &mut scratch.buffer[..self.read_bytes]);
                let advance = self.advance(index, flags, buffer)?;
                moved |= advance != Advance::None;
                if advance == Advance::Completed {
                    let (now, _) = self.complete(index);
                    let due = due[index].pop_front().expect("the loop has an operation");
                    control.completed(now, due);
                    free.push_back((index, now));
                }
                // Now, and not after the other events: they would make it late.
                self.start_due(&mut free, &mut due, control)?;
            }
            now = Instant::now();
        }
    }

    /// Starts the operations that are due on the loops that are free, up to the limit of pending
    /// connections.
    fn start_due(
        &mut self,
        free: &mut VecDeque<(usize, Instant)>,
        due: &mut [VecDeque<Instant>],
        control: &mut PacedWindow<'_>,
    ) -> Result<(), LoadError> {
        while control.has_due() && self.pending < self.pending_max {
            let Some((index, free_since)) = free.pop_front() else { break };
            control.take(1, Instant::now(), free_since, &mut due[index]);
            self.start(index)?;
        }
        Ok(())
    }

    /// Starts waiting loops, up to the limit of pending connections.
    fn start_waiting(&mut self) -> Result<(), LoadError> {
        while self.pending < self.pending_max {
            let Some(index) = self.waiting.pop_front() else { break };
            self.start(index)?;
        }
        Ok(())
    }

    /// Connects and sends.
    fn start(&mut self, index: usize) -> Result<(), LoadError> {
        // In turn, and not by the loop: loops that go to a slow shard would open fewer connections.
        let addr = self.target.addr_of_turn(self.first + self.opened);
        let (stream, started_at) = self.connect(addr).map_err(|error| self.failed(addr, error))?;
        self.opened += 1;
        self.open += 1;
        self.pending += 1;
        let each = &mut self.loops[index];
        let (conn, message, offset) = (self.first + index, each.message, each.offset);
        let connection = each
            .connection
            .insert(EchoConnection::starting_at(stream, addr, conn, message, offset));
        each.is_answered = false;
        let is_sent = match connection.start_batch(&self.pattern, started_at, 1) {
            Ok(is_sent) => is_sent,
            Err(error) => return Err(self.explain(index, error)),
        };
        let flags = if is_sent { READ } else { READ.union(EventFlags::OUT) };
        self.epoll.add(connection.stream(), index, flags).map_err(|error| self.failed(addr, error))
    }

    /// A stream that is connecting, and when that started.
    fn connect(&mut self, addr: SocketAddr) -> io::Result<(TcpStream, Instant)> {
        let mut tried = 0;
        loop {
            let kind = Type::STREAM.nonblocking();
            let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
            rtswap_runtime::socket::tune(&socket)?;
            if let Some(sources) = &mut self.sources {
                setsockopt(&socket, IpBindAddressNoPort, &true)?;
                match socket.bind(&SocketAddr::from((sources.next(), 0)).into()) {
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL) => {
                        // The loopback has fewer addresses than usual. The unbound socket works.
                        self.sources = None;
                    }
                    bound => bound?,
                }
            }
            let started_at = Instant::now();
            let Err(error) = socket.connect(&addr.into()) else {
                return Ok((socket.into(), started_at));
            };
            match (Errno::from_io_error(&error), &mut self.sources) {
                (Some(Errno::INPROGRESS), _) => return Ok((socket.into(), started_at)),
                (Some(Errno::ADDRNOTAVAIL), Some(sources)) if tried < ADDRESSES_TRIED_MAX => {
                    // The port range is far smaller than the default, or other processes use this
                    // address, too.
                    sources.abandon();
                    tried += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Continues an operation, as its events allow.
    fn advance(
        &mut self,
        index: usize,
        flags: EventFlags,
        buffer: &mut [u8],
    ) -> Result<Advance, LoadError> {
        let each = &mut self.loops[index];
        let Some(connection) = &mut each.connection else { return Ok(Advance::None) };
        if flags.intersects(EventFlags::IN.union(END)) {
            if each.is_answered {
                let is_ended = connection.receive_end(buffer)?;
                return Ok(if is_ended { Advance::Completed } else { Advance::None });
            }
            // The generator has not ended its stream yet, so an end of the lane's is an error.
            let received = connection.receive(&mut self.pattern, buffer, flags.intersects(END));
            match received.map(|received| received.outcome) {
                Ok(ReadOutcome::BatchComplete) => {
                    connection.shut_down()?;
                    each.is_answered = true;
                    self.pending -= 1;
                    return Ok(Advance::Some);
                }
                Ok(ReadOutcome::Partial) => {
                    return self.send_rest(index, flags).map(|_| Advance::Some);
                }
                Ok(ReadOutcome::Nothing) => {}
                Err(error) => return Err(self.explain(index, error)),
            }
        }
        let moved = self.send_rest(index, flags)?;
        Ok(if moved { Advance::Some } else { Advance::None })
    }

    /// Sends more of the message if the socket is writable. Returns whether it was.
    fn send_rest(&mut self, index: usize, flags: EventFlags) -> Result<bool, LoadError> {
        let Some(connection) = &mut self.loops[index].connection else { return Ok(false) };
        if !flags.contains(EventFlags::OUT) || !connection.has_unsent(&self.pattern) {
            return Ok(false);
        }
        match connection.send(&self.pattern) {
            Ok(_) => Ok(true),
            Err(error) => Err(self.explain(index, error)),
        }
    }

    /// Closes the connection of an operation. Returns when the operation ended and started.
    fn complete(&mut self, index: usize) -> (Instant, Instant) {
        let now = Instant::now();
        let each = &mut self.loops[index];
        let started_at = each.connection.take().map_or(now, |connection| connection.started_at());
        self.open -= 1;
        each.message += 1;
        each.completed += 1;
        each.offset = self.pattern.next(each.offset);
        (now, started_at)
    }

    #[cold]
    fn failed(&self, addr: SocketAddr, source: io::Error) -> LoadError {
        connect_error(&self.target, addr, self.opened, self.open, source)
    }

    /// The meaning of an error on a connection that may not be established yet. Until it is, the
    /// error is that of `connect`.
    #[cold]
    fn explain(&self, index: usize, error: LoadError) -> LoadError {
        let has_sent = self.loops[index].connection.as_ref().is_some_and(EchoConnection::has_sent);
        match error {
            LoadError::System { addr, source, .. } if !has_sent => {
                connect_error(&self.target, addr, self.opened - 1, self.open - 1, source)
            }
            error => error,
        }
    }
}
