//! The executor that `spawn` finds: a static function has no other place to look.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use smol::{Executor, LocalExecutor, Task};

pub(crate) enum Current {
    Shared(Arc<Executor<'static>>),
    Local(Rc<LocalExecutor<'static>>),
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Puts the former executor back when it is dropped, so that `block_on` may be nested.
pub(crate) struct Entered {
    former: Option<Current>,
}

pub(crate) fn enter(executor: Current) -> Entered {
    Entered { former: CURRENT.replace(Some(executor)) }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.former.take());
    }
}

/// # Panics
/// Outside of `block_on`.
pub(crate) fn spawn<F>(task: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    CURRENT.with_borrow(|current| match current {
        Some(Current::Shared(executor)) => executor.spawn(task),
        Some(Current::Local(executor)) => executor.spawn(task),
        None => panic!("spawned outside of block_on"),
    })
}
