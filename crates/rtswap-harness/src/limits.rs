//! The limits of this process, and which workloads exceed them. Checked before anything runs.

use rtswap_workload::Traffic;
use rustix::process::{Resource, getrlimit};

use crate::record::WorkloadPlan;

/// Descriptors of a process in addition to its connections: pipes, counters, libraries.
const SPARE: u64 = 100;

/// The limits of this process; `None` for no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Descriptors of a process.
    pub descriptors: Option<u64>,
    /// Local ports towards one address.
    pub ports: Option<u64>,
}

impl Limits {
    /// Asks the kernel. The descriptors are those that may be opened now: raise the limit first.
    pub fn now() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        Self {
            descriptors: getrlimit(Resource::Nofile).current,
            ports: range.ok().and_then(|range| ports(&range)),
        }
    }

    /// How a workload exceeds these limits, with the remedy; `None` if it does not.
    pub fn exceeds_limits(&self, workload: &WorkloadPlan) -> Option<String> {
        let param = |name| workload.number(name);
        let (conns, active) = (param("conns").unwrap_or(0), param("active").unwrap_or(0));
        if active > conns {
            return Some(format!(
                "{active} of {conns} connections cannot be active; give `active` at most `conns`"
            ));
        }
        if !workload.by_generator {
            return None;
        }
        let need = conns + SPARE;
        if let Some(have) = self.descriptors.filter(|have| *have < need) {
            return Some(format!(
                "{conns} connections do not fit into {have} descriptors; `sudo prlimit --pid $$ \
                 --nofile={need}:{need}` allows them in this shell"
            ));
        }
        // Connections that do not stay open use many source addresses.
        if let Some(have) = self.ports.filter(|have| *have < kept_connections(workload)) {
            return Some(format!(
                "{conns} connections do not fit into {have} local ports; `sudo sysctl -w \
                 net.ipv4.ip_local_port_range=\"10240 65535\"` makes more"
            ));
        }
        None
    }

    /// Whether the connections of so many lanes exceed the descriptors of the load generator when all are
    /// open, so that each slice has to open its own.
    pub fn needs_reconnect(&self, workload: &WorkloadPlan, lanes: usize) -> bool {
        let need = kept_connections(workload) * lanes as u64 + SPARE;
        self.descriptors.is_some_and(|have| have < need)
    }
}

fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// Connections to one lane that stay open from slice to slice.
fn kept_connections(workload: &WorkloadPlan) -> u64 {
    match workload.traffic {
        Traffic::Echo | Traffic::Http if workload.by_generator => {
            workload.number("conns").unwrap_or(1)
        }
        Traffic::Echo | Traffic::Http | Traffic::Churn => 0,
    }
}

#[cfg(test)]
mod tests {
    use rtswap_workload::{Spec, Standard, Suite as _};

    use super::*;
    use crate::plan;

    const LIMITS: Limits = Limits { descriptors: Some(20_000), ports: Some(28_232) };

    fn workload(name: &str) -> WorkloadPlan {
        plan::workload(&Spec::parse(name, Standard::CATALOGUE).unwrap(), None)
    }

    #[test]
    fn exceeds_limits_names_remedy() {
        let why = |name: &str| LIMITS.exceeds_limits(&workload(name)).unwrap_or_default();
        for fits in ["idle/conns=10000", "churn/conns=10000", "tcp-echo/conns=10000", "spawn"] {
            assert_eq!(why(fits), "", "{fits}");
        }
        assert!(why("idle/conns=20000").contains("--nofile=20100:20100"));
        assert!(why("idle/conns=10/active=11").contains("at most `conns`"));
        let roomy = Limits { descriptors: None, ..LIMITS };
        let why = roomy.exceeds_limits(&workload("idle/conns=30000")).unwrap();
        assert!(why.contains("28232 local ports") && why.contains("ip_local_port_range"), "{why}");
    }

    #[test]
    fn needs_reconnect_counts_connections_of_all_lanes() {
        assert!(!LIMITS.needs_reconnect(&workload("idle/conns=1000"), 14));
        assert!(LIMITS.needs_reconnect(&workload("idle/conns=10000"), 2));
        assert!(LIMITS.needs_reconnect(&workload("http/conns=10000"), 2));
        assert!(
            !LIMITS.needs_reconnect(&workload("churn/conns=10000"), 14),
            "its connections do not stay open"
        );
        assert!(!LIMITS.needs_reconnect(&workload("spawn"), 14));
        assert!(!Limits { descriptors: None, ..LIMITS }.needs_reconnect(&workload("idle"), 1000));
    }

    #[test]
    fn ports_includes_both_ends() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("9 1"), None);
        assert_eq!(ports(""), None);
    }
}
