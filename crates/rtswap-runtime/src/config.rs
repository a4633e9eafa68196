use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// What a program asks of a runtime. Whatever is not asked stays at the runtime's own default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Threads that run tasks. A runtime of [`Threads::One`] ignores it: the caller starts one
    /// `block_on` per shard instead.
    pub workers: NonZeroUsize,
}

impl Config {
    /// A configuration with `workers` threads; zero counts as one.
    pub fn new(workers: usize) -> Self {
        Self { workers: NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN) }
    }
}

impl Default for Config {
    /// One worker.
    fn default() -> Self {
        Self::new(1)
    }
}

/// What an adapter says of its runtime before anything runs.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The package whose version counts, as crates.io spells it: `tokio`.
    pub package: &'static str,
    /// Who runs the tasks.
    pub threads: Threads,
    /// How it learns of I/O.
    pub driver: Driver,
    /// How its streams come to be polled.
    pub streams: Streams,
    /// Who does the I/O of its files.
    pub files: Files,
}

/// How the streams of a runtime come to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// The runtime's own streams are polled.
    Native,
    /// The runtime waits for readiness and calls the system itself, where its own streams give the
    /// kernel their buffer.
    Readiness,
    /// Through a [`Bridge`](crate::Bridge), with a copy each way.
    Bridged,
    /// The runtime has no streams: it does not implement [`Net`](crate::Net).
    None,
}

impl Streams {
    /// As lane info names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Readiness => "readiness",
            Self::Bridged => "bridged",
            Self::None => "none",
        }
    }
}

/// Who does the I/O of a runtime's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Threads that may block, of the runtime's own pool.
    Threads,
    /// `io_uring`.
    Ring,
    /// `io_uring` for some operations and threads for the others: `ring: open, read; threads: write`.
    Mixed(&'static str),
    /// The thread that runs tasks, which blocks meanwhile.
    InPlace,
    /// The runtime has no files: it does not implement [`Fs`](crate::Fs).
    None,
}

impl Files {
    /// As lane info names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Ring => "ring",
            Self::Mixed(operations) => operations,
            Self::InPlace => "in place",
            Self::None => "none",
        }
    }
}

/// Who runs the tasks of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// `Config::workers` threads share them; `block_on` may be called again and again.
    Workers,
    /// As `Workers`, but the threads belong to the process: the first `block_on` fixes their
    /// number, and they outlive it.
    Process,
    /// The thread that called `block_on`. To use several CPUs, start several: one shard each.
    One,
}

/// How a runtime learns of I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Readiness from `poll`, which is given all descriptors in each call.
    Poll,
    /// Readiness from epoll, then a system call per read and write.
    Epoll,
    /// Completion from `io_uring`.
    IoUring,
}

impl Driver {
    /// The kernel interface's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

/// The configuration really in force: part of lane info.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The driver really in use, never the one hoped for.
    pub driver: Driver,
    /// Threads that run tasks.
    pub workers: usize,
    /// Whatever else a reader needs to repeat the run: ring sizes, event intervals.
    pub notes: BTreeMap<String, String>,
}
