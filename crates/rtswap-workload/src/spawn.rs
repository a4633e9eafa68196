use rtswap_runtime::Runtime;

use crate::{Batch, Drive, Driven, Family, Fault, Param, Spec, Spin};

/// `spawn`: start tasks from a task and join them all.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    tasks: u64,
}

pub(crate) static FAMILY: Family = Family {
    name: "spawn",
    operation: "one task spawned and joined, its result checked",
    unit: "task",
    params: &[Param {
        name: "tasks",
        about: "tasks alive at once",
        default: 1000,
        values: &[1, 1000],
        max: 1_000_000,
    }],
    drive: Drive::Lane,
};

impl Spawn {
    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }
}

impl Driven for Spawn {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let mut tasks = Vec::with_capacity(self.tasks as usize);
        for index in 0..self.tasks {
            tasks.push(R::spawn(async move {
                spin.burn();
                index
            }));
        }
        for (expected, task) in (0..self.tasks).zip(tasks) {
            let index = task.await;
            if index != expected {
                return Err(Fault::Wrong(format!("task {expected} returned {index}")));
            }
        }
        Ok(Batch::of(self.tasks))
    }
}
