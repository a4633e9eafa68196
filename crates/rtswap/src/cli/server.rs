//! Lanes that are servers without the lane protocol: `NAME=serve:COMMAND`.
//!
//! Such a lane is a process of `rtswap` that speaks the protocol, and starts the server as its child. The server stays a
//! child, instead of replacing that process, so that it can be started again at another port, and so that a server that
//! waits for its own children does not wait for one of ours. The ready response names the server's process: system
//! calls and memory are read there. CPU time includes this process, which sleeps while the server works.

mod port;
mod start;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rtswap_lane::{Answer, Order, Prepare, Ready, Refusal};
use rtswap_workload::{Drive, Spec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::Registry;
use crate::cli::{FAILED, signals};
use start::{Server, info};

/// What a lane spec begins with after its name.
pub(super) const SERVE: &str = "serve:";

/// Families of workloads that a server without the protocol can take part in: those that the load generator drives.
pub(super) const FAMILIES: &[&str] = &["tcp-echo", "idle", "churn", "http"];

/// How long a server may take to end itself once it is asked to. It may wait for connections, which stay open.
const STOP_LIMIT: Duration = Duration::from_millis(100);

/// Whether a command says where it is to listen.
pub(super) fn has_address(command: &str) -> bool {
    command.contains("{addr}") || command.contains("{port}")
}

/// The command for a server at that address.
fn filled(command: &str, addr: SocketAddr) -> String {
    let (host, port) = (addr.ip().to_string(), addr.port().to_string());
    command.replace("{addr}", &addr.to_string()).replace("{host}", &host).replace("{port}", &port)
}

/// Is the lane until it is ordered to stop, or the server ends.
pub(super) fn run(registry: &Registry, command: &str) -> ExitCode {
    match serve(registry, command) {
        Ok(code) => code,
        Err(refusal) => {
            let _ = say(&Answer::Failed(refusal));
            ExitCode::from(FAILED)
        }
    }
}

fn serve(registry: &Registry, command: &str) -> Result<ExitCode, Refusal> {
    let failed = |error: io::Error| Refusal::Failed(error.to_string());
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut orders = BufReader::new(File::from(stdin));
    let order = match read(&mut orders).map_err(failed)? {
        Some(Order::Prepare(order)) => order,
        Some(_) => return Err(Refusal::Failed("the first order was not to prepare".to_owned())),
        None => return Ok(ExitCode::SUCCESS),
    };
    check(registry, &order)?;
    let (mut server, port) = start::start(command, order.addr)?;
    // The server has its own: it would inherit blocked signals.
    signals::leave_to_harness().map_err(failed)?;
    let pid = server.id();
    let ready = Ready {
        addr: Some(port.addr),
        pid: Some(pid),
        info: info(pid, command),
        ..Ready::default()
    };
    // If the harness is gone, so is the input.
    let _ = say(&Answer::Ready(ready));
    loop {
        if wait_for_order(&orders, &server) {
            match read(&mut orders).map_err(failed)? {
                None | Some(Order::Stop) => break,
                Some(_) => {
                    let why = "a server does not drive itself: it takes no order but to stop";
                    return Err(Refusal::Unsupported(why.to_owned()));
                }
            }
        }
        if let Some(status) = server.ended() {
            // As the server has ended: the harness says how this process has, and quotes standard error.
            return Ok(start::end_like(status));
        }
    }
    stop(&mut server);
    let _ = say(&Answer::Stopped);
    Ok(ExitCode::SUCCESS)
}

/// Refuses workloads that no server can do.
fn check(registry: &Registry, order: &Prepare) -> Result<(), Refusal> {
    let spec = Spec::parse(&order.workload, registry.catalogue)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    if spec.drive() == Drive::Lane {
        let name = spec.family().name;
        let why = format!("`{name}` is not served: a lane that does it drives itself (LANES.md)");
        return Err(Refusal::Unsupported(why));
    }
    if order.delay_ns > 0 {
        let why = "a server of your own cannot be slowed down";
        return Err(Refusal::Unsupported(why.to_owned()));
    }
    Ok(())
}

fn stop(server: &mut Server) {
    let Some(pid) = Pid::from_raw(server.id().cast_signed()) else { return };
    let _ = kill_process(pid, Signal::TERM);
    let until = Instant::now() + STOP_LIMIT;
    while server.ended().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
}

/// Waits until an order comes, or the server ends. Returns whether it is an order.
fn wait_for_order(orders: &BufReader<File>, server: &Server) -> bool {
    if !orders.buffer().is_empty() {
        return true;
    }
    let mut both =
        [PollFd::new(orders.get_ref(), PollFlags::IN), PollFd::new(server.end(), PollFlags::IN)];
    // An interruption is no event.
    let _ = poll(&mut both, None);
    !both[0].revents().is_empty()
}

/// The next order; `None` at the end of the input.
fn read(orders: &mut BufReader<File>) -> io::Result<Option<Order>> {
    let mut line = String::new();
    if orders.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

fn say(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn filled_replaces_all_placeholders() {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
        let command = "./server --listen {addr} --host={host} -p {port} {other}";
        assert_eq!(
            filled(command, addr),
            "./server --listen 127.0.0.1:7000 --host=127.0.0.1 -p 7000 {other}"
        );
        assert_eq!(filled("{addr}", "[::1]:1".parse().unwrap()), "[::1]:1");
    }
}
