//! When an exchange of messages goes on, ends, or is given up.

pub(crate) mod paced;
pub(crate) mod phases;
pub(crate) mod quota;
pub(crate) mod watchdog;
pub(crate) mod window;

use std::time::{Duration, Instant};

use crate::LoadError;

/// Controls one exchange: decides how long to wait and whether to send another message, and records
/// what is completed.
pub(crate) trait ExchangeControl {
    /// Called before each wait, with the current time and whether bytes have moved since the last
    /// call. Returns the longest time to wait, or why the exchange is given up.
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError>;

    /// Called for each message whose answer was verified, the `nth` of its connection in this
    /// exchange. Returns whether to send another.
    fn completed(&mut self, now: Instant, started_at: Instant, nth: u64) -> bool;

    /// How many more messages a connection may start, having completed so many in this exchange.
    fn remaining(&self, completed: u64) -> u64;

    /// Whether no connection is to start another message.
    fn is_over(&self) -> bool;
}

/// The longest wait for events. It bounds how late an idle thread notices a cancellation, or an
/// error in another thread.
const WAIT_MAX: Duration = Duration::from_millis(10);
