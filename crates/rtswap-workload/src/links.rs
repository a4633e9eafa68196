//! Connections that work at the same time, each in a task of its own.

use std::future::Future;

use rtswap_runtime::Runtime;

use crate::{Batch, Fault};

/// One batch of an [`Opened`](crate::Opened) workload with several connections: each moves to a task of its
/// own, does `work` there, and moves back. Returns the sum of what they did.
///
/// # Errors
/// The first [`Fault`] of a connection. The connections are then incomplete, and the lane is done.
pub async fn together<R, L, F>(links: &mut Vec<L>, work: impl Fn(L) -> F) -> Result<Batch, Fault>
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
