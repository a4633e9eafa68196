//! The generator's threads.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use crate::LoadError;
use crate::control::paced::Histograms;
use crate::io::epoll::Scratch;

/// Memory that a thread keeps between jobs, so that no slice starts with cold or unmapped pages.
pub(super) struct ThreadMemory {
    pub(super) scratch: Scratch,
    pub(super) histograms: Histograms,
}

type Job = Box<dyn FnOnce(&mut ThreadMemory) + Send>;

/// A thread that is pinned to a CPU and runs jobs in order. Dropping it ends the thread after its
/// jobs.
pub(super) struct Worker {
    cpu: usize,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn new(cpu: usize, histograms: Histograms) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let (report_pin, pin_result) = channel();
        let thread = thread::Builder::new().name(format!("load-{cpu}")).spawn(move || {
            let result = pin(cpu);
            let failed = result.is_err();
            let _ = report_pin.send(result);
            if failed {
                return;
            }
            // A message of a schedule would be sent up to 50 µs late, the default.
            let _ = set_current_timer_slack(NonZeroU64::new(1));
            let mut memory = ThreadMemory { scratch: Scratch::new(), histograms };
            for job in queue {
                job(&mut memory);
            }
        })?;
        pin_result.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has died")))?;
        Ok(Self { cpu, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Gives the thread a job. [`RunningJob::finish`] returns its result.
    ///
    /// If the job fails or panics, `abort` is set.
    pub(super) fn start<T: Send + 'static>(
        &self,
        abort: Arc<AtomicBool>,
        job: impl FnOnce(&mut ThreadMemory) -> Result<T, LoadError> + Send + 'static,
    ) -> RunningJob<T> {
        let (reply, result) = channel();
        let job: Job = Box::new(move |memory| {
            let mut abort = AbortOnDrop(Some(abort));
            let result = job(memory);
            if result.is_ok() {
                abort.0 = None;
            }
            // The receiver is gone if the caller has panicked.
            let _ = reply.send(result);
        });
        if let Some(jobs) = &self.jobs {
            // If the thread is dead, this drops the job, and `finish` reports it.
            let _ = jobs.send(job);
        }
        RunningJob { cpu: self.cpu, result }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // `finish` has reported a panic in a job.
            let _ = thread.join();
        }
    }
}

/// A job in progress.
pub(super) struct RunningJob<T> {
    cpu: usize,
    result: Receiver<Result<T, LoadError>>,
}

impl<T> RunningJob<T> {
    pub(super) fn finish(self) -> Result<T, LoadError> {
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

pub(super) fn pin(cpu: usize) -> io::Result<()> {
    let remedy = |error: io::Error| {
        let text = format!(
            "cannot pin a generator thread to CPU {cpu}: {error}; list the allowed CPUs with \
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
