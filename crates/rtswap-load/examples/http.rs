//! Measures the CPU time of the generator per request, against any lane that serves `http`:
//!
//! ```text
//! rtswap serve --lane tokio --workload http --cpus 0 --addr 127.0.0.1:7000 &
//! cargo run --release -p rtswap-load --example http -- 127.0.0.1:7000 1 5 32 1
//! ```
//!
//! The arguments are the address, the CPU to load from, seconds, connections and requests per batch. A
//! sixth argument `h2` selects HTTP/2, which the lane must then serve (`http/h2=true`).

use std::env::args;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rtswap_load::{Config, Generator, Http, Target, Traffic};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = args().skip(1).collect();
    let ([addr, cpu, seconds, conns, pipeline], h2) = (match args.as_slice() {
        [others @ .., h2] if h2 == "h2" => (others, true),
        others => (others, false),
    }) else {
        return Err("usage: http ADDRESS CPU SECONDS CONNECTIONS PIPELINE [h2]".into());
    };
    let body = b"Hello, World!";
    let pipeline = pipeline.parse()?;
    let http = Http { path: "/plaintext", content_type: "text/plain", body, pipeline, h2 };
    let (conns, traffic) = (conns.parse()?, Traffic::Http(http));
    let target = Target { addrs: Arc::new([addr.parse()?]), size: body.len(), conns, traffic };
    let generator = Generator::new(Config::new([cpu.parse()?]))?;
    let mut session = generator.connect(target)?;
    let (warmup, window) = (Duration::from_millis(100), Duration::from_secs_f64(seconds.parse()?));
    let slice = generator.slice(&mut session, warmup, window, || ())?;
    println!(
        "{} requests, {:.0} requests/s, {:.0} ns CPU time of the generator per request",
        slice.ops,
        slice.ops_per_s(),
        slice.load_cpu_ns_per_op().unwrap_or_default()
    );
    Ok(())
}
