//! Checks of what the kernel allows, of the network and of the program itself. Pure: from what the
//! kernel says to what it means.

use std::path::Path;

use rtswap_report::words;

use super::check::Check;

/// Descriptors of a process besides its connections: pipes, counters, libraries.
const SPARE: u64 = 100;
/// `ADDR_NO_RANDOMIZE` of personality(2).
const NO_RANDOMIZE: u32 = 0x0004_0000;
/// A long run's record is about 20 MB.
const DISK_LEAST: u64 = 100 << 20;
/// What the lanes and the generator take with many connections and large messages.
const MEMORY_LEAST: u64 = 512 << 20;

/// Each lane, and why it cannot run here if it cannot.
pub(super) fn lanes(available: &[(&str, Result<(), String>)]) -> Check {
    const NAME: &str = "lanes";
    let missing: Vec<(&str, &String)> =
        available.iter().filter_map(|(lane, it)| Some((*lane, it.as_ref().err()?))).collect();
    let all = words::counted(available.len(), "lane");
    if missing.is_empty() {
        return Check::ok(NAME, format!("{all}, all usable here"));
    }
    // Adapters word their reasons with the remedy behind a semicolon; many lanes may share one.
    let (mut found, mut remedies): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for (lane, why) in &missing {
        let (reason, remedy) = why.split_once("; ").unwrap_or((why.as_str(), ""));
        found.push(format!("{lane} cannot run ({reason})"));
        if !remedy.is_empty() && !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    let found = found.join(", ");
    let remedy = if remedies.is_empty() {
        "`rtswap list` shows all lanes; `rtswap run --lane NAME` measures those that can run"
            .to_owned()
    } else {
        remedies.join("; ")
    };
    if missing.len() == available.len() {
        return Check::bad(NAME, format!("none of {all} is usable: {found}"), remedy);
    }
    Check::warn(NAME, format!("of {all}: {found}; the others do"), remedy)
}

/// What the runs of this program need at most. Connections that do not fit at once are opened for each
/// slice, which takes time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// The most connections of a workload that is measured unless told otherwise.
    pub default_conns: u64,
    /// The most connections of any workload with its listed parameters.
    pub most_conns: u64,
    /// Lanes, the control among them, all of which keep their connections during a round.
    pub lanes: u64,
}

/// The limit on a process's descriptors; `None` stands for no limit. The generator has the other
/// ends of all lanes' connections.
pub(super) fn descriptors(soft: Option<u64>, hard: Option<u64>, need: Need) -> Check {
    const NAME: &str = "descriptors";
    let least = need.default_conns * need.lanes + SPARE;
    let most = least.max(need.most_conns + SPARE);
    let may = match (soft, hard) {
        (_, None) => "any number may be open".to_owned(),
        (Some(soft), Some(hard)) if soft < hard => {
            format!("{} may be open ({} until rtswap asks)", number(hard), number(soft))
        }
        (_, Some(hard)) => format!("{} may be open", number(hard)),
    };
    let found = format!("{may}; the largest workload takes {}", number(most));
    let remedy = format!("`sudo prlimit --pid $$ --nofile={most}:{most}` allows it in this shell");
    match hard {
        Some(hard) if hard < least => Check::bad(NAME, found, remedy),
        Some(hard) if hard < most => Check::warn(NAME, found, remedy),
        _ => Check::ok(NAME, found),
    }
}

/// Whether system calls can be counted. The counter's reasons end in their remedy.
pub(super) fn perf(opened: Result<(), &str>) -> Check {
    const NAME: &str = "perf";
    let Err(why) = opened else {
        return Check::ok(NAME, "system calls and context switches can be counted");
    };
    let (reason, remedy) = why
        .split_once("): ")
        .map_or((why.to_owned(), "run as root"), |(reason, remedy)| (format!("{reason})"), remedy));
    Check::warn(NAME, format!("system calls cannot be counted: {reason}"), remedy)
}

/// `range`: `/proc/sys/net/ipv4/ip_local_port_range`.
pub(super) fn ports(range: Option<&str>, need: Need) -> Check {
    const NAME: &str = "ports";
    let mut ends = range.unwrap_or_default().split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else {
        return Check::ok(NAME, "not visible which ports connections may take");
    };
    let have = (last + 1).saturating_sub(first);
    // Towards one lane: another one listens at a port of its own.
    let most = need.most_conns;
    let found = format!(
        "{} for outgoing connections ({first} to {last}); the largest workload takes {}",
        number(have),
        number(most)
    );
    // Closed ones are taken for another minute, and every round opens new ones.
    if have >= 2 * most {
        return Check::ok(NAME, found);
    }
    Check::warn(NAME, found, "`sudo sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"`")
}

/// Whether a connection over loopback came about. The interface's flags are no better witness: in a
/// network namespace of its own a process may see those of another one.
pub(super) fn loopback(connected: Result<(), String>) -> Check {
    const NAME: &str = "loopback";
    match connected {
        Ok(()) => Check::ok(NAME, "127.0.0.1 can be connected to"),
        Err(why) => Check::bad(
            NAME,
            format!("127.0.0.1 cannot be connected to: {why}"),
            "`sudo ip link set lo up`; if it is up, `sudo nft list ruleset` may show what forbids it",
        ),
    }
}

/// `default`: `/proc/sys/net/ipv4/tcp_congestion_control`.
pub(super) fn congestion(default: Option<&str>) -> Check {
    const NAME: &str = "congestion";
    match default.map(str::trim) {
        None | Some("") => Check::ok(NAME, "not visible which congestion control is the default"),
        // The only kind that sets a timer for each message, on loopback too.
        Some(bbr) if bbr.starts_with("bbr") => Check::warn(
            NAME,
            format!(
                "{bbr} is the default: it paces what it sends; the lanes here choose reno, but one \
                 of your own pays for it unless it chooses, too"
            ),
            "`sudo sysctl -w net.ipv4.tcp_congestion_control=cubic`",
        ),
        Some(other) => Check::ok(NAME, format!("{other}, which does not pace")),
    }
}

/// `randomize`: `/proc/sys/kernel/randomize_va_space`. `personality`: `/proc/self/personality`.
pub(super) fn aslr(randomize: Option<&str>, personality: Option<&str>) -> Check {
    const NAME: &str = "aslr";
    let personality =
        personality.and_then(|text| u32::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let why = "a difference may be the layout's, because every process gets the same";
    if personality & NO_RANDOMIZE != 0 {
        return Check::warn(
            NAME,
            format!("address layouts are fixed for this process: {why}"),
            "start it without `setarch --addr-no-randomize` or a debugger",
        );
    }
    let found = match randomize.map(str::trim) {
        None => return Check::ok(NAME, "not visible whether address layouts are random"),
        Some("2") => return Check::ok(NAME, "every process gets an address layout of its own"),
        Some("1") => "the heap's place is not random",
        Some(_) => "address layouts are not random",
    };
    Check::warn(NAME, format!("{found}: {why}"), "`sudo sysctl -w kernel.randomize_va_space=2`")
}

/// Whether this program was built with debug assertions, which come with missing optimisation.
pub(super) fn build(debug_assertions: bool) -> Check {
    const NAME: &str = "build";
    if debug_assertions {
        return Check::bad(
            NAME,
            "built without optimisation: runtimes come out several times slower than they are, \
             and not all alike",
            "`cargo run --release -- doctor`, and all else with `--release` too",
        );
    }
    Check::ok(NAME, "optimised")
}

/// Free bytes where records go, and whether they may be written there.
pub(super) fn disk(folder: &Path, free: Option<u64>, writable: bool) -> Check {
    const NAME: &str = "disk";
    let place = folder.display();
    let elsewhere = "`rtswap run --out /elsewhere/run.jsonl` keeps the record in another place";
    if !writable {
        return Check::warn(NAME, format!("{place} may not be written to"), elsewhere);
    }
    let Some(free) = free else {
        return Check::ok(NAME, format!("not visible how much is free in {place}"));
    };
    let found = format!("{} free for records in {place}", words::bytes(free as f64));
    if free < DISK_LEAST {
        return Check::warn(NAME, format!("only {found}"), elsewhere);
    }
    Check::ok(NAME, found)
}

/// `meminfo`: `/proc/meminfo`.
pub(super) fn memory(meminfo: Option<&str>) -> Check {
    const NAME: &str = "memory";
    let available = meminfo.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let Some(available) = available else {
        return Check::ok(NAME, "not visible how much is free");
    };
    let found = format!("{} free", words::bytes(available as f64));
    if available < MEMORY_LEAST {
        return Check::warn(
            NAME,
            format!("only {found}: lanes may be swapped out or killed"),
            "`ps aux --sort -rss | head` shows who has it",
        );
    }
    Check::ok(NAME, found)
}

fn number(value: u64) -> String {
    words::rate(value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    const NEED: Need = Need { default_conns: 32, most_conns: 2000, lanes: 7 };

    fn remedy(check: &Check) -> &str {
        check.remedy.as_deref().unwrap_or_default()
    }

    #[test]
    fn lanes_that_cannot_run_are_listed_with_what_would_let_them() {
        let no = |why: &str| Err(why.to_owned());
        assert_eq!(
            lanes(&[("tokio", Ok(())), ("smol", Ok(()))]),
            Check::ok("lanes", "2 lanes, all usable here")
        );
        let blocked =
            "no io_uring here: Operation not permitted (os error 1); allow it: `sysctl x=0`";
        let some =
            lanes(&[("tokio", Ok(())), ("tokio-uring", no(blocked)), ("monoio", no(blocked))]);
        assert_eq!(some.status, Status::Warn);
        assert!(
            some.found.contains("tokio-uring cannot run (no io_uring here: "),
            "{}",
            some.found
        );
        assert!(some.found.contains("(os error 1)), monoio cannot run"), "{}", some.found);
        assert_eq!(remedy(&some), "allow it: `sysctl x=0`");
        let none = lanes(&[("mine", no("no such thing"))]);
        assert_eq!(none.status, Status::Bad);
        assert!(remedy(&none).contains("`rtswap list`"));
    }

    #[test]
    fn the_hard_limit_on_descriptors_is_what_counts() {
        let any = descriptors(Some(1024), None, NEED);
        assert!(any.status == Status::Ok && any.found.starts_with("any number"), "{any:?}");
        let enough = descriptors(Some(1024), Some(20_000), NEED);
        assert_eq!(
            enough,
            Check::ok(
                "descriptors",
                "20,000 may be open (1,024 until rtswap asks); the largest workload takes 2,100"
            )
        );
        let short = descriptors(Some(1024), Some(1024), NEED);
        assert_eq!(short.status, Status::Warn);
        assert!(remedy(&short).contains("--nofile=2100:2100"), "{short:?}");
        assert_eq!(descriptors(Some(256), Some(256), NEED).status, Status::Bad);
    }

    #[test]
    fn counters_that_are_refused_come_with_the_kernels_word_and_the_remedy() {
        assert_eq!(perf(Ok(())).status, Status::Ok);
        let refused =
            perf(Err("perf_event_open is refused (EACCES): run as root, or `sudo sysctl x=-1`"));
        assert_eq!(
            refused,
            Check::warn(
                "perf",
                "system calls cannot be counted: perf_event_open is refused (EACCES)",
                "run as root, or `sudo sysctl x=-1`"
            )
        );
        assert_eq!(remedy(&perf(Err("no idea"))), "run as root");
    }

    #[test]
    fn ports_suffice_for_two_rounds_at_once() {
        let usual = ports(Some("32768\t60999\n"), NEED);
        assert_eq!(
            usual,
            Check::ok(
                "ports",
                "28,232 for outgoing connections (32768 to 60999); the largest workload takes 2,000"
            )
        );
        let few = ports(Some("60000 61000"), NEED);
        assert_eq!(few.status, Status::Warn);
        assert!(remedy(&few).contains("ip_local_port_range"));
        assert_eq!(ports(Some("9 1"), NEED).status, Status::Warn);
        for unknown in [None, Some(""), Some("1024"), Some("a b")] {
            assert!(ports(unknown, NEED).found.starts_with("not visible"));
        }
    }

    #[test]
    fn loopback_that_fails_is_bad() {
        assert_eq!(loopback(Ok(())).status, Status::Ok);
        let failed = loopback(Err("Network is unreachable (os error 101)".to_owned()));
        assert_eq!(failed.status, Status::Bad);
        assert!(failed.found.contains("os error 101"), "{failed:?}");
        assert!(remedy(&failed).contains("`sudo ip link set lo up`"), "{failed:?}");
    }

    #[test]
    fn only_congestion_control_that_paces_is_worth_a_word() {
        for fine in ["cubic\n", "reno\n", "dctcp"] {
            assert_eq!(congestion(Some(fine)).status, Status::Ok, "{fine}");
        }
        assert!(congestion(None).found.starts_with("not visible"));
        for pacing in ["bbr\n", "bbr2"] {
            let check = congestion(Some(pacing));
            assert_eq!(check.status, Status::Warn, "{pacing}");
            assert_eq!(remedy(&check), "`sudo sysctl -w net.ipv4.tcp_congestion_control=cubic`");
        }
    }

    #[test]
    fn fixed_address_layouts_are_told_machine_wide_or_of_this_process() {
        assert_eq!(aslr(Some("2\n"), Some("00000000\n")).status, Status::Ok);
        assert_eq!(aslr(Some("2\n"), None).status, Status::Ok);
        assert!(aslr(None, None).found.starts_with("not visible"));
        for (text, part) in [("1\n", "the heap's"), ("0\n", "layouts are not")] {
            let check = aslr(Some(text), Some("0"));
            assert!(check.found.contains(part), "{}", check.found);
            assert_eq!(remedy(&check), "`sudo sysctl -w kernel.randomize_va_space=2`");
        }
        let own = aslr(Some("2\n"), Some("00040000\n"));
        assert_eq!(own.status, Status::Warn);
        assert!(remedy(&own).contains("setarch"));
    }

    #[test]
    fn a_debug_build_is_bad() {
        assert_eq!(build(false).status, Status::Ok);
        let debug = build(true);
        assert_eq!(debug.status, Status::Bad);
        assert!(remedy(&debug).contains("--release"));
    }

    #[test]
    fn records_need_a_place() {
        let here = Path::new(".");
        assert_eq!(disk(here, Some(1 << 30), true).status, Status::Ok);
        assert_eq!(disk(here, None, true).status, Status::Ok);
        let full = disk(here, Some(50 << 20), true);
        assert_eq!(full.status, Status::Warn);
        assert!(full.found.starts_with("only 50.0 MiB free"), "{}", full.found);
        let locked = disk(here, Some(1 << 30), false);
        assert_eq!(locked.status, Status::Warn);
        assert!(remedy(&locked).contains("--out"));
    }

    #[test]
    fn memory_is_what_is_available_not_what_is_unused() {
        let meminfo = |mib: u64| {
            format!("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:   {} kB\n", mib * 1024)
        };
        assert_eq!(memory(Some(&meminfo(2048))), Check::ok("memory", "2.00 GiB free"));
        let short = memory(Some(&meminfo(100)));
        assert_eq!(short.status, Status::Warn);
        assert!(remedy(&short).contains("`ps aux"));
        for unknown in [None, Some("MemTotal: 9 kB"), Some("MemAvailable: x kB")] {
            assert!(memory(unknown).found.starts_with("not visible"));
        }
    }
}
