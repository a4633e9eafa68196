//! What the generator costs, against an echo server written on the system calls. To be looked at,
//! on a quiet machine with two CPUs or more:
//!
//! ```text
//! cargo test --release -p rtswap-load --test cost -- --ignored --nocapture
//! ```

mod support;

use std::fs;
use std::time::Duration;

use support::{config, cpus};

use rtswap_load::{Config, Generator, Target, Traffic};

/// CPU time of a thread of this process, in nanoseconds.
fn thread_cpu_ns(thread: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement, not a test"]
fn cost_per_operation() {
    let cpus = cpus();
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    let generator = Generator::new(Config { cpus: vec![last], ..config(1) }).unwrap();
    let kept = [(64, 32), (1024, 1), (1024, 32), (1024, 512), (10240, 32)]
        .map(|(size, conns)| (size, conns, Traffic::Kept { active: conns }));
    let others = [(1024, 512, Traffic::Kept { active: 32 }), (64, 32, Traffic::Churn)];
    for (size, conns, traffic) in kept.into_iter().chain(others) {
        let (addr, server) = support::epoll::serve(size, Some(first));
        let target = Target { addr, size, conns, traffic };
        let mut session = generator.connect(target).unwrap();
        let (mut ops, mut load_ns, mut server_ns, mut elapsed) = (0, 0, 0, Duration::ZERO);
        for _slice in 0..40 {
            let (warmup, window) = (Duration::from_millis(5), Duration::from_millis(45));
            let probe = move || thread_cpu_ns(server);
            let slice = generator.slice(&mut session, warmup, window, probe).unwrap();
            ops += slice.ops;
            elapsed += slice.elapsed;
            load_ns += slice.load_cpu.as_nanos();
            server_ns += slice.probes.1 - slice.probes.0;
        }
        println!(
            "{size} B x {conns}, {traffic:?}: {:.0} operations/s, per operation {} ns CPU of the generator, {} \
             ns of the server",
            ops as f64 / elapsed.as_secs_f64(),
            load_ns / u128::from(ops),
            server_ns / ops
        );
    }
}
