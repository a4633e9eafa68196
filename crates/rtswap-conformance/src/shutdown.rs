//! What is left when `block_on` has returned.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rtswap_runtime::socket::{self, Share};
use rtswap_runtime::{Buffer, Net, ReadOwned, Runtime, TcpListener, WriteOwned};

use crate::Subject;
use crate::peer::{message, verify};
use crate::process::{Snapshot, settle};

/// Counts the tasks that have begun and the tasks that were dropped.
#[derive(Clone, Default)]
struct Count {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

/// In a task: its drop is the task's.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    /// Spawns a task that waits for what never comes.
    fn spawn<R: Runtime>(&self, forever: impl Future<Output = ()> + Send + 'static) {
        let (begun, guard) = (self.begun.clone(), Guard(self.dropped.clone()));
        drop(R::spawn(async move {
            let _guard = guard;
            begun.fetch_add(1, Ordering::SeqCst);
            forever.await;
        }));
    }

    /// Returns when `tasks` tasks have begun and have had time to be blocked.
    async fn begun<R: Runtime>(&self, tasks: usize) {
        while self.begun.load(Ordering::SeqCst) < tasks {
            R::sleep(Duration::from_millis(1)).await;
        }
        R::sleep(Duration::from_millis(20)).await;
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// A socket that listens, and its address.
fn listening() -> (std::net::TcpListener, SocketAddr) {
    let socket = socket::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Share::No).expect("a port");
    let addr = socket.local_addr().expect("its address");
    (socket, addr)
}

/// Leaves tasks behind that sleep, wait in `accept`, wait in `read`, cannot `write` on, and wait for
/// nothing at all; gives their number.
async fn leave_tasks<R: Net>(count: &Count) -> usize {
    count.spawn::<R>(R::sleep(Duration::from_secs(1_000)));
    count.spawn::<R>(pending());

    let mut listener = R::listen(listening().0).expect("the runtime takes the socket over");
    count.spawn::<R>(async move { drop(listener.accept().await) });

    let (socket, addr) = listening();
    let mut listener = R::listen(socket).expect("the runtime takes the socket over");
    for reads in [true, false] {
        let mut here = R::connect(addr).await.expect("somebody listens");
        let (there, _) = listener.accept().await.expect("a connection");
        count.spawn::<R>(async move {
            let _silent = there;
            if reads {
                drop(here.read(Buffer::with_capacity(64)).await);
            } else {
                drop(here.write_all(Buffer::from(vec![0; 64 << 20])).await);
            }
        });
    }
    count.begun::<R>(5).await;
    5
}

/// When `block_on` returns, tasks that wait for a timer or for nothing at all have been dropped.
pub fn waiting_tasks_and_timers_are_dropped_when_block_on_returns<R: Runtime>(
    subject: &Subject<R>,
) {
    let count = Count::default();
    subject.main(async {
        count.spawn::<R>(R::sleep(Duration::from_secs(1_000)));
        count.spawn::<R>(pending());
        count.begun::<R>(2).await;
    });
    if !subject.allow.tasks_outlive {
        assert_eq!(count.dropped(), 2, "of 2 pending tasks, so many were dropped");
    }
}

/// When `block_on` returns, tasks that are still pending have been dropped, whatever they wait for.
pub fn pending_tasks_are_dropped_when_block_on_returns<R: Net>(subject: &Subject<R>) {
    let count = Count::default();
    let left = subject.main(leave_tasks::<R>(&count));
    if !subject.allow.tasks_outlive {
        assert_eq!(count.dropped(), left, "of {left} pending tasks, so many were dropped");
    }
}

/// The same for more tasks than the runtime's queues are long.
pub fn a_thousand_pending_reads_are_dropped_when_block_on_returns<R: Net>(subject: &Subject<R>) {
    const TASKS: usize = 1_000;
    let (socket, addr) = listening();
    // Nobody accepts: the other ends stay in the kernel's queue, and half of the tasks sleep, so that
    // a usual limit of open files suffices.
    let count = Count::default();
    subject.main(async {
        for n in 0..TASKS {
            if n % 2 == 0 {
                let mut stream = R::connect(addr).await.expect("somebody listens");
                count.spawn::<R>(async move { drop(stream.read(Buffer::with_capacity(64)).await) });
            } else {
                count.spawn::<R>(R::sleep(Duration::from_secs(1_000)));
            }
        }
        count.begun::<R>(TASKS).await;
    });
    drop(socket);
    if !subject.allow.tasks_outlive {
        assert_eq!(count.dropped(), TASKS, "of {TASKS} pending tasks, so many were dropped");
    }
}

/// A bit of everything that ends: tasks, timers, a connection.
async fn work<R: Net>() {
    let (socket, addr) = listening();
    let mut listener = R::listen(socket).expect("the runtime takes the socket over");
    let server = R::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (result, buffer) = stream.read_exact(Buffer::with_capacity(100), 100).await;
        result.expect("the client writes");
        stream.write_all(buffer).await.0.expect("the client reads");
    });
    let client = R::spawn(async move {
        let mut stream = R::connect(addr).await.expect("somebody listens");
        let (result, buffer) = stream.write_all(message(100)).await;
        result.expect("the server reads");
        let (result, buffer) = stream.read_exact(buffer, 100).await;
        result.expect("the server answers");
        verify(0, &buffer);
        R::sleep(Duration::from_millis(2)).await;
    });
    server.await;
    client.await;
}

/// What the process has after the first `block_on`. Panics if more was left than `Allow` names.
///
/// A new thread has its parent's name until it gives itself its own, so what is allowed is waited
/// for as well.
fn settled<R: Runtime>(subject: &Subject<R>, first: impl FnOnce()) -> Snapshot {
    let before = Snapshot::take();
    first();
    let left = |now: &Snapshot| {
        now.since(&before).forbidden(&subject.allow).beyond_leaks(&subject.allow, 1)
    };
    let after = settle(|now| left(now).is_empty());
    let left = left(&after);
    assert!(left.is_empty(), "left behind by the first block_on: {left:?}");
    after
}

/// What five calls of `once` leave beyond what the first one and [`Allow`](crate::Allow) account for.
pub(crate) fn left_by<R: Runtime>(subject: &Subject<R>, once: impl Fn()) -> Snapshot {
    let after = settled(subject, &once);
    for _ in 0..5 {
        once();
    }
    let more = |now: &Snapshot| now.since(&after).beyond_leaks(&subject.allow, 5);
    more(&settle(|now| more(now).is_empty()))
}

/// When `block_on` has returned, its threads and descriptors are gone: all but those that `Allow`
/// names after the first time, and all of them after the others.
pub fn no_thread_and_no_descriptor_is_left_behind<R: Net>(subject: &Subject<R>) {
    let once = || {
        subject.main(async {
            work::<R>().await;
            if !subject.allow.tasks_outlive {
                leave_tasks::<R>(&Count::default()).await;
            }
        });
    };
    let more = left_by(subject, once);
    assert!(more.is_empty(), "left behind by five more: {more:?}");
}

/// `block_on` may be called again and again, and each time all works.
pub fn block_on_may_be_called_again<R: Net>(subject: &Subject<R>) {
    for n in 0..50 {
        let m = subject.main(async move {
            work::<R>().await;
            n
        });
        assert_eq!(m, n);
    }
}

/// If `main` panics, `block_on` panics with the same payload, pending tasks are dropped, threads and
/// descriptors are given back, and the next `block_on` works.
pub fn a_panic_in_main_is_passed_on_and_leaves_nothing_behind<R: Net>(subject: &Subject<R>) {
    let before = settled(subject, || subject.main(work::<R>()));
    let count = Count::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        subject.main(async {
            if !subject.allow.tasks_outlive {
                leave_tasks::<R>(&count).await;
            }
            panic!("on purpose, in main");
        })
    }));
    let payload = panic.expect_err("block_on panics");
    assert_eq!(payload.downcast_ref(), Some(&"on purpose, in main"));
    if !subject.allow.tasks_outlive {
        assert_eq!(count.dropped(), 5, "of 5 pending tasks, so many were dropped");
    }
    let left = |now: &Snapshot| now.since(&before).beyond_leaks(&subject.allow, 1);
    let left = left(&settle(|now| left(now).is_empty()));
    assert!(left.is_empty(), "left behind: {left:?}");
    subject.main(work::<R>());
}
