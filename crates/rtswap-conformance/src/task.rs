//! Tasks: spawned, joined, detached, panicking, yielding, woken.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::FutureExt;
use rtswap_runtime::Runtime;

use crate::Subject;

/// Joining a task gives its value: one that has ended, one that has not, and one joined in a task.
pub fn a_joined_task_gives_its_value<R: Runtime>(subject: &Subject<R>) {
    subject.main(async {
        let ended = R::spawn(async { String::from("ended") });
        let sleeping = R::spawn(async {
            R::sleep(Duration::from_millis(20)).await;
            R::spawn(async { vec![1, 2, 3] }).await
        });
        assert_eq!(sleeping.await, [1, 2, 3]);
        assert_eq!(ended.await, "ended");
    });
}

/// Dropping the handle detaches: the task runs on to its end.
pub fn a_task_runs_to_its_end_when_its_handle_is_dropped<R: Runtime>(subject: &Subject<R>) {
    subject.main(async {
        let ended = Arc::new(AtomicUsize::new(0));
        for begin_first in [false, true] {
            let task_ended = ended.clone();
            let handle = R::spawn(async move {
                for _ in 0..3 {
                    R::sleep(Duration::from_millis(5)).await;
                    R::yield_now().await;
                }
                task_ended.fetch_add(1, Ordering::SeqCst);
            });
            if begin_first {
                R::sleep(Duration::from_millis(2)).await;
            }
            drop(handle);
        }
        // Far longer than it takes: a task that was cancelled never ends.
        for _ in 0..2_000 {
            if ended.load(Ordering::SeqCst) == 2 {
                return;
            }
            R::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} of 2 detached tasks ended", ended.load(Ordering::SeqCst));
    });
}

/// Joining a task that panicked resumes its panic, with its payload; the runtime goes on.
pub fn a_panic_reaches_the_joiner_with_its_payload<R: Runtime>(subject: &Subject<R>) {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);

    let payloads = subject.main(async {
        let mut payloads = Vec::new();
        for n in 0..20 {
            let task = R::spawn(async move {
                R::yield_now().await;
                if n < 20 {
                    panic_any(Payload(n));
                }
            });
            let panic = AssertUnwindSafe(task).catch_unwind().await.expect_err("it panicked");
            payloads.push(*panic.downcast::<Payload>().expect("the payload is the task's"));
        }
        assert_eq!(R::spawn(async { 7 }).await, 7, "the runtime goes on");
        payloads
    });
    assert_eq!(payloads, (0..20).map(Payload).collect::<Vec<_>>());
}

/// A task that panics with nobody to join it takes neither other tasks nor the workers with it.
pub fn a_panic_that_nobody_joins_harms_nobody<R: Runtime>(subject: &Subject<R>) {
    subject.main(async {
        let bystander = R::spawn(async {
            R::sleep(Duration::from_millis(30)).await;
            "unharmed"
        });
        for _ in 0..20 {
            drop(R::spawn(async { panic!("on purpose, and nobody joins") }));
        }
        R::sleep(Duration::from_millis(10)).await;
        assert_eq!(bystander.await, "unharmed");
        assert_eq!(R::spawn(async { 7 }).await, 7);
    });
}

/// A task that yields lets another that is ready run: on one thread it would wait for ever otherwise.
pub fn yield_now_lets_another_ready_task_run<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let ran = Arc::new(AtomicBool::new(false));
        let set = ran.clone();
        let other = R::spawn(async move { set.store(true, Ordering::SeqCst) });
        // A scheduler need not be fair at once; it must be so in the end.
        for _ in 0..10_000 {
            if ran.load(Ordering::SeqCst) {
                return other.await;
            }
            R::yield_now().await;
        }
        panic!("the other task did not run while this one yielded 10,000 times");
    });
}

/// A task is woken by a thread that is none of the runtime's, though the runtime is asleep.
pub fn a_task_is_woken_from_another_thread<R: Runtime>(subject: &Subject<R>) {
    type Shared = Arc<Mutex<(bool, Option<Waker>)>>;
    for _ in 0..20 {
        let shared = Shared::default();
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            let mut shared = theirs.lock().expect("no panic");
            shared.0 = true;
            if let Some(waker) = shared.1.take() {
                waker.wake();
            }
        });
        subject.run(poll_fn(move |cx| {
            let mut shared = shared.lock().expect("no panic");
            shared.1 = Some(cx.waker().clone());
            if shared.0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        thread.join().expect("no panic");
    }
}

/// Ten thousand tasks, spawned by a task and joined in the other direction, give their values.
pub fn ten_thousand_tasks_are_joined<R: Runtime>(subject: &Subject<R>) {
    let sum = subject.run(async {
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|n| {
                R::spawn(async move {
                    R::yield_now().await;
                    n
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks.into_iter().rev() {
            sum += task.await;
        }
        sum
    });
    assert_eq!(sum, 10_000 * 9_999 / 2);
}
