//! Connections that work at the same time, each in a task of its own.

use std::future::Future;
use std::time::Instant;

use rtswap_runtime::Runtime;

use crate::{Batch, Fault, Load, Spin};

/// A connection that does one operation after the other.
///
/// What is written once for this trait works in a closed loop ([`closed`]) and at a rate ([`paced`]).
pub trait Operate: Send + 'static {
    /// Operations that [`operate`](Self::operate) does at once, with one latency: more than 1 in a pipeline.
    fn pipeline(&self) -> u64 {
        1
    }

    /// Does as many, and verifies them.
    ///
    /// # Errors
    /// [`Fault`] if the runtime or a server did not do what it was asked.
    fn operate(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// One batch in a closed loop: each connection operates `turns` times in a task of its own.
///
/// # Errors
/// As [`together`].
pub async fn closed<R: Runtime, L: Operate>(
    links: &mut Vec<L>,
    turns: u64,
    spin: Spin,
) -> Result<Batch, Fault> {
    together::<R, _, _>(links, move |mut link| async move {
        let done = operate_in_turn(&mut link, turns, spin).await;
        (link, done)
    })
    .await
}

async fn operate_in_turn(link: &mut impl Operate, turns: u64, spin: Spin) -> Result<Batch, Fault> {
    let mut batch = Batch::default();
    for _ in 0..turns {
        let begin = Instant::now();
        link.operate().await?;
        batch.took(link.pipeline(), begin, spin);
    }
    Ok(batch)
}

/// One slice of an offered load: each connection takes operations from the one queue, in a task of its own.
///
/// # Errors
/// As [`together`].
pub async fn paced<R: Runtime, L: Operate>(
    links: &mut Vec<L>,
    load: &Load,
    spin: Spin,
) -> Result<Batch, Fault> {
    together::<R, _, _>(links, move |mut link| {
        let load = load.clone();
        async move {
            let done = operate_when_due::<R>(&mut link, &load, spin).await;
            (link, done)
        }
    })
    .await
}

async fn operate_when_due<R: Runtime>(
    link: &mut impl Operate,
    load: &Load,
    spin: Spin,
) -> Result<Batch, Fault> {
    let mut batch = Batch::default();
    let ops = link.pipeline();
    while let Some(due) = load.next::<R>(ops).await {
        link.operate().await?;
        spin.burn_each(ops);
        load.took(&mut batch, ops, due);
    }
    Ok(batch)
}

/// Each connection moves to a task of its own, does `work` there, and moves back. Returns the sum of what they did.
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
        links.push(link);
        sum.add(done?);
    }
    Ok(sum)
}
