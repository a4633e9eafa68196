//! A connection's socket, and what its errors mean.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::LoadError;

/// Which message is under way, or would be next, and how much of its answer has come.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) message: u64,
    pub(crate) received: usize,
}

pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) addr: SocketAddr,
    /// The connection's number within the session.
    pub(crate) number: usize,
}

impl Wire {
    /// Takes over a non-blocking stream.
    pub(crate) fn new(stream: TcpStream, addr: SocketAddr, number: usize) -> Self {
        Self { stream, addr, number }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends what the socket takes, and returns how much that was.
    ///
    /// A short write means that the socket is full, so there is no second attempt that would only
    /// return `EAGAIN`: the kernel marks the socket as out of space on either, and reports an edge
    /// when space is free (epoll(7), question 9).
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], at: Progress) -> Result<usize, LoadError> {
        loop {
            match self.stream.write(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error, "send", at)),
            }
        }
    }

    /// Receives what has come: `None` if nothing has, `Some(0)` at the end of the lane's stream.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        at: Progress,
    ) -> Result<Option<usize>, LoadError> {
        loop {
            match self.stream.read(buffer) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error, "receive", at)),
            }
        }
    }

    /// Ends the stream towards the lane.
    pub(crate) fn end(&self, at: Progress) -> Result<(), LoadError> {
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => Ok(()),
            // What shutting down says of a connection that has been reset.
            Err(error) if error.kind() == ErrorKind::NotConnected => Err(self.reset(at)),
            Err(error) => Err(self.broken(error, "shut down", at)),
        }
    }

    #[cold]
    pub(crate) fn closed(&self, at: Progress) -> LoadError {
        let Progress { message, received } = at;
        LoadError::Closed { addr: self.addr, conn: self.number, message, received }
    }

    #[cold]
    fn reset(&self, at: Progress) -> LoadError {
        let Progress { message, received } = at;
        LoadError::Reset { addr: self.addr, conn: self.number, message, received }
    }

    #[cold]
    fn broken(&self, source: io::Error, action: &'static str, at: Progress) -> LoadError {
        match source.kind() {
            // The answer to writing after the other end was closed.
            ErrorKind::BrokenPipe => self.closed(at),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => self.reset(at),
            _ => LoadError::System { addr: self.addr, action, source },
        }
    }
}
