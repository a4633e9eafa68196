//! Kept connections that exchange messages at the instants of a schedule.
//!
//! The connections are a pool: a message that is due goes out on the connection that has been free for
//! longest, and waits if none is free, which counts as latency.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll::{Event, EventFlags};

use super::kept::KeptConnections;
use crate::LoadError;
use crate::control::paced::PacedWindow;
use crate::io::epoll::{END, Scratch};
use crate::protocol::{Connection, ReadOutcome, Received};

/// The connections that are free, and the messages under way on the others.
struct Pool {
    /// Free connections, and since when.
    free: VecDeque<(usize, Instant)>,
    /// By connection: when its messages under way were due.
    due: Vec<VecDeque<Instant>>,
    /// Connections with messages under way.
    busy: usize,
}

impl<C: Connection> KeptConnections<C> {
    /// Exchanges messages on the active connections as they become due, until the window of `control`
    /// is over and its messages are completed.
    pub(crate) fn exchange_paced(
        &mut self,
        scratch: &mut Scratch,
        control: &mut PacedWindow<'_>,
    ) -> Result<(), LoadError> {
        self.expect_silence(scratch)?;
        let mut now = Instant::now();
        let active = Arc::clone(&self.active);
        for &index in active.iter() {
            self.connections[index].start_exchange();
        }
        let mut pool = Pool {
            free: active.iter().map(|&index| (index, now)).collect(),
            due: vec![VecDeque::new(); self.connections.len()],
            busy: 0,
        };
        let mut moved = true;
        loop {
            let timeout = control.tick(now, moved, pool.busy)?;
            self.send_due(&mut pool, control)?;
            if control.is_over(pool.busy) {
                break;
            }
            let ready = self.epoll.wait(scratch, timeout)?;
            moved = false;
            for at in 0..ready {
                let Event { flags, data } = scratch.events[at];
                let index = data.u64() as usize;
                if flags.intersects(EventFlags::IN.union(END)) {
                    let buffer = &mut scratch.buffer[..self.read_bytes];
                    let until_end = flags.intersects(END);
                    let connection = &mut self.connections[index];
                    let Received { outcome, completed } =
                        connection.receive(&mut self.shared, buffer, until_end)?;
                    moved |= outcome != ReadOutcome::Nothing;
                    if !completed.is_empty() {
                        // The only reading of the clock for all answers of one read.
                        let now = Instant::now();
                        for _ in completed {
                            let due = pool.due[index].pop_front();
                            control.completed(now, due.expect("an answer belongs to a message"));
                        }
                        if outcome == ReadOutcome::BatchComplete {
                            pool.busy -= 1;
                            pool.free.push_back((index, now));
                            // Now, and not after the other events: they would make it late.
                            self.send_due(&mut pool, control)?;
                            continue;
                        }
                    }
                }
                let connection = &mut self.connections[index];
                if flags.contains(EventFlags::OUT) && connection.has_unsent(&self.shared) {
                    connection.send(&self.shared)?;
                    moved = true;
                }
            }
            now = Instant::now();
        }
        self.expect_silence(scratch)
    }

    /// Sends the messages that are due on the connections that are free.
    #[inline]
    fn send_due(
        &mut self,
        pool: &mut Pool,
        control: &mut PacedWindow<'_>,
    ) -> Result<(), LoadError> {
        while control.has_due() {
            let Some((index, free_since)) = pool.free.pop_front() else { break };
            let now = Instant::now();
            let messages = control.take(self.batch_max, now, free_since, &mut pool.due[index]);
            pool.busy += 1;
            self.start_batch(index, now, messages)?;
        }
        Ok(())
    }
}
