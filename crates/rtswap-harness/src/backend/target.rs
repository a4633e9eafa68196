//! From a workload's parameters to the load that the generator offers.

use std::net::SocketAddr;
use std::sync::Arc;

use rtswap_load::{Exchange, Http, Target, Traffic};
use rtswap_workload::{Answer, ParamValue, SMALL_MESSAGE_BYTES};

use crate::record::WorkloadPlan;

/// The generator's target for a lane that listens at `addrs`.
pub fn target(workload: &WorkloadPlan, addrs: impl Into<Arc<[SocketAddr]>>) -> Target {
    let param = |name| workload.number(name);
    let size = param("size").unwrap_or(SMALL_MESSAGE_BYTES) as usize;
    let conns = param("conns").unwrap_or(1) as usize;
    let traffic = match workload.traffic {
        rtswap_workload::Traffic::Echo => {
            Traffic::Kept { active: param("active").map_or(conns, |active| active as usize) }
        }
        rtswap_workload::Traffic::Churn => Traffic::Churn,
        rtswap_workload::Traffic::Http => Traffic::Http(http(workload)),
    };
    Target { addrs: addrs.into(), size, conns, traffic }
}

/// The same target, with requests of the user's own.
pub(super) fn own_target(
    target: Target,
    exchange: Arc<Exchange>,
    workload: &WorkloadPlan,
) -> Target {
    let pipeline = workload.number("pipeline").unwrap_or(1) as usize;
    Target { traffic: Traffic::Own { exchange, pipeline }, ..target }
}

/// The connections of the trickle to a lane with this target: one to each address.
pub(super) fn trickle_target(target: Target) -> Target {
    let conns = target.addrs.len().min(target.conns);
    let traffic = match target.traffic {
        // A connection for each message would leave sockets behind, and lanes serve both alike.
        Traffic::Churn | Traffic::Kept { .. } => Traffic::Kept { active: conns },
        Traffic::Http(http) => Traffic::Http(Http { pipeline: 1, ..http }),
        Traffic::Own { exchange, .. } => Traffic::Own { exchange, pipeline: 1 },
    };
    Target { conns, traffic, ..target }
}

/// The request to a lane that serves HTTP, and the expected response.
fn http(workload: &WorkloadPlan) -> Http {
    let named = |param, default| match workload.params.get(param) {
        Some(ParamValue::Name(name)) => name.as_str(),
        _ => default,
    };
    let Answer { path, content_type, body } = Answer::named(named("body", "plaintext"));
    let pipeline = workload.number("pipeline").unwrap_or(1) as usize;
    Http { path, content_type, body, pipeline, h2: named("h2", "false") == "true" }
}

/// Whether the workload is about the memory of its connections: most of them are idle.
pub(super) fn counts_memory(workload: &WorkloadPlan) -> bool {
    workload.params.contains_key("active")
}
