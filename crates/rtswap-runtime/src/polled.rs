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

    /// A stream that records the calls of its methods.
    #[derive(Default)]
    struct Own {
        vectored: bool,
        calls: Vec<&'static str>,
    }

    impl AsyncRead for Own {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.calls.push("read");
            into.put_slice(b"own");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Own {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.calls.push("write");
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.calls.push("write_vectored");
            Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.calls.push("flush");
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.calls.push("shutdown");
            Poll::Ready(Ok(()))
        }
    }

    /// Calls each method once, and checks what it returns. A stream that has not ended cannot be read.
    fn call_all(polled: &mut (impl AsyncRead + AsyncWrite + Unpin), read: Option<&[u8]>) {
        let mut polled = Pin::new(polled);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut memory = [0; 8];
        let mut into = ReadBuf::new(&mut memory);
        let done = polled.as_mut().poll_read(cx, &mut into);
        assert_eq!(done.is_ready(), read.is_some());
        assert_eq!(into.filled(), read.unwrap_or_default());
        assert!(matches!(polled.as_mut().poll_write(cx, b"12345"), Poll::Ready(Ok(5))));
        assert_eq!(polled.as_mut().poll_flush(cx).is_ready(), read.is_some());
    }

    #[test]
    fn own_stream_gets_every_call() {
        for vectored in [false, true] {
            let own = Own { vectored, ..Own::default() };
            let mut polled = Polled::<_, Mock>::from(Ok(own));
            assert_eq!(polled.is_write_vectored(), vectored);
            call_all(&mut polled, Some(b"own"));
            let cx = &mut Context::from_waker(Waker::noop());
            let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
            let written = Pin::new(&mut polled).poll_write_vectored(cx, &parts);
            assert!(matches!(written, Poll::Ready(Ok(3))), "{written:?}");
            assert!(Pin::new(&mut polled).poll_shutdown(cx).is_ready());
            let Polled::Own(own) = polled else { panic!("it was taken over") };
            assert_eq!(own.calls, ["read", "write", "flush", "write_vectored", "shutdown"]);
        }
    }

    #[test]
    fn confined_stream_gets_every_call() {
        let mut confined = Confined::new(Own { vectored: true, ..Own::default() });
        assert!(confined.is_write_vectored());
        call_all(&mut confined, Some(b"own"));
        let cx = &mut Context::from_waker(Waker::noop());
        let written = Pin::new(&mut confined).poll_write_vectored(cx, &[IoSlice::new(b"ab")]);
        assert!(matches!(written, Poll::Ready(Ok(2))), "{written:?}");
        assert!(Pin::new(&mut confined).poll_shutdown(cx).is_ready());
        assert_eq!(confined.calls, ["read", "write", "flush", "write_vectored", "shutdown"]);
    }

    #[test]
    fn bridged_stream_gets_every_call() {
        let mock = Mock::default();
        let mut polled = Polled::<Own, _>::Bridged(Bridge::new(mock.clone()));
        assert!(polled.is_write_vectored());
        // The operations of the mock are under way until they are answered.
        call_all(&mut polled, None);
        mock.answer_read(b"bridged");
        mock.answer_write();
        let cx = &mut Context::from_waker(Waker::noop());
        let mut memory = [0; 8];
        let mut into = ReadBuf::new(&mut memory);
        assert!(Pin::new(&mut polled).poll_read(cx, &mut into).is_ready());
        assert_eq!(into.filled(), b"bridged");
        assert!(Pin::new(&mut polled).poll_flush(cx).is_ready());
        assert_eq!(mock.written(), b"12345");
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        let written = Pin::new(&mut polled).poll_write_vectored(cx, &parts);
        assert!(matches!(written, Poll::Ready(Ok(3))), "{written:?}");
        mock.answer_write();
        assert!(Pin::new(&mut polled).poll_flush(cx).is_ready());
        assert_eq!(mock.written(), b"12345abc");
        assert!(Pin::new(&mut polled).poll_shutdown(cx).is_pending());
        mock.answer_write();
        assert!(Pin::new(&mut polled).poll_shutdown(cx).is_ready());
        assert_eq!(mock.shut_downs(), 1);
    }

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
