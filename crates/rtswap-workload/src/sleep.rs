use std::time::{Duration, Instant};

use futures_lite::future;
use rtswap_runtime::Runtime;

use crate::{Batch, Driven, Fault, Spec, Spin};

/// `sleep`: many tasks that sleep at once.
///
/// Tasks sleep `ms`, `ms + 1`, … `ms + 4` milliseconds in turn, so that there is an order to check.
#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    tasks: u64,
    ms: u64,
}

const GROUPS: u64 = 5;

impl Sleep {
    /// Its parameters are `tasks` and `ms`.
    pub fn new(spec: &Spec) -> Self {
        Self { tasks: spec.get("tasks"), ms: spec.get("ms") }
    }

    /// How long each task of a batch is to sleep, by its number.
    pub fn asked(&self) -> impl ExactSizeIterator<Item = Duration> + use<> {
        let ms = self.ms;
        (0..self.tasks as usize)
            .map(move |number| Duration::from_millis(ms + number as u64 % GROUPS))
    }

    /// Checks a batch: for each task, in order, how long it slept, and how long after the batch's
    /// beginning it woke.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if one woke early, or out of order.
    pub fn check(&self, ends: impl Iterator<Item = (Duration, Duration)>) -> Result<Batch, Fault> {
        let mut batch = Batch::of(self.tasks);
        let mut finished = [const { Vec::new() }; GROUPS as usize];
        let groups = (0..GROUPS as usize).cycle();
        for (((slept, at), asked), group) in ends.zip(self.asked()).zip(groups) {
            let Some(late) = slept.checked_sub(asked) else {
                return Err(Fault::Wrong(format!("a sleep of {asked:?} ended after {slept:?}")));
            };
            batch.latencies_ns.push(late.as_nanos() as u64);
            finished[group].push(at);
        }
        in_order(&finished)?;
        Ok(batch)
    }
}

impl Driven for Sleep {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        let begin = Instant::now();
        let tasks: Vec<_> = self
            .asked()
            .map(|asked| {
                R::spawn(async move {
                    let start = Instant::now();
                    R::sleep(asked).await;
                    spin.burn();
                    (start.elapsed(), begin.elapsed())
                })
            })
            .collect();
        let mut ends = Vec::with_capacity(tasks.len());
        for task in tasks {
            ends.push(task.await);
        }
        self.check(ends.into_iter())
    }
}

/// By how much the first sleeps of two lengths may end in the wrong order: a machine that has stalled makes
/// all of them due at once, and a runtime wakes those in batches.
const SLACK: Duration = Duration::from_millis(1);

/// Lengths that are 2 ms or more apart must end in their order. Each length is judged by its first, which has
/// no other of its length before it: of the later ones nothing can be asked, as a timer that finds many due at
/// once, after a stall, may go through all of one length before it comes to what is left of another.
///
/// Where one thread of several has stalled, one length ends after those that others have woken: that is half
/// of the six pairs at most, and not the runtime's doing.
fn in_order(finished: &[Vec<Duration>]) -> Result<(), Fault> {
    let firsts: Vec<_> = finished.iter().map(|times| times.iter().min()).collect();
    let mut pairs = 0;
    let mut wrong = Vec::new();
    for (shorter, sooner) in firsts.iter().enumerate() {
        for later in firsts.iter().skip(shorter + 2) {
            let (Some(sooner), Some(later)) = (sooner, later) else { continue };
            pairs += 1;
            if **sooner > **later + SLACK {
                wrong.push((sooner, later));
            }
        }
    }
    match wrong.first() {
        Some((sooner, later)) if wrong.len() * 2 > pairs => Err(Fault::Wrong(format!(
            "{} of {pairs} shorter sleeps ended later: {sooner:?} against {later:?}",
            wrong.len()
        ))),
        _ => Ok(()),
    }
}

/// The two coroutines that explain an event loop in most tutorials: each prints, sleeps for as long,
/// and prints. Run together they print 1, 3, 2, 4: both begin, the sleeps overlap, both end in the
/// order in which they began.
pub async fn article<R: Runtime>(sleep: Duration, mut print: impl FnMut(u8) + Send) {
    let (sender, lines) = async_channel::unbounded();
    let coroutine = |first: u8, second: u8| {
        let sender = sender.clone();
        async move {
            // Unbounded, and its receiver is alive: sending cannot fail.
            let _ = sender.try_send(first);
            R::sleep(sleep).await;
            let _ = sender.try_send(second);
        }
    };
    future::zip(coroutine(1, 2), coroutine(3, 4)).await;
    while let Ok(line) = lines.try_recv() {
        print(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(groups: [u64; 5]) -> Vec<Vec<Duration>> {
        groups.iter().map(|ms| vec![Duration::from_millis(*ms); 3]).collect()
    }

    #[test]
    fn groups_must_end_in_the_order_of_their_length() {
        assert!(in_order(&at([10, 11, 12, 13, 14])).is_ok());
        assert!(in_order(&at([20, 20, 20, 20, 20])).is_ok(), "all at once after a stall");
        assert!(in_order(&at([11, 10, 12, 14, 13])).is_ok(), "1 ms apart may be rounded");
        assert!(in_order(&at([21, 20, 20, 20, 20])).is_ok(), "in any order after a stall");
        assert!(in_order(&at([18, 17, 16, 15, 14])).is_err());
        assert!(in_order(&at([18, 17, 12, 12, 14])).is_err(), "most pairs");
    }

    /// What Go did: the thread that had the sleeps of 10 ms stalled, and another one woke the rest.
    #[test]
    fn one_length_may_be_late() {
        assert!(in_order(&at([14, 11, 12, 12, 12])).is_ok());
        assert!(in_order(&at([10, 11, 18, 13, 14])).is_ok());
    }

    /// What Node.js did on a machine that had stalled: most of the shorter ones after the longer ones.
    #[test]
    fn only_the_first_of_a_length_has_to_keep_the_order() {
        let ms = |all: [u64; 3]| all.map(Duration::from_millis).to_vec();
        let stalled = [[10, 20, 21], [11, 19, 19], [14, 14, 15], [15, 15, 16], [16, 16, 17]];
        assert!(in_order(&stalled.map(ms)).is_ok());
        let reversed = [[16, 17, 17], [15, 16, 16], [14, 14, 15], [13, 13, 15], [12, 12, 17]];
        assert!(in_order(&reversed.map(ms)).is_err());
    }

    #[test]
    fn few_tasks_leave_groups_empty() {
        assert!(in_order(&[vec![Duration::ZERO], vec![], vec![], vec![], vec![]]).is_ok());
    }
}
