use async_channel::{Receiver, Sender};
use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Load, Spec, Spin};

/// `channel`: pairs of tasks that send a number to and fro.
///
/// The channel is async-channel under every runtime, so that it is the waking that differs and not
/// the queue.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    pairs: u64,
}

impl Channel {
    /// Round trips of each pair in a batch: enough that spawning the pair is about 1 % of the batch.
    pub const TRIPS: u64 = 200;

    /// Its parameter is `pairs`.
    pub fn new(spec: &Spec) -> Self {
        Self { pairs: spec.get("pairs") }
    }

    /// How many pairs a batch has.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Checks to what a pair has counted, which is to be [`TRIPS`](Self::TRIPS).
    ///
    /// # Errors
    /// [`Fault::Wrong`].
    pub fn check(counted: u64) -> Result<(), Fault> {
        if counted == Self::TRIPS {
            return Ok(());
        }
        Err(Fault::Wrong(format!("the last answer was {counted}, not {}", Self::TRIPS)))
    }
}

impl Driven for Channel {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let pairs: Vec<_> = (0..self.pairs).map(|_| R::spawn(pair::<R>(spin))).collect();
        for pair in pairs {
            Self::check(pair.await)?;
        }
        Ok(Batch::of(self.pairs * Self::TRIPS))
    }

    async fn paced<R: Runtime>(&self, load: &Load, spin: Spin) -> Result<Batch, Fault> {
        let pairs: Vec<_> =
            (0..self.pairs).map(|_| R::spawn(paced_pair::<R>(load.clone(), spin))).collect();
        let mut sum = Batch::default();
        for pair in pairs {
            sum.add(pair.await?);
        }
        Ok(sum)
    }
}

/// Counts to [`Channel::TRIPS`] with another task, which adds one to whatever it gets.
async fn pair<R: Runtime>(spin: Spin) -> u64 {
    let (there, back) = partner::<R>(spin);
    let mut number = 0;
    for _ in 0..Channel::TRIPS {
        if there.send(number).await.is_err() {
            break;
        }
        let Ok(answer) = back.recv().await else { break };
        number = answer;
    }
    number
}

/// Counts with another task, one round trip whenever one is due.
async fn paced_pair<R: Runtime>(load: Load, spin: Spin) -> Result<Batch, Fault> {
    let (there, back) = partner::<R>(spin);
    let mut batch = Batch::default();
    let mut number = 0;
    while let Some(due) = load.next::<R>(1).await {
        // A partner that is gone shows in the answer.
        let _ = there.send(number).await;
        let answer = back.recv().await.ok();
        number += 1;
        if answer != Some(number) {
            return Err(Fault::Wrong(format!("the answer was {answer:?}, not {number}")));
        }
        load.took(&mut batch, 1, due);
    }
    Ok(batch)
}

/// Starts a task that adds one to whatever it gets.
fn partner<R: Runtime>(spin: Spin) -> (Sender<u64>, Receiver<u64>) {
    let (there, questions) = async_channel::bounded::<u64>(1);
    let (answers, back) = async_channel::bounded::<u64>(1);
    drop(R::spawn(async move {
        while let Ok(number) = questions.recv().await {
            spin.burn();
            if answers.send(number + 1).await.is_err() {
                return;
            }
        }
    }));
    (there, back)
}
