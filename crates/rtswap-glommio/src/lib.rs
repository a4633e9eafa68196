#![warn(missing_docs)]
//! glommio under the rtswap contract: [`Glommio`].
//!
//! What maps to what, and glommio's limits, is in this crate's README.

mod file;
mod lanes;
mod machine;
mod native;
mod net;
mod task;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::time::Duration;

use futures_lite::FutureExt;
use glommio::timer::Timer;
use rtswap_runtime::task::{caught, resume};
use rtswap_runtime::{
    About, Config, Confined, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams,
    Threads,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Half, Io, Listener, Stream};
pub use task::JoinHandle;

/// glommio's `LocalExecutor` on the calling thread, over `io_uring`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glommio;

/// glommio's defaults, which it does not tell: set, so that the info cannot be wrong.
const RING_DEPTH: usize = 128;
const IO_MEMORY: usize = 10 << 20;
const PREEMPT_TIMER: Duration = Duration::from_millis(100);

impl Runtime for Glommio {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "glommio",
            threads: Threads::One,
            driver: Driver::IoUring,
            streams: Streams::Native,
            files: Files::Ring,
        }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        let executor = machine::executor()?;
        let output = executor.run(async {
            let output = AssertUnwindSafe(main).catch_unwind().await;
            task::cancel_detached().await;
            file::close_dropped().await;
            output
        });
        drop(executor);
        output.map_or_else(|panic| resume_unwind(panic), Ok)
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(task)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Confined::new(async { resume(glommio::executor().spawn_blocking(caught(work)).await) })
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        Confined::new(async move {
            Timer::new(duration).await;
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
        // glommio's timeout takes futures of its own errors alone.
        let future = async { Ok(future.await) };
        Confined::new(async move {
            glommio::timer::timeout(duration, future).await.map_err(|_| Elapsed)
        })
    }

    async fn yield_now() {
        glommio::executor().yield_now().await;
    }

    fn available(&self) -> io::Result<()> {
        machine::check()
    }

    fn effective(&self, _config: &Config) -> Effective {
        let notes = [
            ("rings", "3: main, latency, poll".to_owned()),
            ("ring_depth", RING_DEPTH.to_string()),
            ("io_memory", format!("{IO_MEMORY} bytes, {}", machine::registers_memory())),
            ("preempt_timer_ms", PREEMPT_TIMER.as_millis().to_string()),
        ];
        let notes: BTreeMap<_, _> = notes.map(|(name, value)| (name.to_owned(), value)).into();
        Effective { driver: Driver::IoUring, workers: 1, notes }
    }
}

impl Net for Glommio {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        net::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for Glommio {
    type File = File;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
        file::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename(from, to)
    }
}
