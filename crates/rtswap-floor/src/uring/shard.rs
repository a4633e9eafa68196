//! The loop: take what is complete, ask for what follows from it, enter the kernel once for all.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::ptr;

use io_uring::types::{Fd, Timespec};
use io_uring::{IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};
use rtswap_lane::ReadySignal;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use super::Setup;
use super::buffers::{Buffers, GROUP};
use super::connection::{Connection, Piece, Receive};
use crate::accept::{Accepted, PAUSE, failed};

/// What a completion is of; beside it stands the connection.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Of {
    Accept,
    Receive,
    Send,
    Close,
    Cancel,
    Pause,
}

const KINDS: [Of; 6] = [Of::Accept, Of::Receive, Of::Send, Of::Close, Of::Cancel, Of::Pause];

/// `close-on-exec` for what is accepted.
const CLOEXEC: i32 = SocketFlags::CLOEXEC.bits().cast_signed();
/// All of it before it completes, and no signal where the peer is gone.
const SEND_FLAGS: i32 = (RecvFlags::WAITALL.bits() | SendFlags::NOSIGNAL.bits()).cast_signed();

static PAUSE_SPEC: Timespec = Timespec::new().nsec(PAUSE.subsec_nanos());

/// Buffers that one connection may have waiting to be sent; more, and it is not read until they are.
const WAITING: usize = 16;

pub(super) struct Shard<'r> {
    submitter: Submitter<'r>,
    queue: SubmissionQueue<'r>,
    listener: TcpListener,
    accepting: bool,
    pausing: bool,
    setup: Setup,
    buffers: Option<Buffers>,
    connections: Vec<Connection>,
    vacant: Vec<u32>,
}

pub(super) fn serve(setup: Setup, listener: TcpListener, ready: &ReadySignal) -> io::Result<()> {
    // The kernel waits for connections; a socket that does not block it would only give errors.
    listener.set_nonblocking(false)?;
    let mut ring: IoUring = setup.ring()?;
    let (mut submitter, queue, mut completions) = ring.split();
    // Saves looking up the ring's descriptor at each call. An old kernel does without.
    let _ = submitter.register_ring_fd();
    let buffers = if setup.multishot() {
        Some(Buffers::register(&submitter, setup.buffers, setup.buffer_bytes)?)
    } else {
        None
    };
    let mut shard = Shard {
        submitter,
        queue,
        listener,
        accepting: false,
        pausing: false,
        setup,
        buffers,
        connections: Vec::new(),
        vacant: Vec::new(),
    };
    shard.accept()?;
    ready.send();
    loop {
        shard.enter()?;
        completions.sync();
        for completion in &mut completions {
            shard.completed(&completion)?;
        }
        // Tells the kernel that they were taken: it would not wait while it counts any as new.
        completions.sync();
    }
}

impl Shard<'_> {
    /// Submits everything and waits for at least one completion.
    fn enter(&mut self) -> io::Result<()> {
        if let Some(buffers) = &self.buffers {
            buffers.publish();
        }
        self.queue.sync();
        match self.submitter.submit_and_wait(1) {
            Err(error) if !passing(&error) => Err(error),
            _ => {
                self.queue.sync();
                Ok(())
            }
        }
    }

    fn push(&mut self, of: Of, slot: u32, entry: squeue::Entry) -> io::Result<()> {
        let entry = entry.user_data(u64::from(slot) << 8 | of as u64);
        loop {
            // SAFETY: what an entry points to is the memory of buffers, which is never freed, and
            // statics; its descriptor is closed by an entry as well, when no other is under way.
            if unsafe { self.queue.push(&entry) }.is_ok() {
                return Ok(());
            }
            self.queue.sync();
            if let Err(error) = self.submitter.submit()
                && !passing(&error)
            {
                return Err(error);
            }
            self.queue.sync();
        }
    }

    fn completed(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let data = completion.user_data();
        let (slot, result) = ((data >> 8) as u32, completion.result());
        match KINDS[(data & 0xff) as usize] {
            Of::Accept => self.accepted(result, cqueue::more(completion.flags())),
            Of::Receive => self.received(slot, result, completion.flags()),
            Of::Send => self.sent(slot, result),
            Of::Close if !self.accepting => self.accept(),
            Of::Pause => {
                self.pausing = false;
                if self.accepting { Ok(()) } else { self.accept() }
            }
            Of::Close | Of::Cancel => Ok(()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let listener = Fd(self.listener.as_raw_fd());
        self.accepting = true;
        let entry = if self.setup.multishot() {
            opcode::AcceptMulti::new(listener).flags(CLOEXEC).build()
        } else {
            opcode::Accept::new(listener, ptr::null_mut(), ptr::null_mut()).flags(CLOEXEC).build()
        };
        self.push(Of::Accept, 0, entry)
    }

    fn accepted(&mut self, result: i32, more: bool) -> io::Result<()> {
        self.accepting = more;
        if result >= 0 {
            self.open(result)?;
        } else if let Accepted::Exhausted = failed(Errno::from_raw_os_error(-result))? {
            if !more && !self.pausing {
                self.pausing = true;
                let pause = opcode::Timeout::new(&raw const PAUSE_SPEC).build();
                self.push(Of::Pause, 0, pause)?;
            }
            return Ok(());
        }
        if more { Ok(()) } else { self.accept() }
    }

    fn open(&mut self, fd: i32) -> io::Result<()> {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(Connection::default());
            (self.connections.len() - 1) as u32
        });
        self.connections[slot as usize].open(fd);
        self.advance(slot)
    }

    fn received(&mut self, slot: u32, result: i32, flags: u32) -> io::Result<()> {
        let connection = &mut self.connections[slot as usize];
        let single = matches!(connection.receive, Receive::Single);
        if !cqueue::more(flags) {
            connection.receive = Receive::None;
        }
        let chosen = cqueue::buffer_select(flags);
        if let (Some(_), Some(buffers)) = (chosen, &mut self.buffers) {
            buffers.taken();
        }
        match (result, chosen) {
            (1.., Some(id)) => connection.waiting.push_back(Piece::of(Some(id), result as u32)),
            (1.., None) if single => connection.waiting.push_back(Piece::of(None, result as u32)),
            (_, Some(id)) => {
                if let Some(buffers) = &mut self.buffers {
                    buffers.give(id);
                }
            }
            (..) => {}
        }
        match result {
            1.. => {}
            0 => connection.ended = true,
            // Out of buffers, or told to stop: what comes next is decided below.
            error => match Errno::from_raw_os_error(-error) {
                Errno::NOBUFS | Errno::CANCELED | Errno::INTR | Errno::AGAIN => {}
                _ => connection.dead = true,
            },
        }
        self.advance(slot)
    }

    fn sent(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[slot as usize];
        let Some(mut piece) = connection.sending.take() else { return Ok(()) };
        if result >= 0 {
            piece.sent += result as u32;
        } else if !passing(&io::Error::from_raw_os_error(-result)) {
            connection.dead = true;
        }
        if piece.sent < piece.len && !connection.dead {
            connection.waiting.push_front(piece);
        } else if let (Some(id), Some(buffers)) = (piece.buffer, &mut self.buffers) {
            buffers.give(id);
        }
        self.advance(slot)
    }

    /// Asks for whatever is to be done next on a connection.
    fn advance(&mut self, slot: u32) -> io::Result<()> {
        let connection = &mut self.connections[slot as usize];
        if connection.dead {
            for piece in connection.waiting.drain(..) {
                if let (Some(id), Some(buffers)) = (piece.buffer, &mut self.buffers) {
                    buffers.give(id);
                }
            }
        }
        if connection.sending.is_none()
            && let Some(piece) = connection.waiting.pop_front()
        {
            // One at a time, so that they stay in order.
            let from = match (piece.buffer, &self.buffers) {
                (Some(id), Some(buffers)) => buffers.at(id),
                _ => connection.own(self.setup.buffer_bytes),
            };
            let from = from.wrapping_add(piece.sent as usize);
            let entry = opcode::Send::new(Fd(connection.fd), from, piece.len - piece.sent);
            let entry = entry.flags(SEND_FLAGS).build();
            connection.sending = Some(piece);
            return self.push(Of::Send, slot, entry).and_then(|()| self.read_on(slot));
        }
        self.read_on(slot)
    }

    /// Sees to it that a connection is read, or not, or closed.
    fn read_on(&mut self, slot: u32) -> io::Result<()> {
        let connection = &mut self.connections[slot as usize];
        let idle = connection.sending.is_none() && connection.waiting.is_empty();
        match connection.receive {
            Receive::None if connection.ended || connection.dead => {
                if idle {
                    let close = opcode::Close::new(Fd(connection.fd)).build();
                    self.vacant.push(slot);
                    return self.push(Of::Close, slot, close);
                }
            }
            Receive::None => {
                if !connection.slow && self.buffers.as_ref().is_some_and(|it| it.free() > 0) {
                    connection.receive = Receive::Multi;
                    let entry = opcode::RecvMulti::new(Fd(connection.fd), GROUP).build();
                    return self.push(Of::Receive, slot, entry);
                }
                // The connection's own buffer is one, so that it is free when nothing is under way.
                if idle {
                    connection.receive = Receive::Single;
                    let bytes = self.setup.buffer_bytes;
                    let into = connection.own(bytes);
                    let entry = opcode::Recv::new(Fd(connection.fd), into, bytes).build();
                    return self.push(Of::Receive, slot, entry);
                }
            }
            Receive::Multi if connection.dead || connection.waiting.len() >= WAITING => {
                connection.slow = true;
                connection.receive = Receive::Ending;
                let data = u64::from(slot) << 8 | Of::Receive as u64;
                let cancel = opcode::AsyncCancel::new(data).build();
                return self.push(Of::Cancel, slot, cancel);
            }
            Receive::Multi | Receive::Single | Receive::Ending => {}
        }
        Ok(())
    }
}

/// Whether to go on after an error of entering the kernel or of a request: it was interrupted, or
/// has completions to be taken first.
fn passing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::INTR | Errno::AGAIN | Errno::BUSY))
}
