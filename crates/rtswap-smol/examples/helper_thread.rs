//! What silence does to a server on async-io, in each way that smol's documentation starts an executor, and
//! that an interval timer in the server prevents it.
//!
//! ```text
//! cargo run --release -p rtswap-smol --example helper_thread
//! ```
//!
//! The example starts itself as echo servers on CPU 0, which differ in what runs the executor and in an interval
//! timer on it, and loads one after the other from CPU 1 with messages of 1 KiB on 32 connections: in slices of
//! 20 ms after 250 ms of silence, then for two seconds at a time. It prints messages per second, and context
//! switches of the server per message: async-io's helper thread has the reactor where they are many.
//!
//! | shape | what runs the executor |
//! |---|---|
//! | `main` | `smol::block_on(executor.run(..))` on the main thread, as `smol-local` |
//! | `worker` | the same on a thread, `smol::block_on` of the rest on the main thread, as `smol` and smol-macros |
//! | `spawn` | `smol::spawn`, with one thread |
//! | `future` | `smol::future::block_on` in both places, as the documentation of `Executor` |

use std::error::Error;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;
use std::{fs, io};

use rtswap_load::{Config, Generator, LoadError, Session, Target};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::{Async, Executor};

const SHAPES: [&str; 4] = ["main", "worker", "spawn", "future"];
/// Milliseconds of the interval timer of each server; 0 for none.
const TIMERS_MS: [u64; 2] = [0, 5];
const SIZE: usize = 1024;
const CONNS: usize = 32;

struct Server {
    shape: &'static str,
    timer_ms: u64,
    child: Child,
    session: Session,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().collect();
    if let [_, shape, addr, timer_ms] = &args[..] {
        return Ok(serve(shape, addr, timer_ms.parse()?)?);
    }
    let generator = Generator::new(Config::new([1]))?;
    let mut servers = Vec::new();
    let all = SHAPES.into_iter().flat_map(|shape| TIMERS_MS.map(|timer_ms| (shape, timer_ms)));
    for (shape, timer_ms) in all {
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new("taskset")
            .args(["-c", "0", &args[0], shape, &addr.to_string(), &timer_ms.to_string()])
            .spawn()?;
        let session = connect(&generator, Target::echo(addr, SIZE, CONNS))?;
        servers.push(Server { shape, timer_ms, child, session });
    }
    for (what, silence_ms, window_ms, slices) in
        [("20 ms after 250 ms of silence", 250, 20, 40), ("2 s without silence", 0, 2000, 4)]
    {
        for Server { shape, timer_ms, child, session } in &mut servers {
            let pid = child.id();
            let (mut rates, mut switches) = (Vec::new(), Vec::new());
            for _ in 0..slices {
                thread::sleep(Duration::from_millis(silence_ms));
                let window = Duration::from_millis(window_ms);
                let probe = move || context_switches(pid);
                let slice = generator.slice(session, window / 5, window, probe)?;
                rates.push(slice.ops_per_s());
                let (before, after) = slice.probes;
                switches.push(after.saturating_sub(before) as f64 / slice.ops.max(1) as f64);
            }
            println!(
                "{shape}, {what}, timer of {timer_ms} ms: {:.0} messages/s, {:.3} context switches per message (medians)",
                median(&mut rates),
                median(&mut switches)
            );
        }
    }
    for server in &mut servers {
        server.child.kill()?;
        server.child.wait()?;
    }
    Ok(())
}

fn serve(shape: &str, addr: &str, timer_ms: u64) -> io::Result<()> {
    static EXECUTOR: Executor<'static> = Executor::new();
    let listener = Async::new(TcpListener::bind(addr)?)?;
    let global = shape == "spawn";
    let accept = async move {
        loop {
            let (stream, _) = listener.accept().await?;
            let task =
                if global { smol::spawn(echo(stream)) } else { EXECUTOR.spawn(echo(stream)) };
            task.detach();
        }
    };
    let tick = async move {
        if timer_ms == 0 {
            return;
        }
        loop {
            smol::Timer::after(Duration::from_millis(timer_ms)).await;
        }
    };
    if global {
        smol::spawn(tick).detach();
        return smol::block_on(smol::spawn(accept));
    }
    EXECUTOR.spawn(tick).detach();
    let main = EXECUTOR.spawn(accept);
    let pending = smol::future::pending::<()>();
    match shape {
        "main" => smol::block_on(EXECUTOR.run(main)),
        "worker" => {
            thread::spawn(|| smol::block_on(EXECUTOR.run(pending)));
            smol::block_on(main)
        }
        _ => {
            thread::spawn(|| smol::future::block_on(EXECUTOR.run(pending)));
            smol::future::block_on(main)
        }
    }
}

async fn echo(mut stream: Async<std::net::TcpStream>) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut buffer = vec![0; 2 * SIZE];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

/// Opens the connections as soon as the server listens.
fn connect(generator: &Generator, target: Target) -> Result<Session, LoadError> {
    for _ in 0..500 {
        match generator.connect(target.clone()) {
            Err(LoadError::Refused { .. }) => thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    generator.connect(target)
}

/// Context switches of all threads of a process, voluntary or not.
fn context_switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let of_thread = |status: String| -> u64 {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
    };
    statuses.map(of_thread).sum()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
