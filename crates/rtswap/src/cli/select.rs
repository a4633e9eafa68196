//! The lanes, workloads and CPUs that the command line selects.

mod workloads;

use anyhow::Result;
use globset::{Glob, GlobMatcher};
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::machine;
use rtswap_harness::machine::topology::Topology;
use rtswap_harness::record::{Kind, LanePlan};
use rtswap_workload::Spec;

use crate::Registry;
pub(super) use crate::cli::lane_spec::CONTROL;
use crate::cli::lane_spec::{LaneSpec, unknown};
use crate::cli::{CpuList, Exit};
use rtswap_lane::Lane;
pub(super) use workloads::{named_workloads, workloads, workloads_or};

/// The lane that ratios are taken against by default: tokio, or where that is not built in the first runtime
/// that is, or the first floor.
pub(super) fn default_reference(registry: &Registry) -> &str {
    let tokio = registry.runtimes().find(|lane| lane.name == "tokio");
    let built = tokio.or_else(|| registry.runtimes().next());
    let any = built.or_else(|| registry.lanes.iter().find(|lane| lane.kind == Kind::Floor));
    any.map_or("tokio", |lane| &lane.name)
}

/// CPUs of the lanes and of the load generator: the lists that are given, or half of the cores each. If one list is
/// given, the other side gets cores that are not in it, as long as there are any.
pub(super) fn placement(
    server: Option<&CpuList>,
    load: Option<&CpuList>,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let cpus = machine::cpus();
    let topology = Topology::of(&cpus);
    let default = topology.placement();
    let chosen = |list: Option<&CpuList>, default: Vec<usize>| match list {
        None => Ok(default),
        Some(CpuList(list)) => match list.iter().find(|cpu| !cpus.contains(cpu)) {
            None => Ok(list.clone()),
            Some(cpu) => {
                Err(Exit::Usage(format!("there is no CPU {cpu} here; these may be used: {cpus:?}")))
            }
        },
    };
    let (server_default, load_default) = match (server, load) {
        (Some(CpuList(server)), None) => {
            (Vec::new(), apart(&topology, server, &default.load, &default.server))
        }
        (None, Some(CpuList(load))) => {
            (apart(&topology, load, &default.server, &default.load), Vec::new())
        }
        _ => (default.server, default.load),
    };
    Ok((chosen(server, server_default)?, chosen(load, load_default)?))
}

/// As many CPUs as in `first`, those first, that share no core with `taken`; `first` if there are none.
fn apart(topology: &Topology, taken: &[usize], first: &[usize], then: &[usize]) -> Vec<usize> {
    let is_free = |cpu: &usize| {
        !taken.contains(cpu) && topology.shared_cores(taken, std::slice::from_ref(cpu)).is_empty()
    };
    let mut chosen: Vec<usize> =
        first.iter().chain(then).copied().filter(is_free).take(first.len()).collect();
    chosen.sort_unstable();
    if chosen.is_empty() { first.to_vec() } else { chosen }
}

/// The lanes of a run: the reference first, then the lanes that `patterns` select, then the control.
///
/// A pattern is a [`LaneSpec`] or a glob over names.
pub(super) fn lanes(
    registry: &Registry,
    patterns: &[String],
    reference: &str,
) -> Result<Vec<PlannedLane>> {
    // The reference may be the name of a command that a pattern defines.
    let defines_reference = |pattern: &&String| {
        pattern.strip_prefix(reference).is_some_and(|command| command.starts_with('='))
    };
    let reference = patterns.iter().find(defines_reference).map_or(reference, String::as_str);
    let mut selected = vec![LaneSpec::parse(registry, reference)?.to_planned()];
    let default = |lane: &Lane| lane.in_default;
    for lane in lanes_or(registry, patterns, default)? {
        add(&mut selected, lane)?;
    }
    let PlannedLane { plan, launch } = selected[0].clone();
    let control = LanePlan { name: CONTROL.to_owned(), control: true, ..plan };
    selected.push(PlannedLane { plan: control, launch });
    Ok(selected)
}

/// The patterns, and the peers as well if `peers`. Without patterns the peers are added to the default lanes.
pub(super) fn with_peers(
    registry: &Registry,
    patterns: &[String],
    peers: bool,
    default: impl Fn(&Lane) -> bool,
) -> Vec<String> {
    let mut patterns = patterns.to_vec();
    if peers {
        if patterns.is_empty() {
            let default = registry.lanes.iter().filter(|lane| default(lane));
            patterns.extend(default.map(|lane| lane.name.clone()));
        }
        let peers = registry.lanes.iter().filter(|lane| lane.kind == Kind::Peer);
        patterns.extend(peers.map(|lane| lane.name.clone()));
    }
    patterns
}

/// The lanes that take part in one of these workloads at least. A lane of `named` that takes part in none is
/// an error, and so is a reference that does not take part in all.
pub(super) fn taking_part(
    mut lanes: Vec<PlannedLane>,
    named: &[String],
    workloads: &[Spec],
) -> Result<Vec<PlannedLane>> {
    let does = |lane: &LanePlan, spec: &Spec| lane.does(spec.family().name);
    let wrong = |lane: &LanePlan, what: String| {
        let known = lane.families.join(", ");
        Err(Exit::Usage(format!("`{}` {what}; it does {known}", lane.name)).into())
    };
    let reference = &lanes[0].plan;
    if let Some(spec) = workloads.iter().find(|spec| !does(reference, spec)) {
        return wrong(reference, format!("is the reference, but takes no part in `{spec}`"));
    }
    let idle = |lane: &LanePlan| !workloads.iter().any(|spec| does(lane, spec));
    let mut plans = lanes.iter().map(|lane| &lane.plan);
    if let Some(lane) = plans.find(|lane| idle(lane) && named.contains(&lane.name)) {
        return wrong(lane, "takes part in none of these workloads".to_owned());
    }
    lanes.retain(|lane| !idle(&lane.plan));
    Ok(lanes)
}

/// The lanes that `patterns` select, or the default ones if there are no patterns.
///
/// A glob matches native and polled lanes only if it begins with their prefix, because each is compared with
/// one adapter, and peers only if it begins as only names of peers do, because they must be installed.
pub(super) fn lanes_or(
    registry: &Registry,
    patterns: &[String],
    default: impl Fn(&Lane) -> bool,
) -> Result<Vec<PlannedLane>> {
    let planned = |lane: &Lane| Ok(LaneSpec::parse(registry, &lane.name)?.to_planned());
    if patterns.is_empty() {
        return registry.lanes.iter().filter(|lane| default(lane)).map(planned).collect();
    }
    let mut selected = Vec::new();
    for pattern in patterns {
        if is_glob(pattern) && !pattern.contains(['=', '@']) {
            for lane in matching(registry, pattern)? {
                add(&mut selected, planned(lane)?)?;
            }
        } else {
            add(&mut selected, LaneSpec::parse(registry, pattern)?.to_planned())?;
        }
    }
    Ok(selected)
}

/// The lanes that a glob matches: one at least.
fn matching<'a>(registry: &'a Registry, pattern: &str) -> Result<Vec<&'a Lane>> {
    let matcher = glob(pattern)?;
    let matches_peers = begins_as_peers_only(registry, pattern);
    let is_match = |lane: &&Lane| {
        let may_match = match lane.kind {
            Kind::Peer => matches_peers,
            Kind::Native => pattern.starts_with("native"),
            Kind::Polled => pattern.starts_with("poll"),
            _ => true,
        };
        may_match && matcher.is_match(&lane.name)
    };
    let found: Vec<_> = registry.lanes.iter().filter(is_match).collect();
    if found.is_empty() { Err(unknown(registry, pattern).into()) } else { Ok(found) }
}

/// Whether only peers have names that begin like a glob, up to its first special character. That holds for
/// `uv*` and `go*`, but not for `*` and `g*`, because of glommio.
fn begins_as_peers_only(registry: &Registry, pattern: &str) -> bool {
    let begin = pattern.find(['*', '?', '[', '{', '\\']).map_or(pattern, |end| &pattern[..end]);
    let mut all = registry.lanes.iter().filter(|lane| lane.name.starts_with(begin)).peekable();
    all.peek().is_some() && all.all(|lane| lane.kind == Kind::Peer)
}

/// Adds a lane that is not selected yet.
fn add(selected: &mut Vec<PlannedLane>, lane: PlannedLane) -> Result<()> {
    match selected.iter().find(|other| other.plan.name == lane.plan.name) {
        None => selected.push(lane),
        Some(other) if other.plan.spec == lane.plan.spec => {}
        Some(_) => {
            let name = lane.plan.name;
            return Err(Exit::Usage(format!("two commands are called `{name}`")).into());
        }
    }
    Ok(())
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '[', '{'])
}

/// A pattern over names.
pub(super) fn glob(pattern: &str) -> Result<GlobMatcher> {
    match Glob::new(pattern) {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => {
            Err(Exit::Usage(format!("invalid pattern `{pattern}`: {}", error.kind())).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lane_spec::LaneSpecError;

    fn names(patterns: &[&str], reference: &str) -> Result<Vec<String>> {
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let lanes = lanes(&Registry::standard(), &patterns, reference)?;
        Ok(lanes.into_iter().map(|lane| lane.plan.name).collect())
    }

    #[test]
    fn other_side_gets_cores_that_are_free() {
        // No folder describes these, so each is a core of its own.
        let topology = Topology::read(std::path::Path::new("/nonexistent"), &[0, 1, 2, 3]);
        assert_eq!(apart(&topology, &[2], &[2, 3], &[0, 1]), [0, 3]);
        assert_eq!(apart(&topology, &[0], &[2, 3], &[0, 1]), [2, 3]);
        assert_eq!(apart(&topology, &[1, 2, 3], &[2, 3], &[0, 1]), [0]);
        assert_eq!(apart(&topology, &[0, 1, 2, 3], &[2, 3], &[0, 1]), [2, 3], "there is no other");
    }

    #[test]
    fn default_reference_is_tokio_then_any_built_runtime_then_a_floor() {
        let mut registry = Registry::standard();
        let built = registry.runtimes().map(|lane| lane.name.clone()).collect::<Vec<_>>();
        let expected = if built.iter().any(|name| name == "tokio") { "tokio" } else { &built[0] };
        assert_eq!(default_reference(&registry), expected);
        registry.lanes.retain(|lane| !lane.name.starts_with("tokio"));
        let first = registry.runtimes().next().unwrap().name.clone();
        assert_eq!(default_reference(&registry), first);
        registry.lanes.retain(|lane| lane.kind == Kind::Floor);
        assert_eq!(default_reference(&registry), "floor-uring");
    }

    #[test]
    fn lanes_begins_with_reference_and_ends_with_control() {
        assert_eq!(names(&["smol"], "tokio").unwrap(), ["tokio", "smol", "control"]);
        assert_eq!(
            names(&["smol*"], "smol").unwrap(),
            ["smol", "smol-local", "smol-fs", "control"]
        );
        let all = names(&[], "tokio").unwrap();
        let registry = Registry::standard();
        let default = registry.lanes.iter().filter(|lane| lane.in_default).count();
        assert_eq!(all.len(), default + 1);
        let all = names(&["*"], "tokio").unwrap();
        assert_eq!(
            all.len(),
            registry
                .lanes
                .iter()
                .filter(|it| !matches!(it.kind, Kind::Native | Kind::Polled | Kind::Peer))
                .count()
                + 1
        );
        let polled = names(&["poll-tokio*"], "tokio").unwrap();
        assert_eq!(
            polled,
            [
                "tokio",
                "poll-tokio",
                "poll-tokio-local",
                "poll-tokio-uring",
                "poll-tokio-uring-bridge",
                "control"
            ]
        );
        let natives = names(&["native-*"], "tokio").unwrap();
        assert_eq!(natives[1], "native-tokio");
    }

    #[test]
    fn lanes_matches_peers_only_by_their_own_prefix() {
        let named = |pattern| names(&[pattern], "tokio").unwrap()[1..].to_vec().join(" ");
        assert_eq!(named("uv*"), "uvloop uvloop-streams uvicorn-asyncio uvicorn-uvloop control");
        assert_eq!(named("uvicorn-*"), "uvicorn-asyncio uvicorn-uvloop control");
        assert_eq!(named("asyncio*"), "asyncio asyncio-streams control");
        assert_eq!(named("go*"), "go go-http control");
        assert_eq!(named("node*"), "node node-http control");
        assert_eq!(named("g*"), "glommio control", "and neither gevent nor go");
        assert_eq!(named("async*"), "async-std async-std-fs control");
        assert!(names(&["*loop"], "tokio").is_err());
        assert_eq!(named("uvloop"), "uvloop control");
    }

    #[test]
    fn with_peers_adds_peers_to_other_lanes() {
        let registry = Registry::standard();
        let with = |patterns: &[String], peers| {
            let patterns = with_peers(&registry, patterns, peers, |lane| lane.in_default);
            let chosen = lanes(&registry, &patterns, "tokio").unwrap();
            chosen.into_iter().partition::<Vec<_>, _>(|lane| lane.plan.kind == Kind::Peer)
        };
        let (peers, others) = with(&[], true);
        assert_eq!(peers.len(), rtswap_peers::PEERS.len());
        let default = with(&[], false);
        assert_eq!((default.0.len(), default.1.len()), (0, others.len()));
        let (peers, others) = with(&["smol".to_owned()], true);
        assert_eq!((peers.len(), others.len()), (rtswap_peers::PEERS.len(), 3));
    }

    #[test]
    fn lanes_gives_control_the_launch_of_reference() {
        let patterns = ["tokio?delay_ns=110".to_owned()];
        let lanes = lanes(&Registry::standard(), &patterns, "tokio").unwrap();
        let delays: Vec<_> = lanes.iter().map(|lane| lane.launch.delay_ns).collect();
        assert_eq!(delays, [0, 110, 0]);
        assert!(lanes[2].plan.control && !lanes[1].plan.control);
        assert_eq!(lanes[2].launch.command, lanes[0].launch.command);
    }

    #[test]
    fn lanes_rejects_unknown_name_and_invalid_glob() {
        let error = |pattern| names(&[pattern], "tokio").unwrap_err();
        for pattern in ["tokoi", "zz*", "mine="] {
            assert!(error(pattern).is::<LaneSpecError>(), "{pattern}");
        }
        assert!(error("[").to_string().contains("invalid pattern `[`"));
    }

    #[test]
    fn lanes_accepts_command_once_and_as_reference() {
        assert_eq!(names(&["mine=true", "smol"], "mine").unwrap(), ["mine", "smol", "control"]);
        assert_eq!(names(&["smol"], "mine=true").unwrap(), ["mine", "smol", "control"]);
        assert_eq!(names(&["a=true", "a=true"], "smol").unwrap(), ["smol", "a", "control"]);
        let error = names(&["a=true", "a=false"], "smol").unwrap_err().to_string();
        assert_eq!(error, "two commands are called `a`");
    }
}
