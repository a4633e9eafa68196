//! A stream that is polled, and breaks what `AsyncRead` and `AsyncWrite` promise.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Fault;

pub struct Polled<T, F> {
    /// Taken by drop only.
    inner: Option<Box<T>>,
    /// Where the bytes of a read that waits were to go.
    waits: Option<usize>,
    /// Written, and held back.
    held: Vec<u8>,
    keeps_open: bool,
    fault: PhantomData<fn() -> F>,
}

impl<T, F: Fault> Polled<T, F> {
    pub fn new(inner: T) -> Self {
        Self {
            inner: Some(Box::new(inner)),
            waits: None,
            held: Vec::new(),
            keeps_open: F::KEEPS_WHAT_WAITS_OPEN,
            fault: PhantomData,
        }
    }
}

impl<T: Unpin, F> Polled<T, F> {
    fn inner(&mut self) -> Pin<&mut T> {
        Pin::new(self.inner.as_mut().unwrap())
    }
}

impl<T: AsyncWrite + Unpin, F: Fault> Polled<T, F> {
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let written = self.inner().poll_write(cx, &held);
            self.held = held;
            self.held.drain(..ready!(written)?);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin, F: Fault> AsyncRead for Polled<T, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let target = into.initialize_unfilled().as_ptr() as usize;
        if F::LOSES_WHAT_IS_GIVEN_UP && self.waits.take().is_some_and(|waits| waits != target) {
            // As an operation whose buffer is dropped with its future.
            let mut lost = [0; 10];
            let _ = self.inner().poll_read(cx, &mut ReadBuf::new(&mut lost));
        }
        let before = into.filled().len();
        let read = self.inner().poll_read(cx, into);
        self.waits = read.is_pending().then_some(target);
        if F::CORRUPTS_POLLS && into.filled().len() > before {
            into.filled_mut()[before] ^= 1;
        }
        read
    }
}

impl<T: AsyncWrite + Unpin, F: Fault> AsyncWrite for Polled<T, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if F::NEVER_FLUSHES {
            ready!(self.poll_held(cx))?;
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        self.inner().poll_shutdown(cx)
    }
}

impl<T, F> Drop for Polled<T, F> {
    fn drop(&mut self) {
        if self.keeps_open && self.waits.is_some() {
            std::mem::forget(self.inner.take());
        }
    }
}
