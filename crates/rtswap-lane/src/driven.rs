use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rtswap_schema::histogram::encode;
use rtswap_workload::{Batch, Fault};

use crate::host::guarded;
use crate::place::{Place, pin};
use crate::tally::{Tally, add, refuse};
use crate::{Refusal, SliceDone};

/// The shards of a program that drives itself: each a thread that waits for slices.
#[derive(Debug)]
pub struct Shards {
    slices: Vec<async_channel::Sender<Duration>>,
    answers: Receiver<Result<Tally, Refusal>>,
}

/// A shard's slices. Waiting for them is asynchronous, so that the runtime lives on from slice to
/// slice and idles between.
#[derive(Debug)]
pub struct Slices {
    windows: async_channel::Receiver<Duration>,
    answer: Sender<Result<Tally, Refusal>>,
    reported: bool,
}

/// A slice under way on one shard.
#[derive(Debug)]
pub struct Slice {
    window: Duration,
    tally: Tally,
    fault: Option<Fault>,
    answer: Sender<Result<Tally, Refusal>>,
}

impl Shards {
    /// Runs `shard` on a thread for each shard of the place, and returns when each waits for slices.
    ///
    /// # Errors
    /// If a shard cannot start.
    pub fn start(
        place: &Place,
        shard: impl Fn(Slices) -> Result<(), Refusal> + Clone + Send + 'static,
    ) -> Result<Self, Refusal> {
        let (answer, answers) = channel();
        let mut slices = Vec::new();
        for &cpu in &place.shards {
            let (order, windows) = async_channel::bounded(1);
            slices.push(order);
            let (shard, answer) = (shard.clone(), answer.clone());
            thread::spawn(move || {
                pin(cpu);
                let slices = Slices { windows, answer: answer.clone(), reported: false };
                if let Err(refusal) = guarded(|| shard(slices)) {
                    let _ = answer.send(Err(refusal));
                }
            });
        }
        let shards = Self { slices, answers };
        for _ in &shards.slices {
            shards.answer()?;
        }
        Ok(shards)
    }

    /// One slice on every shard.
    ///
    /// # Errors
    /// What a shard could not do.
    pub fn slice(&mut self, window: Duration) -> Result<SliceDone, Refusal> {
        for order in &self.slices {
            // A shard that is gone shows in the answers.
            let _ = order.try_send(window);
        }
        let mut done = SliceDone::default();
        let mut histogram = None;
        for _ in &self.slices {
            add(&mut done, &mut histogram, self.answer()?);
        }
        done.latency_hdr = histogram.as_ref().map(encode);
        Ok(done)
    }

    fn answer(&self) -> Result<Tally, Refusal> {
        self.answers.recv().unwrap_or_else(|_| Err(Refusal::Failed("the runtime ended".to_owned())))
    }
}

impl Slices {
    /// The next slice, or `None` when the lane is to end. The first call reports that the shard is ready.
    pub async fn next(&mut self) -> Option<Slice> {
        if !self.reported {
            self.reported = true;
            // An empty tally is nothing to add.
            let _ = self.answer.send(Ok(Tally::start()));
        }
        let window = self.windows.recv().await.ok()?;
        Some(Slice { window, tally: Tally::start(), fault: None, answer: self.answer.clone() })
    }
}

impl Slice {
    /// Whether there is time for another batch.
    pub fn has_time(&self) -> bool {
        self.fault.is_none() && self.tally.elapsed() < self.window
    }

    /// Counts what a batch did.
    pub fn record(&mut self, batch: Result<Batch, Fault>) {
        match batch {
            Ok(batch) => self.tally.take(batch),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// Answers the order.
    pub fn finish(self) {
        let Self { tally, fault, answer, .. } = self;
        let _ = answer.send(fault.map_or_else(|| Ok(tally.end()), |fault| Err(refuse(fault))));
    }
}
