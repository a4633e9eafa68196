//! monoio's own socket types: thread-confined, so inside `Confined`, which checks.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::io::{
    AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};
use monoio::net;
use rtswap_runtime::{Buffer, Confined, ReadOwned, TcpListener, TcpStream, WriteOwned, socket};

use crate::poll::{self, Polled};

/// `monoio::net::TcpListener`.
pub struct Listener(Confined<net::TcpListener>);

/// A type of monoio's that reads or writes.
pub struct Io<T>(pub(crate) Confined<T>);

/// `monoio::net::TcpStream`.
pub type Stream = Io<net::TcpStream>;

/// `monoio::io::OwnedReadHalf`.
pub type ReadHalf = Io<Half<OwnedReadHalf<net::TcpStream>>>;

/// `monoio::io::OwnedWriteHalf`.
pub type WriteHalf = Io<Half<OwnedWriteHalf<net::TcpStream>>>;

pub(crate) fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
    // The ring waits for the socket, as for those that monoio binds itself; one that does not block is
    // answered EAGAIN by some kernels.
    socket.set_nonblocking(monoio::utils::is_legacy())?;
    Ok(Listener(Confined::new(net::TcpListener::from_std(socket)?)))
}

pub(crate) fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
    Confined::new(async move {
        let stream = net::TcpStream::connect_addr(addr).await?;
        // SAFETY: the stream is open for longer than this borrow of its descriptor.
        socket::tune(&unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) })?;
        Ok(Io(Confined::new(stream)))
    })
}

impl TcpListener for Listener {
    type Stream = Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send {
        Confined::new(async {
            let (stream, peer) = self.0.accept().await?;
            Ok((Io(Confined::new(stream)), peer))
        })
    }
}

impl TcpStream for Stream {
    type ReadHalf = ReadHalf;
    type WriteHalf = WriteHalf;

    fn into_split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.0.take().into_split();
        let rest = Rc::new(Rest::default());
        (
            Io(Confined::new(Half { half: Some(read), rest: rest.clone() })),
            Io(Confined::new(Half { half: Some(write), rest })),
        )
    }

    type Poll = Polled;

    fn into_poll(self) -> Polled {
        poll::polled(self)
    }

    const READABLE: bool = true;

    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.readable(false).await })
    }
}

impl<T: AsyncReadRent> ReadOwned for Io<T> {
    fn read(&mut self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async {
            let (storage, _) = buffer.into_parts();
            if storage.capacity() == 0 {
                // epoll would wait for data first.
                return (Ok(0), storage.into());
            }
            // monoio cuts the vector to what it has read.
            let (result, storage) = self.0.read(storage).await;
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
            let (storage, _) = buffer.into_parts();
            let (result, slice) = self.0.read_exact(storage.slice_mut(..len)).await;
            let len = if result.is_ok() { len } else { 0 };
            (result.map(drop), Buffer::from_parts(slice.into_inner(), len))
        })
    }
}

impl<T: AsyncWriteRent> WriteOwned for Io<T> {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async {
            let (storage, len) = buffer.into_parts();
            let (result, slice) = self.0.write_all(storage.slice(..len)).await;
            (result.map(drop), Buffer::from_parts(slice.into_inner(), len))
        })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.shutdown().await })
    }
}

/// One of monoio's halves.
///
/// monoio's write half shuts its direction down when it is dropped. In the contract the direction
/// stays open, and no lane pays for a system call that others do not make. So a half that is dropped
/// waits for the other, and monoio makes a stream of the two again, which closes.
pub struct Half<H: Part> {
    // Taken by drop only.
    half: Option<H>,
    rest: Rc<Rest>,
}

/// The halves that were dropped.
#[derive(Default)]
pub struct Rest {
    read: Cell<Option<OwnedReadHalf<net::TcpStream>>>,
    write: Cell<Option<OwnedWriteHalf<net::TcpStream>>>,
}

/// What [`Half`] holds.
pub trait Part: Sized {
    /// Where it waits for the other.
    fn place(rest: &Rest) -> &Cell<Option<Self>>;
}

impl Part for OwnedReadHalf<net::TcpStream> {
    fn place(rest: &Rest) -> &Cell<Option<Self>> {
        &rest.read
    }
}

impl Part for OwnedWriteHalf<net::TcpStream> {
    fn place(rest: &Rest) -> &Cell<Option<Self>> {
        &rest.write
    }
}

impl<H: Part> Half<H> {
    fn get(&mut self) -> &mut H {
        self.half.as_mut().expect("taken by drop only")
    }
}

impl<H: Part> Drop for Half<H> {
    fn drop(&mut self) {
        H::place(&self.rest).set(self.half.take());
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let (Some(read), Some(write)) = (self.read.take(), self.write.take()) {
            drop(read.reunite(write));
        }
    }
}

impl<H: Part + AsyncReadRent> AsyncReadRent for Half<H> {
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.get().read(buf)
    }

    fn readv<B: IoVecBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.get().readv(buf)
    }
}

impl<H: Part + AsyncWriteRent> AsyncWriteRent for Half<H> {
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.get().write(buf)
    }

    fn writev<B: IoVecBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.get().writev(buf)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.get().flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.get().shutdown()
    }
}
