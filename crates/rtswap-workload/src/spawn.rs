use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};

/// `spawn`: start tasks from a task and join them all.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    tasks: u64,
}

impl Spawn {
    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }

    /// How many tasks a batch spawns.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// Checks what the task of that number returned, which is to be its number.
    ///
    /// # Errors
    /// [`Fault::Wrong`].
    pub fn check(number: u64, returned: u64) -> Result<(), Fault> {
        if returned == number {
            return Ok(());
        }
        Err(Fault::Wrong(format!("task {number} returned {returned}")))
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
        for (number, task) in (0..).zip(tasks) {
            Self::check(number, task.await)?;
        }
        Ok(Batch::of(self.tasks))
    }
}
