#![warn(missing_docs)]
//! async-std under the rtswap contract: [`AsyncStd`].
//!
//! What maps to what, and what stays behind by design, is in this crate's README.

mod handle;
mod lanes;
mod native;
mod net;
mod task;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use async_global_executor::GlobalExecutorConfig;
use rtswap_runtime::file::{self, ThreadFile};
use rtswap_runtime::{
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
};

pub use handle::FsHandle;
pub use lanes::{lanes, lanes_of};
pub use net::{Listener, Stream};
pub use task::JoinHandle;

/// async-std on its global executor, whose threads belong to the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsyncStd;

/// Starts the global executor with `workers` threads, once for the process.
///
/// async-std would do it at its first use, with as many threads as `ASYNC_STD_THREAD_COUNT` or the
/// number of CPUs says. The executor keeps what it is given first, so this comes before.
fn init(workers: usize) -> io::Result<()> {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    let started = *WORKERS.get_or_init(|| {
        let config = GlobalExecutorConfig::default()
            // No variable overrides the configuration: none has an empty name.
            .with_env_var("")
            .with_min_threads(workers)
            .with_max_threads(workers)
            .with_thread_name_fn(|| "async-std/runtime".into());
        async_global_executor::init_with_config(config);
        workers
    });
    if started == workers {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "async-std runs on {started} threads in this process and cannot change to {workers}: \
         start another process"
    )))
}

impl Runtime for AsyncStd {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "async-std",
            threads: Threads::Process,
            driver: Driver::Epoll,
            streams: Streams::Native,
            files: Files::Threads,
        }
    }

    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output> {
        init(config.workers.get())?;
        Ok(async_std::task::block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle(async_std::task::spawn(task))
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        async_std::task::spawn_blocking(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(duration)
    }

    async fn timeout<F>(duration: Duration, future: F) -> Result<F::Output, Elapsed>
    where
        F: Future + Send,
        F::Output: Send,
    {
        async_std::future::timeout(duration, future).await.map_err(|_| Elapsed)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        async_std::task::yield_now()
    }

    fn effective(&self, config: &Config) -> Effective {
        let note = ("reactor".into(), "async-io, one per process".into());
        Effective {
            driver: Driver::Epoll,
            workers: config.workers.get(),
            notes: BTreeMap::from([note]),
        }
    }
}

impl Net for AsyncStd {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        // Infallible by its type: async-std panics if epoll takes no more descriptors.
        Ok(Listener(socket.into()))
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for AsyncStd {
    type File = ThreadFile<Self>;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send {
        ThreadFile::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename::<Self>(from, to)
    }
}
