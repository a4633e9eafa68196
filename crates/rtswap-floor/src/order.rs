//! What all floors do with an order before they serve, and with what they tell of themselves.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;

use rtswap_lane::host::{Program, Work};
use rtswap_lane::{LaneInfo, Place, Prepare, ReadySignal, Refusal, Server};
use rtswap_workload::{Spec, Standard, Suite as _, TcpEcho};
use rustix::process::{Resource, getrlimit};

use crate::FAMILIES;

/// As much as is read at once. With messages of 100 KiB, 128 KiB cost less than 64 and than 256.
const LARGEST_READ: usize = 128 << 10;
/// Descriptors that are no connection's.
const SPARE: usize = 16;

/// What a floor is to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    spec: Spec,
    /// Bytes that are read at once: a message and a little, so that a read that brings a message does
    /// not fill it, and has not to be repeated; with `buffer=exact` a message.
    pub read_bytes: usize,
    /// Whether a connection may hold a buffer while it is silent.
    pub holds_buffer: bool,
}

impl Task {
    /// Reads an order.
    pub fn of(order: &Prepare) -> Result<Self, Refusal> {
        if order.delay_ns > 0 {
            return Err(Refusal::Unsupported("a floor cannot be slowed down".to_owned()));
        }
        let spec = Spec::parse(&order.workload, Standard::CATALOGUE)
            .map_err(|error| Refusal::Unsupported(error.to_string()))?;
        let name = spec.family().name;
        if !FAMILIES.contains(&name) {
            let known = FAMILIES.join(", ");
            return Err(Refusal::Unsupported(format!("no floor of `{name}`, only {known}")));
        }
        // What the runtimes read into ends at 64 KiB, less than the largest messages have.
        let size = spec.number("size").unwrap_or_default() as usize;
        let whole = (size + 1).next_power_of_two().min(LARGEST_READ);
        let echo = TcpEcho::new(&spec);
        let roomy = echo.buffer_bytes().max(whole);
        let exact = echo.buffer_bytes().min(LARGEST_READ);
        let read_bytes = if echo.is_exact() { exact } else { roomy };
        Ok(Self { spec, read_bytes, holds_buffer: echo.holds_buffer() })
    }

    /// Connections that are open at once.
    pub fn conns(&self) -> usize {
        self.spec.number("conns").unwrap_or(1) as usize
    }

    /// Descriptors that its connections may have at once. One that is replaced may still be open when
    /// the next is accepted.
    pub fn descriptors(&self) -> usize {
        let replaced = self.spec.family().name == "churn";
        self.conns() * if replaced { 2 } else { 1 }
    }
}

/// The lane info of a floor.
pub(crate) type Notes = Vec<(&'static str, String)>;

/// The note of a floor that reads all connections into one buffer.
pub(crate) fn buffer_note(bytes: usize) -> (&'static str, String) {
    ("buffer", format!("{bytes} bytes, one for each thread"))
}

/// Serves on each shard of the place. `serve` is to call [`ReadySignal::send`] when it accepts.
pub(crate) fn start(
    order: &Prepare,
    task: &Task,
    place: &Place,
    driver: &str,
    notes: Notes,
    serve: impl Fn(TcpListener, &ReadySignal) -> io::Result<()> + Clone + Send + 'static,
) -> Result<Program, Refusal> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = task.descriptors() + SPARE;
    if needed as u64 > limit {
        return Err(Refusal::Unsupported(format!(
            "{} needs {needed} descriptors, and `ulimit -n` allows {limit}",
            order.workload
        )));
    }
    let server = Server::start(place, order.addr, move |listener, ready| {
        serve(listener, ready)
            .map_err(|error| Refusal::Failed(format!("the server ended: {error}")))
    })?;
    let notes: BTreeMap<_, _> =
        notes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let info = LaneInfo {
        runtime: env!("CARGO_PKG_NAME").to_owned(),
        version: String::new(),
        driver: driver.to_owned(),
        workers: place.shards.len(),
        shards: place.shards.len(),
        notes,
    };
    Ok(Program { info, work: Work::Served(server) })
}

/// One thread for each CPU that the lane was given.
pub(crate) fn sharded(order: &Prepare) -> Place {
    Place::sharded(&order.cpus)
}
