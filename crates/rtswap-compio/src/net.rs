//! compio's own socket types: thread-confined, so inside `Confined`, which checks.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use compio::net;
use rtswap_runtime::{Buffer, Confined, ReadOwned, TcpListener, TcpStream, WriteOwned, socket};

use crate::poll::{Bridged, Face};

/// `compio::net::TcpListener`.
#[derive(Debug)]
pub struct Listener<P = Bridged>(Confined<net::TcpListener>, PhantomData<fn() -> P>);

/// `compio::net::TcpStream`. Its halves are clones of it, as compio's own are.
#[derive(Debug)]
pub struct Stream<P = Bridged>(Confined<net::TcpStream>, PhantomData<fn() -> P>);

impl<P> From<net::TcpStream> for Stream<P> {
    fn from(stream: net::TcpStream) -> Self {
        Self(Confined::new(stream), PhantomData)
    }
}

pub(crate) fn listen<P>(socket: std::net::TcpListener) -> io::Result<Listener<P>> {
    // The ring waits for the socket; one that does not block is answered EAGAIN by some kernels.
    // The poll driver's own `from_std` undoes it.
    socket.set_nonblocking(false)?;
    let listener = net::TcpListener::from_std(socket)?;
    Ok(Listener(Confined::new(listener), PhantomData))
}

pub(crate) async fn connect<P>(addr: SocketAddr) -> io::Result<Stream<P>> {
    Confined::new(async move {
        let stream = net::TcpStream::connect(addr).await?;
        socket::tune(&stream)?;
        Ok(stream.into())
    })
    .await
}

impl<P: Face> TcpListener for Listener<P> {
    type Stream = Stream<P>;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream<P>, SocketAddr)>> + Send {
        Confined::new(async {
            let (stream, peer) = self.0.accept().await?;
            Ok((stream.into(), peer))
        })
    }
}

impl<P: Face> TcpStream for Stream<P> {
    type ReadHalf = Self;
    type WriteHalf = Self;

    fn into_split(self) -> (Self, Self) {
        let (reader, writer) = self.0.take().into_split();
        (reader.into(), writer.into())
    }

    type Poll = P::Poll;

    fn into_poll(self) -> P::Poll {
        P::into_poll(self.0.take())
    }

    const READABLE: bool = true;

    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.to_poll_fd()?.read_ready().await })
    }
}

impl<P> ReadOwned for Stream<P> {
    fn read(
        &mut self,
        mut buffer: Buffer,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async {
            if buffer.capacity() == 0 {
                // The poll driver would wait for data first.
                buffer.clear();
                return (Ok(0), buffer);
            }
            let (storage, _) = buffer.into_parts();
            let BufResult(result, storage) = self.0.read(storage).await;
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
            if len > buffer.capacity() {
                buffer.clear();
                return (Err(io::ErrorKind::InvalidInput.into()), buffer);
            }
            let (storage, _) = buffer.into_parts();
            let BufResult(result, slice) = self.0.read_exact(storage.slice(..len)).await;
            let len = if result.is_ok() { len } else { 0 };
            (result, Buffer::from_parts(slice.into_inner(), len))
        })
    }
}

impl<P> WriteOwned for Stream<P> {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async {
            let (storage, len) = buffer.into_parts();
            let BufResult(result, slice) = self.0.write_all(storage.slice(..len)).await;
            (result, Buffer::from_parts(slice.into_inner(), len))
        })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.shutdown().await })
    }
}
