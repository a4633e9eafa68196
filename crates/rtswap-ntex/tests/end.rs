//! What `block_on` leaves behind. The groups of checks for this need streams.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rtswap_conformance::process::{Snapshot, settle};
use rtswap_conformance::{Allow, Subject, isolated};
use rtswap_ntex::Ntex;
use rtswap_runtime::{JoinHandle as _, Runtime};

/// futures-timer's thread, which ntex's timers are on, is one for the process and has no end. So is ntex's pool.
const THREADS: &[&str] = &["futures-timer"];

fn subject(runtime: Ntex) -> Subject<Ntex> {
    Subject::new(runtime, 1, Allow { threads: THREADS, ..Allow::NOTHING })
}

/// Sleeps, leaves a timer and a task pending, and wakes a task from another thread.
fn use_all(subject: &Subject<Ntex>) {
    subject.main(async {
        drop(Ntex::spawn(Ntex::sleep(Duration::from_secs(1_000))));
        drop(Ntex::spawn(pending::<()>()));
        Ntex::sleep(Duration::from_millis(1)).await;
        let late = Ntex::timeout(Duration::from_millis(1), pending::<()>()).await;
        assert!(late.is_err());
    });
}

/// Descriptors do not grow, and timers of each runtime end: ntex's own are of the thread.
fn block_on_again_and_again(subject: &Subject<Ntex>) {
    use_all(subject);
    let before = Snapshot::take();
    for _ in 0..20 {
        use_all(subject);
        let left = settle(|now| now.since(&before).is_empty()).since(&before);
        assert!(left.forbidden(&subject.allow).is_empty(), "left behind: {left:?}");
    }
}

#[test]
fn block_on_may_be_called_again_on_io_uring() {
    let path = concat!(module_path!(), "::block_on_may_be_called_again_on_io_uring");
    isolated(path, &subject(Ntex::default()), block_on_again_and_again);
}

#[test]
fn block_on_may_be_called_again_on_epoll() {
    let path = concat!(module_path!(), "::block_on_may_be_called_again_on_epoll");
    isolated(path, &subject(Ntex::epoll()), block_on_again_and_again);
}

/// Counts what is dropped.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tasks that wake each other when they are dropped, some of them before their first turn.
fn tasks_that_wake_each_other(subject: &Subject<Ntex>) {
    const PAIRS: usize = 200;
    let dropped = Arc::new(AtomicUsize::new(0));
    subject.main(async {
        for pair in 0..PAIRS {
            let (sender, receiver) = channel();
            let (first, second) = (Guard(dropped.clone()), Guard(dropped.clone()));
            drop(Ntex::spawn(async move {
                let _guards = (first, sender);
                pending::<()>().await;
            }));
            drop(Ntex::spawn(async move {
                let _guard = second;
                receiver.await;
            }));
            if pair == PAIRS / 2 {
                Ntex::yield_now().await;
            }
        }
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 2 * PAIRS);
}

/// A task that the second one waits for: it is dropped with the first.
fn channel() -> (impl Send, impl Future<Output = ()> + Send) {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    (sender, async move {
        let _ = receiver.recv().await;
    })
}

#[test]
fn tasks_may_wake_each_other_when_they_are_dropped() {
    let path = concat!(module_path!(), "::tasks_may_wake_each_other_when_they_are_dropped");
    isolated(path, &subject(Ntex::epoll()), tasks_that_wake_each_other);
}

/// A task that another thread has woken is in ntex's second queue, which is not in order with the first.
fn abort_of_a_task_woken_elsewhere(subject: &Subject<Ntex>) {
    subject.main(async {
        for _ in 0..200 {
            let dropped = Arc::new(AtomicUsize::new(0));
            let guard = Guard(dropped.clone());
            let (sender, receiver) = async_channel::bounded::<()>(1);
            let task = Ntex::spawn(async move {
                let _guard = guard;
                while receiver.recv().await.is_ok() {}
                pending::<()>().await;
            });
            Ntex::yield_now().await;
            std::thread::scope(|scope| {
                scope.spawn(|| sender.try_send(()).unwrap());
            });
            assert_eq!(task.abort().await, None);
            assert_eq!(dropped.load(Ordering::SeqCst), 1, "aborted, and not dropped");
        }
    });
}

#[test]
fn abort_waits_for_the_drop_of_a_task_woken_elsewhere() {
    let path = concat!(module_path!(), "::abort_waits_for_the_drop_of_a_task_woken_elsewhere");
    isolated(path, &subject(Ntex::epoll()), abort_of_a_task_woken_elsewhere);
}
