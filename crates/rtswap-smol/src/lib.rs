#![warn(missing_docs)]
//! smol under the rtswap contract: [`Smol`].
//!
//! What maps to what, and what stays behind by design, is in this crate's README.

mod current;
mod handle;
mod lanes;
mod native;
mod net;
mod task;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use rtswap_runtime::file::{self, ThreadFile};
use rtswap_runtime::{
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
};
use smol::future::FutureExt;
use smol::{Executor, LocalExecutor, Timer, block_on, channel};

use current::Current;

pub use handle::FsHandle;
pub use lanes::{lanes, lanes_of};
pub use net::{Listener, Stream};
pub use task::JoinHandle;

/// smol: an `Executor` that `Config::workers` threads run, or a `LocalExecutor` on the calling thread.
/// Either lives as long as one `block_on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smol {
    local: bool,
}

impl Smol {
    /// A `LocalExecutor` on the calling thread.
    pub fn local() -> Self {
        Self { local: true }
    }
}

fn run<F: Future>(workers: usize, main: F) -> io::Result<F::Output> {
    let executor = Arc::new(Executor::new());
    // Left before the executor is dropped, which drops the tasks that are still pending.
    let _current = current::enter(Current::Shared(executor.clone()));
    // Workers stop when the sender is gone: also if `main` panics or a thread cannot be started.
    let (sender, stopped) = channel::bounded::<()>(1);
    thread::scope(|scope| {
        let _sender = sender;
        for n in 1..=workers {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::Builder::new().name(format!("smol-{n}")).spawn_scoped(scope, move || {
                let _current = current::enter(Current::Shared(executor.clone()));
                // An error says that the sender is gone.
                let _ = block_on(executor.run(stopped.recv()));
            })?;
        }
        Ok(block_on(main))
    })
}

fn run_local<F: Future>(main: F) -> F::Output {
    let executor = Rc::new(LocalExecutor::new());
    let _current = current::enter(Current::Local(executor.clone()));
    block_on(executor.run(main))
}

impl Runtime for Smol {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "smol",
            threads: if self.local { Threads::One } else { Threads::Workers },
            driver: Driver::Epoll,
            streams: Streams::Native,
            files: Files::Threads,
        }
    }

    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output> {
        if self.local { Ok(run_local(main)) } else { run(config.workers.get(), main) }
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::new(current::spawn(task))
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // Dropping a task of smol's cancels it; work that has started runs to its end all the same.
        smol::unblock(work)
    }

    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    /// As `smol::Timer`'s documentation shows it.
    async fn timeout<F>(duration: Duration, future: F) -> Result<F::Output, Elapsed>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let late = async {
            Timer::after(duration).await;
            Err(Elapsed)
        };
        async { Ok(future.await) }.or(late).await
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    fn effective(&self, config: &Config) -> Effective {
        let note = ("reactor".into(), "async-io, one per process".into());
        Effective {
            driver: Driver::Epoll,
            workers: if self.local { 1 } else { config.workers.get() },
            notes: BTreeMap::from([note]),
        }
    }
}

impl Net for Smol {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        socket.try_into().map(Listener)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for Smol {
    type File = ThreadFile<Self>;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send {
        ThreadFile::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename::<Self>(from, to)
    }
}
