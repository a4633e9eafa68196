//! Work that blocks, on ntex's pool.

use std::sync::LazyLock;
use std::time::Duration;

use ntex_rt::ThreadPool;
use rtswap_runtime::task::{caught, resume};

use crate::task;

/// A pool as a `System` has it, with the defaults of `System`. One for the process: a thread of a pool that is dropped
/// spins until the process ends.
static POOL: LazyLock<ThreadPool> =
    LazyLock::new(|| ThreadPool::new("ntex", 256, Duration::from_mins(1)));

pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = POOL.execute(caught(work));
    // In a task, as `BlockingResult::detach` has it: the pool skips work whose result is dropped before it begins.
    let output = task::spawn(work).await;
    resume(output.expect("its panic is caught, and the pool is never dropped"))
}
