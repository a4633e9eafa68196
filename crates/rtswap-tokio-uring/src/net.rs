//! tokio-uring's own socket types: thread-confined, so inside `Confined`, which checks.

use std::borrow::Borrow;
use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use rtswap_runtime::{
    Bridge, Buffer, Confined, ReadOwned, TcpListener, TcpStream, WriteOwned, socket,
};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net;

/// `tokio_uring::net::TcpListener`.
pub struct Listener(Confined<net::TcpListener>);

/// `tokio_uring::net::TcpStream`.
pub type Stream = Io<Socket>;

/// Half of a stream. tokio-uring reads and writes through `&self`, so sharing is all it takes.
pub type Half = Io<Rc<Socket>>;

/// A stream, or half of it.
pub struct Io<T>(Confined<T>);

/// A socket that closes when it is dropped, whatever is under way.
///
/// tokio-uring does not cancel a read or write whose future is dropped: the kernel goes on with it,
/// and it holds the descriptor. The connection would stay open for as long as the peer is silent.
pub struct Socket {
    stream: net::TcpStream,
    /// Operations that were begun and have not been seen to end.
    under_way: Cell<usize>,
}

impl Socket {
    async fn operate<T>(&self, operation: impl Future<Output = T>) -> T {
        self.under_way.update(|n| n + 1);
        let result = operation.await;
        self.under_way.update(|n| n - 1);
        result
    }

    async fn read_exact(&self, mut storage: Vec<u8>, len: usize) -> (io::Result<()>, Vec<u8>) {
        let mut filled = 0;
        while filled < len {
            let (result, slice) = self.stream.read(storage.slice(filled..len)).await;
            storage = slice.into_inner();
            match result {
                Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), storage),
                Ok(n) => filled += n,
                Err(error) => return (Err(error), storage),
            }
        }
        (Ok(()), storage)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.under_way.get() > 0 {
            // Makes them end, and the descriptor is free. It fails if the connection is gone.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

impl From<net::TcpStream> for Stream {
    fn from(stream: net::TcpStream) -> Self {
        Io(Confined::new(Socket { stream, under_way: Cell::new(0) }))
    }
}

pub(crate) fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
    // The ring waits for the socket; one that does not block is answered EAGAIN by some kernels.
    socket.set_nonblocking(false)?;
    Ok(Listener(Confined::new(net::TcpListener::from_std(socket))))
}

pub(crate) fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
    Confined::new(async move {
        let stream = net::TcpStream::connect(addr).await?;
        // SAFETY: the stream is open, and outlives the borrow.
        socket::tune(&unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) })?;
        Ok(stream.into())
    })
}

impl TcpListener for Listener {
    type Stream = Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send {
        Confined::new(async {
            let (stream, peer) = self.0.accept().await?;
            Ok((stream.into(), peer))
        })
    }
}

impl TcpStream for Stream {
    type ReadHalf = Half;
    type WriteHalf = Half;

    fn into_split(self) -> (Half, Half) {
        let socket = Rc::new(self.0.take());
        (Io(Confined::new(socket.clone())), Io(Confined::new(socket)))
    }

    type Poll = Bridge<Self>;

    fn into_poll(self) -> Bridge<Self> {
        Bridge::new(self)
    }
}

impl<T: Borrow<Socket>> ReadOwned for Io<T> {
    fn read(&mut self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async {
            let socket = (*self.0).borrow();
            let (storage, _) = buffer.into_parts();
            let (result, storage) = socket.operate(socket.stream.read(storage)).await;
            let len = *result.as_ref().unwrap_or(&0);
            (result, Buffer::from_parts(storage, len))
        })
    }

    fn read_exact(
        &mut self,
        mut buffer: Buffer,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move {
            buffer.clear();
            if len > buffer.capacity() {
                return (Err(io::ErrorKind::InvalidInput.into()), buffer);
            }
            let socket = (*self.0).borrow();
            let (storage, _) = buffer.into_parts();
            let (result, storage) = socket.operate(socket.read_exact(storage, len)).await;
            let len = if result.is_ok() { len } else { 0 };
            (result, Buffer::from_parts(storage, len))
        })
    }
}

impl<T: Borrow<Socket>> WriteOwned for Io<T> {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async {
            if buffer.is_empty() {
                // `slice` takes no empty range of an empty vector.
                return (Ok(()), buffer);
            }
            let socket = (*self.0).borrow();
            let (storage, len) = buffer.into_parts();
            let (result, slice) =
                socket.operate(socket.stream.write_all(storage.slice(..len))).await;
            (result, Buffer::from_parts(slice.into_inner(), len))
        })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { (*self.0).borrow().stream.shutdown(Shutdown::Write) })
    }
}
