//! Sleeping. Only lower bounds: how late a sleep ends is for the benchmark to say.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtswap_runtime::Runtime;

use crate::Subject;

/// A sleep of any length ends no sooner than that: whole milliseconds, parts of them, alone or
/// beside others.
pub fn a_sleep_never_ends_early<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        for micros in [1, 250, 999, 1_000, 1_001, 1_500, 7_777, 20_000] {
            punctual::<R>(Duration::from_micros(micros)).await;
        }
        let sleeps: Vec<_> =
            (0..200).map(|n| R::spawn(punctual::<R>(Duration::from_micros(313 * n)))).collect();
        for sleep in sleeps {
            sleep.await;
        }
    });
}

async fn punctual<R: Runtime>(duration: Duration) {
    let start = Instant::now();
    R::sleep(duration).await;
    let slept = start.elapsed();
    assert!(slept >= duration, "a sleep of {duration:?} ended after {slept:?}");
}

/// The time counts from the first poll, not from the call.
pub fn a_sleep_counts_from_its_first_poll<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let duration = Duration::from_millis(30);
        let sleep = R::sleep(duration);
        std::thread::sleep(duration);
        let start = Instant::now();
        sleep.await;
        let slept = start.elapsed();
        assert!(slept >= duration, "a sleep of {duration:?} ended {slept:?} after its first poll");
    });
}

/// A sleep of zero ends.
pub fn a_sleep_of_zero_ends<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        for _ in 0..100 {
            R::sleep(Duration::ZERO).await;
        }
    });
    subject.main(R::sleep(Duration::ZERO));
}

/// Sleeps that begin together end in the order of their lengths.
///
/// On a machine that stands still for longer than the lengths differ, several are over at once and
/// may end in any order: so one success of five is asked for.
pub fn sleeps_end_in_the_order_of_their_lengths<R: Runtime>(subject: &Subject<R>) {
    const LENGTHS_MS: [u64; 5] = [200, 40, 160, 80, 120];
    let orders: Vec<Vec<u64>> = (0..5).map(|_| order::<R>(subject, &LENGTHS_MS)).collect();
    assert!(orders.contains(&vec![40, 80, 120, 160, 200]), "the orders of five tries: {orders:?}");
}

fn order<R: Runtime>(subject: &Subject<R>, lengths_ms: &'static [u64]) -> Vec<u64> {
    subject.run(async move {
        let order = Arc::new(Mutex::new(Vec::new()));
        let sleeps: Vec<_> = lengths_ms
            .iter()
            .map(|&ms| {
                let order = order.clone();
                R::spawn(async move {
                    R::sleep(Duration::from_millis(ms)).await;
                    order.lock().expect("no panic").push(ms);
                })
            })
            .collect();
        for sleep in sleeps {
            sleep.await;
        }
        let order = order.lock().expect("no panic");
        order.clone()
    })
}

/// Ten thousand sleeps run at once, and none ends early.
pub fn ten_thousand_timers_run_at_once<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let sleeps: Vec<_> = (0..10_000)
            .map(|n| R::spawn(punctual::<R>(Duration::from_millis(1 + n % 100))))
            .collect();
        for sleep in sleeps {
            sleep.await;
        }
    });
}
