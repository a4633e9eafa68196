//! may by hand, as a lane.
//!
//! may runs stackful coroutines: what waits is a function that calls, not a future that is polled. So it has no place
//! under the contract, and its lane does the same work as the workloads of the same names in may's own idiom.
//! What it does and its limits are in this crate's README.
#![warn(missing_docs)]

mod driven;
mod echo;

use std::collections::BTreeMap;

use rtswap_lane::host::{Program, Work};
use rtswap_lane::{Lane, LaneInfo, Place, Prepare, Refusal, Server, native};
use rtswap_schema::record::Kind;
use rtswap_workload::{Batch, Channel, Fault, Sleep, Spawn, Spec, Standard, Suite, TcpEcho, Yield};

/// The workloads that the lane does, by family.
pub const FAMILIES: &[&str] = &["tcp-echo", "idle", "churn", "sleep", "spawn", "yield", "channel"];

/// The lane of this crate.
pub fn lanes() -> Vec<Lane> {
    let mut lane = Lane::new("may", "may, stackful coroutines, by hand", Kind::Runtime, prepare)
        .version_of("may")
        .on_request();
    lane.driver = "epoll";
    lane.threads = "a worker for each CPU, for the whole process";
    lane.families = FAMILIES;
    vec![lane]
}

/// The same lane for any suite: it does what it was written for.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    lanes()
}

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    if order.delay_ns > 0 {
        return Err(Refusal::Unsupported("a lane by hand cannot be slowed down".to_owned()));
    }
    let spec = Spec::parse(&order.workload, Standard::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let place = Place::whole(&order.cpus);
    // Before the first coroutine: the scheduler is one for the process, and made then.
    may::config().set_workers(order.cpus.len().max(1));
    let work = match spec.family().name {
        "tcp-echo" | "idle" | "churn" => {
            let echo = TcpEcho::new(&spec);
            Work::Served(Server::start(&place, order.addr, move |listener, ready| {
                echo::serve(listener, echo, ready)
                    .map_err(|error| Refusal::Failed(format!("the server ended: {error}")))
            })?)
        }
        "sleep" => {
            let sleep = Sleep::new(&spec);
            by_hand(&place, move || driven::sleeps(&sleep))?
        }
        "spawn" => {
            let spawn = Spawn::new(&spec);
            by_hand(&place, move || driven::spawns(spawn))?
        }
        "yield" => {
            let turns = Yield::new(&spec);
            by_hand(&place, move || driven::turns(turns))?
        }
        "channel" => {
            let channel = Channel::new(&spec);
            by_hand(&place, move || driven::trips(channel))?
        }
        name => {
            let known = FAMILIES.join(", ");
            return Err(Refusal::Unsupported(format!("may has no `{name}`, only {known}")));
        }
    };
    Ok(Program { info: info(), work })
}

fn by_hand(
    place: &Place,
    batch: impl Fn() -> Result<Batch, Fault> + Clone + Send + 'static,
) -> Result<Work, Refusal> {
    native::driven(place, move |slices| {
        driven::run(slices, &batch);
        Ok(())
    })
}

fn info() -> LaneInfo {
    let config = may::config();
    let stack = config.get_stack_size() * size_of::<usize>();
    let notes = [
        ("stack", format!("{stack} bytes for each coroutine")),
        ("timers", "a thread of their own, on which what has slept goes on".to_owned()),
    ];
    LaneInfo {
        runtime: "may".to_owned(),
        version: String::new(),
        driver: "epoll".to_owned(),
        workers: config.get_workers(),
        shards: 1,
        notes: BTreeMap::from(notes.map(|(name, value)| (name.to_owned(), value))),
    }
}
