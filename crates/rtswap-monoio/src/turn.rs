//! `yield_now`, which monoio has not.
//!
//! The usual one, a task that wakes itself and returns, does not yield in monoio 0.2: such a task is
//! put at the *head* of the queue and runs again at once. A task that another one wakes goes to its
//! end. So one task more wakes those that yield; it runs when all that were ready before have run.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::mem;
use std::task::{Poll, Waker};

struct Turns {
    /// Those that yielded, in order.
    yielded: Vec<Waker>,
    /// The task that wakes them, started when first needed.
    usher: Option<Waker>,
}

thread_local! {
    static TURNS: RefCell<Turns> = const {
        RefCell::new(Turns { yielded: Vec::new(), usher: None })
    };
}

/// Ends when every task that is ready has run.
pub(crate) fn yield_now() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        let started = TURNS.with_borrow_mut(|turns| {
            turns.yielded.push(cx.waker().clone());
            turns.usher.as_ref().map(Waker::wake_by_ref).is_some()
        });
        if !started {
            start_usher();
        }
        Poll::Pending
    })
}

fn start_usher() {
    // Its storage and that of `Turns::yielded` take turns.
    let mut woken = Vec::new();
    drop(monoio::spawn(poll_fn::<(), _>(move |cx| {
        TURNS.with_borrow_mut(|turns| {
            mem::swap(&mut turns.yielded, &mut woken);
            turns.usher.get_or_insert_with(|| cx.waker().clone());
        });
        woken.drain(..).for_each(Waker::wake);
        Poll::Pending
    })));
}

/// Lets go of the task that wakes the others: nothing else holds it.
pub(crate) fn end() {
    let turns = TURNS.replace(Turns { yielded: Vec::new(), usher: None });
    drop(turns);
}
