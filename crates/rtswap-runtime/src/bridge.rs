//! From owned buffers to polls, for runtimes whose own streams cannot be polled.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::ReusableBoxFuture;

use crate::{Buffer, ReadOwned, TcpStream, WriteOwned};

/// Bytes that a read asks for.
const READ_BYTES: usize = 16 << 10;

/// Bytes that a write takes at most.
const WRITE_BYTES: usize = 64 << 10;

/// The poll face of a stream with owned buffers.
///
/// A completion runtime's kernel keeps the buffer of an operation until it is done, so it cannot be the
/// caller's, which `poll_read` gives back at once: the bridge has one of its own for each direction,
/// and copies once. They are made at the first use, filled with zeros never, and no more than one
/// operation is in flight in each direction.
///
/// A write is accepted when it is in the buffer and its operation has begun; the next write, flush or
/// shutdown waits for that, and has its error. So what is written has to be flushed, as the
/// documentation of `AsyncWrite` asks, before something else is waited for.
///
/// Dropping the bridge drops the operations in flight, and does with the stream what dropping both of
/// its halves does.
pub struct Bridge<S: TcpStream> {
    reading: Reading<S::ReadHalf>,
    writing: Writing<S::WriteHalf>,
}

type ReadOp<H> = ReusableBoxFuture<'static, (io::Result<usize>, Buffer, H)>;
type WriteOp<H> = ReusableBoxFuture<'static, (io::Result<()>, Buffer, H)>;

/// One direction: the half and its buffer when idle, the operation that has them otherwise. The
/// operation's memory is kept from one to the next.
struct Reading<H> {
    idle: Option<(H, Buffer)>,
    /// How much of the buffer was handed on.
    taken: usize,
    operation: Option<ReadOp<H>>,
}

struct Writing<H> {
    idle: Option<(H, Buffer)>,
    operation: Option<WriteOp<H>>,
    /// Of a write that was accepted.
    error: Option<io::Error>,
    /// Whether the shutdown has begun.
    shut: bool,
}

impl<S: TcpStream> Bridge<S> {
    /// Polls for a stream.
    pub fn new(stream: S) -> Self {
        let (read, write) = stream.into_split();
        Self {
            reading: Reading { idle: Some((read, Buffer::default())), taken: 0, operation: None },
            writing: Writing {
                idle: Some((write, Buffer::default())),
                operation: None,
                error: None,
                shut: false,
            },
        }
    }
}

/// Begins an operation in the memory of the one before.
fn begin<T>(
    slot: &mut Option<ReusableBoxFuture<'static, T>>,
    future: impl Future<Output = T> + Send + 'static,
) {
    match slot {
        Some(operation) => operation.set(future),
        None => *slot = Some(ReusableBoxFuture::new(future)),
    }
}

async fn read<H: ReadOwned>(mut half: H, buffer: Buffer) -> (io::Result<usize>, Buffer, H) {
    let (result, buffer) = half.read(buffer).await;
    (result, buffer, half)
}

async fn write<H: WriteOwned>(mut half: H, buffer: Buffer) -> (io::Result<()>, Buffer, H) {
    let (result, buffer) = half.write_all(buffer).await;
    (result, buffer, half)
}

async fn shutdown<H: WriteOwned>(mut half: H, buffer: Buffer) -> (io::Result<()>, Buffer, H) {
    (half.shutdown().await, buffer, half)
}

impl<H: ReadOwned + Send + 'static> Reading<H> {
    fn poll(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if let Some((half, mut buffer)) = self.idle.take() {
                let rest = &buffer[self.taken..];
                if !rest.is_empty() {
                    let some = rest.len().min(into.remaining());
                    into.put_slice(&rest[..some]);
                    self.taken += some;
                    self.idle = Some((half, buffer));
                    return Poll::Ready(Ok(()));
                }
                if buffer.capacity() == 0 {
                    buffer = Buffer::with_capacity(READ_BYTES);
                }
                begin(&mut self.operation, read(half, buffer));
            }
            let operation = self.operation.as_mut().expect("idle or under way");
            let (result, buffer, half) = ready!(operation.poll(cx));
            self.taken = 0;
            self.idle = Some((half, buffer));
            match result {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<H: WriteOwned + Send + 'static> Writing<H> {
    /// Waits for the operation that is under way, if one is.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.idle.is_none() {
            let operation = self.operation.as_mut().expect("idle or under way");
            let (result, buffer, half) = ready!(operation.poll(cx));
            self.idle = Some((half, buffer));
            result?;
        }
        Poll::Ready(self.error.take().map_or(Ok(()), Err))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_done(cx))?;
        let (half, buffer) = self.idle.take().expect("done");
        let mut bytes = buffer.into_vec();
        bytes.clear();
        for part in parts {
            let some = part.len().min(WRITE_BYTES - bytes.len());
            bytes.extend_from_slice(&part[..some]);
        }
        let accepted = bytes.len();
        if accepted == 0 {
            self.idle = Some((half, Buffer::from(bytes)));
            return Poll::Ready(Ok(0));
        }
        begin(&mut self.operation, write(half, Buffer::from(bytes)));
        self.poll_ahead(cx);
        Poll::Ready(Ok(accepted))
    }

    /// Begins the operation, and takes its end if it has come at once; an error is for the next to hear.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation.as_mut().expect("just begun");
        if let Poll::Ready((result, buffer, half)) = operation.poll(cx) {
            self.idle = Some((half, buffer));
            self.error = result.err();
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(self.poll_done(cx))?;
            let (half, buffer) = self.idle.take().expect("done");
            begin(&mut self.operation, shutdown(half, buffer));
            self.shut = true;
        }
        self.poll_done(cx)
    }
}

// Nothing in it is pinned: operations are in boxes of their own.
impl<S: TcpStream> Unpin for Bridge<S> {}

impl<S: TcpStream> AsyncRead for Bridge<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reading.poll(cx, into)
    }
}

impl<S: TcpStream> AsyncWrite for Bridge<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writing.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing.poll_write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        // Parts are copied all the same: better into one buffer and one operation.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.poll_done(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.poll_shutdown(cx)
    }
}

impl<S: TcpStream> fmt::Debug for Bridge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("reads", &self.reading.idle.is_none())
            .field("writes", &self.writing.idle.is_none())
            .finish_non_exhaustive()
    }
}
