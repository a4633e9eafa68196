//! The generator's threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::LoadError;
use crate::poll::Scratch;

/// What a thread keeps between jobs, so that no slice starts with cold or unmapped memory.
pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

type Job = Box<dyn FnOnce(&mut Bench) + Send>;

/// A thread pinned to a CPU that runs jobs in order. Dropping it ends the thread after its jobs.
pub(crate) struct Worker {
    cpu: usize,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn new(cpu: usize, latency: Histogram<u64>) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let (pinned, was_pinned) = channel();
        let thread = thread::Builder::new().name(format!("load-{cpu}")).spawn(move || {
            let result = pin(cpu);
            let failed = result.is_err();
            let _ = pinned.send(result);
            if failed {
                return;
            }
            let mut bench = Bench { scratch: Scratch::new(), latency };
            for job in queue {
                job(&mut bench);
            }
        })?;
        was_pinned.recv().unwrap_or_else(|_| Err(io::Error::other("the thread died")))?;
        Ok(Self { cpu, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands the thread a job. Its result is to be collected from what is returned.
    ///
    /// If it fails, or panics, `abort` is set.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        abort: Arc<AtomicBool>,
        job: impl FnOnce(&mut Bench) -> Result<T, LoadError> + Send + 'static,
    ) -> Started<T> {
        let (reply, result) = channel();
        let job: Job = Box::new(move |bench| {
            let mut abort = AbortOnDrop(Some(abort));
            let result = job(bench);
            if result.is_ok() {
                abort.0 = None;
            }
            // Whoever asked may have been cancelled meanwhile.
            let _ = reply.send(result);
        });
        if let Some(jobs) = &self.jobs {
            // To a dead thread this fails, drops the job, and so lets the result report it.
            let _ = jobs.send(job);
        }
        Started { cpu: self.cpu, result }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the job it happened in.
            let _ = thread.join();
        }
    }
}

/// A job under way.
pub(crate) struct Started<T> {
    cpu: usize,
    result: Receiver<Result<T, LoadError>>,
}

impl<T> Started<T> {
    pub(crate) fn finish(self) -> Result<T, LoadError> {
        let died = |_| Err(LoadError::Thread { cpu: self.cpu });
        self.result.recv().unwrap_or_else(died)
    }
}

struct AbortOnDrop(Option<Arc<AtomicBool>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(abort) = &self.0 {
            abort.store(true, Ordering::Relaxed);
        }
    }
}

fn pin(cpu: usize) -> io::Result<()> {
    let remedy = |error: io::Error| {
        let text = format!(
            "cannot pin a generator thread to CPU {cpu}: {error}; see which CPUs are allowed with \
             `taskset -cp $$`"
        );
        io::Error::new(error.kind(), text)
    };
    if cpu >= CpuSet::MAX_CPU {
        return Err(remedy(io::ErrorKind::InvalidInput.into()));
    }
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).map_err(|errno| remedy(errno.into()))
}
