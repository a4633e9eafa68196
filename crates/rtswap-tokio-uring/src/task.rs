//! Tasks that pass their panics on.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A task of tokio's; dropping it detaches, as it does in tokio.
#[derive(Debug)]
pub struct JoinHandle<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                // A handle is gone once it has aborted its task, so only the end of the runtime is left.
                Err(error) => panic!("joined a task whose runtime has shut down: {error}"),
            },
        }
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(self) -> impl Future<Output = Option<T>> + Send {
        self.0.abort();
        async {
            match self.0.await {
                Ok(output) => Some(output),
                Err(error) => error.try_into_panic().map_or(None, |payload| resume_unwind(payload)),
            }
        }
    }
}
