//! The workloads that the lane drives itself.

use std::panic::resume_unwind;
use std::time::Instant;

use futures_lite::future::block_on;
use may::coroutine::{JoinHandle, sleep, yield_now};
use may::go;
use may::sync::mpsc;
use rtswap_lane::Slices;
use rtswap_workload::{Batch, Channel, Fault, Sleep, Spawn, Yield};

/// Works on slices until there are no more. The calling thread waits for them, and each is worked on by a coroutine.
pub(crate) fn run(
    mut slices: Slices,
    batch: &(impl Fn() -> Result<Batch, Fault> + Clone + Send + 'static),
) {
    while let Some(mut slice) = block_on(slices.next()) {
        let batch = batch.clone();
        joined(go!(move || {
            while slice.has_time() {
                slice.record(batch());
            }
            slice.finish();
        }));
    }
}

/// What a coroutine returned. Its panic goes on here.
pub(crate) fn joined<T>(coroutine: JoinHandle<T>) -> T {
    coroutine.join().unwrap_or_else(|panic| resume_unwind(panic))
}

pub(crate) fn sleeps(asked: &Sleep) -> Result<Batch, Fault> {
    let begin = Instant::now();
    let coroutines: Vec<_> = asked
        .asked()
        .map(|duration| {
            go!(move || {
                let start = Instant::now();
                sleep(duration);
                (start.elapsed(), begin.elapsed())
            })
        })
        .collect();
    let ends: Vec<_> = coroutines.into_iter().map(joined).collect();
    asked.check(ends.into_iter())
}

pub(crate) fn spawns(spawn: Spawn) -> Result<Batch, Fault> {
    let mut coroutines = Vec::with_capacity(spawn.tasks() as usize);
    for number in 0..spawn.tasks() {
        coroutines.push(go!(move || number));
    }
    for (number, coroutine) in (0..).zip(coroutines) {
        Spawn::check(number, joined(coroutine))?;
    }
    Ok(Batch::of(spawn.tasks()))
}

pub(crate) fn turns(turns: Yield) -> Result<Batch, Fault> {
    let coroutines: Vec<_> = (0..turns.tasks())
        .map(|_| {
            go!(|| {
                let mut taken = 0;
                while taken < Yield::TURNS {
                    yield_now();
                    taken += 1;
                }
                taken
            })
        })
        .collect();
    turns.check(coroutines.into_iter().map(joined).sum())
}

pub(crate) fn trips(channel: Channel) -> Result<Batch, Fault> {
    let pairs: Vec<_> = (0..channel.pairs()).map(|_| go!(pair)).collect();
    for pair in pairs {
        Channel::check(joined(pair))?;
    }
    Ok(Batch::of(channel.pairs() * Channel::TRIPS))
}

/// Counts to [`Channel::TRIPS`] with another coroutine, which adds one to whatever it gets.
fn pair() -> u64 {
    let (there, questions) = mpsc::channel::<u64>();
    let (answers, back) = mpsc::channel::<u64>();
    drop(go!(move || {
        while let Ok(number) = questions.recv() {
            if answers.send(number + 1).is_err() {
                return;
            }
        }
    }));
    let mut number = 0;
    for _ in 0..Channel::TRIPS {
        if there.send(number).is_err() {
            break;
        }
        let Ok(answer) = back.recv() else { break };
        number = answer;
    }
    number
}
