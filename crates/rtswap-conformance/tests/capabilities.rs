//! A runtime that has tasks and time alone is checked for these alone.

use std::future::Future;
use std::io;
use std::time::Duration;

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_runtime::{About, Config, Effective, Elapsed, Runtime};
use rtswap_tokio::Tokio;

/// tokio without what it has for streams and files.
#[derive(Clone)]
struct TasksOnly(Tokio);

impl Runtime for TasksOnly {
    type JoinHandle<T: Send + 'static> = <Tokio as Runtime>::JoinHandle<T>;

    fn about(&self) -> About {
        self.0.about()
    }

    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output> {
        self.0.block_on(config, main)
    }

    fn spawn<F>(task: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Tokio::spawn(task)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Tokio::spawn_blocking(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        Tokio::sleep(duration)
    }

    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        Tokio::timeout(duration, future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        Tokio::yield_now()
    }

    fn effective(&self, config: &Config) -> Effective {
        self.0.effective(config)
    }
}

conformance!(
    tasks_only,
    Subject::new(TasksOnly(Tokio::current_thread()), 1, Allow::NOTHING),
    [tasks]
);
