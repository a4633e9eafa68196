//! Which threads run what, and types that belong to one of them.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_runtime::{Buffer, Net, ReadOwned, Runtime, Threads};

use crate::Subject;
use crate::peer::{self, meet, verify};

fn workers<R: Runtime>(subject: &Subject<R>) -> usize {
    match subject.runtime.about().threads {
        Threads::One => 1,
        Threads::Workers | Threads::Process => subject.config.workers.get(),
    }
}

/// `effective` reports the driver that `about` names and as many workers as were asked for.
pub fn what_is_in_force_is_what_was_asked<R: Runtime>(subject: &Subject<R>) {
    subject.runtime.available().expect("the runtime is available");
    let effective = subject.runtime.effective(&subject.config);
    assert_eq!(effective.driver, subject.runtime.about().driver);
    assert_eq!(effective.workers, workers(subject));
}

/// `main` is polled on the thread that called `block_on`, after it has slept, too; and it may borrow.
pub fn main_is_polled_on_the_calling_thread<R: Runtime>(subject: &Subject<R>) {
    let (here, text) = (thread::current().id(), String::from("borrowed"));
    let len = subject.main(async {
        assert_eq!(thread::current().id(), here);
        R::sleep(Duration::from_millis(2)).await;
        assert_eq!(R::spawn(async { 7 }).await, 7);
        assert_eq!(thread::current().id(), here);
        text.len()
    });
    assert_eq!(len, text.len());
}

/// Tasks run on as many threads as were asked for: no more, and that many at the same time.
pub fn tasks_run_on_as_many_threads_as_asked<R: Runtime>(subject: &Subject<R>) {
    let workers = workers(subject);
    let (met, one_more_met, main_works) = subject.main(async {
        let here = thread::current().id();
        let met = all_run_at_once::<R>(workers, Duration::from_secs(30)).await;
        let one_more_met = all_run_at_once::<R>(workers + 1, Duration::from_secs(1)).await;
        let main_works = (R::spawn(async { thread::current().id() }).await) == here;
        (met, one_more_met, main_works)
    });
    assert!(met, "{workers} tasks do not run at the same time");
    assert!(!one_more_met, "{} threads run tasks, not {workers}", workers + 1);
    let expected = subject.runtime.about().threads == Threads::One;
    assert_eq!(main_works, expected, "whether the calling thread runs tasks");
}

/// Whether `count` tasks that block their threads meet within `limit`.
async fn all_run_at_once<R: Runtime>(count: usize, limit: Duration) -> bool {
    let meeting = Arc::new((Mutex::new(0), Condvar::new()));
    let end = Instant::now() + limit;
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let meeting = meeting.clone();
            R::spawn(async move {
                let (present, arrival) = &*meeting;
                let mut present = present.lock().expect("nobody panics");
                *present += 1;
                arrival.notify_all();
                let left = end.saturating_duration_since(Instant::now());
                let waited = arrival.wait_timeout_while(present, left, |here| *here < count);
                // Who leaves without having met takes itself off: only those inside count.
                let (mut present, waited) = waited.expect("nobody panics");
                if waited.timed_out() {
                    *present -= 1;
                }
                !waited.timed_out()
            })
        })
        .collect();
    let mut met = true;
    for task in tasks {
        met &= task.await;
    }
    met
}

/// Two threads, and then four, call `block_on` at the same time: one shard each.
pub fn several_block_ons_run_side_by_side<R: Net>(subject: &Subject<R>) {
    for shards in [2, 4] {
        side_by_side(subject, shards);
    }
}

fn side_by_side<R: Net>(subject: &Subject<R>, shards: usize) {
    thread::scope(|scope| {
        for _ in 0..shards {
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
fn elsewhere<R: Net>(subject: &Subject<R>, there: fn(R::TcpStream)) -> bool {
    let ((), panicked) = meet::<R, _, _, _>(subject, drop, move |stream| async move {
        let thread = thread::spawn(move || catch_unwind(AssertUnwindSafe(|| there(stream))));
        thread.join().expect("the panic was caught").is_err()
    });
    panicked
}

/// A stream of a thread-confined runtime panics when it is used on another thread; any other does not.
pub fn a_confined_stream_panics_on_another_thread<R: Net>(subject: &Subject<R>) {
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
pub fn a_confined_stream_panics_when_dropped_on_another_thread<R: Net>(subject: &Subject<R>) {
    let panicked = elsewhere::<R>(subject, drop);
    assert_eq!(panicked, subject.allow.confined, "whether it panicked, against `Allow::confined`");
}
