//! Tasks that pass their panics on, that can be aborted, and that end with their runtime: monoio has none
//! of the three.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use pin_project_lite::pin_project;
use rtswap_runtime::task::poll_now;
use slab::Slab;

use crate::turn;

thread_local! {
    /// The tasks that wait for something. Only what will wake one of them holds it, so that without
    /// this nobody could find it when the runtime ends.
    static WAITING: RefCell<Slab<Waiting>> = const { RefCell::new(Slab::new()) };
    /// The number of the next task: that of the thread, from 1, and a count. 0 before the first.
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// Whether `ABORTED` may hold anything: a task looks at no more than this.
    static ABORTING: Cell<bool> = const { Cell::new(false) };
    /// Tasks that are to drop their future at their next poll.
    static ABORTED: RefCell<Option<HashSet<u64>>> = const { RefCell::new(None) };
    /// Whether `main` has returned.
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

struct Waiting {
    task: u64,
    waker: Waker,
}

/// What an aborted task gives in place of a panic.
struct Aborted;

/// A task of monoio's; dropping it detaches, as it does in monoio.
pub struct JoinHandle<T> {
    handle: monoio::task::JoinHandle<thread::Result<T>>,
    task: u64,
}

/// Bits of a task's number that count the tasks of its thread.
const COUNT_BITS: u32 = 40;

/// The number of a new task. A handle may be on another thread when it aborts its task, so the number says
/// whose it is.
fn next_number() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    let mut number = NEXT.get();
    if number == 0 {
        number = THREADS.fetch_add(1, Ordering::Relaxed) << COUNT_BITS;
    }
    NEXT.set(number + 1);
    number
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let output = ready!(Pin::new(&mut self.handle).poll(cx));
        Poll::Ready(output.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let task = self.task;
        let here = NEXT.get() >> COUNT_BITS;
        assert!(task >> COUNT_BITS == here, "a task was aborted on another thread than its own");
        let ended = poll_now(&mut self.handle);
        if ended.is_pending() {
            ABORTING.set(true);
            ABORTED.with_borrow_mut(|aborted| aborted.get_or_insert_default().insert(task));
            // A task that does not wait is in monoio's queue, and is polled in any case.
            let waker = WAITING.with_borrow(|waiting| {
                let waiting = waiting.iter().find(|(_, waiting)| waiting.task == task);
                waiting.map(|(_, waiting)| waiting.waker.clone())
            });
            waker.into_iter().for_each(Waker::wake);
        }
        async move {
            let output = match ended {
                Poll::Ready(output) => output,
                Poll::Pending => self.handle.await,
            };
            match output {
                Ok(output) => Some(output),
                Err(payload) if payload.is::<Aborted>() => None,
                Err(panic) => resume_unwind(panic),
            }
        }
    }
}

/// Whether the task is to end now.
fn is_aborted(task: u64) -> bool {
    ABORTING.get()
        && ABORTED.with_borrow_mut(|aborted| {
            let found = aborted.as_mut().is_some_and(|aborted| aborted.remove(&task));
            ABORTING.set(aborted.as_ref().is_some_and(|aborted| !aborted.is_empty()));
            found
        })
}

pin_project! {
    /// What is spawned in place of a task.
    struct Task<F> {
        // Taken when it ends: a waker may keep the rest of the task for longer.
        #[pin]
        future: Option<F>,
        // Its place in `WAITING`, once it has had to wait.
        place: Option<usize>,
        number: u64,
    }
}

pub(crate) fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    let number = next_number();
    let handle = monoio::spawn(Task { future: Some(future), place: None, number });
    JoinHandle { handle, task: number }
}

impl<F: Future> Future for Task<F> {
    type Output = thread::Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let output = if ENDED.get() {
            Err(Box::new("joined a task whose runtime has shut down") as _)
        } else if is_aborted(*this.number) {
            Err(Box::new(Aborted) as _)
        } else {
            let future = this.future.as_mut().as_pin_mut().expect("taken at the end only");
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(Poll::Pending) => {
                    this.place.get_or_insert_with(|| {
                        let waiting = Waiting { task: *this.number, waker: cx.waker().clone() };
                        WAITING.with_borrow_mut(|all| all.insert(waiting))
                    });
                    return Poll::Pending;
                }
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            }
        };
        if let Some(place) = this.place.take() {
            drop(WAITING.with_borrow_mut(|waiting| waiting.remove(place)));
        }
        // What panics when it is dropped has nobody to tell, and must not end the runtime.
        let _ = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        Poll::Ready(output)
    }
}

/// Runs `main`, then drops the tasks that are still pending. Gives the panic of `main`, if there was
/// one.
///
/// monoio holds a task only through the wakers that will wake it. Those of an operation that is under
/// way belong to the driver, and the operation holds the driver: a ring would outlive its runtime.
pub(crate) async fn with_end<F: Future>(main: F) -> thread::Result<F::Output> {
    ENDED.set(false);
    let mut main = pin!(main);
    let output = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| main.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await;
    ENDED.set(true);
    ABORTED.set(None);
    ABORTING.set(false);
    loop {
        // Only a copy, so that a place is given back by the task that has it.
        let wakers: Vec<_> = WAITING.with_borrow(|waiting| {
            waiting.iter().map(|(_, waiting)| waiting.waker.clone()).collect()
        });
        if wakers.is_empty() {
            break;
        }
        wakers.into_iter().for_each(Waker::wake);
        turn::yield_now().await;
    }
    turn::end();
    output
}
