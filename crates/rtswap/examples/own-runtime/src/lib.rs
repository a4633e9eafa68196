//! [local-runtime](https://docs.rs/local-runtime) under the contract of rtswap: [`LocalRuntime`].
//!
//! A model for the adapter of any runtime. It depends on `rtswap` and on the runtime.

mod net;
mod task;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use local_runtime::{Executor, time};
use rtswap::workload::Suite;
use rtswap::{
    About, Config, Confined, Driver, Effective, Elapsed, Files, Lane, Net, Runtime, Streams,
    Threads,
};

pub use net::{Listener, Stream};
pub use task::JoinHandle;

/// local-runtime: an `Executor` on the calling thread. It lives as long as one `block_on`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalRuntime;

/// The lane of this runtime, for the workloads of any suite.
pub fn lane<S: Suite>() -> Lane {
    Lane::without_files::<S, _>("local-runtime", "local-runtime, one thread", &LocalRuntime)
}

thread_local! {
    /// The executor that `spawn` finds: a function without a receiver has no other place to look.
    static CURRENT: RefCell<Option<Rc<Executor<'static>>>> = const { RefCell::new(None) };
}

/// Restores the previous executor when it is dropped, so that calls of `block_on` may be nested.
struct Entered {
    previous: Option<Rc<Executor<'static>>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.previous.take());
    }
}

impl Runtime for LocalRuntime {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "local-runtime",
            threads: Threads::One,
            driver: Driver::Poll,
            streams: Streams::Bridged,
            files: Files::None,
        }
    }

    fn block_on<F: Future>(&self, _: &Config, main: F) -> io::Result<F::Output> {
        let executor = Rc::new(Executor::new());
        let _entered = Entered { previous: CURRENT.replace(Some(executor.clone())) };
        // Drops the pending tasks when `main` ends.
        Ok(executor.block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        CURRENT.with_borrow(|current| {
            task::spawn(current.as_ref().expect("spawned outside of block_on"), task)
        })
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking::unblock(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        // Inside of `async`, so that the time counts from the first poll.
        Confined::new(async move {
            time::sleep(duration).await;
        })
    }

    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        Confined::new(async move { time::timeout(future, duration).await.map_err(|_| Elapsed) })
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }

    fn effective(&self, _: &Config) -> Effective {
        Effective { driver: Driver::Poll, workers: 1, notes: BTreeMap::new() }
    }
}

impl Net for LocalRuntime {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        Listener::new(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        Confined::new(net::connect(addr))
    }
}
