//! The checks: from the facts to what they mean for a measurement. Pure.

use std::collections::BTreeSet;

use rtswap_harness::machine::topology::Placement;
use rtswap_report::{Style, Tone, format};
use serde::Serialize;

use super::facts::Facts;
use crate::cli::caution;
use Status::{Bad, Warn};

/// Share of the CPU time. Steal of 1 to 3 % is usual on shared machines.
const STEAL_MOST: f64 = 0.05;
/// CPUs that other programs keep busy.
const BUSY_MOST: f64 = 0.1;
/// Descriptors of a process in addition to its connections: pipes, counters, libraries.
const SPARE: u64 = 100;
/// A long run's record has about 20 MB.
const DISK_LEAST: u64 = 100 << 20;
/// For the lanes and the generator with many connections and large messages.
const MEMORY_LEAST: u64 = 512 << 20;

/// `None` where the kernel does not show it.
type Find = fn(&Facts) -> Option<Finding>;

struct Finding {
    found: String,
    /// `None` if all is well.
    remedy: Option<String>,
}

/// Name, status of a fault, and how it is found. The names are stable. What spoils a run most comes first.
const CHECKS: [(&str, Status, Find); 17] = [
    ("build", Bad, |it| {
        let found = if it.optimised { "optimised" } else { "not optimised" };
        let means = "runtimes are several times slower, and not all by the same factor";
        judge(it.optimised, found, means, "`cargo run --release -- doctor`")
    }),
    ("cpus", Warn, cpus),
    ("quota", Warn, |it| {
        let cpus = it.allowed.len();
        let Some(quota) = &it.quota else {
            return judge(true, "no control group limits the CPU time", "", "");
        };
        let found = format!(
            "the control group {} allows the CPU time of {} of {cpus} CPUs",
            quota.group,
            format::number(quota.cpus)
        );
        let means = "it stops all processes for a while when that is used up";
        let remedy = "lift the limit (`docker update --cpus 0 CONTAINER`), or measure on fewer \
                      CPUs: `taskset --cpu-list 0 rtswap run`";
        judge(quota.cpus >= cpus as f64, found, means, remedy)
    }),
    ("smt", Warn, smt),
    ("governor", Warn, |it| {
        it.governors.first()?;
        let (good, found) = (it.governors == ["performance"], format::list(&it.governors));
        let remedy = "`sudo cpupower frequency-set --governor performance`";
        judge(good, found, "the CPU frequency follows the load", remedy)
    }),
    ("steal", Warn, |it| {
        let steal = it.used?.steal;
        let found =
            format!("the hypervisor gave {} of the CPU time to others", format::percent(steal));
        let remedy = "measure at a quieter hour, for longer (`rtswap run --budget 10m`), or on a \
                      dedicated machine";
        judge(steal <= STEAL_MOST, found, "intervals get wider", remedy)
    }),
    ("load", Warn, |it| {
        let (busy, average) = (it.used?.busy, it.load_average?);
        let found = format!(
            "other programs use {} CPUs; the load average of the last minute is {average:.2}",
            format::number(busy)
        );
        let remedy = "`top -o %CPU` shows them; stop them, or wait a minute if they have ended";
        judge(busy < BUSY_MOST && average < 1.0, found, "they take CPU time from the lanes", remedy)
    }),
    ("lanes", Warn, lanes),
    ("perf", Warn, |it| {
        let Err(why) = &it.counters else {
            return judge(true, "system calls and context switches can be counted", "", "");
        };
        // The harness puts the remedy after the kernel's reason.
        let (reason, remedy) = why
            .find("): ")
            .map_or((why.as_str(), "run as root"), |at| (&why[..=at], &why[at + 3..]));
        judge(false, "system calls cannot be counted", reason, remedy)
    }),
    ("aslr", Warn, |it| {
        let value = it.randomize.as_ref()?;
        let (found, remedy) = if it.layout_fixed {
            let remedy = "start rtswap without `setarch --addr-no-randomize` or a debugger";
            ("address layouts are fixed for this process".to_owned(), remedy)
        } else {
            let remedy = "`sudo sysctl -w kernel.randomize_va_space=2`";
            (format!("kernel.randomize_va_space is {value}"), remedy)
        };
        let means = "a difference may come from the layout, because every process gets the same";
        judge(value == "2" && !it.layout_fixed, found, means, remedy)
    }),
    ("variables", Warn, |it| match caution::variables(&it.environment) {
        None => judge(true, "no environment variable changes the code of lanes", "", ""),
        Some(it) => Some(Finding { found: it.found, remedy: Some(it.remedy) }),
    }),
    ("loopback", Bad, |it| {
        let remedy =
            "`sudo ip link set lo up`; if it is up, `sudo nft list ruleset` shows firewalls";
        match &it.loopback {
            Ok(()) => judge(true, "127.0.0.1 accepts connections", "", ""),
            Err(why) => judge(false, "127.0.0.1 does not accept connections", why, remedy),
        }
    }),
    ("congestion", Warn, |it| {
        let name = it.congestion.as_ref()?;
        let means =
            "it paces messages by timers; rtswap's lanes choose reno, others have to choose";
        let remedy = "`sudo sysctl -w net.ipv4.tcp_congestion_control=cubic`";
        judge(!name.starts_with("bbr"), name, means, remedy)
    }),
    ("ports", Warn, |it| {
        let have = it.ports?;
        let found = format!("{}; the largest workload uses {}", count(have), count(it.most_conns));
        let means = "closed connections keep theirs for a minute, and every round opens new ones";
        let remedy = "`sudo sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"`";
        // For connections to one lane: every lane listens at a port of its own.
        judge(have >= 2 * it.most_conns, found, means, remedy)
    }),
    ("descriptors", Warn, |it| {
        let need = it.most_conns + SPARE;
        let may = it.descriptors.map_or("any number".to_owned(), count);
        let found = format!("{may} may be open; the largest workload uses {}", count(need));
        let means = "workloads that do not fit are skipped";
        let remedy =
            format!("`sudo prlimit --pid $$ --nofile={need}:{need}` allows it in this shell");
        judge(it.descriptors.is_none_or(|may| may >= need), found, means, remedy)
    }),
    ("memory", Warn, |it| {
        let found = format!("{} available", format::bytes(it.memory? as f64));
        let remedy = "`ps aux --sort -rss | head` shows the largest processes";
        judge(it.memory? >= MEMORY_LEAST, found, "lanes may be swapped out or killed", remedy)
    }),
    ("disk", Warn, |it| {
        let (folder, free) = &it.disk;
        let remedy = "`rtswap run --out /elsewhere/run.jsonl` writes the record elsewhere";
        let free = match free {
            Ok(free) => *free,
            Err(why) => return judge(false, format!("cannot write to {folder}"), why, remedy),
        };
        let found = format!("{} free for records in {folder}", format::bytes(free as f64));
        judge(free >= DISK_LEAST, found, "a long run's record may not fit", remedy)
    }),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be, or not visible.
    Ok,
    /// Runs work, but lack something or have wider intervals.
    Warn,
    /// Runs fail, or their figures are worthless.
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    pub status: Status,
    found: String,
    /// What to type or to do; `null` if the status is `ok`.
    remedy: Option<String>,
}

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let check = |(name, of_fault, find): (_, _, Find)| {
        let not_visible = Finding { found: "not visible".to_owned(), remedy: None };
        let Finding { found, remedy } = find(facts).unwrap_or(not_visible);
        let status = if remedy.is_none() { Status::Ok } else { of_fault };
        Check { name, status, found, remedy }
    };
    CHECKS.map(check).into()
}

/// A fault comes with what it means. Reasons of lanes and of the kernel may have several lines.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it ends functions that return None for unknown facts"
)]
fn judge(
    good: bool,
    found: impl Into<String>,
    means: &str,
    remedy: impl AsRef<str>,
) -> Option<Finding> {
    let found = found.into();
    Some(if good {
        Finding { found, remedy: None }
    } else {
        let found = format::one_line(&format!("{found}: {means}"));
        Finding { found, remedy: Some(format::one_line(remedy.as_ref())) }
    })
}

fn cpus(it: &Facts) -> Option<Finding> {
    let (cpus, server, load) = (it.allowed.len(), ranges(&it.server), ranges(&it.load));
    let cpus_of = format::counted(cpus, "CPU");
    let found = format!("{cpus_of}, the lanes use {server}, the load generator uses {load}");
    let remedy = match (cpus, it.online) {
        (1, ..2) => "give the machine a second CPU".to_owned(),
        (1, n) => format!("`taskset --cpu-list 0-{} rtswap run` allows it all CPUs", n - 1),
        _ => "give `--server-cpus` and `--load-cpus` different CPUs".to_owned(),
    };
    let means = "on a shared CPU only CPU time per operation can be compared";
    judge(!it.server.iter().any(|cpu| it.load.contains(cpu)), found, means, remedy)
}

fn smt(it: &Facts) -> Option<Finding> {
    it.topology.cores.first()?;
    // `cpus` finds the same CPU on both sides.
    let shared = it.topology.shared_cores(&it.server, &it.load);
    let shared: Vec<String> = shared.iter().map(|core| ranges(core)).collect();
    let found = if shared.is_empty() {
        "lanes and load generator share no core".to_owned()
    } else {
        format!("lanes and load generator share the core of CPUs {}", format::list(&shared))
    };
    let remedy = if it.topology.cores.len() == 1 {
        "measure on a machine with a second core".to_owned()
    } else {
        let Placement { server, load } = it.topology.placement();
        format!("`rtswap run --server-cpus {} --load-cpus {}`", ranges(&server), ranges(&load))
    };
    judge(shared.is_empty(), found, "they slow each other down", remedy)
}

fn lanes(it: &Facts) -> Option<Finding> {
    let (mut reasons, mut remedies) = (Vec::new(), BTreeSet::new());
    for (lane, usable) in &it.lanes {
        let Err(why) = usable else { continue };
        // Adapters put the remedy after a semicolon. Several lanes may share one.
        let (reason, remedy) = why.split_once("; ").unwrap_or((why, "run the others by `--lane`"));
        reasons.push(format!("{lane} cannot run ({reason})"));
        remedies.insert(remedy);
    }
    let (usable, lanes) = (it.lanes.len() - reasons.len(), it.lanes.len());
    let found = format!("{usable} of {} can run", format::counted(lanes, "lane"));
    let remedies: Vec<&str> = remedies.into_iter().collect();
    judge(reasons.is_empty(), found, &reasons.join(", "), remedies.join("; "))
}

fn count(value: u64) -> String {
    format::rate(value as f64)
}

/// `0-2,7`.
fn ranges(cpus: &[usize]) -> String {
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run[0].to_string(),
    };
    cpus.chunk_by(|a, b| a + 1 == *b).map(run).collect::<Vec<_>>().join(",")
}

/// A line for each check and each remedy, and the count.
pub(super) fn text(checks: &[Check], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let (symbol, plain, word, tone) = match check.status {
            Status::Ok => ("✓", "+", "ok", Tone::Good),
            Warn => ("!", "!", "warn", Tone::Unsure),
            Bad => ("✗", "x", "bad", Tone::Bad),
        };
        let mark = format!("{} {word:4}", if style.unicode { symbol } else { plain });
        let head = format!("{mark}  {:width$}  ", check.name);
        let indent = " ".repeat(head.chars().count());
        // Painted after it is wrapped: escape codes have no width.
        let found = style.wrap(&check.found, &head, &indent);
        text += &(found.replacen(&mark, &style.paint(&mark, tone), 1) + "\n");
        if let Some(remedy) = &check.remedy {
            text += &(style.wrap(remedy, &format!("{indent}remedy: "), &indent) + "\n");
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let warnings = format::counted(count(Warn), "warning");
    text + &format!("\n{} ok, {warnings}, {} bad\n", count(Status::Ok), count(Bad))
}

#[cfg(test)]
mod tests {
    use rtswap_harness::machine::quota::Quota;
    use rtswap_harness::machine::topology::{Core, Topology};
    use rtswap_harness::record::Environment;

    use super::super::facts::Used;
    use super::*;

    /// A machine without faults.
    fn facts() -> Facts {
        Facts {
            optimised: true,
            allowed: vec![0, 1, 2, 3],
            server: vec![0, 1],
            load: vec![2, 3],
            online: 4,
            quota: None,
            topology: cores(&[&[0, 1], &[2, 3]]),
            environment: Environment::default(),
            governors: ["performance".to_owned()].into(),
            used: Some(Used { busy: 0.02, steal: 0.05 }),
            load_average: Some(0.12),
            lanes: vec![("tokio".to_owned(), Ok(())), ("smol".to_owned(), Ok(()))],
            counters: Ok(()),
            randomize: Some("2".to_owned()),
            layout_fixed: false,
            loopback: Ok(()),
            congestion: Some("cubic".to_owned()),
            most_conns: 2_000,
            ports: Some(28_232),
            descriptors: Some(20_000),
            memory: Some(2 << 30),
            disk: (".".to_owned(), Ok(1 << 30)),
        }
    }

    fn cores(cores: &[&[usize]]) -> Topology {
        let core = |cpus: &&[usize]| Core { node: 0, cpus: cpus.to_vec() };
        Topology { cores: cores.iter().map(core).collect() }
    }

    /// The check `name` of a machine with that fault.
    fn check(name: &str, fault: impl Fn(&mut Facts)) -> Check {
        let mut facts = facts();
        fault(&mut facts);
        all(&facts).into_iter().find(|check| check.name == name).unwrap()
    }

    fn on_one_cpu(facts: &mut Facts, online: usize) {
        facts.online = online;
        (facts.allowed, facts.server, facts.load) = (vec![0], vec![0], vec![0]);
    }

    fn no<T>(why: &str) -> Result<T, String> {
        Err(why.to_owned())
    }

    #[test]
    fn all_reports_each_fault_with_its_remedy() {
        type Fault = fn(&mut Facts);
        let cases: [(&str, Fault, &str, &str); 25] = [
            ("build", |it| it.optimised = false, "not optimised: runtimes", "--release"),
            ("cpus", |it| it.load = vec![1, 3], "use 0-1, the load generator uses 1,3", "-cpus`"),
            ("cpus", |it| on_one_cpu(it, 4), "1 CPU, the lanes", "--cpu-list 0-3 rtswap run`"),
            ("cpus", |it| on_one_cpu(it, 1), "1 CPU, the lanes", "a second CPU"),
            (
                "quota",
                |it| it.quota = Some(Quota { cpus: 0.6, group: "/job".to_owned() }),
                "group /job allows the CPU time of 0.600 of 4 CPUs: it",
                "docker update",
            ),
            (
                "variables",
                |it| {
                    it.environment.variables =
                        [("LD_PRELOAD".to_owned(), "x.so".to_owned())].into();
                },
                "LD_PRELOAD=x.so changes",
                "unset LD_PRELOAD",
            ),
            ("smt", |it| it.load = vec![1], "core of CPUs 0-1: they", "-cpus 0-1 --load-cpus 2-3"),
            ("smt", |it| it.topology = cores(&[&[0, 2]]), "of CPUs 0,2: they", "a second core"),
            (
                "governor",
                |it| it.governors.push("ondemand".to_owned()),
                "and ondemand:",
                "cpupower",
            ),
            ("steal", |it| it.used.as_mut().unwrap().steal = 0.2, "gave 20 % of", "quieter hour"),
            ("load", |it| it.used.as_mut().unwrap().busy = 0.5, "use 0.500 CPUs", "`top"),
            ("load", |it| it.load_average = Some(1.5), "is 1.50", "`top"),
            ("lanes", |it| it.lanes[1].1 = no("x\ny; z"), "1 of 2 lanes can run: smol can", "z"),
            ("lanes", |it| it.lanes[0].1 = no("x"), "tokio cannot run (x)", "`--lane`"),
            ("perf", |it| it.counters = no("no (EACCES): be root"), "no (EACCES)", "be root"),
            ("perf", |it| it.counters = no("gone"), "cannot be counted: gone", "run as root"),
            ("aslr", |it| it.layout_fixed = true, "for this process", "setarch"),
            ("aslr", |it| it.randomize = Some("1".to_owned()), "va_space is 1", "va_space=2`"),
            ("loopback", |it| it.loopback = no("os error 101"), "os error 101", "set lo up`"),
            ("congestion", |it| it.congestion = Some("bbr2".to_owned()), "bbr2: it", "=cubic`"),
            (
                "ports",
                |it| it.ports = Some(3_999),
                "3,999; the largest workload uses 2,000",
                "range",
            ),
            ("descriptors", |it| it.descriptors = Some(1_024), "1,024 may be open", "=2100:2100`"),
            ("memory", |it| it.memory = Some(100 << 20), "100 MiB available", "`ps aux"),
            ("disk", |it| it.disk.1 = Ok(50 << 20), "50.0 MiB free for records in .", "--out"),
            ("disk", |it| it.disk.1 = no("EROFS"), "write to .: EROFS", "--out"),
        ];
        assert!(all(&facts()).iter().all(|check| check.remedy.is_none()), "{:?}", all(&facts()));
        for (name, fault, found, remedy) in cases {
            let check = check(name, fault);
            let bad = ["build", "loopback"].contains(&name);
            assert_eq!(check.status, if bad { Bad } else { Warn }, "{check:?}");
            assert!(check.found.contains(found), "{check:?}");
            assert!(check.remedy.as_ref().unwrap().contains(remedy), "{check:?}");
        }
    }

    #[test]
    fn all_claims_nothing_about_unknown_facts() {
        let unknown = |it: &mut Facts| {
            (it.used, it.load_average, it.randomize, it.congestion) = (None, None, None, None);
            (it.topology, it.governors, it.ports, it.memory) = (cores(&[]), [].into(), None, None);
        };
        for name in ["smt", "governor", "steal", "load", "aslr", "congestion", "ports", "memory"] {
            let check = check(name, unknown);
            assert!(check.status == Status::Ok && check.found == "not visible", "{check:?}");
        }
        assert_eq!(check("descriptors", |it| it.descriptors = None).status, Status::Ok);
        assert_eq!(check("smt", |it| on_one_cpu(it, 1)).status, Status::Ok, "cpus warns of that");
    }

    #[test]
    fn text_wraps_marks_and_counts() {
        let checks = [
            check("quota", |_| ()),
            check("memory", |it| it.memory = Some(1 << 20)),
            check("build", |it| it.optimised = false),
        ];
        let expected = "\
✓ ok    quota   no control group limits the CPU time
! warn  memory  1.00 MiB available: lanes may be swapped out or
                killed
                remedy: `ps aux --sort -rss | head` shows the
                largest processes
✗ bad   build   not optimised: runtimes are several times
                slower, and not all by the same factor
                remedy: `cargo run --release -- doctor`

1 ok, 1 warning, 1 bad
";
        assert_eq!(text(&checks, Style { width: 64, color: false, unicode: true }), expected);
        let colored = text(&checks, Style { width: 80, color: true, unicode: false });
        assert!(colored.contains("\u{1b}[31mx bad \u{1b}[0m  build   not"), "{colored:?}");
    }
}
