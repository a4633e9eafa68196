//! wrk: a closed loop.

use super::{Count, Foreign, Probe, Program, Task, duration_ns, number_after};
use crate::cli::doctor::agree::record::Load;

pub(super) fn find(probe: &Probe<'_>) -> Result<Program, String> {
    let remedy = || "install wrk: `apt install wrk`".to_owned();
    let help = probe.printed(&["wrk"]).ok_or_else(remedy)?;
    // wrk2 also installs itself as wrk, and cannot run without a rate.
    if help.contains("--rate") {
        return Err(format!("`wrk` in PATH is wrk2; {}", remedy()));
    }
    let version = probe.printed(&["wrk", "-v"]).unwrap_or_default();
    Ok(Program {
        client: Foreign::Wrk,
        path: "wrk".to_owned(),
        version: version_of(&version),
        loads: &[Load::Saturation],
    })
}

/// `wrk 4.1.0` of the first line.
pub(super) fn version_of(printed: &str) -> String {
    let line = printed.lines().next().unwrap_or_default();
    line.split(" [").next().unwrap_or_default().trim().to_owned()
}

pub(super) fn command(path: &str, task: &Task<'_>) -> Vec<String> {
    let Task { threads, conns, seconds, .. } = task;
    vec![
        path.to_owned(),
        format!("-t{threads}"),
        format!("-c{conns}"),
        format!("-d{seconds}s"),
        "--latency".to_owned(),
        task.url(),
    ]
}

pub(super) fn parse(printed: &str) -> Result<Count, String> {
    let percentile = |label: &str| {
        let mut lines = printed.lines().map(str::trim);
        duration_ns(lines.find_map(|line| line.strip_prefix(label))?.trim())
    };
    Ok(Count {
        p50_ns: percentile("50%"),
        p90_ns: percentile("90%"),
        p99_ns: percentile("99%"),
        p999_ns: None,
        ..count(printed)?
    })
}

/// The lines that wrk and wrk2 have in common.
pub(super) fn count(printed: &str) -> Result<Count, String> {
    for wrong in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(line) = printed.lines().map(str::trim).find(|line| line.starts_with(wrong)) {
            return Err(format!("it reports: {line}"));
        }
    }
    let requests = printed.lines().find(|line| line.contains(" requests in "));
    let ops = requests.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    let per_s = number_after(printed, "Requests/sec:");
    let (Some(ops), Some(ops_per_s)) = (ops, per_s) else {
        return Err("its output has no number of requests".to_owned());
    };
    Ok(Count { ops, ops_per_s, ..Count::default() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    const PRINTED: &str = "\
Running 2s test @ http://127.0.0.1:7631/plaintext
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   173.07us  166.85us   5.10ms   99.22%
    Req/Sec   174.76k     4.72k  179.39k    90.00%
  Latency Distribution
     50%  168.00us
     75%  177.00us
     90%  185.00us
     99%  259.00us
  347409 requests in 2.00s, 43.40MB read
Requests/sec: 173678.54
Transfer/sec:     21.70MB
";

    #[test]
    fn parse_reads_recorded_output() {
        let expected = Count {
            ops: 347_409,
            ops_per_s: 173_678.54,
            p50_ns: Some(168e3),
            p90_ns: Some(185e3),
            p99_ns: Some(259e3),
            p999_ns: None,
        };
        assert_eq!(parse(PRINTED), Ok(expected));
    }

    #[test]
    fn parse_rejects_errors_and_other_output() {
        let errors = "  Socket errors: connect 0, read 12, write 0, timeout 0\n";
        let error = parse(&format!("{PRINTED}{errors}")).unwrap_err();
        assert_eq!(error, format!("it reports: {}", errors.trim()));
        let error = parse(&format!("{PRINTED}  Non-2xx or 3xx responses: 3\n")).unwrap_err();
        assert_eq!(error, "it reports: Non-2xx or 3xx responses: 3");
        assert!(parse("").is_err());
    }

    #[test]
    fn version_of_first_line() {
        let line = "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\nUsage:";
        assert_eq!(version_of(line), "wrk debian/4.1.0-3+b2");
    }

    #[test]
    fn command_has_connections_and_time() {
        let line = command("wrk", &task(None)).join(" ");
        assert_eq!(line, "wrk -t1 -c32 -d2s --latency http://127.0.0.1:7000/plaintext");
    }
}
