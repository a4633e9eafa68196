//! Streams of futures' I/O traits under tokio's.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once at most. hyper asks for up to 408 KiB.
const MOST: usize = 512 << 10;

thread_local! {
    /// Initialised memory to read into, as long as the longest read of this thread so far.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream of `futures_io`'s traits, under those of tokio.
///
/// `futures_io` reads into initialised bytes. Where the caller's buffer is not initialised, the usual
/// wrappers (tokio-util's `Compat`, smol-hyper, async-compat) fill it with zeros before each read, and
/// hyper's has up to 408 KiB. This one reads into initialised memory of its thread and copies the bytes
/// that arrived, which are never more. A buffer that is initialised is read into directly.
pub struct FuturesIo<S> {
    stream: S,
    vectored: bool,
    shut_down: Option<ShutDown<S>>,
}

type ShutDown<S> = fn(&S) -> io::Result<()>;

impl<S> FuturesIo<S> {
    /// A stream that writes one buffer at a time, and whose `poll_close` ends its direction for the peer.
    pub fn new(stream: S) -> Self {
        Self { stream, vectored: false, shut_down: None }
    }

    /// The same stream, which writes several buffers as one (`poll_write_vectored`).
    #[must_use]
    pub fn vectored(self) -> Self {
        Self { vectored: true, ..self }
    }

    /// The same stream, whose direction ends by `shut_down` because its `poll_close` does nothing.
    #[must_use]
    pub fn shut_down_by(self, shut_down: fn(&S) -> io::Result<()>) -> Self {
        Self { shut_down: Some(shut_down), ..self }
    }
}

impl<S: futures_io::AsyncRead + Unpin> AsyncRead for FuturesIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            // Linux answers a read of no bytes with EAGAIN while nothing is there.
            return Poll::Ready(Ok(()));
        }
        let stream = Pin::new(&mut self.stream);
        if into.initialized().len() == into.capacity() {
            let read = ready!(stream.poll_read(cx, into.initialize_unfilled()))?;
            into.advance(read);
            return Poll::Ready(Ok(()));
        }
        let length = into.remaining().min(MOST);
        let mut spare = SPARE.take();
        if spare.len() < length {
            spare.resize(length, 0);
        }
        let read = stream.poll_read(cx, &mut spare[..length]);
        if let Poll::Ready(Ok(read)) = read {
            into.put_slice(&spare[..read]);
        }
        SPARE.set(spare);
        read.map_ok(drop)
    }
}

impl<S: futures_io::AsyncWrite + Unpin> AsyncWrite for FuturesIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shut_down {
            Some(shut_down) => Poll::Ready(shut_down(&self.stream)),
            None => Pin::new(&mut self.stream).poll_close(cx),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for FuturesIo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FuturesIo").field(&self.stream).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::task::Waker;

    use super::*;

    fn read(stream: &mut FuturesIo<&[u8]>, into: &mut ReadBuf<'_>) {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(stream).poll_read(cx, into), Poll::Ready(Ok(()))));
    }

    #[test]
    fn uninitialised_buffer_is_not_filled_beyond_what_was_read() {
        let mut memory = [MaybeUninit::uninit(); 1024];
        let mut into = ReadBuf::uninit(&mut memory);
        let mut stream = FuturesIo::new(&b"hello"[..]);
        read(&mut stream, &mut into);
        assert_eq!(into.filled(), b"hello");
        assert_eq!(into.initialized().len(), 5);
        read(&mut stream, &mut into);
        assert_eq!(into.filled(), b"hello", "the end of the stream adds nothing");
    }

    #[test]
    fn initialised_buffer_is_read_into_after_what_it_holds() {
        let mut memory = [7; 8];
        let mut into = ReadBuf::new(&mut memory);
        into.put_slice(b"ab");
        read(&mut FuturesIo::new(&b"cd"[..]), &mut into);
        assert_eq!(into.filled(), b"abcd");
    }

    /// A stream that records into which memory it reads and how it is closed.
    #[derive(Default)]
    struct Recorder {
        read_into: (usize, usize),
        calls: Vec<&'static str>,
    }

    impl futures_io::AsyncRead for Recorder {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.read_into = (into.as_ptr() as usize, into.len());
            into[0] = b'x';
            Poll::Ready(Ok(1))
        }
    }

    impl futures_io::AsyncWrite for Recorder {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.calls.push("write");
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.calls.push("write_vectored");
            Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.calls.push("close");
            Poll::Ready(Ok(()))
        }
    }

    /// Where a read of a buffer reads into.
    fn memory_of_read(into: &mut ReadBuf<'_>) -> (usize, usize) {
        let mut stream = FuturesIo::new(Recorder::default());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stream).poll_read(cx, into).is_ready());
        stream.stream.read_into
    }

    #[test]
    fn initialised_buffer_is_read_into_without_a_copy() {
        let mut memory = [0; 8];
        let start = memory.as_ptr() as usize;
        let mut into = ReadBuf::new(&mut memory);
        into.put_slice(b"ab");
        assert_eq!(memory_of_read(&mut into), (start + 2, 6));
    }

    #[test]
    fn uninitialised_buffers_share_the_memory_of_their_thread() {
        let mut memory = vec![MaybeUninit::uninit(); MOST + 1];
        let (first, bytes) = memory_of_read(&mut ReadBuf::uninit(&mut memory));
        assert_eq!(bytes, MOST, "one read has a limit");
        let outside = !memory.as_ptr_range().contains(&(first as *const MaybeUninit<u8>));
        assert!(outside, "the caller's memory may not be read into");
        let (again, bytes) = memory_of_read(&mut ReadBuf::uninit(&mut memory[..100]));
        assert_eq!((again, bytes), (first, 100));
    }

    #[test]
    fn shutdown_closes_the_stream_unless_it_is_shut_down_otherwise() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut closed = FuturesIo::new(Recorder::default());
        assert!(matches!(Pin::new(&mut closed).poll_shutdown(cx), Poll::Ready(Ok(()))));
        assert_eq!(closed.stream.calls, ["close"]);
        let mut other = FuturesIo::new(Recorder::default())
            .shut_down_by(|_| Err(io::ErrorKind::NotConnected.into()));
        let done = Pin::new(&mut other).poll_shutdown(cx);
        assert!(
            matches!(&done, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected)
        );
        assert!(other.stream.calls.is_empty());
    }

    #[test]
    fn writes_reach_the_stream_as_they_are() {
        let cx = &mut Context::from_waker(Waker::noop());
        for vectored in [false, true] {
            let stream = FuturesIo::new(Recorder::default());
            let mut stream = if vectored { stream.vectored() } else { stream };
            assert_eq!(stream.is_write_vectored(), vectored);
            let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
            let written = Pin::new(&mut stream).poll_write_vectored(cx, &parts);
            assert!(matches!(written, Poll::Ready(Ok(3))));
            assert!(matches!(Pin::new(&mut stream).poll_write(cx, b"ab"), Poll::Ready(Ok(2))));
            assert_eq!(stream.stream.calls, ["write_vectored", "write"]);
        }
    }

    #[test]
    fn full_buffer_is_not_an_end() {
        let mut into = ReadBuf::uninit(&mut []);
        let mut stream = FuturesIo::new(&b"x"[..]);
        read(&mut stream, &mut into);
        assert_eq!(stream.stream, b"x");
        let asked = memory_of_read(&mut ReadBuf::uninit(&mut []));
        assert_eq!(asked, (0, 0), "the stream is not asked");
    }
}
