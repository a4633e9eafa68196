//! Futures that show when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtswap_runtime::Runtime;

/// How long a check waits for what must happen, before it fails. Far longer than it takes on the slowest
/// machine, and shorter than the limit of a check, so that the message is the check's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A flag that one side sets and the other reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits for the flag and gives whether it was set; gives up after [`PATIENCE`].
    pub(crate) async fn wait<R: Runtime>(&self) -> bool {
        let step = Duration::from_millis(1);
        for _ in 0..PATIENCE.as_millis() {
            if self.is_set() {
                return true;
            }
            R::sleep(step).await;
        }
        self.is_set()
    }

    /// What sets the flag when it is dropped: part of a future, it shows when the future is dropped.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

pub(crate) struct Guard(Flag);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set();
    }
}
