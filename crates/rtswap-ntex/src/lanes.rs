use rtswap_lane::{Lane, Prepare};
use rtswap_schema::record::Kind;
use rtswap_workload::{Spec, Standard, Suite};

use crate::{Ntex, echo};

/// Workloads of rtswap that need streams under the contract, or files.
const WITHOUT: &[&str] = &["http", "file", "fetch", "redis", "mysql", "postgres"];

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    vec![
        lane::<S>("ntex", "ntex-rt, io_uring; connections by hand", Ntex::default()),
        lane::<S>("ntex-epoll", "ntex-rt, epoll; connections by hand", Ntex::epoll()),
    ]
}

/// What needs tasks and timers is done under the contract. Connections are served by hand.
fn lane<S: Suite>(name: &str, about: &str, runtime: Ntex) -> Lane {
    let contract = Lane::tasks_only::<S, _>(name, about, &runtime);
    let (version, driver, probed) = (contract.version.clone(), contract.driver, contract.clone());
    let prepare = move |order: &Prepare| match Spec::parse(&order.workload, S::CATALOGUE) {
        Ok(spec) if echo::FAMILIES.contains(&spec.family().name) => {
            echo::prepare(runtime, order, &spec)
        }
        _ => contract.prepare(order),
    };
    let mut lane = Lane::new(name, about, Kind::Runtime, prepare)
        .with_available(move || probed.available())
        .on_request();
    lane.version = version;
    lane.driver = driver;
    lane.threads = "one; a shard for each CPU. With connections: a worker for each CPU";
    lane.families = families::<S>();
    lane
}

/// The families of the suite but those that the lane cannot do.
fn families<S: Suite>() -> &'static [&'static str] {
    let names = S::CATALOGUE.iter().map(|family| family.name);
    let done: Vec<_> = names.filter(|name| !WITHOUT.contains(name)).collect();
    // A few bytes for each registry, of which a process makes one.
    done.leak()
}
