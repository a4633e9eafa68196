//! The executor that `spawn` finds: a static function has nowhere else to look.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::LocalKey;

use smol::{Executor, LocalExecutor};

type Slot<E> = RefCell<Option<E>>;

thread_local! {
    pub(crate) static SHARED: Slot<Arc<Executor<'static>>> = const { RefCell::new(None) };
    pub(crate) static LOCAL: Slot<Rc<LocalExecutor<'static>>> = const { RefCell::new(None) };
}

/// Puts the former executor back when it is dropped, so that `block_on` may be nested.
pub(crate) struct Entered<E: 'static> {
    slot: &'static LocalKey<Slot<E>>,
    former: Option<E>,
}

pub(crate) fn enter<E: Clone>(slot: &'static LocalKey<Slot<E>>, executor: &E) -> Entered<E> {
    Entered { slot, former: slot.replace(Some(executor.clone())) }
}

impl<E> Drop for Entered<E> {
    fn drop(&mut self) {
        self.slot.set(self.former.take());
    }
}

/// # Panics
/// Outside of `block_on`.
pub(crate) fn with<E, R>(slot: &'static LocalKey<Slot<E>>, use_it: impl FnOnce(&E) -> R) -> R {
    slot.with_borrow(|executor| use_it(executor.as_ref().expect("spawned outside of block_on")))
}
