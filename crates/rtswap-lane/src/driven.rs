use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rtswap_schema::histogram::encode;
use rtswap_workload::{Batch, Fault, Load};

use crate::host::guarded;
use crate::place::{Place, pin};
use crate::tally::{Tally, add, refuse};
use crate::{Pace, Refusal, SliceDone};

/// The shards of a program that drives itself: each a thread that waits for slices.
#[derive(Debug)]
pub struct Shards {
    slices: Vec<async_channel::Sender<Window>>,
    answers: Receiver<Result<Tally, Refusal>>,
}

/// A slice as one shard is ordered it.
#[derive(Debug)]
struct Window {
    length: Duration,
    /// The pace of all shards, of which this one takes a part.
    pace: Option<Pace>,
    part: usize,
    parts: usize,
}

/// A shard's slices. Waiting for them is asynchronous, so that the runtime lives on from slice to
/// slice and idles between.
#[derive(Debug)]
pub struct Slices {
    windows: async_channel::Receiver<Window>,
    answer: Sender<Result<Tally, Refusal>>,
    reported: bool,
}

/// A slice under way on one shard.
#[derive(Debug)]
pub struct Slice {
    window: Duration,
    load: Option<Load>,
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

    /// One slice on every shard. With a pace, each shard offers itself a part of the load.
    ///
    /// # Errors
    /// What a shard could not do.
    pub fn slice(&mut self, window: Duration, pace: Option<&Pace>) -> Result<SliceDone, Refusal> {
        let parts = self.slices.len();
        for (part, order) in self.slices.iter().enumerate() {
            // A shard that is gone shows in the answers.
            let _ = order.try_send(Window { length: window, pace: pace.copied(), part, parts });
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
    ///
    /// It may be raced with another future: no slice is lost if it is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Slice> {
        if !self.reported {
            self.reported = true;
            // An empty tally is nothing to add.
            let _ = self.answer.send(Ok(Tally::start()));
        }
        let Window { length, pace, part, parts } = self.windows.recv().await.ok()?;
        // The window starts here and not with the order: the time in which the runtime wakes up is not offered load.
        let load = pace.map(|pace| Load::new(&pace, part, parts, length));
        let (tally, answer) = (Tally::start(), self.answer.clone());
        Some(Slice { window: length, load, tally, fault: None, answer })
    }
}

impl Slice {
    /// The load that the shard is to offer itself; `None` in a closed loop.
    ///
    /// A program that ignores it works in a closed loop. Its answer then lacks `offered`, and the harness refuses it.
    pub fn load(&self) -> Option<&Load> {
        self.load.as_ref()
    }

    /// Whether there is time for another batch.
    pub fn has_time(&self) -> bool {
        self.fault.is_none() && self.tally.elapsed() < self.window
    }

    /// Counts what became of the [`load`](Self::load).
    pub fn record_paced(&mut self, done: Result<Batch, Fault>) {
        if let (Ok(batch), Some(load)) = (&done, &self.load) {
            self.tally.take_offered(load.offered(batch.ops), load.window());
        }
        self.record(done);
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
