//! What hyper asks of a runtime, from any [`Runtime`]: tasks and timers.
//!
//! For streams there is no need of anything here: `hyper_util::rt::TokioIo::new(stream.into_poll())`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::hyper::rt;

use crate::Runtime;

/// Starts hyper's tasks on the runtime, detached. HTTP/2 and clients have such; HTTP/1 servers have none.
pub struct Executor<R>(PhantomData<fn() -> R>);

impl<R> Executor<R> {
    /// On the runtime that is running when a task is to be started.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Runtime, F> rt::Executor<F> for Executor<R>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(R::spawn(task));
    }
}

/// hyper's timers, for one connection: each connection should have one of its own.
///
/// A server's timeout begins anew with each request, and hardly ever is one reached. What that costs
/// differs: a runtime may keep its timers in a wheel or in a tree, or have the kernel keep them. So that
/// it costs the same next to nothing on each, a timer of the runtime that was armed is kept when
/// hyper has no more use for it, and serves the next timeout as long as it fires no later: it then is
/// armed again for what is left. A connection arms one timer per timeout that passes, however many
/// requests it answers.
pub struct Timer<R> {
    spare: Spare,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Timer<R> {
    /// With no timer armed yet.
    pub fn new() -> Self {
        Self { spare: Spare::default(), runtime: PhantomData }
    }
}

impl<R: Runtime> rt::Timer for Timer<R> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        let start = |duration| -> Started { Box::pin(R::sleep(duration)) };
        Box::pin(Sleep::new(deadline, start, Arc::clone(&self.spare)))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut ours) => ours.deadline = deadline,
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A sleep of the runtime.
type Started = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A timer that no task waits for at present.
type Spare = Arc<Mutex<Option<Armed>>>;

struct Armed {
    end: Instant,
    sleep: Started,
}

struct Sleep {
    deadline: Instant,
    start: fn(Duration) -> Started,
    /// A mutex because hyper wants what can be shared, which the sleeps of runtimes cannot; it is never
    /// locked, since polling has it to itself.
    armed: Mutex<Option<Armed>>,
    spare: Spare,
}

impl Sleep {
    fn new(deadline: Instant, start: fn(Duration) -> Started, spare: Spare) -> Self {
        Self { deadline, start, armed: Mutex::new(None), spare }
    }
}

impl rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { deadline, start, armed, spare } = &mut *self;
        let armed = armed.get_mut().unwrap_or_else(PoisonError::into_inner);
        if armed.is_none() {
            *armed = spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        // One that would fire too late is of no use.
        if armed.as_ref().is_some_and(|armed| armed.end > *deadline) {
            *armed = None;
        }
        loop {
            let running = armed.get_or_insert_with(|| Armed {
                end: *deadline,
                sleep: start(deadline.saturating_duration_since(Instant::now())),
            });
            ready!(running.sleep.as_mut().poll(cx));
            let ended = running.end;
            *armed = None;
            // A sleep never ends early, so the clock need not be asked.
            if ended >= *deadline {
                return Poll::Ready(());
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let armed = self.armed.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if armed.is_some() {
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = armed;
        }
    }
}

impl<R> Clone for Executor<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Executor<R> {}

impl<R> Default for Executor<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Executor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}

impl<R: Runtime> Default for Timer<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Timer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::task::Waker;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    thread_local! {
        /// What was armed.
        static ASKED: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
        /// How many of them, from the first, have fired.
        static FIRED: Cell<usize> = const { Cell::new(0) };
    }

    fn start(duration: Duration) -> Started {
        let number = ASKED.with_borrow_mut(|asked| {
            asked.push(duration);
            asked.len()
        });
        Box::pin(std::future::poll_fn(move |_| {
            if number <= FIRED.get() { Poll::Ready(()) } else { Poll::Pending }
        }))
    }

    fn armed() -> usize {
        ASKED.with_borrow(Vec::len)
    }

    fn is_over(sleep: &mut Sleep) -> bool {
        Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn one_armed_timer_serves_request_after_request() {
        let (spare, begin) = (Spare::default(), Instant::now());
        for request in 0..1000 {
            let deadline = begin + HOUR + Duration::from_secs(request);
            let mut sleep = Sleep::new(deadline, start, Arc::clone(&spare));
            assert!(!is_over(&mut sleep) && !is_over(&mut sleep));
        }
        assert_eq!(armed(), 1);
        // It fires when the last timeout has long moved on, which is armed for.
        let deadline = begin + 3 * HOUR;
        let mut last = Sleep::new(deadline, start, Arc::clone(&spare));
        FIRED.set(1);
        assert!(!is_over(&mut last));
        assert_eq!(armed(), 2);
        assert!(ASKED.with_borrow(|asked| asked[1] > HOUR));
        FIRED.set(2);
        assert!(is_over(&mut last));
        drop(last);
        assert!(spare.lock().unwrap().is_none(), "what has fired is not kept");
    }

    #[test]
    fn a_timer_that_would_fire_too_late_is_not_used() {
        let (spare, now) = (Spare::default(), Instant::now());
        assert!(!is_over(&mut Sleep::new(now + 2 * HOUR, start, Arc::clone(&spare))));
        let mut sooner = Sleep::new(now + HOUR, start, spare);
        assert!(!is_over(&mut sooner));
        assert_eq!(armed(), 2);
        // And as hyper may move it: sooner still.
        sooner.deadline = now;
        assert!(!is_over(&mut sooner));
        assert_eq!(armed(), 3);
        assert!(ASKED.with_borrow(|asked| asked[2].is_zero()));
        FIRED.set(3);
        assert!(is_over(&mut sooner));
    }

    #[test]
    fn two_at_once_have_one_each_and_what_is_never_polled_has_none() {
        let (spare, deadline) = (Spare::default(), Instant::now() + HOUR);
        drop(Sleep::new(deadline, start, Arc::clone(&spare)));
        assert_eq!(armed(), 0);
        let [mut one, mut other] = [0; 2].map(|_| Sleep::new(deadline, start, Arc::clone(&spare)));
        assert!(!is_over(&mut one) && !is_over(&mut other));
        assert_eq!(armed(), 2);
        FIRED.set(1);
        assert!(is_over(&mut one) && !is_over(&mut other));
    }
}
