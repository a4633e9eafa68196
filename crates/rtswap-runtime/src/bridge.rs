//! From owned buffers to polls, for runtimes whose own streams cannot be polled.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::ReusableBoxFuture;

use crate::{Buffer, ReadOwned, TcpStream, WriteOwned};

mod spare;
#[cfg(test)]
pub(crate) mod tests;

// A connection that waits holds the buffer that the kernel may fill at any moment. No other part of its
// memory has to be kept. So reads begin small, with the size of compio's `AsyncStream` and of hyper's first
// buffer, and grow where a connection sends much.

/// Bytes that a read asks for at first.
const READ_LEAST: usize = 8 << 10;

/// Bytes that a read asks for at most, where reads fill what they are given. More than that loopback
/// does not carry at once.
const READ_MOST: usize = 64 << 10;

/// Bytes that a write takes at most: more than an answer of 64 KiB with its head, of which the rest
/// would wait for the first part. Larger ones are parts of 128 KiB, each in memory that a cache holds.
const WRITE_MOST: usize = 128 << 10;

/// The poll face of a stream with owned buffers.
///
/// A completion runtime's kernel keeps the buffer of an operation until it is done, so it cannot be the
/// caller's, which `poll_read` gives back at once: the bridge has one of its own for each direction,
/// and copies once. That of reads is made at the first use and stays; that of a write is the thread's
/// again when the write has ended. Neither is filled with zeros, and no more than one operation is in
/// flight in each direction. Bytes that were read and not handed on stay in the buffer: a read that is
/// given up loses nothing, unlike one of [`ReadOwned`].
///
/// A write is accepted when it is in the buffer and its operation has begun; the next write, flush or
/// shutdown waits for that, and has its error. So what is written has to be flushed, as the
/// documentation of `AsyncWrite` asks, before something else is waited for. A task that reads instead
/// keeps the write going all the same, also where a flush was given up, or another task waits for it.
///
/// The two directions may be polled by two tasks, and the last waker of each counts.
///
/// Dropping the bridge drops the operations in flight, and does with the stream what dropping both of
/// its halves does: bytes that were accepted and not flushed may be lost.
pub struct Bridge<S: TcpStream> {
    reading: Reading<S::ReadHalf>,
    writing: Writing<S::WriteHalf>,
}

type ReadOp<H> = ReusableBoxFuture<'static, (io::Result<usize>, Buffer, H)>;
type WriteOp<H> = ReusableBoxFuture<'static, (io::Result<()>, H)>;

/// One direction: the half and its buffer when idle, the operation that has them otherwise. The
/// operation's memory is kept from one to the next.
struct Reading<H> {
    idle: Option<(H, Buffer)>,
    /// How much of the buffer was handed on.
    taken: usize,
    /// Bytes that the next read is to have room for.
    room: usize,
    operation: Option<ReadOp<H>>,
}

struct Writing<H> {
    idle: Option<H>,
    operation: Option<WriteOp<H>>,
    /// The task that waited last for the operation that is under way. It may have given up.
    waiter: Option<Waker>,
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
            reading: Reading {
                idle: Some((read, Buffer::default())),
                taken: 0,
                room: READ_LEAST,
                operation: None,
            },
            writing: Writing {
                idle: Some(write),
                operation: None,
                waiter: None,
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

async fn write<H: WriteOwned>(mut half: H, buffer: Buffer) -> (io::Result<()>, H) {
    let (result, buffer) = half.write_all(buffer).await;
    spare::give(buffer.into_vec());
    (result, half)
}

async fn shutdown<H: WriteOwned>(mut half: H) -> (io::Result<()>, H) {
    (half.shutdown().await, half)
}

/// Wakes two tasks.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
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
                if !(self.room..2 * self.room).contains(&buffer.capacity()) {
                    // From a vector without a length, so that it is not filled.
                    buffer = Buffer::from(Vec::with_capacity(self.room));
                }
                begin(&mut self.operation, read(half, buffer));
            }
            let operation = self.operation.as_mut().expect("idle or under way");
            let (result, buffer, half) = ready!(operation.poll(cx));
            self.taken = 0;
            self.idle = Some((half, buffer));
            match result {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(bytes) => self.adapt(bytes),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// More room after a read that has filled it, less after one that has used little.
    fn adapt(&mut self, bytes: usize) {
        if bytes >= self.room {
            self.room = (2 * self.room).min(READ_MOST);
        } else if bytes <= self.room / 4 {
            self.room = (self.room / 2).max(READ_LEAST);
        }
    }
}

impl<H: WriteOwned + Send + 'static> Writing<H> {
    /// Waits for the operation that is under way, if one is.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_operation(cx).is_pending() {
            self.waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map_or(Ok(()), Err))
    }

    /// Keeps the operation going. Its error is kept for the next call that waits.
    fn poll_operation(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.idle.is_none() {
            let operation = self.operation.as_mut().expect("idle or under way");
            let (result, half) = ready!(operation.poll(cx));
            self.idle = Some(half);
            self.waiter = None;
            self.error = result.err();
        }
        Poll::Ready(())
    }

    /// For a task that is about to wait for something else, and has perhaps not flushed. The task that waits
    /// for the write is woken too. It may have given up, which the bridge cannot know.
    fn keep_going(&mut self, cx: &mut Context<'_>) {
        let both = self
            .waiter
            .as_ref()
            .filter(|waiter| !waiter.will_wake(cx.waker()))
            .map(|waiter| Waker::from(Arc::new(Both(waiter.clone(), cx.waker().clone()))));
        let waker = both.as_ref().unwrap_or(cx.waker());
        let _ = self.poll_operation(&mut Context::from_waker(waker));
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let accepted = parts.iter().map(|part| part.len()).sum::<usize>().min(WRITE_MOST);
        if accepted == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_done(cx))?;
        let half = self.idle.take().expect("done");
        let mut bytes = spare::take(accepted);
        for part in parts {
            let some = part.len().min(accepted - bytes.len());
            bytes.extend_from_slice(&part[..some]);
        }
        begin(&mut self.operation, write(half, Buffer::from(bytes)));
        let _ = self.poll_operation(cx);
        Poll::Ready(Ok(accepted))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(self.poll_done(cx))?;
            let half = self.idle.take().expect("done");
            begin(&mut self.operation, shutdown(half));
            self.shut = true;
        }
        let done = ready!(self.poll_done(cx));
        // A shutdown that has failed may be tried again.
        self.shut = done.is_ok();
        Poll::Ready(done)
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
        let read = self.reading.poll(cx, into);
        if read.is_pending() {
            self.writing.keep_going(cx);
        }
        read
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
