//! One turn of a connection that does not block, for all floors that wait for readiness.

use std::os::fd::AsFd;

use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// What a turn left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All is written back, and there was less to read than there was room: the socket is empty.
    Done,
    /// All is written back, and there may be more to read.
    More,
    /// The peer takes no more; the rest is kept, and nothing is read before it is sent.
    Blocked,
    /// The connection has ended, by either side, in whatever way.
    Ended,
}

/// What was read and could not be sent yet: never more than one buffer.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

impl Unsent {
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads once and writes once. The buffer is any connection's: nothing is in it between turns.
    pub fn echo(&mut self, socket: impl AsFd, buffer: &mut [u8]) -> Turn {
        let room = buffer.len();
        let read = match recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Turn::Ended,
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => return Turn::Done,
            Err(Errno::INTR) => return Turn::More,
            Err(_) => return Turn::Ended,
        };
        match write(&socket, &buffer[..read]) {
            Ok(sent) if sent == read => {
                if read == room {
                    Turn::More
                } else {
                    Turn::Done
                }
            }
            Ok(sent) => {
                self.bytes.extend_from_slice(&buffer[sent..read]);
                Turn::Blocked
            }
            Err(_) => Turn::Ended,
        }
    }

    /// Sends what is held. There may be something to read once it is sent.
    pub fn flush(&mut self, socket: impl AsFd) -> Turn {
        match write(socket, &self.bytes[self.sent..]) {
            Ok(sent) => self.sent += sent,
            Err(_) => return Turn::Ended,
        }
        if self.sent < self.bytes.len() {
            return Turn::Blocked;
        }
        self.bytes.clear();
        self.sent = 0;
        Turn::More
    }
}

/// One write. Less than all means that the socket is full, and that the kernel will tell when it is
/// not.
fn write(socket: impl AsFd, bytes: &[u8]) -> Result<usize> {
    loop {
        // A peer that is gone is an error of this call, and no signal to the process.
        match send(&socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            end => return end,
        }
    }
}
