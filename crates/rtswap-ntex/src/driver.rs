//! ntex's drivers, and the runtime on one of them.
//!
//! ntex's own `DefaultRuntime` chooses the driver by cargo features, or takes what the machine allows. Lanes pin it.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use io_uring::IoUring;
use ntex_net::{Reactor, polling, uring, with_reactor};
use ntex_rt::{BlockFuture, Runner, Runtime};
use rtswap_runtime::{Driver, ring};

use crate::{task, time};

/// Which of ntex's drivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setup {
    #[default]
    Ring,
    Epoll,
}

/// What ntex gives its drivers: submission entries of the ring, or events that one `epoll_wait` may give.
const CAPACITY: u32 = 2048;

impl Setup {
    pub(crate) fn driver(self) -> Driver {
        match self {
            Self::Ring => Driver::IoUring,
            Self::Epoll => Driver::Epoll,
        }
    }

    fn reactor(self) -> io::Result<Box<dyn Reactor>> {
        Ok(match self {
            Self::Ring => Box::new(uring::Reactor::new(CAPACITY)?),
            Self::Epoll => Box::new(polling::Reactor::with_capacity(CAPACITY)?),
        })
    }

    /// Runs `main` as `DefaultRuntime` does, without the `System` around it, which is never dropped. Returns the panic
    /// of `main` if there was one.
    pub(crate) fn block_on<F: Future>(self, main: F) -> io::Result<thread::Result<F::Output>> {
        let reactor = self.reactor()?;
        Ok(with_reactor(&reactor, || {
            let runtime = Runtime::new(reactor.handle());
            let output = runtime.block_on(task::with_end(main), &*reactor);
            time::end();
            output
        }))
    }

    pub(crate) fn available(self) -> io::Result<()> {
        let reactor = self.reactor().map(drop);
        match self {
            Self::Ring => reactor.map_err(|error| ring::explain(&error, "5.11")),
            Self::Epoll => reactor,
        }
    }

    /// What a reader needs to repeat a run, for lane info.
    pub(crate) fn notes(self) -> BTreeMap<String, String> {
        let capacity = match self {
            Self::Ring => "ring_entries",
            Self::Epoll => "events_per_wait",
        };
        let version = rtswap_lane::version_of("ntex-net").unwrap_or_default();
        let mut notes = BTreeMap::from([
            (capacity.to_owned(), CAPACITY.to_string()),
            ("driver_package".to_owned(), format!("ntex-net {version}")),
        ]);
        if self == Self::Ring {
            notes.insert("ring_flags".to_owned(), ring_flags().to_owned());
        }
        notes
    }
}

/// The flags that ntex's ring has here: it takes the first of these that the kernel allows, and does not tell which.
fn ring_flags() -> &'static str {
    let mut tuned = <IoUring>::builder();
    tuned.setup_coop_taskrun().setup_single_issuer().setup_defer_taskrun();
    if tuned.build(CAPACITY).is_ok() {
        return "SINGLE_ISSUER COOP_TASKRUN DEFER_TASKRUN";
    }
    let single = <IoUring>::builder().setup_single_issuer().build(CAPACITY);
    if single.is_ok() { "SINGLE_ISSUER" } else { "" }
}

/// The same driver for a `System` and its workers, which ntex's server needs.
impl Runner for Setup {
    fn block_on(&self, main: BlockFuture) -> Result<(), Box<dyn Any + Send>> {
        let reactor = self.reactor().map_err(|error| Box::new(error) as Box<dyn Any + Send>)?;
        with_reactor(&reactor, || {
            catch_unwind(AssertUnwindSafe(|| {
                Runtime::new(reactor.handle()).block_on(main, &*reactor);
            }))
        })
    }
}
