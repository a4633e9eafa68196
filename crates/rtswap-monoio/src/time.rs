//! Timers, which monoio arms when they are made and the contract at the first poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use rtswap_runtime::{Confined, Elapsed};

pin_project! {
    /// A future that is made at its first poll.
    ///
    /// monoio's timer takes 640 bytes, aligned to 128, so each field next to it costs 128. This takes none: what
    /// makes the timer lies where the timer will be. In an `async` block it would lie next to it.
    #[project = LazyProjected]
    enum Lazy<M, F> {
        New { make: Option<M> },
        Made { #[pin] future: F },
    }
}

impl<M: FnOnce() -> F, F: Future> Future for Lazy<M, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match self.as_mut().project() {
                LazyProjected::New { make } => {
                    let future = make.take().expect("not polled after it was ready")();
                    self.set(Self::Made { future });
                }
                LazyProjected::Made { future } => {
                    let output = ready!(future.poll(cx));
                    // A future whose time is over is dropped now, and not with its timeout.
                    self.set(Self::New { make: None });
                    return Poll::Ready(output);
                }
            }
        }
    }
}

fn lazy<F: Future>(make: impl FnOnce() -> F) -> impl Future<Output = F::Output> {
    Lazy::New { make: Some(make) }
}

pin_project! {
    /// A future whose output is mapped, of the size of the future.
    struct Mapped<F, M> {
        #[pin]
        future: F,
        map: M,
    }
}

impl<F: Future, M: Fn(F::Output) -> O, O> Future for Mapped<F, M> {
    type Output = O;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let this = self.project();
        this.future.poll(cx).map(this.map)
    }
}

pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    Confined::new(lazy(move || monoio::time::sleep(duration)))
}

pub(crate) fn timeout<F: Future + Send>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> + Send {
    let future = Confined::new(lazy(move || monoio::time::timeout(duration, future)));
    Mapped { future, map: |output: Result<_, _>| output.map_err(|_| Elapsed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_timeout_add_the_thread_to_the_timer() {
        let timer = size_of::<monoio::time::Sleep>();
        let align = align_of::<monoio::time::Sleep>();
        assert_eq!(size_of_val(&lazy(|| monoio::time::sleep(Duration::ZERO))), timer);
        let duration = Duration::from_secs(1);
        assert_eq!(size_of_val(&lazy(move || monoio::time::sleep(duration))), timer);
        // The number of the thread.
        assert_eq!(size_of_val(&sleep(duration)), timer + align);
        assert_eq!(size_of_val(&timeout(duration, async {})), timer + 2 * align);
    }
}
