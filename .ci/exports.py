"""Reads exports with their consumers' libraries, and compares what they say with the summary."""

import csv
import json
import math
import re
import sys
from pathlib import Path

import junitparser
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from prometheus_client.openmetrics.parser import text_string_to_metric_families

out, workload = Path(sys.argv[1]), sys.argv[2]
summary = json.loads((out / "summary.json").read_text())
cells = {(c["name"], c["lane"]): c for c in summary["cells"]}
live = {key: c for key, c in cells.items() if c["status"] == "ok"}


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-9)


def read(name):
    with open(out / name, newline="", encoding="utf-8") as file:
        return file.read()


# OpenMetrics, with the reference parser, which checks types, units and the end.
samples = {}
for family in text_string_to_metric_families(read("openmetrics")):
    for sample in family.samples:
        key = (sample.name, sample.labels["workload"], sample.labels["lane"], sample.labels.get("metric"))
        assert key not in samples, key
        samples[key] = sample.value
for (name, lane), cell in live.items():
    figure = cell["metrics"]["cpu_ns_per_op"]
    seconds = samples["rtswap_cpu_time_per_operation_seconds", name, lane, None]
    assert close(seconds * 1e9, figure["value"])
    if figure["ratio"] is not None:
        assert close(samples["rtswap_cpu_time_per_operation_ratio", name, lane, None], figure["ratio"])
print("openmetrics:", len(samples), "samples")

# JUnit.
suites = junitparser.JUnitXml.fromfile(str(out / "junit"))
cases = [case for suite in suites for case in suite]
assert len({case.name for case in cases}) == len(cases) == len(cells)
bad = [case for case in cases if any(isinstance(it, junitparser.Failure) for it in case.result)]
assert len(bad) == suites.failures == sum(c["status"] in ("failed", "invalid") for c in cells.values())
print("junit:", len(cases), "cases")

# HdrHistogram: the log, and the percentiles of its sum.
total = HdrHistogram(1, 1 << 62, 3)
reader = HistogramLogReader(str(out / "hlog"), HdrHistogram(1, 1 << 62, 3))
rounds = 0
while (interval := reader.get_next_interval_histogram()) is not None:
    assert interval.get_tag() == "smol", interval.get_tag()
    total.add(interval)
    rounds += 1
latency = live[workload, "smol"]["latency_ns"]
assert rounds > 0
for quantile in ("p50", "p90", "p99"):
    assert total.get_value_at_percentile(float(quantile[1:])) == latency[quantile], quantile
assert total.get_max_value() == latency["max"]
# As HdrHistogram's plotter reads it: four columns.
rows = [line.split() for line in read("hgrm").splitlines() if not line.startswith("#")]
rows = [[float(field) for field in row] for row in rows[1:] if len(row) == 4]
recorded = [(it.value_iterated_to, it.total_count_to_this_value) for it in total.get_recorded_iterator()]
recorded = [(it.value_iterated_to, it.total_count_to_this_value) for it in total.get_recorded_iterator()]
for value, quantile, count, inverse in rows:
    upto = [upto for recorded_value, upto in recorded if recorded_value <= round(value * 1e6)][-1]
    assert upto == count >= quantile * total.total_count, (value, quantile, count, upto)
    assert abs(inverse * (1 - quantile) - 1) < 0.01
assert f"Total count    = {total.total_count:12}" in read("hgrm")
print("hlog:", rounds, "intervals; hgrm:", len(rows), "rows")

# CSV.
rows = list(csv.DictReader(read("csv").splitlines()))
assert {(row["workload"], row["lane"]) for row in rows} == set(cells)
for row in rows:
    if row["metric"] in (metrics := cells[row["workload"], row["lane"]]["metrics"]):
        assert close(float(row["value"]), metrics[row["metric"]]["value"])
print("csv:", len(rows), "rows")

# Bencher: the shape and the names that it takes.
for name, measures in json.loads(read("bmf")).items():
    assert 0 < len(name) <= 1024
    assert not name.endswith(("_bencher_ignore", "BencherIgnore", "-bencher-ignore"))
    for measure, metric in measures.items():
        assert re.fullmatch("[a-z0-9-]+", measure), measure
        assert set(metric) <= {"value", "lower_value", "upper_value"} and "value" in metric
        assert metric.get("lower_value", -math.inf) <= metric["value"] <= metric.get("upper_value", math.inf)

# github-action-benchmark: what it takes from each entry, and the pattern by which it reads ranges.
for entry in json.loads(read("github-action-benchmark")):
    assert isinstance(entry["name"], str) and isinstance(entry["unit"], str)
    assert isinstance(entry["value"], (int, float))
    if "range" in entry:
        match = re.search(r"(\+-|±)\s*(?P<value>\d.+)", entry["range"])
        float(match["value"])

# benchstat: fields in pairs after the name and the iterations, one line for each round.
lines = [line.split() for line in read("benchfmt").splitlines() if line.startswith("Benchmark")]
units = {line.split()[1] for line in read("benchfmt").splitlines() if line.startswith("Unit ")}
for name, iterations, *pairs in lines:
    assert int(iterations) > 0 and len(pairs) % 2 == 0 and pairs
    assert units.issuperset(pairs[1::2]) and all(map(float, pairs[::2]))
print("bmf, github-action-benchmark, benchfmt: by their rules alone")
