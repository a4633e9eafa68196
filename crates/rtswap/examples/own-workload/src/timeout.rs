use std::time::Duration;

use rtswap::workload::{Batch, Drive, Driven, Family, Fault, Param, Spec, Spin};
use rtswap::{Elapsed, Runtime};

/// `timeout`: tasks under a time limit that they do not reach, as most limits are not.
///
/// Each task gives way once, so that its timer is armed, and disarmed when the task ends.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    tasks: u64,
}

pub(crate) static FAMILY: Family = Family::new(
    "timeout",
    "one task that ends before its time limit of a minute",
    "task",
    Drive::Lane,
)
.params(&[Param::number("tasks", "time limits armed at once", 100, &[1, 100, 1000], 100_000)]);

impl Timeout {
    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }
}

impl Driven for Timeout {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let tasks: Vec<_> = (0..self.tasks)
            .map(|number| {
                R::spawn(R::timeout(Duration::from_mins(1), async move {
                    R::yield_now().await;
                    spin.burn();
                    number
                }))
            })
            .collect();
        for (number, task) in (0..).zip(tasks) {
            check(number, task.await)?;
        }
        Ok(Batch::of(self.tasks))
    }
}

fn check(number: u64, output: Result<u64, Elapsed>) -> Result<(), Fault> {
    match output {
        Ok(returned) if returned == number => Ok(()),
        Ok(returned) => Err(Fault::Wrong(format!("task {number} returned {returned}"))),
        Err(Elapsed) => Err(Fault::Wrong(format!("task {number} reached its limit of a minute"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_rejects_elapsed_and_foreign_output() {
        check(7, Ok(7)).unwrap();
        assert!(check(7, Ok(8)).is_err());
        assert!(check(7, Err(Elapsed)).is_err());
    }
}
