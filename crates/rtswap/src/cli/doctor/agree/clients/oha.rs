//! oha: a rate, with latencies from when a request was due.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::{Count, Foreign, Probe, Program, Task};
use crate::cli::doctor::agree::record::Load;

/// What oha prints with `--output-format json`: the part that is used. Seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    summary: Summary,
    latency_percentiles: BTreeMap<String, Option<f64>>,
    status_code_distribution: BTreeMap<String, u64>,
    #[serde(default)]
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    requests_per_sec: f64,
}

pub(super) fn find(probe: &Probe<'_>) -> Result<Program, String> {
    let remedy = || "install oha: `cargo install oha`".to_owned();
    let help = probe.printed(&["oha", "--help"]).ok_or_else(remedy)?;
    if !help.contains("--output-format") {
        return Err(
            "`oha` in PATH has no --output-format: update it: `cargo install oha`".to_owned()
        );
    }
    let version = probe.printed(&["oha", "--version"]).unwrap_or_default();
    Ok(Program {
        client: Foreign::Oha,
        path: "oha".to_owned(),
        version: version.trim().to_owned(),
        loads: &[Load::Rate],
    })
}

pub(super) fn command(path: &str, task: &Task<'_>) -> Vec<String> {
    let rate = format!("{:.0}", task.rate_per_s.unwrap_or(1.0).max(1.0));
    let (seconds, conns) = (format!("{}s", task.seconds), task.conns.to_string());
    let url = task.url();
    let words = [
        path,
        "--no-tui",
        "--output-format",
        "json",
        "--latency-correction",
        "-q",
        &rate,
        "-z",
        &seconds,
        "-c",
        &conns,
        &url,
    ];
    words.map(ToOwned::to_owned).to_vec()
}

pub(super) fn parse(printed: &str) -> Result<Count, String> {
    let printed: Printed = serde_json::from_str(printed)
        .map_err(|error| format!("its output is not the expected JSON ({error})"))?;
    if let Some((status, n)) =
        printed.status_code_distribution.iter().find(|(status, _)| !status.starts_with('2'))
    {
        return Err(format!("it reports {n} responses with status {status}"));
    }
    // Requests under way at the end of the time are aborted.
    let mut errors = printed.error_distribution.iter();
    if let Some((error, n)) = errors.find(|(error, _)| !error.contains("deadline")) {
        return Err(format!("it reports {n} errors: {error}"));
    }
    let percentile = |name: &str| {
        printed.latency_percentiles.get(name).copied().flatten().map(|seconds| seconds * 1e9)
    };
    Ok(Count {
        ops: printed.status_code_distribution.values().sum(),
        ops_per_s: printed.summary.requests_per_sec,
        p50_ns: percentile("p50"),
        p90_ns: percentile("p90"),
        p99_ns: percentile("p99"),
        p999_ns: percentile("p99.9"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    /// Written after oha's schema.json, not recorded.
    const PRINTED: &str = r#"{
  "summary": {"successRate": 1.0, "total": 2.0, "slowest": 0.004, "fastest": 0.0001,
    "average": 0.0005, "requestsPerSec": 10000.5, "totalData": 260000, "sizePerRequest": 13,
    "sizePerSec": 130000.0},
  "responseTimeHistogram": {"0.0001": 1},
  "latencyPercentiles": {"p10": 0.0002, "p50": 0.0005, "p90": 0.001, "p99": 0.002, "p99.9": 0.003,
    "p99.99": null},
  "rps": {"mean": 10000.0},
  "details": {},
  "statusCodeDistribution": {"200": 20001},
  "errorDistribution": {"aborted due to deadline": 3}
}"#;

    #[test]
    fn parse_reads_documented_output() {
        let count = parse(PRINTED).unwrap();
        assert_eq!((count.ops, count.ops_per_s), (20_001, 10_000.5));
        let latencies = [count.p50_ns, count.p90_ns, count.p99_ns, count.p999_ns];
        assert_eq!(latencies, [Some(0.5e6), Some(1e6), Some(2e6), Some(3e6)]);
    }

    #[test]
    fn parse_rejects_errors_and_other_status() {
        let error = parse(&PRINTED.replace("aborted due to deadline", "refused")).unwrap_err();
        assert_eq!(error, "it reports 3 errors: refused");
        let error = parse(&PRINTED.replace("\"200\"", "\"500\"")).unwrap_err();
        assert_eq!(error, "it reports 20001 responses with status 500");
        assert!(parse("oha: error").is_err());
    }

    #[test]
    fn command_has_rate_and_correction() {
        let line = command("oha", &task(Some(10_000.0))).join(" ");
        let expected = "oha --no-tui --output-format json --latency-correction -q 10000 -z 2s -c 32 \
                        http://127.0.0.1:7000/plaintext";
        assert_eq!(line, expected);
    }
}
