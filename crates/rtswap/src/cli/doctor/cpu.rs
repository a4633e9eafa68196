//! Checks of the CPUs, and of who else is on them. Pure: from what the kernel says to what it means.

use std::collections::BTreeSet;

use rtswap_report::words;

use super::check::Check;

/// Steal from which on it is worth a warning. On shared machines 1 to 3 % is everyday.
const STEAL: f64 = 0.05;
/// CPUs kept busy by others from which on they are told of.
const BUSY: f64 = 0.1;
/// Share of the last ten seconds in which somebody waited for a CPU.
const PRESSURE: f64 = 0.05;

/// `allowed`: CPUs that this process may use. `online`: `/sys/devices/system/cpu/online`.
pub(super) fn cpus(
    allowed: &[usize],
    server: &[usize],
    load: &[usize],
    online: Option<&str>,
) -> Check {
    const NAME: &str = "cpus";
    let may = words::counted(allowed.len(), "CPU");
    let split = format!("{may}: lanes on {}, load generator on {}", named(server), named(load));
    let shared = server.iter().any(|cpu| load.contains(cpu));
    if !shared {
        return Check::ok(NAME, split);
    }
    let found =
        format!("{split}; they take turns there, so only CPU time per operation tells lanes apart");
    let online = online.map(str::trim).filter(|online| list(online).len() > 1);
    let remedy = match (allowed.len(), online) {
        (1, Some(online)) => {
            format!("`taskset --cpu-list {online} rtswap run` allows it more CPUs")
        }
        (1, None) => "give the machine a second CPU".to_owned(),
        _ => "give `--server-cpus` and `--load-cpus` different CPUs".to_owned(),
    };
    Check::warn(NAME, found, remedy)
}

/// `limit`: the cgroup's `cpu.max`, as in `150000 100000` or `max 100000`.
pub(super) fn quota(limit: Option<&str>, cpus: usize) -> Check {
    const NAME: &str = "quota";
    let mut numbers = limit.unwrap_or_default().split_whitespace().map(str::parse::<f64>);
    let (Some(Ok(quota)), Some(Ok(period))) = (numbers.next(), numbers.next()) else {
        return Check::ok(NAME, "CPU time is not limited");
    };
    let allowed = quota / period;
    let found = format!("the control group allows {} CPUs' time", words::number(allowed));
    if allowed >= cpus as f64 {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        format!("{found} on {cpus}, and stops everything for a while when that is spent"),
        "lift it (`docker update --cpus 0 CONTAINER`), or measure on fewer CPUs: \
         `taskset --cpu-list 0 rtswap run`",
    )
}

/// `governors`: each CPU's `cpufreq/scaling_governor`, where there is one.
pub(super) fn governor(governors: &[String], virtual_machine: bool) -> Check {
    const NAME: &str = "governor";
    let kinds: BTreeSet<&str> = governors.iter().map(|text| text.trim()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    match kinds[..] {
        [] if virtual_machine => Check::ok(NAME, "not visible in a virtual machine"),
        [] => Check::ok(NAME, "not visible: the kernel does not change the CPU's frequency"),
        ["performance"] => Check::ok(NAME, "performance"),
        _ => Check::warn(
            NAME,
            format!("{}: the CPU's frequency follows the load", words::list(&kinds)),
            "`sudo cpupower frequency-set --governor performance`",
        ),
    }
}

/// `cores`: for each CPU that may be used its `topology/thread_siblings_list`, as in `0,4` or `0-1`.
pub(super) fn smt(cores: &[(usize, String)], server: &[usize], load: &[usize]) -> Check {
    const NAME: &str = "smt";
    if cores.is_empty() {
        return Check::ok(NAME, "not visible which CPUs share a core");
    }
    let both: Vec<String> = cores
        .iter()
        .map(|(_, siblings)| list(siblings))
        .filter(|core| {
            let of = |cpus: &[usize]| core.iter().copied().find(|cpu| cpus.contains(cpu));
            // The same CPU on both sides is told of elsewhere.
            core.len() > 1 && of(server).zip(of(load)).is_some_and(|(a, b)| a != b)
        })
        .map(|core| ranges(&core))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if both.is_empty() {
        return Check::ok(NAME, "lanes and load generator share no core");
    }
    let each = if both.len() == 1 { "" } else { " each" };
    let found = format!(
        "lanes and load generator slow each other down: CPUs {} are one core{each}",
        words::list(&both)
    );
    Check::warn(NAME, found, whole_cores(cores))
}

/// Half of the cores for the lanes, half for the generator.
fn whole_cores(cores: &[(usize, String)]) -> String {
    let usable: Vec<usize> = cores.iter().map(|(cpu, _)| *cpu).collect();
    let mut distinct: Vec<Vec<usize>> = Vec::new();
    for (_, siblings) in cores {
        let core: Vec<usize> =
            list(siblings).into_iter().filter(|cpu| usable.contains(cpu)).collect();
        if !distinct.contains(&core) {
            distinct.push(core);
        }
    }
    if distinct.len() < 2 {
        return "measure on a machine with a second core".to_owned();
    }
    let (server, load) = distinct.split_at(distinct.len() / 2);
    format!(
        "`rtswap run --server-cpus {} --load-cpus {}`",
        ranges(&server.concat()),
        ranges(&load.concat())
    )
}

/// `before` and `after`: `/proc/stat`, a little apart.
pub(super) fn steal(before: &str, after: &str) -> Check {
    const NAME: &str = "steal";
    let (Some(before), Some(after)) = (ticks(before), ticks(after)) else {
        return Check::ok(NAME, "not visible: /proc/stat cannot be read");
    };
    let Some(passed) = after.since(&before) else {
        return Check::ok(NAME, "not visible: the kernel's clock stood still");
    };
    let share = passed.steal / passed.total;
    let found = format!("the hypervisor gave {} of the CPU time to others", percent(share));
    if share <= STEAL {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        format!("{found}: intervals get wider"),
        "measure at a quieter hour, for longer (`rtswap run --budget 10m`), or on a machine of \
         your own",
    )
}

/// `before` and `after`: `/proc/stat` with nothing of our own to do in between. `average`:
/// `/proc/loadavg`. `pressure`: `/proc/pressure/cpu`.
pub(super) fn load(
    before: &str,
    after: &str,
    average: Option<&str>,
    pressure: Option<&str>,
) -> Check {
    const NAME: &str = "load";
    let busy = ticks(before).zip(ticks(after)).and_then(|(before, after)| {
        let passed = after.since(&before)?;
        Some(passed.busy / passed.total * passed.cpus)
    });
    let average = average.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let waited = pressure.and_then(|text| {
        let some = text.lines().find(|line| line.starts_with("some "))?;
        let ten = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
        Some(ten.parse::<f64>().ok()? / 100.0)
    });
    let parts = [
        busy.map(|busy| format!("others keep {} CPUs busy just now", words::number(busy))),
        average.map(|average| format!("{average} tasks ran or waited over the last minute")),
        waited.map(|waited| {
            format!("one waited for a CPU in {} of the last ten seconds", percent(waited))
        }),
    ];
    let found = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    if found.is_empty() {
        return Check::ok(NAME, "not visible who else is working");
    }
    let disturbed = busy.is_some_and(|busy| busy >= BUSY)
        || waited.is_some_and(|waited| waited >= PRESSURE)
        || average.is_some_and(|average| average >= 1.0);
    if !disturbed {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        format!("somebody else is working: {found}"),
        "`top -o %CPU` shows who; stop it, or wait a minute if it has just ended",
    )
}

/// For information: neither is better.
pub(super) fn machine(virtual_machine: bool) -> Check {
    let found = if virtual_machine {
        "virtual; its host may be busy with others, see steal"
    } else {
        "not virtual, as far as the CPU says"
    };
    Check::ok("machine", found)
}

/// Ticks of all CPUs since boot, or between two moments.
struct Ticks {
    busy: f64,
    steal: f64,
    total: f64,
    cpus: f64,
}

impl Ticks {
    fn since(&self, before: &Self) -> Option<Self> {
        let passed = Self {
            busy: self.busy - before.busy,
            steal: self.steal - before.steal,
            total: self.total - before.total,
            cpus: self.cpus,
        };
        (passed.total > 0.0 && passed.busy >= 0.0 && passed.steal >= 0.0).then_some(passed)
    }
}

/// From `/proc/stat`: user, nice, system, idle, iowait, irq, softirq and steal. Guests' time, which
/// would follow, is in user's already.
fn ticks(stat: &str) -> Option<Ticks> {
    let all = stat.lines().find(|line| line.starts_with("cpu "))?;
    let numbers: Result<Vec<f64>, _> =
        all.split_whitespace().skip(1).take(8).map(str::parse).collect();
    let numbers = numbers.ok().filter(|numbers| numbers.len() >= 4)?;
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0.0);
    let cpus =
        stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Some(Ticks {
        busy: at(0) + at(1) + at(2) + at(5) + at(6),
        steal: at(7),
        total: numbers.iter().sum(),
        cpus: cpus.max(1) as f64,
    })
}

/// `0-2,7` as numbers; what is no list is empty.
fn list(text: &str) -> Vec<usize> {
    text.trim().parse().map(|crate::cli::CpuList(cpus)| cpus).unwrap_or_default()
}

/// `0-2,7`, in ascending order.
pub(super) fn ranges(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for cpu in cpus.iter().copied().collect::<BTreeSet<_>>() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let spelled = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    spelled.collect::<Vec<_>>().join(",")
}

fn named(cpus: &[usize]) -> String {
    format!("{} {}", if cpus.len() == 1 { "CPU" } else { "CPUs" }, ranges(cpus))
}

/// Nothing is `0 %`, not `0.00 %`.
fn percent(share: f64) -> String {
    if share == 0.0 { "0 %".to_owned() } else { words::percent(share) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    fn remedy(check: &Check) -> &str {
        check.remedy.as_deref().unwrap_or_default()
    }

    #[test]
    fn cpus_are_split_unless_there_is_but_one() {
        let two = cpus(&[0, 1], &[0], &[1], Some("0-1\n"));
        assert_eq!(two, Check::ok("cpus", "2 CPUs: lanes on CPU 0, load generator on CPU 1"));
        let many = cpus(&[0, 1, 2, 5], &[0, 1, 2], &[5], None);
        assert!(
            many.found.contains("lanes on CPUs 0-2, load generator on CPU 5"),
            "{}",
            many.found
        );

        let pinned = cpus(&[1], &[1], &[1], Some("0-1\n"));
        assert_eq!(pinned.status, Status::Warn);
        assert!(remedy(&pinned).contains("`taskset --cpu-list 0-1 rtswap run`"));
        let single = cpus(&[0], &[0], &[0], Some("0\n"));
        assert!(single.found.starts_with("1 CPU: ") && remedy(&single).contains("second CPU"));
        let overlapping = cpus(&[0, 1], &[0, 1], &[1], Some("0-1"));
        assert!(remedy(&overlapping).contains("`--server-cpus`"));
    }

    #[test]
    fn a_quota_below_the_cpus_is_told() {
        for none in [None, Some("max 100000\n"), Some("nonsense")] {
            assert_eq!(quota(none, 2), Check::ok("quota", "CPU time is not limited"));
        }
        assert_eq!(quota(Some("200000 100000\n"), 2).status, Status::Ok);
        let short = quota(Some("150000 100000\n"), 2);
        assert_eq!(short.status, Status::Warn);
        assert!(short.found.contains("1.50 CPUs' time on 2"), "{}", short.found);
    }

    #[test]
    fn a_governor_that_is_not_performance_has_a_remedy() {
        let texts =
            |names: &[&str]| names.iter().map(|name| format!("{name}\n")).collect::<Vec<_>>();
        assert!(governor(&[], true).found.contains("virtual machine"));
        assert_eq!(governor(&[], false).status, Status::Ok);
        assert_eq!(governor(&texts(&["performance", "performance"]), false).status, Status::Ok);
        let saving = governor(&texts(&["powersave", "performance", "powersave"]), false);
        assert_eq!(saving.status, Status::Warn);
        assert!(saving.found.starts_with("performance and powersave:"), "{}", saving.found);
        assert!(remedy(&saving).contains("cpupower frequency-set --governor performance"));
    }

    #[test]
    fn cores_that_lanes_and_generator_share_are_named() {
        let cores = |lists: &[&str]| -> Vec<(usize, String)> {
            lists.iter().enumerate().map(|(cpu, list)| (cpu, format!("{list}\n"))).collect()
        };
        assert_eq!(smt(&[], &[0], &[1]).status, Status::Ok);
        assert_eq!(smt(&cores(&["0", "1"]), &[0], &[1]).status, Status::Ok);
        // Siblings that are on the same side disturb nobody else.
        assert_eq!(smt(&cores(&["0-1", "0-1", "2-3", "2-3"]), &[0, 1], &[2, 3]).status, Status::Ok);

        let crossed = smt(&cores(&["0,2", "1,3", "0,2", "1,3"]), &[0, 1], &[2, 3]);
        assert_eq!(crossed.status, Status::Warn);
        assert!(crossed.found.ends_with("CPUs 0,2 and 1,3 are one core each"), "{}", crossed.found);
        assert_eq!(remedy(&crossed), "`rtswap run --server-cpus 0,2 --load-cpus 1,3`");
        let single = smt(&cores(&["0-1", "0-1"]), &[0], &[1]);
        assert!(single.found.ends_with("CPUs 0,1 are one core"), "{}", single.found);
        assert!(remedy(&single).contains("second core"));
    }

    #[test]
    fn the_same_cpu_on_both_sides_is_no_matter_of_siblings() {
        assert_eq!(smt(&[(0, "0\n".to_owned())], &[0], &[0]).status, Status::Ok);
        assert_eq!(smt(&[(0, "0-1\n".to_owned())], &[0], &[0]).status, Status::Ok);
    }

    const BEFORE: &str = "cpu  100 0 50 800 10 0 5 20 0 0\ncpu0 50 0\ncpu1 50 0\nintr 1\n";

    #[test]
    fn steal_is_the_share_of_the_sample_not_of_all_time() {
        let after = |steal| format!("cpu  100 0 50 {} 10 0 5 {} 0 0\n", 900 - steal, 20 + steal);
        assert_eq!(
            steal(BEFORE, &after(0)),
            Check::ok("steal", "the hypervisor gave 0 % of the CPU time to others")
        );
        assert_eq!(steal(BEFORE, &after(5)).status, Status::Ok);
        let heavy = steal(BEFORE, &after(20));
        assert_eq!(heavy.status, Status::Warn);
        assert!(heavy.found.contains("gave 20 % of"), "{}", heavy.found);
    }

    #[test]
    fn steal_that_cannot_be_seen_is_no_steal() {
        for (before, after) in [("", ""), (BEFORE, ""), (BEFORE, BEFORE), ("cpu  1 x", "cpu  2 x")]
        {
            assert_eq!(steal(before, after).status, Status::Ok);
            assert!(steal(before, after).found.starts_with("not visible"));
        }
    }

    #[test]
    fn the_work_of_others_shows_in_the_sample_the_average_or_the_pressure() {
        let idle = "cpu  100 0 50 1000 10 0 5 20 0 0\ncpu0 1\ncpu1 1\n";
        let busy = "cpu  150 0 50 950 10 0 5 20 0 0\ncpu0 1\ncpu1 1\n";
        let (calm, calm_psi) =
            ("0.12 0.3 0.2 1/100 7\n", "some avg10=0.50 avg60=9 total=1\nfull avg10=0");
        let quiet = load(BEFORE, idle, Some(calm), Some(calm_psi));
        assert_eq!(
            quiet,
            Check::ok(
                "load",
                "others keep 0 CPUs busy just now; 0.12 tasks ran or waited over the last minute; \
                 one waited for a CPU in 0.5 % of the last ten seconds"
            )
        );
        let now = load(BEFORE, busy, Some(calm), Some(calm_psi));
        assert_eq!(now.status, Status::Warn);
        assert!(now.found.contains("others keep 0.500 CPUs busy"), "{}", now.found);
        assert!(remedy(&now).contains("`top"));
        assert_eq!(load(BEFORE, idle, Some("1.5 1 1 1/9 7"), None).status, Status::Warn);
        let waited = load(BEFORE, idle, None, Some("some avg10=12.00 avg60=9 total=1"));
        assert_eq!(waited.status, Status::Warn);
    }

    #[test]
    fn without_any_figure_nothing_is_claimed_about_others() {
        let blind = load("", "", None, None);
        assert_eq!(blind, Check::ok("load", "not visible who else is working"));
        assert_eq!(load("", "", Some("x"), Some("full avg10=50")), blind);
    }

    #[test]
    fn being_virtual_is_no_fault() {
        assert!(machine(true).found.starts_with("virtual"));
        assert!(machine(false).found.starts_with("not virtual"));
        assert_eq!(machine(true).status, Status::Ok);
    }

    #[test]
    fn cpus_are_spelled_as_they_are_read() {
        assert_eq!(ranges(&[7, 0, 1, 2, 4, 5]), "0-2,4,5,7");
        assert_eq!(list("0-2,4,5,7\n"), [0, 1, 2, 4, 5, 7]);
        assert!(list("").is_empty());
    }
}
