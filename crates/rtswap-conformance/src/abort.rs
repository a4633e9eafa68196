//! Aborting tasks: what waits, what is ready, what has ended, and what panicked.

use std::future::pending;
use std::panic::{AssertUnwindSafe, panic_any};
use std::thread;
use std::time::Duration;

use futures_lite::FutureExt;
use rtswap_runtime::{JoinHandle, Runtime};

use crate::Subject;
use crate::guard::Flag;

/// What a task does when it is aborted.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Waits for what never comes.
    Nothing,
    Sleep,
    /// Is ready again each time that it has run.
    Yield,
    /// Is polled, on its own thread if the runtime has workers, and waits for ever then.
    Run,
    /// Waits for another task.
    Join,
}

/// A task that was aborted is dropped when the future of `abort` is ready, which gives `None`.
pub fn an_aborted_task_is_dropped_and_gives_nothing<R: Runtime>(subject: &Subject<R>) {
    subject.main(abort_each::<R>());
    subject.run(abort_each::<R>());
}

async fn abort_each<R: Runtime>() {
    for does in [Does::Nothing, Does::Sleep, Does::Yield, Does::Run, Does::Join] {
        let (begun, dropped) = (Flag::default(), Flag::default());
        let (begin, guard) = (begun.clone(), dropped.guard());
        let task = R::spawn(async move {
            let _guard = guard;
            begin.set();
            match does {
                Does::Nothing => pending().await,
                Does::Sleep => R::sleep(Duration::from_secs(1_000)).await,
                Does::Yield => loop {
                    R::yield_now().await;
                },
                Does::Run => {
                    thread::sleep(Duration::from_millis(20));
                    pending::<()>().await;
                }
                Does::Join => R::spawn(R::sleep(Duration::from_secs(1_000))).await,
            }
        });
        // Not by a timer, which a runtime may neglect while a task is always ready.
        while !begun.is_set() {
            R::yield_now().await;
        }
        if !matches!(does, Does::Yield | Does::Run) {
            // Until it waits.
            R::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(task.abort().await, None, "the task ended: {does:?}");
        assert!(dropped.is_set(), "the task lives on after abort: {does:?}");
    }
}

/// A task that is ready and was not polled yet is aborted, too: it does not run at all, or no further than to
/// its first suspension.
pub fn a_ready_task_that_was_not_polled_is_aborted<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        for _ in 0..100 {
            let (go, ran_on, dropped) = (Flag::default(), Flag::default(), Flag::default());
            let task = R::spawn(gated::<R>(&go, &ran_on, &dropped));
            let abort = task.abort();
            go.set();
            assert_eq!(abort.await, None, "the task ended after abort");
            assert!(!ran_on.is_set(), "the task ran on after abort");
            assert!(dropped.is_set(), "the task lives on after abort");
        }
    });
}

/// A task that sets `ran_on` some time after `go`, with a suspension between the two.
fn gated<R: Runtime>(
    go: &Flag,
    ran_on: &Flag,
    dropped: &Flag,
) -> impl Future<Output = ()> + Send + 'static {
    let (go, ran_on, guard) = (go.clone(), ran_on.clone(), dropped.guard());
    async move {
        let _guard = guard;
        while !go.is_set() {
            R::yield_now().await;
        }
        // `go` may be set while this is polled; it must not get further than here.
        R::yield_now().await;
        ran_on.set();
    }
}

/// A task that had ended gives its output.
pub fn abort_of_an_ended_task_gives_its_output<R: Runtime>(subject: &Subject<R>) {
    let output = subject.main(async {
        let mut output = None;
        for tenths in 1..=TRIES {
            let task = ended::<R, _>(tenths, || String::from("output")).await;
            output = output.or(task.abort().await);
        }
        output
    });
    assert_eq!(output.as_deref(), Some("output"), "the output of a task that had ended");
}

/// A task that had panicked passes its panic on.
pub fn abort_of_a_task_that_panicked_resumes_the_panic<R: Runtime>(subject: &Subject<R>) {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);

    let payload = subject.main(async {
        let mut payload = None;
        for tenths in 1..=TRIES {
            let task = ended::<R, ()>(tenths, || panic_any(Payload(7))).await;
            let output = AssertUnwindSafe(task.abort()).catch_unwind().await;
            payload = payload.or(output.err());
        }
        assert_eq!(R::spawn(async { 7 }).await, 7, "the runtime goes on");
        payload
    });
    let payload = payload.expect("abort resumes the panic of a task that had panicked");
    assert_eq!(payload.downcast_ref(), Some(&Payload(7)));
}

/// Nothing shows that a task has ended but the task itself, shortly before. On a machine that stands still
/// between the two, an abort finds it running: so one success is asked for.
const TRIES: u64 = 5;

/// A task that has run `end`, unless the machine stands still for `tenths` of a tenth of a second.
async fn ended<R: Runtime, T: Send + 'static>(tenths: u64, end: fn() -> T) -> R::JoinHandle<T> {
    let dropped = Flag::default();
    let guard = dropped.guard();
    let task = R::spawn(async move {
        let _guard = guard;
        R::yield_now().await;
        end()
    });
    assert!(dropped.wait::<R>().await, "the task does not end");
    R::sleep(Duration::from_millis(10 * tenths)).await;
    task
}

/// Cancellation starts at the call: the task does not run on, though the future of `abort` is dropped before
/// it was polled.
pub fn abort_starts_at_the_call<R: Runtime>(subject: &Subject<R>) {
    subject.main(async {
        for _ in 0..10 {
            let (go, ran_on, dropped) = (Flag::default(), Flag::default(), Flag::default());
            let task = R::spawn(gated::<R>(&go, &ran_on, &dropped));
            for _ in 0..10 {
                R::yield_now().await;
            }
            drop(task.abort());
            go.set();
            assert!(dropped.wait::<R>().await, "the task lives on after abort");
            assert!(!ran_on.is_set(), "the task ran on after abort");
        }
    });
}

/// A task whose abort is under way when `block_on` returns is dropped by then, like any other.
pub fn an_aborted_task_is_dropped_when_block_on_returns<R: Runtime>(subject: &Subject<R>) {
    for begins in [true, false] {
        let (begun, dropped) = (Flag::default(), Flag::default());
        subject.main(async {
            let (begin, guard) = (begun.clone(), dropped.guard());
            let task = R::spawn(async move {
                let _guard = guard;
                begin.set();
                R::sleep(Duration::from_secs(1_000)).await;
            });
            if begins {
                assert!(begun.wait::<R>().await, "the task does not begin");
            }
            drop(task.abort());
        });
        if !subject.allow.tasks_outlive {
            assert!(dropped.is_set(), "an aborted task lives on after block_on");
        }
    }
}
