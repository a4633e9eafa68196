//! Connections that work at the same time, each in a task of its own.

use std::future::Future;
use std::time::Instant;

use rtswap_runtime::Runtime;

use crate::{Batch, Fault, Spin};

/// Lets all links work at once and adds up what they did.
pub(crate) async fn together<R, L, F>(
    links: &mut Vec<L>,
    work: impl Fn(L) -> F,
) -> Result<Batch, Fault>
where
    R: Runtime,
    L: Send + 'static,
    F: Future<Output = (L, Result<Batch, Fault>)> + Send + 'static,
{
    let tasks: Vec<_> = links.drain(..).map(|link| R::spawn(work(link))).collect();
    let mut sum = Batch::default();
    for task in tasks {
        let (link, done) = task.await;
        let done = done?;
        links.push(link);
        sum.ops += done.ops;
        sum.latencies_ns.extend(done.latencies_ns);
    }
    Ok(sum)
}

impl Batch {
    /// Counts what began at `begin` and has just ended: `ops` operations and one latency.
    pub(crate) fn took(&mut self, ops: u64, begin: Instant, spin: Spin) {
        for _ in 0..ops {
            spin.burn();
        }
        self.ops += ops;
        self.latencies_ns.push(begin.elapsed().as_nanos() as u64);
    }
}
