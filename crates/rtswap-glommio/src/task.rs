//! Tasks: their panics, and what becomes of those that nobody waits for.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_lite::FutureExt;
use glommio::task::JoinHandle as Handle;
use rtswap_runtime::Confined;

/// What a task gives: a panic must not reach glommio, whose executor would pass it to `block_on`.
type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// A task of glommio's; dropping it detaches: glommio alone would cancel it.
///
/// Each use of a [`Confined`] asks for the thread, which is no small part of what a join costs. So what is left
/// of a handle that is ready has none.
pub struct JoinHandle<T: 'static>(Option<Confined<Handle<Outcome<T>>>>);

pub(crate) fn spawn<F: Future + 'static>(task: F) -> JoinHandle<F::Output> {
    let task = glommio::spawn_local(AssertUnwindSafe(task).catch_unwind());
    JoinHandle(Some(Confined::new(task.detach())))
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let handle = self.0.as_mut().expect("polled again after it was ready");
        let outcome = ready!(Pin::new(&mut **handle).poll(cx));
        self.0 = None;
        match outcome {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => resume_unwind(panic),
            // Nothing here cancels a task that can be joined, but the end of its runtime.
            None => panic!("joined a task whose runtime has shut down"),
        }
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let task = self.0.take().expect("a handle is used once").take();
        task.cancel();
        Confined::new(async { task.await.map(rtswap_runtime::task::resume) })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Some(handle) = self.0.take() {
            let mut handle = handle.take();
            if handle.poll_end(cx).is_pending() {
                keep(Box::new(handle));
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").finish_non_exhaustive()
    }
}

/// A task whose output nobody wants.
trait Detached {
    fn cancel(&self);
    /// Ready when the task has ended and its future is dropped.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<T> Detached for Handle<T> {
    fn cancel(&self) {
        Handle::cancel(self);
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(drop)
    }
}

/// The tasks that were detached before they ended. glommio forgets them: one that waits for I/O
/// when the executor is dropped is never dropped itself, for it and the reactor own each other.
#[derive(Default)]
struct List {
    tasks: Vec<Box<dyn Detached>>,
    /// The length at which those that have ended are sorted out: a constant for each, on average.
    sweep_at: usize,
}

thread_local! {
    static DETACHED: RefCell<List> = RefCell::default();
}

fn keep(task: Box<dyn Detached>) {
    let full = DETACHED.with_borrow_mut(|list| {
        list.tasks.push(task);
        list.tasks.len() > list.sweep_at.max(64)
    });
    if full {
        // Not borrowed meanwhile: the outputs that are dropped here may hold handles.
        let mut tasks = DETACHED.with_borrow_mut(mem::take).tasks;
        let cx = &mut Context::from_waker(Waker::noop());
        tasks.retain_mut(|task| task.poll_end(cx).is_pending());
        DETACHED.with_borrow_mut(|list| {
            list.tasks.append(&mut tasks);
            list.sweep_at = 2 * list.tasks.len();
        });
    }
}

/// Drops what is pending. A task that is dropped may drop the handles of others.
pub(crate) async fn cancel_detached() {
    loop {
        let tasks = DETACHED.with_borrow_mut(mem::take).tasks;
        if tasks.is_empty() {
            return;
        }
        for task in &tasks {
            task.cancel();
        }
        for mut task in tasks {
            poll_fn(|cx| task.poll_end(cx)).await;
        }
    }
}
