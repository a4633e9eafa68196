//! Tasks that pass their panics on, whose cancellation can be awaited, and that end with their runtime: ntex has none
//! of the three.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use futures_lite::future::yield_now;
use pin_project_lite::pin_project;
use rtswap_runtime::Confined;
use rtswap_runtime::task::{poll_now, resume};
use slab::Slab;

use crate::time;

thread_local! {
    /// The tasks that wait for something. Only what will wake one of them holds it, so that without this it could not
    /// be found when the runtime ends.
    static WAITING: RefCell<Slab<Waker>> = const { RefCell::new(Slab::new()) };
    /// How many tasks have not been dropped.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
    /// The number of the next task: that of the thread, from 1, and a count. 0 before the first.
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// Whether `ABORTED` may hold anything: a task looks at no more than this.
    static ABORTING: Cell<bool> = const { Cell::new(false) };
    /// Cancelled tasks that have not been dropped, with what waits for that.
    static ABORTED: RefCell<Option<HashMap<u64, Option<Waker>>>> = const { RefCell::new(None) };
    /// Whether `main` has returned.
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

/// A task of ntex's; dropping it detaches, as it does in ntex.
pub struct JoinHandle<T> {
    task: ntex_rt::JoinHandle<thread::Result<T>>,
    number: u64,
}

/// Bits of a task's number that count the tasks of its thread.
const COUNT_BITS: u32 = 40;

/// The number of a new task. A handle may be on another thread when it aborts its task, so the number says whose
/// it is.
fn next_number() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    let mut number = NEXT.get();
    if number == 0 {
        number = THREADS.fetch_add(1, Ordering::Relaxed) << COUNT_BITS;
    }
    NEXT.set(number + 1);
    number
}

impl<T> JoinHandle<T> {
    fn poll_task(&mut self, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        let output = ready!(Pin::new(&mut self.task).poll(cx));
        Poll::Ready(output.expect("the handle has its task until it is dropped"))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.poll_task(cx).map(resume)
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let number = self.number;
        let here = NEXT.get() >> COUNT_BITS;
        assert!(number >> COUNT_BITS == here, "a task was aborted on another thread than its own");
        let ended = poll_now(&mut poll_fn(|cx| self.poll_task(cx)));
        if ended.is_pending() {
            ABORTING.set(true);
            ABORTED.with_borrow_mut(|aborted| aborted.get_or_insert_default().insert(number, None));
            // ntex drops the future at the task's next turn, and does not tell when.
            self.task.cancel();
        }
        async move {
            match ended {
                Poll::Ready(output) => Some(resume(output)),
                Poll::Pending => {
                    dropped(number).await;
                    None
                }
            }
        }
    }
}

/// Waits until a cancelled task has been dropped.
fn dropped(number: u64) -> impl Future<Output = ()> + Send {
    Confined::new(poll_fn(move |cx| {
        ABORTED.with_borrow_mut(|aborted| {
            match aborted.as_mut().and_then(|aborted| aborted.get_mut(&number)) {
                Some(waker) => {
                    *waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
    }))
}

/// Wakes what waits for the drop of a cancelled task.
fn report_dropped(number: u64) {
    let waker = ABORTED.with_borrow_mut(|aborted| {
        let aborted = aborted.as_mut()?;
        let waker = aborted.remove(&number).flatten();
        ABORTING.set(!aborted.is_empty());
        waker
    });
    waker.into_iter().for_each(Waker::wake);
}

pin_project! {
    /// What is spawned in place of a task.
    struct Task<F> {
        // Taken when it ends, so that a panic of its drop can be caught.
        #[pin]
        future: Option<F>,
        // Its place in `WAITING`, once it has had to wait.
        place: Option<usize>,
        number: u64,
    }

    impl<F> PinnedDrop for Task<F> {
        fn drop(this: Pin<&mut Self>) {
            let number = this.number;
            this.finish();
            ALIVE.set(ALIVE.get() - 1);
            if ABORTING.get() {
                report_dropped(number);
            }
        }
    }
}

impl<F> Task<F> {
    /// Drops the future. What panics then has no joiner, and must not end the runtime.
    fn finish(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Some(place) = this.place.take() {
            drop(WAITING.with_borrow_mut(|waiting| waiting.remove(place)));
        }
        let _ = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
    }
}

pub(crate) fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    let number = next_number();
    ALIVE.set(ALIVE.get() + 1);
    let task = ntex_rt::spawn(Task { future: Some(future), place: None, number });
    JoinHandle { task, number }
}

impl<F: Future> Future for Task<F> {
    type Output = thread::Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        let output = if ENDED.get() {
            Err(Box::new("joined a task whose runtime has shut down") as _)
        } else {
            let future = this.future.as_pin_mut().expect("taken at the end only");
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(Poll::Pending) => {
                    this.place.get_or_insert_with(|| {
                        WAITING.with_borrow_mut(|waiting| waiting.insert(cx.waker().clone()))
                    });
                    return Poll::Pending;
                }
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            }
        };
        self.finish();
        Poll::Ready(output)
    }
}

/// Runs `main`, then drops the tasks that are left. Returns the panic of `main`, if there was one.
///
/// ntex holds a task that waits only through what will wake it, and clears its queue at the end in a way that a task
/// must not wake another one while it is dropped. So all tasks are dropped here, each in its turn.
pub(crate) async fn with_end<F: Future>(main: F) -> thread::Result<F::Output> {
    ENDED.set(false);
    let output = {
        let mut main = pin!(main);
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| main.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await
    };
    ENDED.set(true);
    while ALIVE.get() > 0 {
        // Only copies, so that a place is given back by the task that has it.
        let wakers: Vec<_> =
            WAITING.with_borrow(|waiting| waiting.iter().map(|(_, waker)| waker.clone()).collect());
        wakers.into_iter().for_each(Waker::wake);
        yield_now().await;
    }
    time::settled().await;
    output
}
