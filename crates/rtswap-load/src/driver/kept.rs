//! Connections that are kept open. All of them, or some, exchange messages.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{Event, EventFlags};

use super::share::{ShareConfig, connect_error};
use crate::LoadError;
use crate::control::ExchangeControl;
use crate::control::quota::MessageQuota;
use crate::control::watchdog::Limits;
use crate::io::epoll::{END, Epoll, READ, Scratch};
use crate::protocol::{Connection, ReadOutcome, Received};

/// One thread's share of the connections of a session.
pub(crate) struct KeptConnections<C: Connection> {
    pub(super) epoll: Epoll,
    pub(super) connections: Vec<C>,
    /// Whether the epoll reports writability, by connection.
    watches_write: Vec<bool>,
    /// Indices of the connections that exchange messages. The others stay silent.
    pub(super) active: Arc<[usize]>,
    pub(super) shared: C::Shared,
    /// How much of the buffer a read uses: more than the bytes that usually come at once.
    pub(super) read_bytes: usize,
    /// The most messages of a batch.
    pub(super) batch_max: usize,
}

impl<C: Connection> KeptConnections<C> {
    /// Opens the connections in waves of `pending_max`. Every connection of a wave exchanges one
    /// message before the next wave starts. Therefore the accept queue of the lane never overflows:
    /// the kernel would drop connections silently and retry after a second.
    ///
    /// `is_active` decides, by the number of a connection, whether it exchanges messages afterwards.
    pub(crate) fn open(
        config: ShareConfig,
        shared: C::Shared,
        read_bytes: usize,
        is_active: impl Fn(usize) -> bool,
        scratch: &mut Scratch,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let ShareConfig { target, conns, pending_max, .. } = config;
        let failed = |addr, opened, error| connect_error(&target, addr, opened, opened, error);
        let of_all = target.first_addr();
        let first = conns.start;
        let mut share = Self {
            epoll: Epoll::new(of_all).map_err(|error| failed(of_all, 0, error))?,
            connections: Vec::with_capacity(conns.len()),
            watches_write: vec![false; conns.len()],
            active: conns.clone().filter(|&n| is_active(n)).map(|n| n - first).collect(),
            read_bytes,
            batch_max: target.batch_max(),
            shared,
        };
        let mut wave_start = 0;
        for conn in conns.clone() {
            limits.check_cancelled()?;
            let opened = share.connections.len();
            let addr = target.addr_of(conn);
            let failed = |error| failed(addr, opened, error);
            let stream = connect(addr, limits.stall).map_err(failed)?;
            share.epoll.add(&stream, opened, READ).map_err(failed)?;
            share.connections.push(C::new(stream, addr, conn, &share.shared));
            if opened + 1 - wave_start == pending_max || conn + 1 == conns.end {
                let mut control = MessageQuota::new(1, limits.clone());
                share.exchange_on(wave_start..=opened, scratch, &mut control)?;
                wave_start = opened + 1;
            }
        }
        Ok(share)
    }

    /// Exchanges messages on the active connections for as long as `control` says, then completes
    /// the messages in flight.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        control: &mut impl ExchangeControl,
    ) -> Result<(), LoadError> {
        let active = Arc::clone(&self.active);
        self.exchange_on(active.iter().copied(), scratch, control)
    }

    fn exchange_on(
        &mut self,
        indices: impl Iterator<Item = usize>,
        scratch: &mut Scratch,
        control: &mut impl ExchangeControl,
    ) -> Result<(), LoadError> {
        self.expect_silence(scratch)?;
        let mut outstanding = 0;
        for index in indices {
            self.connections[index].start_exchange();
            self.start_batch(index, Instant::now(), control.remaining(0))?;
            outstanding += 1;
        }
        let mut now = Instant::now();
        let mut moved = true;
        while outstanding > 0 {
            let timeout = control.tick(now, moved, outstanding)?;
            let ready = self.epoll.wait(scratch, timeout)?;
            let mut is_now_current = false;
            moved = false;
            for &Event { flags, data } in &scratch.events[..ready] {
                let index = data.u64() as usize;
                let connection = &mut self.connections[index];
                if flags.intersects(EventFlags::IN.union(END)) {
                    let buffer = &mut scratch.buffer[..self.read_bytes];
                    let until_end = flags.intersects(END);
                    let Received { outcome, completed } =
                        connection.receive(&mut self.shared, buffer, until_end)?;
                    moved |= outcome != ReadOutcome::Nothing;
                    if !completed.is_empty() {
                        // The only reading of the clock for all answers of one read. It is the end
                        // of these messages and the start of the next batch.
                        now = Instant::now();
                        is_now_current = true;
                        let (started_at, last) = (connection.started_at(), *completed.end());
                        let mut goes_on = true;
                        for nth in completed {
                            goes_on = control.completed(now, started_at, nth);
                        }
                        if outcome == ReadOutcome::BatchComplete {
                            if goes_on {
                                self.start_batch(index, now, control.remaining(last))?;
                            } else {
                                outstanding -= 1;
                            }
                            continue;
                        }
                    }
                }
                if flags.contains(EventFlags::OUT) && connection.has_unsent(&self.shared) {
                    connection.send(&self.shared)?;
                    moved = true;
                }
            }
            if !is_now_current {
                now = Instant::now();
            }
        }
        self.expect_silence(scratch)
    }

    /// Starts a batch. A connection is watched for writability once it has needed it, and from then
    /// on always: an edge costs nothing unless a write has failed for lack of space, whereas
    /// switching would cost two system calls a message.
    pub(super) fn start_batch(
        &mut self,
        index: usize,
        now: Instant,
        messages_max: u64,
    ) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        let is_sent = connection.start_batch(&self.shared, now, messages_max)?;
        if !is_sent && !self.watches_write[index] {
            self.watches_write[index] = true;
            self.epoll.modify(connection.stream(), index, READ.union(EventFlags::OUT))?;
        }
        Ok(())
    }

    /// Fails if a connection has surplus bytes, or has ended, while no answer is due.
    pub(super) fn expect_silence(&mut self, scratch: &mut Scratch) -> Result<(), LoadError> {
        // As many calls as connections need. What a lane sends meanwhile, perhaps without end, is for the next time.
        for _ in 0..=self.connections.len() / scratch.events.len() {
            let ready = self.epoll.wait(scratch, Duration::ZERO)?;
            for &Event { flags, data } in &scratch.events[..ready] {
                if flags.intersects(EventFlags::IN.union(END)) {
                    let buffer = &mut scratch.buffer[..self.read_bytes];
                    let connection = &mut self.connections[data.u64() as usize];
                    connection.receive(&mut self.shared, buffer, true)?;
                }
            }
            if ready < scratch.events.len() {
                break;
            }
        }
        Ok(())
    }
}

fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, timeout)?;
    rtswap_runtime::socket::tune(&stream)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
