//! glommio's own socket types: thread-confined, so inside `Confined`, which checks.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use glommio::net;
use rtswap_runtime::{
    Buffer, Confined, FuturesIo, ReadOwned, TcpListener, TcpStream, WriteOwned, socket,
};

/// `glommio::net::TcpListener`.
pub struct Listener(Confined<net::TcpListener>);

/// `glommio::net::TcpStream`, unbuffered, as it is by default.
pub type Stream = Io<net::TcpStream>;

/// A stream, or half of it.
pub struct Io<T>(Confined<T>);

/// Half of a stream. glommio has none; what it has for each direction is apart from the other, so
/// the two halves may wait at the same time.
pub struct Half(Rc<RefCell<net::TcpStream>>);

pub(crate) fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
    take_over(socket).map(|listener| Listener(Confined::new(listener)))
}

/// What glommio would call `from_std`.
pub(crate) fn take_over(socket: std::net::TcpListener) -> io::Result<net::TcpListener> {
    // The ring waits for the socket; one that does not block is answered EAGAIN. Where glommio
    // tries without the ring, it switches the flag itself.
    socket.set_nonblocking(false)?;
    // SAFETY: the descriptor is open, and nobody else owns it.
    Ok(unsafe { net::TcpListener::from_raw_fd(socket.into_raw_fd()) })
}

pub(crate) fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
    Confined::new(async move {
        let stream = net::TcpStream::connect(addr).await?;
        // SAFETY: the stream owns the descriptor and outlives this use of it.
        let socket = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        socket::tune(&socket)?;
        Ok(Io(Confined::new(stream)))
    })
}

impl TcpListener for Listener {
    type Stream = Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send {
        Confined::new(async {
            loop {
                let stream = self.0.accept().await?;
                // glommio does not keep the address that the kernel gives.
                match stream.peer_addr().map_err(io::Error::from) {
                    Ok(peer) => return Ok((Io(Confined::new(stream)), peer)),
                    // Reset before it was accepted: no reason to tell a server of an error.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

impl TcpStream for Stream {
    type ReadHalf = Io<Half>;
    type WriteHalf = Io<Half>;

    fn into_split(self) -> (Io<Half>, Io<Half>) {
        let stream = Rc::new(RefCell::new(self.0.take()));
        let half = |stream| Io(Confined::new(Half(stream)));
        (half(stream.clone()), half(stream))
    }

    type Poll = FuturesIo<Self>;

    fn into_poll(self) -> FuturesIo<Self> {
        FuturesIo::new(self)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_close(cx)
    }
}

impl AsyncRead for Half {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_close(cx)
    }
}

impl<T: AsyncRead + Unpin> ReadOwned for Io<T> {
    fn read(
        &mut self,
        mut buffer: Buffer,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async move {
            buffer.clear();
            if buffer.capacity() == 0 {
                // Linux answers a read of no bytes with EAGAIN while nothing is there.
                return (Ok(0), buffer);
            }
            let result = self.0.read(buffer.storage_mut()).await;
            buffer.set_len(*result.as_ref().unwrap_or(&0));
            (result, buffer)
        })
    }

    fn read_exact(
        &mut self,
        mut buffer: Buffer,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move {
            buffer.clear();
            let Some(target) = buffer.storage_mut().get_mut(..len) else {
                return (Err(io::ErrorKind::InvalidInput.into()), buffer);
            };
            let result = self.0.read_exact(target).await;
            buffer.set_len(if result.is_ok() { len } else { 0 });
            (result, buffer)
        })
    }
}

impl<T: AsyncWrite + Unpin> WriteOwned for Io<T> {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move { (self.0.write_all(&buffer).await, buffer) })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        // For glommio, closing is `shutdown(SHUT_WR)`.
        Confined::new(async move { self.0.close().await })
    }
}
