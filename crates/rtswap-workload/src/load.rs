use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtswap_runtime::Runtime;
use rtswap_schema::protocol::Pace;
use rtswap_schema::record::Offered;
use rtswap_schema::schedule::Schedule;

use crate::Batch;

/// The load that one shard is offered in one slice: a queue of operations, each with the instant at which it is due.
///
/// All connections (or pairs of tasks) of the shard take from the same queue, as the connections of a client pool
/// do: the next operation goes to the connection that is free first, and none waits behind a slow connection while
/// another is idle. A connection that finds the next operation overdue works without waiting.
///
/// Latency is counted from the instant at which an operation was due, so that it contains the time in the queue.
/// It also contains the lateness of the runtime's timer: a connection with nothing to do waits with
/// [`Runtime::sleep`], and a timer that counts milliseconds wakes it up to 1 ms late. The operations that became
/// due meanwhile are then done one after the other.
///
/// The queue ends with the window. A lane that is behind then goes on until it has caught up, but at most for
/// as long as the window, or 250 ms if that is longer. Operations that are not begun by then are not done.
///
/// The handle is cheap to clone; all clones are the same queue.
#[derive(Clone, Debug)]
pub struct Load(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    start: Instant,
    window: Duration,
    due: Mutex<Due>,
}

#[derive(Debug)]
struct Due {
    schedule: Schedule,
    /// Operations that were taken from the schedule.
    taken: u64,
    /// How many are taken at once.
    pipeline: u64,
}

/// The longest that operations are begun after a window that is shorter than this.
const DRAIN: Duration = Duration::from_millis(250);

impl Load {
    /// The load of shard `part` of `parts`, for a window that starts now.
    ///
    /// # Panics
    /// If `part` is not less than `parts`.
    pub fn new(pace: &Pace, part: usize, parts: usize, window: Duration) -> Self {
        let due = Due { schedule: Schedule::new(pace, part, parts), taken: 0, pipeline: 1 };
        Self(Arc::new(Queue { start: Instant::now(), window, due: Mutex::new(due) }))
    }

    /// Takes the next `ops` operations and waits until the last of them is due. Returns that instant, or `None` if
    /// the caller is done.
    ///
    /// With `ops` above 1 the operations are one pipeline, which is complete when its last operation is there. A
    /// pipeline that is incomplete at the end of the window is not part of the load. All calls are to have the
    /// same `ops`.
    pub async fn next<R: Runtime>(&self, ops: u64) -> Option<Instant> {
        let due = self.0.start + self.take(ops)?;
        let drained = self.0.window + self.0.window.max(DRAIN);
        loop {
            let now = Instant::now();
            if now >= due {
                return (now - self.0.start < drained).then_some(due);
            }
            R::sleep(due - now).await;
        }
    }

    /// Adds `ops` operations that [`next`](Self::next) returned `due` for and that have just ended, with one
    /// latency for all of them. Operations that end after the window are not counted; their latency is.
    pub fn took(&self, batch: &mut Batch, ops: u64, due: Instant) {
        let now = Instant::now();
        if now - self.0.start < self.0.window {
            batch.ops += ops;
        }
        batch.latencies_ns.push((now - due).as_nanos() as u64);
    }

    /// Waits for the end of the window.
    pub async fn rest<R: Runtime>(&self) {
        // More than once if a timer ends early.
        while let Some(left) = self.0.window.checked_sub(self.0.start.elapsed())
            && !left.is_zero()
        {
            R::sleep(left).await;
        }
    }

    /// The length of the window.
    pub fn window(&self) -> Duration {
        self.0.window
    }

    /// What became of the load, if `ops` operations ended within the window. Each slice starts without a backlog.
    ///
    /// To be called when all connections are done: it empties the queue.
    pub fn offered(&self, ops: u64) -> Offered {
        let pipeline = self.due().pipeline;
        while self.take(pipeline).is_some() {}
        let due = self.due().taken;
        Offered { ops: due, backlog_end: due.saturating_sub(ops), ..Offered::default() }
    }

    /// Takes operations from the schedule. Returns when the last is due, counted from the start, if that is within
    /// the window.
    fn take(&self, ops: u64) -> Option<Duration> {
        let mut due = self.due();
        due.pipeline = ops;
        let mut last = None;
        for _ in 0..ops {
            last = Some(due.schedule.next().map(Duration::from_nanos)?);
        }
        let last = last.filter(|&last| last < self.0.window)?;
        due.taken += ops;
        Some(last)
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.0.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
