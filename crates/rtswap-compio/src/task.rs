//! Tasks that outlive their handles.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use compio::runtime::{self, JoinError, ResumeUnwind};
use rtswap_runtime::task::{poll_now, start};

/// A task of compio's, which dropping it detaches: compio alone would cancel it.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<runtime::JoinHandle<T>>);

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: runtime::JoinHandle<T>) -> Self {
        Self(Some(task))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let task = self.0.as_mut().expect("taken by drop and abort only");
        match ready!(Pin::new(task).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(JoinError::Panicked(payload)) => resume_unwind(payload),
            // A handle is gone once it has aborted its task, so only the end of the runtime is left.
            Err(JoinError::Cancelled) => panic!("joined a task whose runtime has shut down"),
        }
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let mut task = self.0.take().expect("taken by drop and abort only");
        // `cancel` would swallow the panic of a task that has ended.
        let ended = poll_now(&mut task);
        let cancel = ended.is_pending().then(|| {
            let cancel = start(task.cancel());
            // `cancel` is ready at once, but the future is dropped when the task has its turn. Turns are in
            // order: a task that is spawned now has its own after that.
            (cancel, runtime::spawn(async {}))
        });
        async {
            match (ended, cancel) {
                (Poll::Ready(output), _) => output.resume_unwind(),
                (Poll::Pending, Some((cancel, turn))) => {
                    let output = cancel.await;
                    // Only the end of the runtime cancels it, which drops the task as well.
                    let _ = turn.await;
                    output
                }
                (Poll::Pending, None) => None,
            }
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}
