//! Timeouts. As with sleeps, only lower bounds of time.

use std::future::pending;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use rtswap_runtime::{Elapsed, Runtime};

use crate::Subject;
use crate::guard::Flag;

/// Far longer than any future here takes.
const LONG: Duration = Duration::from_secs(1_000);

/// A future that is ready in time gives its output: one that is ready at once, one that waits for a timer,
/// and one that waits for a task.
pub fn a_future_that_is_ready_in_time_gives_its_output<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        for _ in 0..10 {
            let ready = R::timeout(LONG, async { String::from("ready") }).await;
            assert_eq!(ready.as_deref(), Ok("ready"), "a future that is ready at once");
            let slept = R::timeout(LONG, R::sleep(Duration::from_millis(2))).await;
            assert_eq!(slept, Ok(()), "a future that waits for a timer");
            let joined = R::timeout(LONG, R::spawn(async { 7 })).await;
            assert_eq!(joined, Ok(7), "a future that waits for a task");
        }
    });
}

/// A future that is never ready gives [`Elapsed`] when the time is over and no sooner, and is dropped by then.
pub fn a_future_that_is_late_is_dropped_and_gives_elapsed<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        for micros in [0, 1, 999, 1_000, 1_001, 7_777, 20_000] {
            late::<R>(Duration::from_micros(micros)).await;
        }
        let many: Vec<_> =
            (0..200).map(|n| R::spawn(late::<R>(Duration::from_micros(313 * n)))).collect();
        for one in many {
            one.await;
        }
    });
    subject.main(late::<R>(Duration::from_millis(2)));
}

async fn late<R: Runtime>(duration: Duration) {
    let dropped = Flag::default();
    let guard = dropped.guard();
    let never = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let start = Instant::now();
    let mut timeout = pin!(R::timeout(duration, never));
    assert_eq!(timeout.as_mut().await, Err(Elapsed), "a future that is never ready");
    let took = start.elapsed();
    assert!(took >= duration, "a timeout of {duration:?} was over after {took:?}");
    assert!(dropped.is_set(), "a future is not dropped when its time is over");
}

/// The time counts from the first poll, not from the call.
pub fn a_timeout_counts_from_its_first_poll<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let duration = Duration::from_millis(30);
        let timeout = R::timeout(duration, pending::<()>());
        thread::sleep(duration);
        let start = Instant::now();
        assert_eq!(timeout.await, Err(Elapsed), "a future that is never ready");
        let took = start.elapsed();
        assert!(
            took >= duration,
            "a timeout of {duration:?} was over {took:?} after its first poll"
        );
    });
}
