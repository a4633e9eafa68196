//! Threads for work that blocks. monoio has none unless one attaches a pool to the runtime.

use std::sync::OnceLock;

use monoio::blocking::{BlockingTask, DefaultThreadPool, ThreadPool};
use rtswap_runtime::task::{caught, resume};

/// monoio's own pool, started when it is first needed and shared by all runtimes of the process: starting
/// it with each runtime would be a cost that programs without such work do not have.
pub(crate) struct Pool;

/// monoio leaves the number to the program.
const THREADS: usize = 4;

impl ThreadPool for Pool {
    fn schedule_task(&self, task: BlockingTask) {
        static POOL: OnceLock<DefaultThreadPool> = OnceLock::new();
        POOL.get_or_init(|| DefaultThreadPool::new(THREADS)).schedule_task(task);
    }
}

pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let output = monoio::spawn_blocking(caught(work)).await;
    resume(output.expect("the pool outlives the runtime"))
}
