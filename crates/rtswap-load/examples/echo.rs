//! Measures the CPU time of the generator per operation, and that of an echo server written on system
//! calls. Run it on an idle machine with at least two CPUs:
//!
//! ```text
//! cargo run --release -p rtswap-load --example echo
//! ```

#[path = "../tests/support/epoll.rs"]
mod epoll;

use std::error::Error;
use std::fs;
use std::time::Duration;

use rtswap_load::{Config, Generator, Target, Traffic};
use rustix::thread::{CpuSet, sched_getaffinity};

const SLICES: usize = 40;
const WARMUP: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(45);

/// CPU time of a thread of this process, in nanoseconds.
fn thread_cpu_ns(thread: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn main() -> Result<(), Box<dyn Error>> {
    let allowed = sched_getaffinity(None)?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let (Some(server_cpu), Some(load_cpu)) = (cpus.next(), cpus.next_back()) else {
        return Err("only one CPU is allowed: run on two or more".into());
    };
    let generator = Generator::new(Config::new([load_cpu]))?;
    let kept = [(64, 32), (1024, 1), (1024, 32), (1024, 512), (10240, 32)]
        .map(|(size, conns)| (size, conns, Traffic::Kept { active: conns }));
    let others = [(1024, 512, Traffic::Kept { active: 32 }), (64, 32, Traffic::Churn)];
    for (size, conns, traffic) in kept.into_iter().chain(others) {
        let (addr, server) = epoll::serve(size, Some(server_cpu));
        let mut session = generator.connect(Target {
            addrs: [addr].into(),
            size,
            conns,
            traffic: traffic.clone(),
        })?;
        let (mut ops, mut load_ns, mut server_ns, mut elapsed) = (0, 0, 0, Duration::ZERO);
        for _ in 0..SLICES {
            let probe = move || thread_cpu_ns(server);
            let slice = generator.slice(&mut session, WARMUP, WINDOW, probe)?;
            ops += slice.ops;
            elapsed += slice.elapsed;
            load_ns += slice.load_cpu.as_nanos();
            server_ns += slice.probes.1 - slice.probes.0;
        }
        println!(
            "{size} B x {conns}, {traffic:?}: {:.0} operations/s; CPU time per operation {} ns in \
             the generator, {} ns in the server",
            ops as f64 / elapsed.as_secs_f64(),
            load_ns / u128::from(ops),
            server_ns / ops
        );
    }
    Ok(())
}
