use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};

/// `yield`: ready tasks that give way to each other.
#[derive(Clone, Copy, Debug)]
pub struct Yield {
    tasks: u64,
}

/// Turns of each task in a batch: enough that spawning and joining it is about 1 % of the batch.
const TURNS: u64 = 200;

impl Yield {
    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }
}

impl Driven for Yield {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let tasks: Vec<_> = (0..self.tasks)
            .map(|_| {
                R::spawn(async move {
                    let mut turns = 0;
                    while turns < TURNS {
                        R::yield_now().await;
                        spin.burn();
                        turns += 1;
                    }
                    turns
                })
            })
            .collect();
        let mut ops = 0;
        for task in tasks {
            ops += task.await;
        }
        let expected = self.tasks * TURNS;
        if ops != expected {
            return Err(Fault::Wrong(format!("{ops} turns were taken, {expected} expected")));
        }
        Ok(Batch::of(ops))
    }
}
