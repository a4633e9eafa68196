//! Work that blocks: where it runs, how it ends, and what goes on meanwhile.

use std::panic::{AssertUnwindSafe, panic_any};
use std::pin::pin;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{FutureExt, future};
use rtswap_runtime::Runtime;

use crate::Subject;
use crate::guard::{Flag, PATIENCE};

/// Work gives its output, from another thread than the one that awaits it.
pub fn blocking_work_gives_its_output_from_another_thread<R: Runtime>(subject: &Subject<R>) {
    subject.main(outputs::<R>());
    subject.run(outputs::<R>());
}

async fn outputs<R: Runtime>() {
    for n in 0..20 {
        let here = thread::current().id();
        let (output, there) =
            R::spawn_blocking(move || (n.to_string(), thread::current().id())).await;
        assert_eq!(output, n.to_string());
        assert_ne!(there, here, "work that blocks runs on the thread that awaits it");
    }
    // Awaited at once, as many as no pool has threads.
    let many: Vec<_> = (0..1_000)
        .map(|n: u32| R::spawn(async move { R::spawn_blocking(move || n).await }))
        .collect();
    for (n, one) in (0..).zip(many) {
        assert_eq!(one.await, n);
    }
}

/// A panic in the work is resumed where its output is awaited, with its payload; the pool goes on, also after
/// more panics than it has threads.
pub fn a_panic_in_blocking_work_reaches_the_awaiter_with_its_payload<R: Runtime>(
    subject: &Subject<R>,
) {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);

    subject.run(async {
        for n in 0..20 {
            let work = R::spawn_blocking(move || {
                if n < 20 {
                    panic_any(Payload(n));
                }
            });
            let panic = AssertUnwindSafe(work).catch_unwind().await.expect_err("it panicked");
            let payload = panic.downcast::<Payload>().expect("the payload is the work's");
            assert_eq!(*payload, Payload(n));
        }
        assert_eq!(R::spawn_blocking(|| 7).await, 7, "the pool goes on");
    });
}

/// Tasks and timers go on while work blocks: here it waits for a task.
pub fn tasks_go_on_while_work_blocks<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let (send, receive) = mpsc::channel();
        let task = R::spawn(async move {
            R::sleep(Duration::from_millis(2)).await;
            R::yield_now().await;
            // The receiver is gone if it has lost its patience.
            let _ = send.send(7);
        });
        let received = R::spawn_blocking(move || receive.recv_timeout(PATIENCE)).await;
        assert_eq!(received, Ok(7), "no task runs while work blocks");
        task.await;
    });
}

/// Two pieces of work run at the same time: they wait for each other.
pub fn two_pieces_of_blocking_work_wait_for_each_other<R: Runtime>(subject: &Subject<R>) {
    if subject.allow.one_blocking_thread {
        return;
    }
    subject.run(async {
        let ((send_1, receive_1), (send_2, receive_2)) = (mpsc::channel(), mpsc::channel());
        let meet = |send: mpsc::Sender<()>, receive: mpsc::Receiver<()>| {
            R::spawn_blocking(move || {
                // The other one is gone if it has lost its patience.
                let _ = send.send(());
                receive.recv_timeout(PATIENCE).is_ok()
            })
        };
        let both = future::zip(meet(send_1, receive_2), meet(send_2, receive_1)).await;
        assert_eq!(both, (true, true), "whether two pieces of work run at the same time");
    });
}

/// Work that has started runs to its end though its future is dropped, alone or because `block_on` returns.
pub fn blocking_work_runs_to_its_end_when_its_future_is_dropped<R: Runtime>(subject: &Subject<R>) {
    subject.run(async {
        let (started, ended) = (Flag::default(), Flag::default());
        let (go, gone) = mpsc::channel::<()>();
        {
            let (start, end) = (started.clone(), ended.clone());
            let mut work = pin!(R::spawn_blocking(move || {
                start.set();
                gone.recv_timeout(PATIENCE)
                    .expect("dropping the future does not wait for the work");
                end.set();
            }));
            assert!(future::poll_once(work.as_mut()).await.is_none(), "the work waits");
            assert!(started.wait::<R>().await, "work does not start at the first poll");
        }
        go.send(()).expect("dropping the future does not wait for the work");
        assert!(ended.wait::<R>().await, "work ends with its future");
    });

    let (started, ended) = (Flag::default(), Flag::default());
    subject.main(async {
        let (start, end) = (started.clone(), ended.clone());
        drop(R::spawn(R::spawn_blocking(move || {
            start.set();
            thread::sleep(Duration::from_millis(50));
            end.set();
        })));
        assert!(started.wait::<R>().await, "work does not start at the first poll");
    });
    let start = Instant::now();
    while !ended.is_set() {
        assert!(start.elapsed() < PATIENCE, "work ends with block_on");
        thread::sleep(Duration::from_millis(1));
    }
    // What the work wakes when it ends is gone.
    thread::sleep(Duration::from_millis(20));
    assert_eq!(subject.main(R::spawn_blocking(|| 7)), 7, "the next block_on works");
}
