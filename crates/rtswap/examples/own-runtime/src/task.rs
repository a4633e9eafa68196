//! Tasks that pass on their panics, and whose cancellation can be awaited.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use futures_channel::oneshot;
use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use local_runtime::{Executor, TaskHandle};
use rtswap::{Confined, task::resume};

/// A task of local-runtime. Dropping the handle detaches the task, as it does in local-runtime.
pub struct JoinHandle<T> {
    task: Confined<TaskHandle<()>>,
    output: oneshot::Receiver<thread::Result<T>>,
}

pub(crate) fn spawn<F>(executor: &Executor<'static>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let (sender, output) = oneshot::channel();
    let task = executor.spawn(async move {
        // local-runtime 0.2 panics if a task spawns another in its first poll.
        yield_now().await;
        // A panic would otherwise unwind through the executor and end `block_on`.
        let output = AssertUnwindSafe(future).catch_unwind().await;
        // Fails if the handle is gone: the task is detached.
        let _ = sender.send(output);
    });
    JoinHandle { task: Confined::new(task), output }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let output = ready!(Pin::new(&mut self.output).poll(cx));
        Poll::Ready(resume(output.expect("joined a task whose runtime has shut down")))
    }
}

impl<T: Send + 'static> rtswap::JoinHandle<T> for JoinHandle<T> {
    fn abort(self) -> impl Future<Output = Option<T>> + Send {
        // The executor drops the task in its next round, and the sender after the task's future.
        self.task.cancel();
        async { self.output.await.ok().map(resume) }
    }
}
