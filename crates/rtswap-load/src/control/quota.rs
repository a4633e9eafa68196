//! An exchange of a given number of messages.

use std::time::{Duration, Instant};

use super::watchdog::{Limits, Watchdog};
use super::{ExchangeControl, WAIT_MAX};
use crate::LoadError;

/// Ends the exchange of each connection after a given number of messages.
pub(crate) struct MessageQuota {
    messages: u64,
    watchdog: Watchdog,
}

impl MessageQuota {
    /// `messages` must not be 0: an exchange starts one on every connection.
    pub(crate) fn new(messages: u64, limits: Limits) -> Self {
        let mut watchdog = Watchdog::new(limits);
        watchdog.limit_total(Instant::now());
        Self { messages, watchdog }
    }
}

impl ExchangeControl for MessageQuota {
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        self.watchdog.check(now, moved, outstanding)?;
        Ok(WAIT_MAX)
    }

    fn completed(&mut self, _now: Instant, _started_at: Instant, nth: u64) -> bool {
        nth < self.messages
    }

    fn remaining(&self, completed: u64) -> u64 {
        self.messages.saturating_sub(completed)
    }

    fn is_over(&self) -> bool {
        // Each connection has a quota of its own, so one that has not started must still do so.
        false
    }
}
