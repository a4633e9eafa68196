use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};

/// `channel`: pairs of tasks that send a number to and fro.
///
/// The channel is async-channel under every runtime, so that it is the waking that differs and not
/// the queue.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    pairs: u64,
}

/// Round trips of each pair in a batch: enough that spawning the pair is about 1 % of the batch.
const TRIPS: u64 = 200;

impl Channel {
    /// Its parameter is `pairs`.
    pub fn new(spec: &Spec) -> Self {
        Self { pairs: spec.get("pairs") }
    }
}

impl Driven for Channel {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let pairs: Vec<_> = (0..self.pairs).map(|_| R::spawn(pair::<R>(spin))).collect();
        for pair in pairs {
            let got = pair.await;
            if got != TRIPS {
                return Err(Fault::Wrong(format!("the last answer was {got}, not {TRIPS}")));
            }
        }
        Ok(Batch::of(self.pairs * TRIPS))
    }
}

/// Counts to [`TRIPS`] with another task, which adds one to whatever it gets.
async fn pair<R: Runtime>(spin: Spin) -> u64 {
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
    let mut number = 0;
    for _ in 0..TRIPS {
        if there.send(number).await.is_err() {
            break;
        }
        let Ok(answer) = back.recv().await else { break };
        number = answer;
    }
    number
}
