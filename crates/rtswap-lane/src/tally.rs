use std::io::ErrorKind;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rtswap_schema::record::Offered;
use rtswap_workload::{Batch, Fault};

use crate::{Refusal, SliceDone};

/// What one shard did in a slice.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    /// Of an offered load the window, although the slice may last longer.
    elapsed: Option<Duration>,
    ops: u64,
    offered: Option<Offered>,
    latencies: Option<Histogram<u64>>,
}

impl Tally {
    pub fn start() -> Self {
        Self { start: Instant::now(), elapsed: None, ops: 0, offered: None, latencies: None }
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn take(&mut self, batch: Batch) {
        self.ops += batch.ops;
        if !batch.latencies_ns.is_empty() {
            let histogram = self.latencies.get_or_insert_with(|| {
                Histogram::new(3).expect("3 significant digits are allowed")
            });
            for latency_ns in batch.latencies_ns {
                histogram.record(latency_ns).expect("the histogram resizes itself");
            }
        }
    }

    pub fn take_offered(&mut self, offered: Offered, window: Duration) {
        self.offered = Some(offered);
        self.elapsed = Some(window);
    }

    pub fn end(mut self) -> Self {
        self.elapsed.get_or_insert(self.start.elapsed());
        self
    }
}

/// Adds a shard's work; the slice lasted as long as its slowest shard.
pub(crate) fn add(done: &mut SliceDone, histogram: &mut Option<Histogram<u64>>, tally: Tally) {
    done.ops += tally.ops;
    let elapsed = tally.elapsed.unwrap_or_default();
    done.elapsed_ns = done.elapsed_ns.max(elapsed.as_nanos() as u64);
    if let Some(part) = tally.offered {
        let sum = done.offered.get_or_insert_default();
        sum.ops += part.ops;
        sum.backlog_start += part.backlog_start;
        sum.backlog_end += part.backlog_end;
    }
    match (histogram, tally.latencies) {
        (Some(sum), Some(more)) => sum.add(more).expect("the histogram resizes itself"),
        (sum @ None, more) => *sum = more,
        (Some(_), None) => {}
    }
}

/// How a workload's fault is reported to the harness.
pub(crate) fn refuse(fault: Fault) -> Refusal {
    match fault {
        Fault::Io(error) if error.kind() == ErrorKind::Unsupported => {
            Refusal::Unsupported(error.to_string())
        }
        Fault::Io(error) => Refusal::Failed(error.to_string()),
        Fault::Wrong(finding) => Refusal::Invalid(finding),
    }
}
