//! What adapters have in common for tasks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Polls a future once now, and returns what is left of it. For operations that runtimes start at the
/// first poll and the contract at the call. A panic is resumed where the output is awaited.
pub fn start<F: Future + Send>(future: F) -> impl Future<Output = F::Output> + Send
where
    F::Output: Send,
{
    let mut future = Box::pin(future);
    // The caller's waker replaces this one at its first poll.
    let cx = &mut Context::from_waker(Waker::noop());
    let first = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
    async {
        match resume(first) {
            Poll::Ready(output) => output,
            Poll::Pending => future.await,
        }
    }
}

/// Polls a future that may be moved once, without a waker.
pub fn poll_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Catches the panic of work for [`Runtime::spawn_blocking`](crate::Runtime::spawn_blocking), for pools
/// that would lose it. [`resume`] resumes it where the output is awaited.
pub fn caught<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> thread::Result<T> {
    move || catch_unwind(AssertUnwindSafe(work))
}

/// The output, or the panic that was caught instead.
pub fn resume<T>(output: thread::Result<T>) -> T {
    output.unwrap_or_else(|panic| resume_unwind(panic))
}
