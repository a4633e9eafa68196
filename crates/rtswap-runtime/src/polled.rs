//! One of several ways in which a stream is polled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Bridge, TcpStream};

/// The poll face of a runtime whose configuration says how streams are polled.
#[derive(Debug)]
pub enum Polled<P, S: TcpStream> {
    /// By the runtime's own means.
    Own(P),
    /// Through a bridge.
    Bridged(Bridge<S>),
    /// Not at all: the runtime could not take the socket over, and each poll says why.
    Refused(io::Error),
}

impl<P, S: TcpStream> From<io::Result<P>> for Polled<P, S> {
    fn from(taken_over: io::Result<P>) -> Self {
        taken_over.map_or_else(Self::Refused, Self::Own)
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Calls a method of the stream that is polled.
macro_rules! forward {
    ($this:ident.$method:ident($($argument:ident),*)) => {
        match $this.get_mut() {
            Self::Own(stream) => Pin::new(stream).$method($($argument),*),
            Self::Bridged(stream) => Pin::new(stream).$method($($argument),*),
            Self::Refused(error) => Poll::Ready(Err(again(error))),
        }
    };
}

impl<P: AsyncRead + Unpin, S: TcpStream> AsyncRead for Polled<P, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, into))
    }
}

impl<P: AsyncWrite + Unpin, S: TcpStream> AsyncWrite for Polled<P, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Own(stream) => stream.is_write_vectored(),
            Self::Bridged(stream) => stream.is_write_vectored(),
            Self::Refused(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}
