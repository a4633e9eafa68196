//! Streams on the ring, or tokio's. The former are confined to their thread, so all are inside `Confined`.

use std::borrow::Borrow;
use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use rtswap_runtime::{
    Bridge, Buffer, Confined, Polled, ReadOwned, TcpListener, TcpStream, WriteOwned, owned, socket,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net;

use crate::Setup;

thread_local! {
    /// The configuration of the runtime of this thread, which its streams do not know.
    static SETUP: Cell<Setup> = const { Cell::new(Setup::Ring) };
}

/// Says how the runtime that is about to start on this thread is configured.
pub(crate) fn set_up(setup: Setup) {
    SETUP.set(setup);
}

/// tokio-uring's own, or tokio's.
enum Face<R, T> {
    Ring(R),
    Tokio(T),
}

/// `tokio_uring::net::TcpListener`, or `tokio::net::TcpListener`.
pub struct Listener(Confined<Face<net::TcpListener, tokio::net::TcpListener>>);

/// A stream, or half of it.
pub struct Io<R, T>(Confined<Face<R, T>>);

/// `tokio_uring::net::TcpStream`, or `tokio::net::TcpStream`.
pub type Stream = Io<Socket, tokio::net::TcpStream>;

/// The half that reads. tokio-uring reads and writes through `&self`, so sharing is all it takes.
pub type ReadHalf = Io<Rc<Socket>, tokio::io::ReadHalf<tokio::net::TcpStream>>;

/// The half that writes. tokio's `OwnedWriteHalf` would shut its direction down when it is dropped.
pub type WriteHalf = Io<Rc<Socket>, tokio::io::WriteHalf<tokio::net::TcpStream>>;

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
    fn new(stream: net::TcpStream) -> Self {
        Self { stream, under_way: Cell::new(0) }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream is open, and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }

    /// The same connection as a stream of tokio's: on a duplicate of the descriptor, because tokio-uring
    /// does not give its own away.
    fn into_tokio(self) -> io::Result<tokio::net::TcpStream> {
        let stream = std::net::TcpStream::from(self.fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    }

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

impl<R, T> Io<R, T> {
    fn ring(stream: R) -> Self {
        Self(Confined::new(Face::Ring(stream)))
    }

    fn tokio(stream: T) -> Self {
        Self(Confined::new(Face::Tokio(stream)))
    }
}

pub(crate) fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
    let listener = if SETUP.get() == Setup::Net {
        Face::Tokio(tokio::net::TcpListener::from_std(socket)?)
    } else {
        // The ring waits for the socket; one that does not block is answered EAGAIN by some kernels.
        socket.set_nonblocking(false)?;
        Face::Ring(net::TcpListener::from_std(socket))
    };
    Ok(Listener(Confined::new(listener)))
}

pub(crate) fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
    Confined::new(async move {
        if SETUP.get() == Setup::Net {
            let stream = tokio::net::TcpStream::connect(addr).await?;
            socket::tune(&stream)?;
            return Ok(Io::tokio(stream));
        }
        let socket = Socket::new(net::TcpStream::connect(addr).await?);
        socket::tune(&socket.fd())?;
        Ok(Io::ring(socket))
    })
}

impl TcpListener for Listener {
    type Stream = Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send {
        Confined::new(async {
            match &*self.0 {
                Face::Ring(listener) => {
                    let (stream, peer) = listener.accept().await?;
                    Ok((Io::ring(Socket::new(stream)), peer))
                }
                Face::Tokio(listener) => {
                    let (stream, peer) = listener.accept().await?;
                    Ok((Io::tokio(stream), peer))
                }
            }
        })
    }
}

impl TcpStream for Stream {
    type ReadHalf = ReadHalf;
    type WriteHalf = WriteHalf;

    fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self.0.take() {
            Face::Ring(socket) => {
                let socket = Rc::new(socket);
                (Io::ring(socket.clone()), Io::ring(socket))
            }
            Face::Tokio(stream) => {
                let (read, write) = tokio::io::split(stream);
                (Io::tokio(read), Io::tokio(write))
            }
        }
    }

    type Poll = Polled<tokio::net::TcpStream, Self>;

    fn into_poll(self) -> Self::Poll {
        if SETUP.get() == Setup::Bridge {
            return Polled::Bridged(Bridge::new(self));
        }
        match self.0.take() {
            Face::Ring(socket) => socket.into_tokio().into(),
            Face::Tokio(stream) => Polled::Own(stream),
        }
    }
}

impl<R: Borrow<Socket>, T: AsyncRead + Unpin> ReadOwned for Io<R, T> {
    fn read(&mut self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async {
            let socket: &Socket = match &mut *self.0 {
                Face::Ring(socket) => (*socket).borrow(),
                Face::Tokio(stream) => return owned::read(stream, buffer).await,
            };
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
            let socket: &Socket = match &mut *self.0 {
                Face::Ring(socket) => (*socket).borrow(),
                Face::Tokio(stream) => return owned::read_exact(stream, buffer, len).await,
            };
            buffer.clear();
            if len > buffer.capacity() {
                return (Err(io::ErrorKind::InvalidInput.into()), buffer);
            }
            let (storage, _) = buffer.into_parts();
            let (result, storage) = socket.operate(socket.read_exact(storage, len)).await;
            let len = if result.is_ok() { len } else { 0 };
            (result, Buffer::from_parts(storage, len))
        })
    }
}

impl<R: Borrow<Socket>, T: AsyncWrite + Unpin> WriteOwned for Io<R, T> {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async {
            let socket: &Socket = match &mut *self.0 {
                Face::Ring(socket) => (*socket).borrow(),
                Face::Tokio(stream) => return (stream.write_all(&buffer).await, buffer),
            };
            if buffer.is_empty() {
                // `slice` takes no empty range of an empty vector.
                return (Ok(()), buffer);
            }
            let (storage, len) = buffer.into_parts();
            let (result, slice) =
                socket.operate(socket.stream.write_all(storage.slice(..len))).await;
            (result, Buffer::from_parts(slice.into_inner(), len))
        })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async {
            match &mut *self.0 {
                Face::Ring(socket) => (*socket).borrow().stream.shutdown(Shutdown::Write),
                Face::Tokio(stream) => stream.shutdown().await,
            }
        })
    }
}
