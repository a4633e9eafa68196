//! wrk2: a rate, with latencies from when a request was due.

use super::wrk::{self, version_of};
use super::{Count, Foreign, Probe, Program, Task, duration_ns};
use crate::cli::doctor::agree::record::Load;

pub(super) fn find(probe: &Probe<'_>) -> Result<Program, String> {
    let understands_rate =
        |path: &&&str| probe.printed(&[**path]).is_some_and(|help| help.contains("--rate"));
    let path = ["wrk2", "wrk"].iter().find(understands_rate).ok_or(
        "install wrk2: build https://github.com/giltene/wrk2 and put it into PATH as wrk2",
    )?;
    let version = version_of(&probe.printed(&[path, "-v"]).unwrap_or_default());
    Ok(Program {
        client: Foreign::Wrk2,
        path: (*path).to_owned(),
        version: version.replacen("wrk ", "wrk2 ", 1),
        loads: &[Load::Rate],
    })
}

pub(super) fn command(path: &str, task: &Task<'_>) -> Vec<String> {
    let mut words = wrk::command(path, task);
    let rate = task.rate_per_s.unwrap_or(1.0).max(1.0);
    words.insert(1, format!("-R{rate:.0}"));
    words
}

pub(super) fn parse(printed: &str) -> Result<Count, String> {
    let percentile = |label: &str| {
        let mut lines = printed.lines().map(str::trim);
        duration_ns(lines.find_map(|line| line.strip_prefix(label))?.trim())
    };
    Ok(Count {
        p50_ns: percentile("50.000%"),
        p90_ns: percentile("90.000%"),
        p99_ns: percentile("99.000%"),
        p999_ns: percentile("99.900%"),
        ..wrk::count(printed)?
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    const PRINTED: &str = "\
Running 2s test @ http://127.0.0.1:7631/plaintext
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.90ms  417.91us   3.31ms   64.30%
    Req/Sec       -nan      -nan   0.00      0.00%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    0.90ms
 75.000%    1.21ms
 90.000%    1.46ms
 99.000%    1.79ms
 99.900%    2.30ms
 99.990%    3.19ms
 99.999%    3.31ms
100.000%    3.31ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       0.044     0.000000            1         1.00
       0.902     0.500000         9618         2.00
#[Mean    =        0.901, StdDeviation   =        0.418]
----------------------------------------------------------
  19240 requests in 2.00s, 2.40MB read
Requests/sec:   9619.58
Transfer/sec:      1.20MB
";

    #[test]
    fn parse_reads_recorded_output() {
        let expected = Count {
            ops: 19_240,
            ops_per_s: 9619.58,
            p50_ns: Some(0.90e6),
            p90_ns: Some(1.46e6),
            p99_ns: Some(1.79e6),
            p999_ns: Some(2.30e6),
        };
        assert_eq!(parse(PRINTED), Ok(expected));
        assert!(parse("Segmentation fault").is_err());
    }

    #[test]
    fn command_has_rate() {
        let line = command("wrk2", &task(Some(9_999.6))).join(" ");
        assert_eq!(line, "wrk2 -R10000 -t1 -c32 -d2s --latency http://127.0.0.1:7000/plaintext");
    }
}
