//! Tasks that can be aborted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_std::task;

/// A task of async-std's: detaches when dropped and hands on a panic, as the contract wants it.
#[derive(Debug)]
pub struct JoinHandle<T>(pub(crate) task::JoinHandle<T>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T: Send + 'static> rtswap_runtime::JoinHandle<T> for JoinHandle<T> {
    fn abort(self) -> impl Future<Output = Option<T>> + Send {
        // The first poll cancels, which must not wait for the caller's.
        rtswap_runtime::task::start(self.0.cancel())
    }
}
