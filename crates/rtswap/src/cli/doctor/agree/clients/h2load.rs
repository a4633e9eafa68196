//! h2load of nghttp2, with HTTP/1.1: a closed loop, or a rate on each connection.

use std::fs;
use std::path::PathBuf;

use super::{BOTH, Count, Foreign, Probe, Program, Task, number_after};
use crate::cli::doctor::agree::record::Load;

pub(super) fn find(probe: &Probe<'_>) -> Result<Program, String> {
    let remedy = || "install h2load: `apt install nghttp2-client`".to_owned();
    let help = probe.printed(&["h2load", "--help"]).ok_or_else(remedy)?;
    if !help.contains("--h1") {
        return Err("`h2load` in PATH has no --h1: install nghttp2 1.17 or newer".to_owned());
    }
    let version = probe.printed(&["h2load", "--version"]).unwrap_or_default();
    Ok(Program {
        client: Foreign::H2load,
        path: "h2load".to_owned(),
        version: version.trim().to_owned(),
        // --rps came with nghttp2 1.42.
        loads: if help.contains("--rps") { BOTH } else { &[Load::Saturation] },
    })
}

pub(super) fn command(path: &str, task: &Task<'_>) -> Vec<String> {
    let Task { threads, conns, seconds, .. } = task;
    let mut words = vec![
        path.to_owned(),
        "--h1".to_owned(),
        format!("-t{threads}"),
        format!("-c{conns}"),
        format!("-D{seconds}"),
    ];
    if let Some(rate) = task.rate_per_s {
        words.push(format!("--rps={:.3}", rate / *conns as f64));
        // The closed loop would write a line for each of many requests.
        words.push(format!("--log-file={}", log(task).display()));
    }
    words.push(task.url());
    words
}

fn log(task: &Task<'_>) -> PathBuf {
    task.folder.join("h2load.log")
}

pub(super) fn parse(printed: &str, task: &Task<'_>) -> Result<Count, String> {
    let count = count(printed)?;
    if task.rate_per_s.is_none() {
        return Ok(count);
    }
    let path = log(task);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("it has not written {}: {error}", path.display()))?;
    // It appends to a log that exists.
    let _ = fs::remove_file(&path);
    Ok(with_latencies(count, &text))
}

fn count(printed: &str) -> Result<Count, String> {
    let line = |begin: &str| printed.lines().find(|line| line.starts_with(begin));
    let wrong = || "its output has no number of requests".to_owned();
    let requests = line("requests:").ok_or_else(wrong)?;
    let figure = |label: &str| {
        let mut parts = requests.trim_start_matches("requests:").split(',');
        parts.find_map(|part| part.trim().strip_suffix(label)?.trim().parse::<u64>().ok())
    };
    let succeeded = figure("succeeded").ok_or_else(wrong)?;
    if ["failed", "errored", "timeout"].iter().any(|label| figure(label) != Some(0)) {
        return Err(format!("it reports {requests}"));
    }
    let codes = line("status codes:").ok_or_else(wrong)?;
    if !codes.contains(&format!(" {succeeded} 2xx")) {
        return Err(format!("it reports {codes}"));
    }
    let finished = line("finished in").and_then(|line| line.split(',').nth(1));
    let ops_per_s = finished.and_then(|part| number_after(part, "")).ok_or_else(wrong)?;
    Ok(Count { ops: succeeded, ops_per_s, ..Count::default() })
}

/// From the third column of its log: microseconds until the end of the response.
fn with_latencies(count: Count, log: &str) -> Count {
    let microseconds = |line: &str| line.split('\t').nth(2)?.trim().parse::<u64>().ok();
    let mut all: Vec<u64> = log.lines().filter_map(microseconds).collect();
    all.sort_unstable();
    let percentile = |q: f64| {
        let rank = (q * all.len() as f64).ceil() as usize;
        all.get(rank.saturating_sub(1)).map(|&us| us as f64 * 1e3)
    };
    Count {
        p50_ns: percentile(0.50),
        p90_ns: percentile(0.90),
        p99_ns: percentile(0.99),
        p999_ns: percentile(0.999),
        ..count
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    const PRINTED: &str = "\
starting benchmark...
spawning thread #0: 32 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
Application protocol: http/1.1

finished in 2.00s, 9968.00 req/s, 1.25MB/s
requests: 19936 total, 19936 started, 19936 done, 19936 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 19936 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.49MB (2611616) total, 1.58MB (1654688) headers (space savings 0.00%), 253.09KB (259168) data
                     min         max         mean         sd        +/- sd
time for request:       54us      7.55ms       359us       550us    95.42%
time for connect:        6us       155us        86us        42us    59.38%
time to 1st byte:      413us       731us       483us        71us    93.75%
req/s           :     311.30      311.34      311.32        0.01    62.50%
";

    #[test]
    fn parse_reads_recorded_output() {
        let count = parse(PRINTED, &task(None)).unwrap();
        assert_eq!((count.ops, count.ops_per_s, count.p50_ns), (19_936, 9968.0, None));
    }

    #[test]
    fn parse_reads_and_removes_log() {
        let folder = tempfile::tempdir().unwrap();
        let paced = Task { folder: folder.path(), ..task(Some(10_000.0)) };
        assert!(parse(PRINTED, &paced).unwrap_err().contains("h2load.log"));
        let line = |us| format!("1795679796440851\t200\t{us}\n");
        let lines: String = (1..=1000).rev().map(line).collect();
        fs::write(log(&paced), lines).unwrap();
        let count = parse(PRINTED, &paced).unwrap();
        assert_eq!((count.p50_ns, count.p90_ns), (Some(500e3), Some(900e3)));
        assert_eq!((count.p99_ns, count.p999_ns), (Some(990e3), Some(999e3)));
        assert!(!log(&paced).exists());
    }

    #[test]
    fn parse_rejects_failures_and_other_status() {
        let failed = PRINTED.replace("0 failed, 0 errored", "2 failed, 2 errored");
        assert!(parse(&failed, &task(None)).unwrap_err().contains("2 failed, 2 errored"));
        let status = PRINTED.replace("19936 2xx, 0 3xx, 0 4xx", "19935 2xx, 0 3xx, 1 4xx");
        assert!(parse(&status, &task(None)).unwrap_err().contains("1 4xx"));
        assert!(parse("", &task(None)).is_err());
    }

    #[test]
    fn command_divides_rate_by_connections() {
        let line = command("h2load", &task(Some(10_000.0))).join(" ");
        let expected = "h2load --h1 -t1 -c32 -D2 --rps=312.500 --log-file=/folder/h2load.log \
                        http://127.0.0.1:7000/plaintext";
        assert_eq!(line, expected);
        assert!(!command("h2load", &task(None)).join(" ").contains("--rps"));
    }
}
