//! smol's own socket types behind the contract's buffers that change hands.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use rtswap_runtime::{Buffer, FuturesIo, ReadOwned, TcpListener, TcpStream, WriteOwned, socket};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};

/// `smol::net::TcpListener`.
#[derive(Debug)]
pub struct Listener(pub(crate) smol::net::TcpListener);

/// `smol::net::TcpStream`. Its halves are clones of it, as smol's documentation advises: smol has
/// no halves of its own that need no lock.
#[derive(Debug)]
pub struct Stream(smol::net::TcpStream);

pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Stream> {
    let stream = smol::net::TcpStream::connect(addr).await?;
    socket::tune(&stream)?;
    Ok(Stream(stream))
}

impl TcpListener for Listener {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Stream(stream), peer))
    }
}

impl TcpStream for Stream {
    type ReadHalf = Stream;
    type WriteHalf = Stream;

    fn into_split(self) -> (Stream, Stream) {
        (Stream(self.0.clone()), self)
    }

    type Poll = FuturesIo<smol::net::TcpStream>;

    fn into_poll(self) -> Self::Poll {
        FuturesIo::new(self.0).vectored()
    }

    const READABLE: bool = true;

    async fn readable(&mut self) -> io::Result<()> {
        let socket: Arc<Async<std::net::TcpStream>> = self.0.clone().into();
        socket.readable().await
    }
}

impl ReadOwned for Stream {
    async fn read(&mut self, mut buffer: Buffer) -> (io::Result<usize>, Buffer) {
        buffer.clear();
        if buffer.capacity() == 0 {
            // Linux answers a read of no bytes with EAGAIN while nothing is there.
            return (Ok(0), buffer);
        }
        let result = self.0.read(buffer.storage_mut()).await;
        buffer.set_len(*result.as_ref().unwrap_or(&0));
        (result, buffer)
    }

    async fn read_exact(&mut self, mut buffer: Buffer, len: usize) -> (io::Result<()>, Buffer) {
        buffer.clear();
        let Some(target) = buffer.storage_mut().get_mut(..len) else {
            return (Err(io::ErrorKind::InvalidInput.into()), buffer);
        };
        let result = self.0.read_exact(target).await;
        buffer.set_len(if result.is_ok() { len } else { 0 });
        (result, buffer)
    }
}

impl WriteOwned for Stream {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        (self.0.write_all(&buffer).await, buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}
