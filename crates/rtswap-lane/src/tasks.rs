use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rtswap_runtime::Runtime;
use rtswap_workload::{Driven, Spin};

use crate::host::guarded;
use crate::outside::{Tally, add, refuse};
use crate::place::{Place, pin};
use crate::{Refusal, SliceDone};

/// The shards of a workload that drives itself: each a thread in `block_on` that waits for orders.
///
/// The wait is asynchronous, so that the runtime lives on from slice to slice and idles between.
pub(crate) struct Crew {
    orders: Vec<async_channel::Sender<Duration>>,
    answers: Receiver<Result<Tally, Refusal>>,
}

impl Crew {
    pub fn start<R: Runtime, W: Driven>(
        workload: &W,
        place: &Place,
        spin: Spin,
    ) -> Result<Self, Refusal> {
        let (answer, answers) = channel();
        let mut orders = Vec::new();
        for &cpu in &place.shards {
            let (order, windows) = async_channel::bounded::<Duration>(1);
            orders.push(order);
            let (workload, config, answer) =
                (workload.clone(), place.config.clone(), answer.clone());
            thread::spawn(move || {
                pin(cpu);
                let main = async {
                    // Tells that the runtime is up; an empty tally is nothing to add.
                    let _ = answer.send(Ok(Tally::start()));
                    while let Ok(window) = windows.recv().await {
                        let workload = workload.clone();
                        let slice = async move { slice::<R, W>(&workload, window, spin).await };
                        let _ = answer.send(R::spawn(slice).await);
                    }
                };
                let end = guarded(|| {
                    R::block_on(&config, main).map_err(|error| {
                        Refusal::Failed(format!("cannot start the runtime: {error}"))
                    })
                });
                if let Err(refusal) = end {
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
        done.latency_hdr = histogram.as_ref().map(crate::outside::encode);
        Ok(done)
    }

    fn answer(&self) -> Result<Tally, Refusal> {
        self.answers.recv().unwrap_or_else(|_| Err(Refusal::Failed("the runtime ended".to_owned())))
    }
}

async fn slice<R: Runtime, W: Driven>(
    workload: &W,
    window: Duration,
    spin: Spin,
) -> Result<Tally, Refusal> {
    let mut tally = Tally::start();
    while tally.elapsed() < window {
        tally.take(workload.batch::<R>(spin).await.map_err(refuse)?);
    }
    Ok(tally.end())
}
