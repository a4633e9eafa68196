use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rtswap_schema::histogram::encode;
use rtswap_workload::{Batch, Fault};

use crate::host::guarded;
use crate::place::{Place, pin};
use crate::tally::{Tally, add, refuse};
use crate::{Refusal, SliceDone};

/// The shards of a program that drives itself: each a thread that waits for orders.
#[derive(Debug)]
pub struct Crew {
    orders: Vec<async_channel::Sender<Duration>>,
    answers: Receiver<Result<Tally, Refusal>>,
}

/// A shard's orders. Waiting for them is asynchronous, so that the runtime lives on from slice to
/// slice and idles between.
#[derive(Debug)]
pub struct Orders {
    windows: async_channel::Receiver<Duration>,
    answer: Sender<Result<Tally, Refusal>>,
    told: bool,
}

/// A slice under way on one shard.
#[derive(Debug)]
pub struct Slice {
    window: Duration,
    tally: Tally,
    fault: Option<Fault>,
    answer: Sender<Result<Tally, Refusal>>,
}

impl Crew {
    /// Runs `shard` on a thread for each shard of the place, and returns when each waits for orders.
    ///
    /// # Errors
    /// If a shard cannot start.
    pub fn start(
        place: &Place,
        shard: impl Fn(Orders) -> Result<(), Refusal> + Clone + Send + 'static,
    ) -> Result<Self, Refusal> {
        let (answer, answers) = channel();
        let mut orders = Vec::new();
        for &cpu in &place.shards {
            let (order, windows) = async_channel::bounded(1);
            orders.push(order);
            let (shard, answer) = (shard.clone(), answer.clone());
            thread::spawn(move || {
                pin(cpu);
                let orders = Orders { windows, answer: answer.clone(), told: false };
                if let Err(refusal) = guarded(|| shard(orders)) {
                    let _ = answer.send(Err(refusal));
                }
            });
        }
        let crew = Self { orders, answers };
        for _ in &crew.orders {
            crew.answer()?;
        }
        Ok(crew)
    }

    /// One slice on every shard.
    ///
    /// # Errors
    /// What a shard could not do.
    pub fn slice(&mut self, window: Duration) -> Result<SliceDone, Refusal> {
        for order in &self.orders {
            // A shard that is gone shows in the answers.
            let _ = order.try_send(window);
        }
        let mut done = SliceDone::default();
        let mut histogram = None;
        for _ in &self.orders {
            add(&mut done, &mut histogram, self.answer()?);
        }
        done.latency_hdr = histogram.as_ref().map(encode);
        Ok(done)
    }

    fn answer(&self) -> Result<Tally, Refusal> {
        self.answers.recv().unwrap_or_else(|_| Err(Refusal::Failed("the runtime ended".to_owned())))
    }
}

impl Orders {
    /// The next slice, or `None` when the lane is to end. The first call tells that the shard is up.
    pub async fn next(&mut self) -> Option<Slice> {
        if !self.told {
            self.told = true;
            // An empty tally is nothing to add.
            let _ = self.answer.send(Ok(Tally::start()));
        }
        let window = self.windows.recv().await.ok()?;
        Some(Slice { window, tally: Tally::start(), fault: None, answer: self.answer.clone() })
    }
}

impl Slice {
    /// Whether there is time for another batch.
    pub fn goes_on(&self) -> bool {
        self.fault.is_none() && self.tally.elapsed() < self.window
    }

    /// Takes what a batch did.
    pub fn take(&mut self, batch: Result<Batch, Fault>) {
        match batch {
            Ok(batch) => self.tally.take(batch),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// Answers the order.
    pub fn end(self) {
        let Self { tally, fault, answer, .. } = self;
        let _ = answer.send(fault.map_or_else(|| Ok(tally.end()), |fault| Err(refuse(fault))));
    }
}
