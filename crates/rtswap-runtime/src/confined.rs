use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// A value that stays on its thread, in a type that is `Send`: the thread is checked at every use.
///
/// For adapters of runtimes whose types are not `Send`. The same as `send_wrapper::SendWrapper`, with
/// another check: `SendWrapper` asks for the current thread's handle, which counts references
/// atomically, several times in each operation. `Confined` reads a number.
///
/// # Panics
/// On another thread than the one that made it: when used, when polled, and when dropped if there is
/// anything to drop, which is leaked then.
///
/// # Aborts
/// The process, when a future that has been polled is dropped on another thread. Polling pins it, and the
/// memory of what is pinned must not be freed before it is dropped: others may hold its address, as a timer
/// wheel does. It cannot be dropped there, and its memory, which the `Confined` does not own, cannot be kept.
pub struct Confined<T> {
    value: ManuallyDrop<T>,
    /// The number of its thread, and [`PINNED`].
    home: u64,
}

/// In [`Confined::home`]: the value has been pinned. Numbers of threads are even.
const PINNED: u64 = 1;

// SAFETY: the value is reached, and dropped, on the thread that it was made on and on no other: every
// way to it goes through `check`. Numbers of threads are never used twice.
unsafe impl<T> Send for Confined<T> {}
// SAFETY: as above; a reference to it gives nothing to another thread either.
unsafe impl<T> Sync for Confined<T> {}

/// The number of this thread. Even, never 0, and never that of another, alive or not.
fn here() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(2);
    thread_local! {
        static HERE: Cell<u64> = const { Cell::new(0) };
    }
    HERE.with(|here| {
        if here.get() == 0 {
            here.set(NEXT.fetch_add(2, Ordering::Relaxed));
        }
        here.get()
    })
}

impl<T> Confined<T> {
    /// Confines a value to this thread.
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), home: here() }
    }

    /// Gives it back.
    ///
    /// # Panics
    /// On another thread.
    pub fn take(self) -> T {
        self.check();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the value is not taken again.
        unsafe { ManuallyDrop::take(&mut this.value) }
    }

    #[inline]
    fn is_home(&self) -> bool {
        self.home | PINNED == here() | PINNED
    }

    #[inline]
    fn check(&self) {
        if !self.is_home() {
            elsewhere();
        }
    }
}

#[cold]
#[inline(never)]
fn elsewhere() -> ! {
    panic!("a value that is confined to its thread was used or dropped on another one");
}

#[cold]
#[inline(never)]
fn abort() -> ! {
    // Not `eprintln`, which panics if it cannot write.
    let _ = io::stderr().write_all(
        b"a future that is confined to its thread was polled there and dropped on another one; \
          it can be neither dropped nor left undropped, so the process aborts\n",
    );
    process::abort()
}

impl<T> Deref for Confined<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.check();
        &self.value
    }
}

impl<T> DerefMut for Confined<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.check();
        &mut self.value
    }
}

impl<F: Future> Future for Confined<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.check();
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        this.home |= PINNED;
        // SAFETY: the value is pinned with what it is in: nothing moves it out of a pinned `Confined`, and it
        // is dropped in place, or the process ends.
        unsafe { Pin::new_unchecked(&mut *this.value) }.poll(cx)
    }
}

impl<T> Drop for Confined<T> {
    fn drop(&mut self) {
        // What needs no dropping may go anywhere.
        if std::mem::needs_drop::<T>() {
            if !self.is_home() {
                if self.home & PINNED != 0 {
                    abort();
                }
                // A second panic would end the process, which a value that may be leaked is no reason for.
                if std::thread::panicking() {
                    return;
                }
                elsewhere();
            }
            // SAFETY: dropped once, here; `take` keeps it from getting here.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

impl<T> fmt::Debug for Confined<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confined").field("home", &self.home).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::env;
    use std::marker::PhantomPinned;
    use std::os::unix::process::ExitStatusExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::process::Command;
    use std::ptr;
    use std::rc::Rc;
    use std::task::Waker;
    use std::thread;

    use super::*;

    #[test]
    fn at_home_it_is_what_it_holds() {
        let rc = Rc::new(5);
        let mut confined = Confined::new(Rc::clone(&rc));
        assert_eq!(**confined, 5);
        *confined = Rc::new(6);
        assert_eq!(*confined.take(), 6);
        drop(Confined::new(Rc::clone(&rc)));
        assert_eq!(Rc::strong_count(&rc), 1, "dropped with it");
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(Confined::new(async { *rc })).poll(&mut context), Poll::Ready(5));
    }

    #[test]
    fn elsewhere_every_use_panics_and_so_does_dropping_it() {
        let refused = |use_it: fn(Confined<Rc<u8>>)| {
            let confined = Confined::new(Rc::new(1));
            thread::spawn(move || catch_unwind(AssertUnwindSafe(|| use_it(confined))).is_err())
                .join()
                .unwrap()
        };
        assert!(refused(|it| assert_eq!(**it, 1)));
        assert!(refused(|mut it| *it = Rc::new(2)));
        assert!(refused(|it| drop(it.take())));
        assert!(refused(drop));
        let future = Confined::new(async {});
        let polled = thread::spawn(move || {
            let mut context = Context::from_waker(Waker::noop());
            catch_unwind(AssertUnwindSafe(|| pin!(future).poll(&mut context).is_ready())).is_err()
        });
        assert!(polled.join().unwrap());
    }

    #[test]
    fn what_needs_no_dropping_may_be_dropped_anywhere() {
        let confined = Confined::new(1);
        thread::spawn(move || drop(confined)).join().unwrap();
    }

    /// What a timer wheel has of a sleep: its address, until it is dropped.
    struct Registered {
        list: Rc<RefCell<Vec<*const Self>>>,
        value: u8,
        _pinned: PhantomPinned,
    }

    impl Future for Registered {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.list.borrow_mut().push(ptr::from_ref(&*self));
            Poll::Pending
        }
    }

    impl Drop for Registered {
        fn drop(&mut self) {
            self.list.borrow_mut().clear();
        }
    }

    #[test]
    #[ignore = "aborts: started by another test, or alone under Miri, which reports undefined behaviour"]
    fn drop_of_polled_future_elsewhere_is_sound() {
        let list = Rc::new(RefCell::new(Vec::new()));
        let future = Registered { list: Rc::clone(&list), value: 7, _pinned: PhantomPinned };
        let mut future = Box::pin(Confined::new(future));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let dropped = thread::spawn(move || catch_unwind(AssertUnwindSafe(|| drop(future))));
        let _ = dropped.join().unwrap();
        // SAFETY: what is pinned and listed is dropped, which clears the list, before its memory is freed.
        list.borrow().iter().for_each(|&it| assert_eq!(unsafe { (*it).value }, 7));
    }

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn drop_of_polled_future_elsewhere_aborts() {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "confined::tests::drop_of_polled_future_elsewhere_is_sound",
            ])
            .arg("--nocapture")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{stderr}");
        assert!(stderr.contains("dropped on another one"), "{stderr}");
    }

    #[test]
    fn drop_of_polled_future_at_home_drops_it() {
        let list = Rc::new(RefCell::new(Vec::new()));
        let future = Registered { list: Rc::clone(&list), value: 7, _pinned: PhantomPinned };
        let mut future = Box::pin(Confined::new(future));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(list.borrow().len(), 1);
        drop(future);
        assert!(list.borrow().is_empty());
    }

    #[test]
    fn threads_that_follow_each_other_have_different_numbers() {
        let first = thread::spawn(here).join().unwrap();
        let second = thread::spawn(here).join().unwrap();
        assert!(first != second && first != 0 && second != here());
    }
}
