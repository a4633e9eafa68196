mod order;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::future;
use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};
use order::{LENGTHS, Order};

/// `sleep`: many tasks that sleep at once.
///
/// Tasks sleep `ms`, `ms + 1`, … `ms + 4` milliseconds in turn, so that there is an order to check. Clones check their
/// batches together.
#[derive(Clone, Debug)]
pub struct Sleep {
    tasks: u64,
    ms: u64,
    order: Arc<Mutex<Order>>,
}

impl Sleep {
    /// Its parameters are `tasks` and `ms`.
    pub fn new(spec: &Spec) -> Self {
        let ms = spec.get("ms");
        Self { tasks: spec.get("tasks"), ms, order: Arc::new(Mutex::new(Order::new(ms))) }
    }

    /// How long each task of a batch is to sleep, by its number.
    pub fn asked(&self) -> impl ExactSizeIterator<Item = Duration> + use<> {
        let ms = self.ms;
        (0..self.tasks as usize)
            .map(move |number| Duration::from_millis(ms + (number % LENGTHS) as u64))
    }

    /// Checks a batch: for each task, in order, how long it slept, and how long after the batch's
    /// beginning it woke.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if one woke early or most woke out of order, or if two lengths woke out of order in most batches
    /// so far.
    pub fn check(&self, ends: impl Iterator<Item = (Duration, Duration)>) -> Result<Batch, Fault> {
        let mut batch = Batch::of(self.tasks);
        let mut finished = [const { Vec::new() }; LENGTHS];
        let lengths = (0..LENGTHS).cycle();
        for (((slept, at), asked), length) in ends.zip(self.asked()).zip(lengths) {
            let Some(late) = slept.checked_sub(asked) else {
                return Err(Fault::Wrong(format!("a sleep of {asked:?} ended after {slept:?}")));
            };
            batch.latencies_ns.push(late.as_nanos() as u64);
            finished[length].push(at);
        }
        self.order.lock().unwrap_or_else(PoisonError::into_inner).check(&finished)?;
        Ok(batch)
    }
}

impl Driven for Sleep {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let begin = Instant::now();
        let tasks: Vec<_> = self
            .asked()
            .map(|asked| {
                R::spawn(async move {
                    let start = Instant::now();
                    R::sleep(asked).await;
                    spin.burn();
                    (start.elapsed(), begin.elapsed())
                })
            })
            .collect();
        let mut ends = Vec::with_capacity(tasks.len());
        for task in tasks {
            ends.push(task.await);
        }
        self.check(ends.into_iter())
    }
}

/// The two coroutines that explain an event loop in most tutorials: each prints, sleeps for as long,
/// and prints. Run together they print 1, 3, 2, 4: both begin, the sleeps overlap, both end in the
/// order in which they began.
pub async fn article<R: Runtime>(sleep: Duration, mut print: impl FnMut(u8) + Send) {
    let (sender, lines) = async_channel::unbounded();
    let coroutine = |first: u8, second: u8| {
        let sender = sender.clone();
        async move {
            // Unbounded, and its receiver is alive: sending cannot fail.
            let _ = sender.try_send(first);
            R::sleep(sleep).await;
            let _ = sender.try_send(second);
        }
    };
    future::zip(coroutine(1, 2), coroutine(3, 4)).await;
    while let Ok(line) = lines.try_recv() {
        print(line);
    }
}
