use std::collections::VecDeque;
use std::ptr::NonNull;

use super::buffers::memory;

/// Which request for data is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Receive {
    #[default]
    None,
    /// One for all that comes, into buffers that the kernel chooses.
    Multi,
    /// The same, and it was told to end.
    Ending,
    /// One for what comes next, into the connection's own buffer.
    Single,
}

/// Received, and to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The buffer of the ring, or else the connection's own.
    pub buffer: Option<u16>,
    pub len: u32,
    pub sent: u32,
}

impl Piece {
    pub fn of(buffer: Option<u16>, len: u32) -> Self {
        Self { buffer, len, sent: 0 }
    }
}

/// A connection, or the place of one: it is taken again when nothing is under way any more, so that a
/// completion is always of the connection that is there.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub fd: i32,
    pub receive: Receive,
    pub sending: Option<Piece>,
    /// In the order in which they came.
    pub waiting: VecDeque<Piece>,
    /// The peer sends no more.
    pub ended: bool,
    /// The peer is gone, and nothing can be sent to it.
    pub dead: bool,
    /// The peer once did not take what was sent to it: it gets one buffer, and not the others'.
    pub slow: bool,
    own: Option<NonNull<u8>>,
}

impl Connection {
    pub fn open(&mut self, fd: i32) {
        self.fd = fd;
        self.receive = Receive::None;
        (self.ended, self.dead, self.slow) = (false, false, false);
    }

    /// The buffer of its own, made when it is first needed, and left to the next one in its place.
    pub fn own(&mut self, bytes: u32) -> *mut u8 {
        let own = self.own.or_else(|| NonNull::new(memory(bytes as usize)));
        self.own = own;
        own.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }
}
