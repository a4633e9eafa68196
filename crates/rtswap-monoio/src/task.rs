//! Tasks that pass their panics on, and that end with their runtime: monoio does neither.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use pin_project_lite::pin_project;
use slab::Slab;

use crate::turn;

thread_local! {
    /// The tasks that wait for something. Only what will wake one of them holds it, so that without
    /// this nobody could find it when the runtime ends.
    static WAITING: RefCell<Slab<Waker>> = const { RefCell::new(Slab::new()) };
    /// Whether `main` has returned.
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

/// A task of monoio's; dropping it detaches, as it does in monoio.
pub struct JoinHandle<T>(monoio::task::JoinHandle<thread::Result<T>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let output = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(output.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

pin_project! {
    /// What is spawned in place of a task.
    struct Task<F> {
        // Taken when it ends: a waker may keep the rest of the task for longer.
        #[pin]
        future: Option<F>,
        // Its place in `WAITING`, once it has had to wait.
        place: Option<usize>,
    }
}

pub(crate) fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    JoinHandle(monoio::spawn(Task { future: Some(future), place: None }))
}

impl<F: Future> Future for Task<F> {
    type Output = thread::Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let output = if ENDED.get() {
            Err(Box::new("joined a task whose runtime has shut down") as _)
        } else {
            let future = this.future.as_mut().as_pin_mut().expect("taken at the end only");
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
    loop {
        // Only a copy, so that a place is given back by the task that has it.
        let wakers: Vec<_> =
            WAITING.with_borrow(|waiting| waiting.iter().map(|(_, waker)| waker.clone()).collect());
        if wakers.is_empty() {
            break;
        }
        wakers.into_iter().for_each(Waker::wake);
        turn::yield_now().await;
    }
    turn::end();
    output
}
