//! The poll face: monoio's `poll-io`, or the bridge.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use monoio::io::IntoPollIo;
use monoio::io::poll_io::{AsyncRead, AsyncWrite, ReadBuf};
use monoio::net::TcpStream;
use rtswap_runtime::{Bridge, Confined};

use crate::Stream;

thread_local! {
    /// Whether the runtime of this thread bridges: streams do not know their runtime's configuration.
    static BRIDGE: Cell<bool> = const { Cell::new(false) };
}

/// Whether streams of the runtime that is about to start on this thread are polled through a bridge.
pub(crate) fn bridge(bridge: bool) {
    BRIDGE.set(bridge);
}

/// monoio's `TcpStreamPoll`, which it does not export by name.
type TcpStreamPoll = <TcpStream as IntoPollIo>::PollIo;

/// A stream that is polled: monoio's `TcpStreamPoll`, or a [`Bridge`].
///
/// If the kernel refuses to watch the socket, each poll gives the error.
pub struct Polled(Face);

enum Face {
    /// Waits for readiness of the socket, then reads and writes by system calls.
    Readiness(Confined<TcpStreamPoll>),
    Bridge(Bridge<Stream>),
    /// The errno, or the kind where there is none.
    Refused(io::Error),
}

impl Polled {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(if BRIDGE.get() {
            Face::Bridge(Bridge::new(stream))
        } else {
            match stream.0.take().into_poll_io() {
                Ok(stream) => Face::Readiness(Confined::new(stream)),
                Err(error) => Face::Refused(error),
            }
        })
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Calls a method of the stream that is polled.
macro_rules! forward {
    ($this:ident.$method:ident($($argument:ident),*)) => {
        match &mut $this.get_mut().0 {
            Face::Readiness(stream) => Pin::new(&mut **stream).$method($($argument),*),
            Face::Bridge(stream) => Pin::new(stream).$method($($argument),*),
            Face::Refused(error) => Poll::Ready(Err(again(error))),
        }
    };
}

impl AsyncRead for Polled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Polled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Face::Readiness(stream) => stream.is_write_vectored(),
            Face::Bridge(stream) => stream.is_write_vectored(),
            Face::Refused(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use rtswap_runtime::socket::{self, Share};
    use rtswap_runtime::{Config, Net, Runtime, TcpStream as _};

    use super::*;
    use crate::Monoio;

    #[test]
    fn into_poll_is_what_the_configuration_says() {
        for runtime in [Monoio::default(), Monoio::bridge(), Monoio::default(), Monoio::epoll()] {
            if let Err(error) = runtime.available() {
                eprintln!("skipped: {error}");
                continue;
            }
            let socket = socket::listen("127.0.0.1:0".parse().unwrap(), Share::No).unwrap();
            let addr = socket.local_addr().unwrap();
            let polled = async { Monoio::connect(addr).await.unwrap().into_poll() };
            let bridged = async { matches!(polled.await.0, Face::Bridge(_)) };
            let bridged = runtime.block_on(&Config::default(), bridged).unwrap();
            assert_eq!(bridged, runtime == Monoio::bridge(), "{runtime:?}");
        }
    }

    #[test]
    fn refused_stream_fails_every_poll() {
        const ENOSPC: i32 = 28;
        let mut polled = Polled(Face::Refused(io::Error::from_raw_os_error(ENOSPC)));
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let Poll::Ready(Err(error)) = Pin::new(&mut polled).poll_write(cx, b"x") else {
                panic!("no error");
            };
            assert_eq!(error.raw_os_error(), Some(ENOSPC));
        }
        assert!(matches!(Pin::new(&mut polled).poll_flush(cx), Poll::Ready(Err(_))));
    }
}
