//! A lane of your own: any program that takes orders on standard input and answers on standard
//! output, one JSON object a line (LANES.md), is measured beside the runtimes that ship.
//!
//! This one serves `tcp-echo` with a thread for each connection, and drives `spawn` with threads for
//! tasks. It needs nothing but std and a JSON parser, and so would a lane in another language:
//!
//! ```text
//! cargo build --release --example own_lane
//! rtswap verify --lane 'threads=target/release/examples/own_lane' --workload tcp-echo
//! rtswap run --lane tokio --lane 'threads=target/release/examples/own_lane' --workload spawn
//! ```
//!
//! rtswap's own tests use it, too: with `--fault NAME` it misbehaves in one of the ways of [`Fault`].
//! To write a lane of your own, copy what has nothing to do with faults.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Why a lane gives up: `unsupported`, `skipped`, `failed` or `invalid`, and a reason that says what
/// to do.
type Refusal = (&'static str, String);

fn main() -> ExitCode {
    let fault = Fault::from_args();
    fault.at_start();
    let mut tasks = None;
    for line in io::stdin().lines() {
        // The end of the input means the same as `stop`: whoever started us is gone.
        let Ok(line) = line else { break };
        let order: Value = serde_json::from_str(&line).unwrap_or_default();
        let answered = match order["order"].as_str() {
            Some("prepare") => prepare(&order, fault).map(|(ready, prepared)| {
                tasks = prepared;
                ready
            }),
            Some("slice") => slice(&order, tasks, fault),
            Some("stop") => {
                say(&json!({"answer": "stopped"}));
                break;
            }
            _ => Err(("failed", format!("not an order: {line}"))),
        };
        match answered {
            Ok(answer) => say(&answer),
            Err((status, reason)) => {
                say(&json!({"answer": "failed", "status": status, "reason": reason}));
                return ExitCode::FAILURE;
            }
        }
    }
    // Exiting ends the threads that serve; nothing must outlive a lane.
    ExitCode::SUCCESS
}

/// One line, flushed: rtswap waits for it.
fn say(answer: &Value) {
    let mut stdout = io::stdout().lock();
    // If nobody listens any more the next order will not come, either.
    let _ = writeln!(stdout, "{answer}").and_then(|()| stdout.flush());
}

/// Gets ready for the one workload of this process. Returns the answer, and for a workload that the
/// lane drives itself what its slices need.
fn prepare(order: &Value, fault: Fault) -> Result<(Value, Option<u64>), Refusal> {
    fault.at_prepare();
    if order["delay_ns"].as_u64().unwrap_or(0) > 0 {
        return Err(("unsupported", "this lane cannot be slowed down; leave out delay_ns".into()));
    }
    // `family/param=value/param=value`
    let workload = order["workload"].as_str().unwrap_or_default();
    let (family, params) = workload.split_once('/').unwrap_or((workload, ""));
    // rtswap has confined the process to these CPUs already; a runtime with a pool of workers makes
    // one for each of them.
    let cpus = order["cpus"].as_array().map_or(1, Vec::len);
    let mut ready = json!({"answer": "ready", "info": {
        "runtime": "std", "version": env!("CARGO_PKG_VERSION"), "driver": "threads",
        "workers": cpus, "shards": 1,
    }});
    match family {
        "tcp-echo" => {
            let addr = order["addr"].as_str().and_then(|addr| addr.parse().ok());
            let addr = serve(addr.unwrap_or(fault.addr()), fault)
                .map_err(|error| ("failed", format!("cannot listen: {error}")))?;
            ready["addr"] = json!(addr);
            Ok((ready, None))
        }
        "spawn" => {
            let tasks = params.strip_prefix("tasks=").and_then(|tasks| tasks.parse().ok());
            Ok((ready, Some(tasks.unwrap_or(1))))
        }
        _ => {
            Err(("unsupported", format!("this lane has no `{family}`; it has tcp-echo and spawn")))
        }
    }
}

/// Starts to serve; returns once it accepts.
fn serve(addr: SocketAddr, fault: Fault) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr)?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream, fault));
        }
    });
    Ok(addr)
}

/// What comes in goes out, until the client leaves.
fn echo(mut stream: TcpStream, fault: Fault) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        let answer = fault.in_service(&mut buffer[..bytes]);
        stream.write_all(answer)?;
    }
}

/// Works for the time that is ordered. The batch that is under way at its end is finished and counts.
fn slice(order: &Value, tasks: Option<u64>, fault: Fault) -> Result<Value, Refusal> {
    let Some(tasks) = tasks else {
        return Err(("failed", "no slice without a workload to drive".into()));
    };
    let window = Duration::from_millis(order["ms"].as_u64().unwrap_or(1));
    let start = Instant::now();
    let mut ops = 0;
    while start.elapsed() < window {
        ops += batch(tasks)?;
    }
    let elapsed_ns = start.elapsed().as_nanos() as u64;
    Ok(fault.in_slice(json!({"answer": "slice", "ops": ops, "elapsed_ns": elapsed_ns})))
}

/// Spawns, joins, and checks that every task did its work: operations that are not verified are no
/// operations.
fn batch(tasks: u64) -> Result<u64, Refusal> {
    let started: io::Result<Vec<_>> =
        (0..tasks).map(|index| thread::Builder::new().spawn(move || index)).collect();
    let started = started.map_err(|error| ("failed", format!("cannot start a thread: {error}")))?;
    for (index, task) in (0..).zip(started) {
        if task.join().ok() != Some(index) {
            return Err(("invalid", format!("task {index} did not return its number")));
        }
    }
    Ok(tasks)
}

// From here on: how to misbehave, for rtswap's tests.

/// In which way this lane misbehaves: `--fault NAME`, after `--after N` messages or slices.
/// `--ip ADDRESS` makes it listen where a test looks for what is left of it.
#[derive(Clone, Copy, Debug)]
struct Fault {
    name: &'static str,
    after: u64,
    ip: Ipv4Addr,
}

/// Messages served or slices run.
static DONE: AtomicU64 = AtomicU64::new(0);

impl Fault {
    fn from_args() -> Self {
        let mut fault = Self { name: "none", after: 100, ip: Ipv4Addr::LOCALHOST };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let value = args.next().unwrap_or_default();
            match flag.as_str() {
                "--fault" => fault.name = value.leak(),
                "--after" => fault.after = value.parse().expect("--after takes a number"),
                "--ip" => fault.ip = value.parse().expect("--ip takes an IPv4 address"),
                _ => panic!("own_lane does not know {flag}"),
            }
        }
        fault
    }

    fn addr(self) -> SocketAddr {
        (self.ip, 0).into()
    }

    fn at_start(self) {
        match self.name {
            "exit-at-start" => {
                eprintln!("a library that I need is missing");
                std::process::exit(3);
            }
            // A process that nobody waits for, with our pipes, that does not end by itself.
            "offspring" => {
                let sleep = Command::new("sleep").arg("1000").spawn();
                thread::spawn(|| sleep.expect("sleep is everywhere").wait());
            }
            "chatter" => {
                thread::spawn(|| {
                    let line = "la ".repeat(1000);
                    (0..2000).for_each(|_| eprintln!("{line}"));
                });
            }
            _ => {}
        }
    }

    fn at_prepare(self) {
        match self.name {
            "garbage" => println!("Welcome to my lane!"),
            "binary" => {
                let _ = io::stdout().write_all(b"\xff\x00\x1b[31m\n");
            }
            "hang-at-prepare" => hang(),
            "endless-line" => loop {
                let _ = io::stdout().write_all(&[b'x'; 1 << 12]);
            },
            "wrong-answer" => say(&json!({"answer": "stopped"})),
            "no-address" => say(&json!({"answer": "ready", "info": {
                "runtime": "std", "version": "", "driver": "", "workers": 1, "shards": 1,
            }})),
            "skip" => {
                let reason = "needs frobnicate; install it with apt-get install frobnicate";
                say(&json!({"answer": "failed", "status": "skipped", "reason": reason}));
                std::process::exit(1);
            }
            _ => {}
        }
    }

    /// A message on its way back.
    fn in_service(self, message: &mut [u8]) -> &[u8] {
        if DONE.fetch_add(1, Ordering::Relaxed) < self.after {
            return message;
        }
        match self.name {
            "wrong-byte" => message[0] ^= 1,
            "truncate" => return &message[..message.len() - 1],
            "offspring" | "die-in-slice" => {
                eprintln!("my last words");
                std::process::abort();
            }
            "exit-in-slice" => std::process::exit(0),
            "gives-up-serving" => {
                let reason = "its ring is full; enlarge it";
                say(&json!({"answer": "failed", "status": "unsupported", "reason": reason}));
                std::process::exit(0);
            }
            "hang-in-slice" => hang(),
            _ => {}
        }
        message
    }

    /// The answer to a slice.
    fn in_slice(self, mut answer: Value) -> Value {
        if self.name == "outlier" {
            answer["latency_hdr"] = json!(ORDINARY);
        }
        if DONE.fetch_add(1, Ordering::Relaxed) < self.after {
            return answer;
        }
        match self.name {
            "hang-in-slice" => hang(),
            "die-in-slice" => std::process::abort(),
            // No fault: the latencies of later slices may need a wider histogram.
            "outlier" => answer["latency_hdr"] = json!(OUTLIER),
            // From now on every answer is the one before.
            "stale" => say(&answer),
            "claims-an-hour" => answer["elapsed_ns"] = json!(3_600_000_000_000_u64),
            "claims-an-instant" => answer["elapsed_ns"] = json!(1),
            "claims-nothing" => answer["elapsed_ns"] = json!(0),
            "claims-trillion" => answer["ops"] = json!(1_000_000_000_000_u64),
            "idles" => answer["ops"] = json!(0),
            "bad-histogram" => answer["latency_hdr"] = json!("AAAA"),
            "gives-up" => {
                return json!({"answer": "failed", "status": "invalid", "reason": "task 7 is lost"});
            }
            _ => {}
        }
        answer
    }
}

/// A histogram that holds one value, 1 µs.
const ORDINARY: &str = "HISTEwAAAAMAAAAAAAAAAwAAAAAAAAABAAAAAAAAAAI/8AAAAAAAAM8PAg==";
/// The same of 50 ms.
const OUTLIER: &str = "HISTEwAAAAQAAAAAAAAAAwAAAAAAAAABAAAAAAP///8/8AAAAAAAAOmHAgI=";

/// Not even the end of standard input ends it.
fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_hours(1));
    }
}
