//! Which threads run what, and types that belong to one of them.

use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;

use rtswap_runtime::{Buffer, ReadOwned, Runtime, Threads};

use crate::Subject;
use crate::peer::{self, meet, verify};

fn workers<R: Runtime>(subject: &Subject) -> usize {
    match R::ABOUT.threads {
        Threads::One => 1,
        Threads::Workers | Threads::Process => subject.config.workers.get(),
    }
}

/// `effective` tells the driver that `ABOUT` names and as many workers as were asked for.
pub fn what_is_in_force_is_what_was_asked<R: Runtime>(subject: &Subject) {
    R::available().expect("the runtime is available");
    let effective = R::effective(&subject.config);
    assert_eq!(effective.driver, R::ABOUT.driver);
    assert_eq!(effective.workers, workers::<R>(subject));
}

/// `main` is polled on the thread that called `block_on`, after it has slept, too; and it may borrow.
pub fn main_is_polled_on_the_calling_thread<R: Runtime>(subject: &Subject) {
    let (here, text) = (thread::current().id(), String::from("borrowed"));
    let len = subject.main::<R, _>(async {
        assert_eq!(thread::current().id(), here);
        R::sleep(std::time::Duration::from_millis(2)).await;
        assert_eq!(R::spawn(async { 7 }).await, 7);
        assert_eq!(thread::current().id(), here);
        text.len()
    });
    assert_eq!(len, text.len());
}

/// Tasks run on as many threads as were asked for: no more, and that many at the same time.
pub fn tasks_run_on_as_many_threads_as_asked<R: Runtime>(subject: &Subject) {
    let workers = workers::<R>(subject);
    let (threads, here) = subject.main::<R, _>(async {
        // Each blocks its thread until all of them run.
        let barrier = Arc::new(Barrier::new(workers));
        let meeting: Vec<_> = (0..workers)
            .map(|_| {
                let barrier = barrier.clone();
                R::spawn(async move { barrier.wait().is_leader() })
            })
            .collect();
        for task in meeting {
            task.await;
        }
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                R::spawn(async {
                    R::yield_now().await;
                    thread::current().id()
                })
            })
            .collect();
        let mut threads = HashSet::new();
        for task in tasks {
            threads.insert(task.await);
        }
        (threads, thread::current().id())
    });
    assert!(threads.len() <= workers, "{} threads run tasks, not {workers}", threads.len());
    let main_works = R::ABOUT.threads == Threads::One;
    assert_eq!(threads.contains(&here), main_works, "whether the calling thread runs tasks");
}

/// Two threads call `block_on` at the same time: one shard each.
pub fn several_block_ons_run_side_by_side<R: Runtime>(subject: &Subject) {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let peer = |mut stream| peer::send(&mut stream, 100_000);
                meet::<R, _, _, _>(subject, peer, |mut stream| async move {
                    let buffer = Buffer::with_capacity(100_000);
                    let (result, buffer) = stream.read_exact(buffer, 100_000).await;
                    result.expect("the peer sends");
                    verify(0, &buffer);
                });
            });
        }
    });
}

/// Gives a stream of the runtime's to another thread; whether that panics there.
fn elsewhere<R: Runtime>(subject: &Subject, there: fn(R::TcpStream)) -> bool {
    let ((), panicked) = meet::<R, _, _, _>(subject, drop, move |stream| async move {
        let thread = thread::spawn(move || catch_unwind(AssertUnwindSafe(|| there(stream))));
        thread.join().expect("the panic was caught").is_err()
    });
    panicked
}

/// A stream of a thread-confined runtime panics when it is used on another thread; any other does not.
pub fn a_confined_stream_panics_on_another_thread<R: Runtime>(subject: &Subject) {
    let panicked = elsewhere::<R>(subject, |stream| {
        // Dropping it here would panic, too, which is for the other check to see.
        let mut stream = ManuallyDrop::new(stream);
        let read = pin!(stream.read(Buffer::with_capacity(8)));
        let _ = read.poll(&mut Context::from_waker(Waker::noop()));
    });
    assert_eq!(panicked, subject.allow.confined, "whether it panicked, against `Allow::confined`");
}

/// A stream of a thread-confined runtime panics when it is dropped on another thread; any other does
/// not.
pub fn a_confined_stream_panics_when_dropped_on_another_thread<R: Runtime>(subject: &Subject) {
    let panicked = elsewhere::<R>(subject, drop);
    assert_eq!(panicked, subject.allow.confined, "whether it panicked, against `Allow::confined`");
}
