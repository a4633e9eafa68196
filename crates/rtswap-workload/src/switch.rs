use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};

/// `yield`: ready tasks that give way to each other.
#[derive(Clone, Copy, Debug)]
pub struct Yield {
    tasks: u64,
}

impl Yield {
    /// Turns of each task in a batch: enough that spawning and joining it is about 1 % of the batch.
    pub const TURNS: u64 = 200;

    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }

    /// How many tasks a batch has.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// Checks how many turns all tasks of a batch took.
    ///
    /// # Errors
    /// [`Fault::Wrong`].
    pub fn check(&self, turns: u64) -> Result<Batch, Fault> {
        let expected = self.tasks * Self::TURNS;
        if turns != expected {
            return Err(Fault::Wrong(format!("{turns} turns were taken, {expected} expected")));
        }
        Ok(Batch::of(turns))
    }
}

impl Driven for Yield {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let tasks: Vec<_> = (0..self.tasks)
            .map(|_| {
                R::spawn(async move {
                    let mut turns = 0;
                    while turns < Self::TURNS {
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
        self.check(ops)
    }
}
