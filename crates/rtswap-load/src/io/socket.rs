//! The non-blocking socket of one connection, and what its errors mean.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::LoadError;

/// How far a connection has come, for errors.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    /// The message that is in flight, or would be next.
    pub(crate) message: u64,
    /// How many bytes of its answer have come.
    pub(crate) received: usize,
}

pub(crate) struct Socket {
    stream: TcpStream,
    /// Address of the lane.
    pub(crate) addr: SocketAddr,
    /// The connection's number within the session.
    pub(crate) conn: usize,
}

impl Socket {
    /// Takes over a non-blocking stream.
    pub(crate) fn new(stream: TcpStream, addr: SocketAddr, conn: usize) -> Self {
        Self { stream, addr, conn }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends as much as the socket buffer takes, and returns how many bytes that was.
    ///
    /// A short write means that the socket buffer is full. A second attempt would only return
    /// `EAGAIN`: the kernel marks the socket as out of space on either, and reports an edge when
    /// space is free (epoll(7), question 9).
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], at: Progress) -> Result<usize, LoadError> {
        loop {
            match self.stream.write(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error, "send", at)),
            }
        }
    }

    /// Receives available bytes: `None` if there are none, `Some(0)` at the end of the lane's stream.
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
                Err(error) => return Err(self.failed(error, "receive", at)),
            }
        }
    }

    /// Shuts down the sending direction.
    pub(crate) fn shut_down(&self, at: Progress) -> Result<(), LoadError> {
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => Ok(()),
            // The error of `shutdown` on a connection that the lane has reset.
            Err(error) if error.kind() == ErrorKind::NotConnected => Err(self.reset(at)),
            Err(error) => Err(self.failed(error, "shut down", at)),
        }
    }

    #[cold]
    pub(crate) fn closed(&self, at: Progress) -> LoadError {
        let Progress { message, received } = at;
        LoadError::Closed { addr: self.addr, conn: self.conn, message, received }
    }

    #[cold]
    fn reset(&self, at: Progress) -> LoadError {
        let Progress { message, received } = at;
        LoadError::Reset { addr: self.addr, conn: self.conn, message, received }
    }

    #[cold]
    fn failed(&self, source: io::Error, action: &'static str, at: Progress) -> LoadError {
        match source.kind() {
            // The error of a write after the lane has closed its end.
            ErrorKind::BrokenPipe => self.closed(at),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => self.reset(at),
            _ => LoadError::System { addr: self.addr, action, source },
        }
    }
}
