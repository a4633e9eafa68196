//! Timers, which ntex arms when they are made and the contract at the first poll.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use ntex_util::time::{Millis, TimerHandle, system_time};
use rtswap_runtime::{Confined, Elapsed};

thread_local! {
    /// Whether ntex's timer wheel has its two tasks on this runtime.
    static STARTED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    Confined::new(asleep(duration))
}

async fn asleep(duration: Duration) {
    let mut now = Instant::now();
    let end = now.checked_add(duration);
    let mut left = duration;
    loop {
        STARTED.set(true);
        // ntex counts from the time of a clock that it reads once in 5 ms, so that its sleep may end that much early.
        let age = now.saturating_duration_since(ntex_util::time::now());
        ntex_util::time::sleep(rounded_up(left.saturating_add(age))).await;
        now = Instant::now();
        left = end.map_or(left, |end| end.saturating_duration_since(now));
        if left.is_zero() {
            return;
        }
    }
}

fn rounded_up(duration: Duration) -> Millis {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Millis(millis.try_into().unwrap_or(u32::MAX))
}

pub(crate) fn timeout<F: Future + Send>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> + Send {
    Confined::new(async move {
        let (mut future, mut sleep) = (pin!(future), pin!(asleep(duration)));
        // As ntex's own `timeout`: the future first, then the timer.
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    })
}

/// Waits until the wheel is empty, when all timers but those of the two tasks are gone: one tick, or two.
pub(crate) async fn settled() {
    if STARTED.get() {
        ntex_util::time::sleep(Millis(1)).await;
    }
}

/// Wakes the tasks of the wheel, after [`settled`] and outside of the runtime, so that they are in its queue, with
/// which it drops them. ntex leaves them pending for ever: timers of the next runtime of this thread would not end.
pub(crate) fn end() {
    if STARTED.replace(false) {
        // The wheel is empty, so a new timer is its first, and wakes both tasks.
        drop(TimerHandle::new(1));
        // Wakes the task of the clock if the timer found a time that was still fresh.
        let _ = system_time();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_up_never_shortens() {
        assert_eq!(rounded_up(Duration::ZERO), Millis(0));
        assert_eq!(rounded_up(Duration::from_nanos(1)), Millis(1));
        assert_eq!(rounded_up(Duration::from_millis(7)), Millis(7));
        assert_eq!(rounded_up(Duration::from_micros(7_001)), Millis(8));
        assert_eq!(rounded_up(Duration::MAX), Millis(u32::MAX));
    }
}
