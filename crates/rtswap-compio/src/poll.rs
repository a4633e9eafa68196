//! How compio's streams come to be polled.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use compio::net;
use compio::runtime::fd;
use rtswap_runtime::{Bridge, Confined, Streams};
use rustix::net::{RecvFlags, SendFlags};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Stream;

/// How a stream comes to be polled.
pub trait Face: Copy + Send + Sync + 'static {
    /// How lane info names it.
    const STREAMS: Streams;

    /// The stream that is polled.
    type Poll: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The stream as one that is polled.
    fn into_poll(stream: net::TcpStream) -> Self::Poll;
}

/// Through a [`Bridge`], with operations of the driver on buffers of its own: what compio's `AsyncStream` does, which
/// its authors give to hyper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridged;

impl Face for Bridged {
    const STREAMS: Streams = Streams::Bridged;

    type Poll = Bridge<Stream>;

    fn into_poll(stream: net::TcpStream) -> Self::Poll {
        Bridge::new(stream.into())
    }
}

/// By readiness: a [`Polled`] stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollFd;

impl Face for PollFd {
    const STREAMS: Streams = Streams::Readiness;

    type Poll = Polled;

    fn into_poll(stream: net::TcpStream) -> Self::Poll {
        let socket = stream.into_poll_fd().expect("takes over the socket, without a system call");
        Polled(Confined::new(socket))
    }
}

/// `compio::runtime::fd::PollFd` of a socket: a system call is tried, and the driver waits for readiness where it would
/// block.
pub struct Polled(Confined<fd::PollFd<Socket>>);

/// The socket blocks, as the ring wants it.
const RECV: i32 = RecvFlags::DONTWAIT.bits().cast_signed();
const SEND: i32 = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL).bits().cast_signed();

impl AsyncRead for Polled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // SAFETY: nothing is read from it, and what was initialised stays so.
        let room = unsafe { into.unfilled_mut() };
        let read = self.0.poll_read_with(cx, |socket| socket.recv_with_flags(room, RECV));
        read.map_ok(|bytes| {
            // SAFETY: the kernel has written that many bytes from the start of the room.
            unsafe { into.assume_init(bytes) };
            into.advance(bytes);
        })
    }
}

impl AsyncWrite for Polled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(cx, |socket| socket.send_with_flags(bytes, SEND))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(cx, |socket| socket.send_vectored_with_flags(parts, SEND))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_lite::AsyncWrite::poll_close(Pin::new(&mut *self.0), cx)
    }
}

impl fmt::Debug for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Polled").field(&self.0).finish()
    }
}
