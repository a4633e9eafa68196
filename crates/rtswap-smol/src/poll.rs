//! smol's stream under the poll traits of tokio.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_io::{Async, ReadableOwned, WritableOwned};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `smol::net::TcpStream`, polled: the same attempts and the same waiting, line for line, on the
/// `Async<TcpStream>` that it is made of.
///
/// tokio-util's `Compat` would do, as smol-hyper's and async-compat's wrappers do; but smol reads into
/// initialised bytes, and so they fill the caller's whole buffer with zeros before each read, of which
/// hyper has up to 400 KiB; and it hides that smol writes parts as one.
pub struct Polled {
    socket: Arc<Async<TcpStream>>,
    readable: Option<ReadableOwned<TcpStream>>,
    writable: Option<WritableOwned<TcpStream>>,
}

impl Polled {
    pub(crate) fn new(stream: smol::net::TcpStream) -> Self {
        Self { socket: stream.into(), readable: None, writable: None }
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.writable = None;
                    return Poll::Ready(done);
                }
            }
            ready!(wait(&mut self.writable, cx, || self.socket.clone().writable_owned()))?;
        }
    }
}

/// Goes on with a wait, or begins one.
fn wait<W: Future<Output = io::Result<()>> + Unpin>(
    slot: &mut Option<W>,
    cx: &mut Context<'_>,
    begin: impl FnOnce() -> W,
) -> Poll<io::Result<()>> {
    let ended = ready!(Pin::new(slot.get_or_insert_with(begin)).poll(cx));
    *slot = None;
    Poll::Ready(ended)
}

impl AsyncRead for Polled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        loop {
            // SAFETY: nothing is read from it, and what was initialised stays so.
            let room = unsafe { into.unfilled_mut() };
            match recv(&this.socket, room, RecvFlags::empty()) {
                Err(rustix::io::Errno::AGAIN) => {}
                done => {
                    this.readable = None;
                    let read = done?.1;
                    // SAFETY: the kernel has written that many bytes from the start of the room.
                    unsafe { into.assume_init(read) };
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(wait(&mut this.readable, cx, || this.socket.clone().readable_owned()))?;
        }
    }
}

impl AsyncWrite for Polled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |mut socket| socket.write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

impl fmt::Debug for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Polled").field(&self.socket).finish()
    }
}
