//! Programs written by hand for one runtime, to know what the contract costs.
//!
//! A native program is what the runtime's own documentation would show: its own types, its own
//! `spawn`, nothing of the contract. It does the same work as the workload of the same name and is
//! spread over the CPUs in the same way, so that what differs between it and the adapter's lane is
//! the contract and the adapter: the *overhead*.

use std::io;
use std::net::TcpListener;

use rtswap_runtime::{Config, Net};
use rtswap_workload::{Sleep, Spawn, Spec, Standard, Suite as _, TcpEcho};

use crate::host::{Program, Work};
use crate::{Place, Prepare, ReadySignal, Refusal, Server, Shards, Slices, adapter};

/// The workloads that a native lane does, by family.
pub const FAMILIES: &[&str] = &["tcp-echo", "sleep", "spawn"];

/// `tcp-echo`, `sleep` and `spawn` in the runtime's own idiom.
///
/// Each builds the runtime, works on its worker threads, and returns only with an error or when there
/// are no more slices.
pub trait Native: Net {
    /// Accepts connections for ever and writes back on each what it reads, with a buffer of
    /// [`TcpEcho::buffer_bytes`] for each connection.
    ///
    /// # Errors
    /// If the runtime cannot start or the listener fails.
    fn tcp_echo(
        &self,
        config: &Config,
        listener: TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()>;

    /// Sleeps as [`Sleep::asked`] says, in tasks, and has the ends checked.
    ///
    /// # Errors
    /// If the runtime cannot start.
    fn sleeps(&self, config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()>;

    /// Spawns [`Spawn::tasks`] tasks that return their number, and joins them in order.
    ///
    /// # Errors
    /// If the runtime cannot start.
    fn spawns(&self, config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()>;
}

/// Prepares a workload by hand.
///
/// # Errors
/// [`Refusal`] if the machine does not let the runtime work, it cannot start, or there is no such
/// program.
pub(crate) fn prepare<N: Native>(runtime: &N, order: &Prepare) -> Result<Program, Refusal> {
    runtime.available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    if order.delay_ns > 0 {
        return Err(Refusal::Unsupported("a native lane cannot be slowed down".to_owned()));
    }
    let spec = Spec::parse(&order.workload, Standard::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let place = Place::of(&runtime.about(), &order.cpus);
    let (native, config) = (runtime.clone(), place.config.clone());
    let failed = |error: io::Error| Refusal::Failed(format!("the program ended: {error}"));
    let work = match spec.family().name {
        "tcp-echo" => {
            let echo = TcpEcho::new(&spec);
            Work::Served(Server::start(&place, order.addr, move |listener, ready| {
                native.tcp_echo(&config, listener, echo, ready).map_err(failed)
            })?)
        }
        "sleep" => {
            let sleep = Sleep::new(&spec);
            driven(&place, move |slices| {
                native.sleeps(&config, sleep.clone(), slices).map_err(failed)
            })?
        }
        "spawn" => {
            let spawn = Spawn::new(&spec);
            driven(&place, move |slices| native.spawns(&config, spawn, slices).map_err(failed))?
        }
        name => {
            let known = FAMILIES.join(", ");
            return Err(Refusal::Unsupported(format!("no native `{name}`, only {known}")));
        }
    };
    Ok(Program { info: adapter::info(runtime, &place), work })
}

/// Shards that do slices by hand, in a closed loop: a rate is refused.
///
/// # Errors
/// If a shard cannot start.
pub fn driven(
    place: &Place,
    shard: impl Fn(Slices) -> Result<(), Refusal> + Clone + Send + 'static,
) -> Result<Work, Refusal> {
    let mut shards = Shards::start(place, shard)?;
    Ok(Work::Driven(Box::new(move |window, pace| {
        if pace.is_some() {
            let message = "a lane by hand cannot be offered a rate, only a closed loop";
            return Err(Refusal::Unsupported(message.to_owned()));
        }
        shards.slice(window, None)
    })))
}
