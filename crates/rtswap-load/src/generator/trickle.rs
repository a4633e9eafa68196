//! Single messages to lanes that wait.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::thread_share::ThreadShare;
use super::worker::pin;
use crate::control::quota::MessageQuota;
use crate::control::watchdog::{Limits, Signals};
use crate::driver::share::ShareConfig;
use crate::io::epoll::Scratch;
use crate::protocol::echo::pattern::Pattern;
use crate::{LoadError, Target};

/// How long one message of the trickle may take. A lane that needs longer gets no more of them.
const LIMIT: Duration = Duration::from_secs(1);

/// A thread that sends single messages to lanes while they wait, so that they stay in the state of a
/// lane that serves: some runtimes change the way in which they wait for events after some milliseconds
/// without any.
///
/// Each lane has a connection of its own for it. A lane that fails gets no more messages; its failure is left
/// to the slices to find. Dropping the trickle ends the thread.
pub struct Trickle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The trickle to one lane. It is paused at first. Dropping it closes the connection.
pub struct TrickleLane {
    shared: Arc<Shared>,
    id: u64,
}

#[derive(Default)]
struct Shared {
    lanes: Mutex<Lanes>,
    ends: AtomicBool,
    cancel: Arc<AtomicBool>,
}

#[derive(Default)]
struct Lanes {
    last_id: u64,
    all: Vec<Entry>,
}

struct Entry {
    id: u64,
    share: ThreadShare,
    limits: Limits,
    period: Duration,
    /// When the next message is due; `None` while paused, and after a failure.
    next: Option<Instant>,
    failed: bool,
    messages: u64,
}

impl Trickle {
    /// Starts the thread on the CPU. `cancel` ends a message under way.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started or pinned.
    pub fn start(cpu: usize, cancel: Arc<AtomicBool>) -> io::Result<Self> {
        let shared = Arc::new(Shared { cancel, ..Shared::default() });
        let (report, result) = std::sync::mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("trickle".to_owned()).spawn(move || {
            let pinned = pin(cpu);
            let failed = pinned.is_err();
            let _ = report.send(pinned);
            if !failed {
                of_thread.run();
            }
        })?;
        result.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has died")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Opens a connection to a lane, which will get a message each `period` unless it is paused.
    ///
    /// # Errors
    ///
    /// See [`LoadError`].
    pub fn add(&self, target: Target, period: Duration) -> Result<TrickleLane, LoadError> {
        target.validate()?;
        let limits = Limits {
            addr: target.first_addr(),
            cancel: Arc::clone(&self.shared.cancel),
            signals: Arc::new(Signals::default()),
            stall: LIMIT,
            total: LIMIT,
        };
        let config = ShareConfig {
            conns: 0..target.conns,
            pending_max: 1,
            pattern: Arc::new(Pattern::new(target.size, target.conns)),
            target,
        };
        let share = ThreadShare::open(config, &mut Scratch::new(), &limits)?;
        let mut lanes = self.shared.lock();
        lanes.last_id += 1;
        let id = lanes.last_id;
        let (next, failed, messages) = (None, false, 0);
        lanes.all.push(Entry { id, share, limits, period, next, failed, messages });
        Ok(TrickleLane { shared: Arc::clone(&self.shared), id })
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Trickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trickle").finish_non_exhaustive()
    }
}

impl TrickleLane {
    /// Sends no messages from now on. Waits for the answer to the last.
    pub fn pause(&self) {
        self.with(|entry| entry.next = None);
    }

    /// Sends messages from now on, the first after one period.
    pub fn resume(&self) {
        self.with(|entry| entry.next = (!entry.failed).then(|| Instant::now() + entry.period));
    }

    /// Messages that were answered so far.
    pub fn messages(&self) -> u64 {
        let mut messages = 0;
        self.with(|entry| messages = entry.messages);
        messages
    }

    fn with(&self, act: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.shared.lock().all.iter_mut().find(|entry| entry.id == self.id) {
            act(entry);
        }
    }
}

impl Drop for TrickleLane {
    fn drop(&mut self) {
        self.shared.lock().all.retain(|entry| entry.id != self.id);
    }
}

impl fmt::Debug for TrickleLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrickleLane").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Shared {
    /// The longest sleep. A lane that is resumed meanwhile gets its first message late by this much at most.
    const SLEEP_MAX: Duration = Duration::from_millis(1);

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut scratch = Scratch::new();
        while !self.ends.load(Ordering::Relaxed) {
            let now = Instant::now();
            let mut sleep = Self::SLEEP_MAX;
            let mut lanes = self.lock();
            // One at a time: the others are not to wait for the lock longer than for one message.
            let due = lanes.all.iter_mut().min_by_key(|entry| (entry.next.is_none(), entry.next));
            if let Some(entry) = due
                && let Some(next) = entry.next
            {
                if next <= now {
                    entry.exchange(&mut scratch, now);
                    continue;
                }
                sleep = sleep.min(next - now);
            }
            drop(lanes);
            thread::park_timeout(sleep);
        }
    }
}

impl Entry {
    fn exchange(&mut self, scratch: &mut Scratch, now: Instant) {
        let mut one = MessageQuota::new(1, self.limits.clone());
        self.failed = self.share.exchange(scratch, &mut one).is_err();
        self.messages += u64::from(!self.failed);
        self.next = (!self.failed).then(|| now + self.period);
    }
}
