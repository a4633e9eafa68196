//! tokio's own socket types behind the contract's buffers that change hands.

use std::io;
use std::net::SocketAddr;

use rtswap_runtime::{Buffer, ReadOwned, TcpListener, TcpStream, WriteOwned, owned, socket};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// `tokio::net::TcpListener`.
#[derive(Debug)]
pub struct Listener(pub(crate) tokio::net::TcpListener);

/// A type of tokio's that reads or writes.
#[derive(Debug)]
pub struct Io<T>(T);

/// `tokio::net::TcpStream`.
pub type Stream = Io<tokio::net::TcpStream>;

/// `tokio::net::tcp::OwnedReadHalf`.
pub type ReadHalf = Io<OwnedReadHalf>;

/// `tokio::net::tcp::OwnedWriteHalf`, which shuts its direction down when it is dropped. In the
/// contract the direction stays open, and no lane pays for a system call that others do not make.
#[derive(Debug)]
pub struct WriteHalf(Option<Io<OwnedWriteHalf>>);

pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Stream> {
    let stream = tokio::net::TcpStream::connect(addr).await?;
    socket::tune(&stream)?;
    Ok(Io(stream))
}

impl TcpListener for Listener {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Io(stream), peer))
    }
}

impl TcpStream for Stream {
    type ReadHalf = ReadHalf;
    type WriteHalf = WriteHalf;

    fn into_split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.0.into_split();
        (Io(read), WriteHalf(Some(Io(write))))
    }

    type Poll = tokio::net::TcpStream;

    fn into_poll(self) -> tokio::net::TcpStream {
        self.0
    }

    const READABLE: bool = true;

    /// By `peek` of a byte: tokio's `readable` may return before there is data, as for a stream that was
    /// just accepted, and the read after it would wait with its buffer.
    async fn readable(&mut self) -> io::Result<()> {
        self.0.peek(&mut [0]).await.map(drop)
    }
}

impl<T: AsyncRead + Unpin + Send> ReadOwned for Io<T> {
    fn read(&mut self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        owned::read(&mut self.0, buffer)
    }

    fn read_exact(
        &mut self,
        buffer: Buffer,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        owned::read_exact(&mut self.0, buffer, len)
    }
}

impl<T: AsyncWrite + Unpin + Send> WriteOwned for Io<T> {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        (self.0.write_all(&buffer).await, buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

impl WriteHalf {
    fn half(&mut self) -> &mut Io<OwnedWriteHalf> {
        self.0.as_mut().expect("taken by drop only")
    }
}

impl WriteOwned for WriteHalf {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        self.half().write_all(buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.half().shutdown().await
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if let Some(Io(half)) = self.0.take() {
            half.forget();
        }
    }
}
