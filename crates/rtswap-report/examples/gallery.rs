//! Prints the report of simulated runs: `cargo run -p rtswap-report --example gallery`, in a
//! terminal of any width.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{lane, own, run};
use rtswap_report::{Style, Summary, table, warnings};
use rtswap_schema::record::Status;

fn main() {
    let mut run = run(vec![
        lane("tokio", 1.0),
        lane("tokio-local", 1.0),
        lane("smol", 1.28).calls(4.0, 0.05),
        lane("async-std", 1.35).calls(4.9, 0.2),
        lane("compio", 0.8).calls(0.1, 0.0),
        lane("monoio", 0.72).calls(0.06, 0.001),
        lane("tokio-uring", 1.0).lost(
            Status::Unsupported,
            "io_uring_setup: Operation not permitted (os error 1): io_uring is blocked here; run outside the container or allow it with --security-opt seccomp=unconfined",
        ),
        lane("glommio", 1.0).lost(Status::Failed, "it hung for 5 s in round 3"),
    ]);
    run.lanes[3].idle_cpu = 0.05;
    run.workloads.push(own(
        "spawn/tasks=1000",
        "task",
        "one task spawned and joined, its result checked",
    ));
    if std::env::args().any(|arg| arg == "generator") {
        run.load_ns = 11_000.0;
    }
    if std::env::args().any(|arg| arg == "mixed") {
        run.load_ns = 6_500.0;
    }
    if std::env::args().any(|arg| arg == "rate") {
        run.workloads.insert(0, common::http("60%"));
        run.lanes[2] = run.lanes[2].clone().late(1.5, 1.0);
        run.lanes[3] = run.lanes[3].clone().growing(0.3);
        run.lanes[4] = run.lanes[4].clone().late(0.7, 3.0).stalling(110_000_000);
    }
    let summary = Summary::of(&run.record());
    let style = Style::of_stdout();
    print!("{}", table(&summary, &style));
    eprint!("{}", warnings(&summary, &style));
}
