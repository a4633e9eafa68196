//! One of several ways in which a stream is polled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Bridge, Confined, TcpStream};

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

/// A stream that is polled, confined to its thread.
impl<P: AsyncRead + Unpin> AsyncRead for Confined<P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.get_mut()).poll_read(cx, into)
    }
}

impl<P: AsyncWrite + Unpin> AsyncWrite for Confined<P> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.get_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        (**self).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::bridge::tests::Mock;

    #[test]
    fn one_that_was_refused_says_why_at_each_poll() {
        // ENFILE: an errno stays one.
        let refusal: io::Result<tokio::io::DuplexStream> = Err(io::Error::from_raw_os_error(23));
        let mut polled = pin!(Polled::<_, Mock>::from(refusal));
        assert!(!polled.is_write_vectored());
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let errors = [
                polled.as_mut().poll_read(cx, &mut ReadBuf::new(&mut [0; 8])),
                polled.as_mut().poll_write(cx, b"x").map_ok(drop),
                polled.as_mut().poll_flush(cx),
                polled.as_mut().poll_shutdown(cx),
            ];
            for error in errors {
                assert!(
                    matches!(&error, Poll::Ready(Err(error)) if error.raw_os_error() == Some(23)),
                    "{error:?}"
                );
            }
        }
    }
}
