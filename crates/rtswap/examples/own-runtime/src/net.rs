//! `local_runtime::Async` sockets behind buffers that change hands.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use local_runtime::Async;
use rtswap::{Bridge, Buffer, Confined, ReadOwned, TcpListener, TcpStream, WriteOwned, socket};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// `Async<TcpListener>`.
pub struct Listener(Confined<Async<std::net::TcpListener>>);

/// `Async<TcpStream>`. Its halves share it: local-runtime reads and writes through references.
pub struct Stream(Confined<Rc<Async<std::net::TcpStream>>>);

/// `Async::connect` reports a refused connection as `NotConnected`. This asks for the socket's error.
pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Stream> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &addr) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = Async::without_nonblocking(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Stream::new(stream),
    }
}

impl Listener {
    pub(crate) fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        // `socket` does not block already.
        Ok(Self(Confined::new(Async::without_nonblocking(socket)?)))
    }
}

impl TcpListener for Listener {
    type Stream = Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send {
        Confined::new(async {
            let (stream, peer) = self.0.accept().await?;
            // Options are inherited from the listening socket.
            Ok((Stream(Confined::new(Rc::new(stream))), peer))
        })
    }
}

impl Stream {
    fn new(stream: Async<std::net::TcpStream>) -> io::Result<Self> {
        socket::tune(stream.get_ref())?;
        Ok(Self(Confined::new(Rc::new(stream))))
    }
}

impl TcpStream for Stream {
    type ReadHalf = Stream;
    type WriteHalf = Stream;

    fn into_split(self) -> (Stream, Stream) {
        (Stream(Confined::new(Rc::clone(&self.0))), self)
    }

    // `Async` implements the poll traits of futures, which read into initialised memory: each read would
    // fill the caller's buffer with zeros first. A bridge copies once instead.
    type Poll = Bridge<Self>;

    fn into_poll(self) -> Bridge<Self> {
        Bridge::new(self)
    }
}

impl ReadOwned for Stream {
    fn read(
        &mut self,
        mut buffer: Buffer,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async move {
            buffer.clear();
            if buffer.capacity() == 0 {
                // Linux answers a read of no bytes with EAGAIN while the socket has no data.
                return (Ok(0), buffer);
            }
            let mut stream: &Async<_> = &self.0;
            let result = stream.read(buffer.storage_mut()).await;
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
            let mut stream: &Async<_> = &self.0;
            let result = stream.read_exact(target).await;
            buffer.set_len(if result.is_ok() { len } else { 0 });
            (result, buffer)
        })
    }
}

impl WriteOwned for Stream {
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move {
            let mut stream: &Async<_> = &self.0;
            (stream.write_all(&buffer).await, buffer)
        })
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}
