//! Tasks that outlive their handles.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::Task;

/// A task of smol's, which dropping it detaches: smol alone would cancel it.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<Task<T>>);

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: Task<T>) -> Self {
        Self(Some(task))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // smol's executors resume the panic of a task where it is awaited.
        Pin::new(self.0.as_mut().expect("taken by drop and abort only")).poll(cx)
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let task = self.0.take().expect("taken by drop and abort only");
        // The first poll cancels, which must not wait for the caller's.
        rtswap_runtime::task::start(task.cancel())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}
