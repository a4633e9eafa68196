//! From what the command line names to lanes and workloads.

use anyhow::Result;
use globset::{Glob, GlobMatcher};
use rtswap_harness::lane::Launch;
use rtswap_harness::machine;
use rtswap_harness::record::{Kind, LanePlan};
use rtswap_workload::Spec;

use crate::Registry;
use crate::cli::{CpuList, Exit};
use rtswap_lane::Lane;

/// The name of the control lane.
pub(super) const CONTROL: &str = "control";

/// The workloads that `patterns` name: full names, names with some parameters, or globs over the full
/// names of the whole matrix.
pub(super) fn workloads(registry: &Registry, patterns: &[String]) -> Result<Vec<Spec>> {
    let mut chosen: Vec<Spec> = Vec::new();
    for pattern in patterns {
        let found = if is_glob(pattern) {
            let matcher = glob(pattern)?;
            let all = all_workloads(registry).into_iter();
            let found: Vec<_> = all.filter(|spec| matcher.is_match(spec.to_string())).collect();
            if found.is_empty() {
                return Err(Exit::Usage(format!(
                    "no workload matches `{pattern}`; `rtswap list` shows them all"
                ))
                .into());
            }
            found
        } else {
            let spec = Spec::parse(pattern, registry.catalogue);
            vec![spec.map_err(|error| Exit::Usage(error.to_string()))?]
        };
        for spec in found {
            if !chosen.contains(&spec) {
                chosen.push(spec);
            }
        }
    }
    Ok(chosen)
}

/// The whole matrix if `all`, what `patterns` name if there are any, or the names in `default`.
pub(super) fn workloads_or(
    registry: &Registry,
    patterns: &[String],
    all: bool,
    default: &[&str],
) -> Result<Vec<Spec>> {
    match (all, patterns) {
        (true, _) => Ok(all_workloads(registry)),
        (false, []) => {
            let default: Vec<_> = default.iter().map(ToString::to_string).collect();
            workloads(registry, &default)
        }
        (false, patterns) => workloads(registry, patterns),
    }
}

/// CPUs of the lanes and of the generator: as told, or half and half.
pub(super) fn placement(
    server: Option<&CpuList>,
    load: Option<&CpuList>,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let cpus = machine::cpus();
    let halves = machine::halves(&cpus);
    let chosen = |list: Option<&CpuList>, default| match list {
        None => Ok(default),
        Some(CpuList(list)) => match list.iter().find(|cpu| !cpus.contains(cpu)) {
            None => Ok(list.clone()),
            Some(cpu) => {
                Err(Exit::Usage(format!("there is no CPU {cpu} here; these may be used: {cpus:?}")))
            }
        },
    };
    Ok((chosen(server, halves.0)?, chosen(load, halves.1)?))
}

/// The full matrix.
fn all_workloads(registry: &Registry) -> Vec<Spec> {
    registry.catalogue.iter().flat_map(|family| Spec::matrix(family)).collect()
}

/// The lanes that `patterns` spell, the reference first and its control last.
///
/// A spelling is a name (`tokio`), a name with a tweak (`tokio?delay_ns=110`), a command
/// (`mine=COMMAND`), or a glob over names.
pub(super) fn lanes(
    registry: &Registry,
    patterns: &[String],
    reference: &str,
) -> Result<Vec<(LanePlan, Launch)>> {
    // The reference may be a command, which is named once.
    let is_reference = |pattern: &&String| {
        pattern.strip_prefix(reference).is_some_and(|command| command.starts_with('='))
    };
    let reference = patterns.iter().find(is_reference).map_or(reference, String::as_str);
    let mut chosen = vec![spelled(registry, reference)?];
    let default = |lane: &Lane| lane.in_default;
    for lane in lanes_or(registry, patterns, default)? {
        add(&mut chosen, lane)?;
    }
    let (plan, launch) = chosen[0].clone();
    let control = LanePlan { name: CONTROL.to_owned(), control: true, ..plan };
    chosen.push((control, launch));
    Ok(chosen)
}

/// The patterns, and the peers beside them if they are asked for. Without patterns, what is in by default
/// is what they stand beside.
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

/// The lanes that have something to do in these workloads. One that was asked for by its name and has
/// nothing to do is an error, and so is a reference that does not take part in all.
pub(super) fn taking_part(
    mut lanes: Vec<(LanePlan, Launch)>,
    named: &[String],
    workloads: &[Spec],
) -> Result<Vec<LanePlan>> {
    let does = |lane: &LanePlan, spec: &Spec| lane.does(spec.family().name);
    let wrong = |lane: &LanePlan, what: String| {
        let known = lane.families.join(", ");
        Err(Exit::Usage(format!("`{}` {what}; it does {known}", lane.name)).into())
    };
    let reference = &lanes[0].0;
    if let Some(spec) = workloads.iter().find(|spec| !does(reference, spec)) {
        return wrong(reference, format!("is the reference, but takes no part in `{spec}`"));
    }
    let idle = |lane: &LanePlan| !workloads.iter().any(|spec| does(lane, spec));
    if let Some((lane, _)) = lanes.iter().find(|(it, _)| idle(it) && named.contains(&it.name)) {
        return wrong(lane, "takes part in none of these workloads".to_owned());
    }
    lanes.retain(|(lane, _)| !idle(lane));
    Ok(lanes.into_iter().map(|(lane, _)| lane).collect())
}

/// The lanes that `patterns` spell, or those that are in by default.
///
/// Native and polled lanes are there to be compared with one adapter each, and peers have to be installed:
/// a glob means them only if it says so.
pub(super) fn lanes_or(
    registry: &Registry,
    patterns: &[String],
    default: impl Fn(&Lane) -> bool,
) -> Result<Vec<(LanePlan, Launch)>> {
    if patterns.is_empty() {
        let default = registry.lanes.iter().filter(|lane| default(lane));
        return default.map(|lane| spelled(registry, &lane.name)).collect();
    }
    let mut chosen: Vec<(LanePlan, Launch)> = Vec::new();
    for pattern in patterns {
        let found = if is_glob(pattern) && !pattern.contains('=') {
            let matcher = glob(pattern)?;
            let means_peers = means_peers(registry, pattern);
            let meant = |lane: &&Lane| {
                let said = match lane.kind {
                    Kind::Peer => means_peers,
                    Kind::Native => pattern.starts_with("native"),
                    Kind::Polled => pattern.starts_with("poll"),
                    _ => true,
                };
                said && matcher.is_match(&lane.name)
            };
            let named = registry.lanes.iter().filter(meant);
            let found: Result<Vec<_>> = named.map(|lane| spelled(registry, &lane.name)).collect();
            let found = found?;
            if found.is_empty() {
                return Err(unknown(registry, pattern));
            }
            found
        } else {
            vec![spelled(registry, pattern)?]
        };
        for lane in found {
            add(&mut chosen, lane)?;
        }
    }
    Ok(chosen)
}

/// Whether a glob means peers: if it begins as peers alone do, up to its first sign. `uv*` and `go*` do;
/// `*` and `g*`, which glommio begins with as well, do not.
fn means_peers(registry: &Registry, pattern: &str) -> bool {
    let begin = pattern.find(['*', '?', '[', '{', '\\']).map_or(pattern, |end| &pattern[..end]);
    let mut all = registry.lanes.iter().filter(|lane| lane.name.starts_with(begin)).peekable();
    all.peek().is_some() && all.all(|lane| lane.kind == Kind::Peer)
}

/// Adds a lane that is not among them.
fn add(chosen: &mut Vec<(LanePlan, Launch)>, lane: (LanePlan, Launch)) -> Result<()> {
    match chosen.iter().find(|(other, _)| other.name == lane.0.name) {
        None => chosen.push(lane),
        Some((other, _)) if other.spelling == lane.0.spelling => {}
        Some(_) => {
            let name = lane.0.name;
            return Err(Exit::Usage(format!("two commands are called `{name}`")).into());
        }
    }
    Ok(())
}

/// One lane. A command is told from a tweak by what its first `=` follows.
fn spelled(registry: &Registry, spelling: &str) -> Result<(LanePlan, Launch)> {
    let command = spelling.split_once('=').filter(|(name, _)| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    });
    let (name, arguments, delay_ns, lane) = match (command, spelling.split_once('?')) {
        (Some((name, command)), _) => {
            let wrong = |what: &str| Err(Exit::Usage(format!("`{spelling}`: {what}")).into());
            if name.is_empty() || command.trim().is_empty() {
                return wrong("it should be NAME=COMMAND");
            }
            if name == CONTROL || registry.lane(name).is_some() {
                return wrong("there is a lane of that name; choose another");
            }
            (name, vec!["--exec", command], 0, None)
        }
        (None, Some((base, tweak))) => {
            let delay = tweak.strip_prefix("delay_ns=").and_then(|value| value.parse().ok());
            let Some(delay_ns) = delay.filter(|delay| *delay <= 1_000_000_000_u64) else {
                return Err(Exit::Usage(format!(
                    "`{spelling}`: the only tweak is delay_ns=N, nanoseconds, at most a second"
                ))
                .into());
            };
            let lane = known(registry, base)?;
            (spelling, vec![lane.name.as_str()], delay_ns, Some(lane))
        }
        (None, None) => {
            let lane = known(registry, spelling)?;
            (spelling, vec![lane.name.as_str()], 0, Some(lane))
        }
    };
    let program = ["/proc/self/exe", "lane"];
    let launch = Launch {
        command: program.into_iter().chain(arguments).map(Into::into).collect(),
        delay_ns,
    };
    let families = lane.map(|lane| lane.families).unwrap_or_default();
    let plan = LanePlan {
        name: name.to_owned(),
        spelling: spelling.to_owned(),
        kind: lane.map_or(Kind::Command, |lane| lane.kind),
        families: families.iter().map(ToString::to_string).collect(),
        ..LanePlan::default()
    };
    Ok((plan, launch))
}

/// The lane of that name.
pub(super) fn known<'a>(registry: &'a Registry, name: &str) -> Result<&'a Lane> {
    registry.lane(name).ok_or_else(|| unknown(registry, name))
}

fn unknown(registry: &Registry, name: &str) -> anyhow::Error {
    let nearest = registry
        .lanes
        .iter()
        .map(|lane| (strsim::jaro_winkler(name, &lane.name), &lane.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = nearest.map(|(_, name)| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    Exit::Usage(format!("no lane is called `{name}`{hint}; `rtswap list` shows them all")).into()
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '[', '{'])
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    match Glob::new(pattern) {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => {
            Err(Exit::Usage(format!("`{pattern}` is no pattern: {}", error.kind())).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str], reference: &str) -> Result<Vec<String>> {
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let lanes = lanes(&Registry::standard(), &patterns, reference)?;
        Ok(lanes.into_iter().map(|(plan, _)| plan.name).collect())
    }

    fn specs(patterns: &[&str]) -> Result<Vec<String>> {
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let specs = workloads(&Registry::standard(), &patterns)?;
        Ok(specs.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_reference_and_its_control_are_always_in() {
        assert_eq!(names(&["smol"], "tokio").unwrap(), ["tokio", "smol", "control"]);
        assert_eq!(names(&["smol*"], "smol").unwrap(), ["smol", "smol-local", "control"]);
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
            ["tokio", "poll-tokio", "poll-tokio-local", "poll-tokio-uring", "control"]
        );
        let natives = names(&["native-*"], "tokio").unwrap();
        assert_eq!(natives[1], "native-tokio");
    }

    #[test]
    fn a_glob_means_peers_if_it_begins_as_they_alone_do() {
        let named = |pattern| names(&[pattern], "tokio").unwrap()[1..].to_vec().join(" ");
        assert_eq!(named("uv*"), "uvloop uvloop-streams uvicorn-asyncio uvicorn-uvloop control");
        assert_eq!(named("uvicorn-*"), "uvicorn-asyncio uvicorn-uvloop control");
        assert_eq!(named("asyncio*"), "asyncio asyncio-streams control");
        assert_eq!(named("go*"), "go go-http control");
        assert_eq!(named("node*"), "node node-http control");
        assert_eq!(named("g*"), "glommio control", "and neither gevent nor go");
        assert_eq!(named("async*"), "async-std control");
        assert!(names(&["*loop"], "tokio").is_err());
        assert_eq!(named("uvloop"), "uvloop control");
    }

    #[test]
    fn peers_stand_beside_what_is_measured_anyway() {
        let registry = Registry::standard();
        let with = |patterns: &[String], peers| {
            let patterns = with_peers(&registry, patterns, peers, |lane| lane.in_default);
            let chosen = lanes(&registry, &patterns, "tokio").unwrap();
            chosen.into_iter().partition::<Vec<_>, _>(|(plan, _)| plan.kind == Kind::Peer)
        };
        let (peers, others) = with(&[], true);
        assert_eq!(peers.len(), rtswap_peers::PEERS.len());
        let default = with(&[], false);
        assert_eq!((default.0.len(), default.1.len()), (0, others.len()));
        let (peers, others) = with(&["smol".to_owned()], true);
        assert_eq!((peers.len(), others.len()), (rtswap_peers::PEERS.len(), 3));
    }

    #[test]
    fn a_tweak_is_a_lane_of_its_own_and_a_command_is_one_too() {
        let spelled = ["tokio?delay_ns=110", "mine=python3 lane.py --a=b"];
        assert_eq!(
            names(&spelled, "tokio").unwrap(),
            ["tokio", "tokio?delay_ns=110", "mine", "control"]
        );
        let lanes = lanes(&Registry::standard(), &[spelled[0].to_owned()], "tokio").unwrap();
        assert_eq!(lanes[1].1.delay_ns, 110);
        assert_eq!(lanes[2].1.delay_ns, 0, "the control is the reference");
    }

    #[test]
    fn what_is_no_lane_is_told_with_what_might_be_meant() {
        let told = |pattern| names(&[pattern], "tokio").unwrap_err().to_string();
        assert!(told("tokoi").contains("did you mean `tokio`?"));
        assert!(told("zz*").contains("`rtswap list`"));
        assert!(told("tokio?speed=1").contains("delay_ns=N"));
        assert!(told("tokio?delay_ns=-1").contains("delay_ns=N"));
        assert!(told("nope?delay_ns=1").contains("no lane is called `nope`"));
        assert!(told("mine=").contains("NAME=COMMAND"));
        assert!(told("control=true").contains("there is a lane of that name"));
        assert!(told("[").contains("no pattern"));
    }

    #[test]
    fn a_command_is_spelled_once_and_may_be_the_reference() {
        assert_eq!(names(&["mine=true", "smol"], "mine").unwrap(), ["mine", "smol", "control"]);
        assert_eq!(names(&["smol"], "mine=true").unwrap(), ["mine", "smol", "control"]);
        assert_eq!(names(&["a=true", "a=true"], "smol").unwrap(), ["smol", "a", "control"]);
        let told = names(&["a=true", "a=false"], "smol").unwrap_err().to_string();
        assert_eq!(told, "two commands are called `a`");
    }

    #[test]
    fn a_glob_names_all_that_match_and_nothing_twice() {
        assert_eq!(
            specs(&["tcp-echo/size=1024/*", "tcp-echo"]).unwrap(),
            [
                "tcp-echo/size=1024/conns=1",
                "tcp-echo/size=1024/conns=32",
                "tcp-echo/size=1024/conns=256"
            ]
        );
        assert_eq!(specs(&["tcp-echo/conns=7"]).unwrap(), ["tcp-echo/size=1024/conns=7"]);
        assert!(specs(&["nope/*"]).unwrap_err().to_string().contains("no workload matches"));
        assert!(specs(&["slep"]).unwrap_err().to_string().contains("did you mean `sleep`?"));
    }
}
