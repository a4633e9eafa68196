use std::sync::Arc;

use rtswap::Runtime;
use rtswap::workload::{Batch, Drive, Driven, Family, Fault, Param, Spec, Spin};

/// `mutex`: tasks that contend for one lock.
///
/// Each holder lets other tasks run before it releases the lock, so that on one thread, too, they find it
/// taken.
#[derive(Clone, Copy, Debug)]
pub struct Mutex {
    tasks: u64,
}

pub(crate) static FAMILY: Family = Family::new(
    "mutex",
    "one acquisition of a lock that other tasks wait for",
    "acquisition",
    Drive::Lane,
)
.params(&[Param::number("tasks", "tasks that contend", 10, &[2, 10, 100], 10_000)]);

/// Acquisitions of each task in a batch.
const TURNS: u64 = 50;

impl Mutex {
    /// Its parameter is `tasks`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks") }
    }
}

impl Driven for Mutex {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let lock = Arc::new(async_lock::Mutex::new(0));
        let tasks: Vec<_> = (0..self.tasks)
            .map(|_| {
                let lock = Arc::clone(&lock);
                R::spawn(async move {
                    for _ in 0..TURNS {
                        let mut count = lock.lock().await;
                        // An increment of which others would see the middle, were they not locked out.
                        let before = *count;
                        R::yield_now().await;
                        spin.burn();
                        *count = before + 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        check(*lock.lock().await, self.tasks * TURNS)
    }
}

fn check(count: u64, expected: u64) -> Result<Batch, Fault> {
    if count == expected {
        Ok(Batch::of(count))
    } else {
        Err(Fault::Wrong(format!("{expected} locked increments counted to {count}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_rejects_lost_increment() {
        assert_eq!(check(10, 10).unwrap(), Batch::of(10));
        assert!(check(9, 10).is_err());
    }
}
