//! The process of a peer.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rtswap_lane::host::{self, Program};
use rtswap_lane::{Answer, Order, Prepare, Ready, Refusal};

use crate::{Peer, PeerFolder, lookup};

/// How long a peer may take to get ready, as in a run.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// The longest answer of a peer, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

fn command(peer: &Peer) -> Result<Command, Refusal> {
    let folder = PeerFolder::of_user();
    let folder = folder.map_err(|error| Refusal::Skipped(error.with_causes()))?;
    let line = lookup::command(&folder, peer)?;
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    Ok(command)
}

/// Becomes the peer (`exec`). If something is missing, answers so by the lane protocol.
pub fn become_lane(peer: &Peer) -> ExitCode {
    let refusal = match command(peer) {
        Ok(mut command) => {
            // Returns only if it fails.
            let error = command.exec();
            let program = command.get_program().display().to_string();
            Refusal::Failed(format!("cannot execute {program}: {error}"))
        }
        Err(refusal) => refusal,
    };
    host::run("", BufReader::new(stdin()), stdout(), |_| Err(refusal.clone()))
}

/// Refuses: a peer runs in a process of its own.
///
/// # Errors
/// Always.
pub fn prepare(_: &Prepare) -> Result<Program, Refusal> {
    Err(Refusal::Unsupported(
        "a peer cannot be prepared in this process: it is a program of its own".to_owned(),
    ))
}

/// Has the peer serve a workload until one of the two processes ends. `ready` receives the address.
///
/// # Errors
/// [`Refusal`] if the peer cannot serve, or ended.
pub fn serve(
    peer: &Peer,
    order: &Prepare,
    ready: impl FnOnce(&Ready),
) -> Result<Infallible, Refusal> {
    serve_command(command(peer)?, peer.name, order, ready)
}

/// The same with any program that speaks the lane protocol, which is called `name` in messages.
///
/// # Errors
/// [`Refusal`] if it cannot serve, or ended.
pub fn serve_command(
    mut command: Command,
    name: &str,
    order: &Prepare,
    ready: impl FnOnce(&Ready),
) -> Result<Infallible, Refusal> {
    let failed =
        |error: io::Error| Refusal::Failed(format!("cannot exchange lines with {name}: {error}"));
    // It ends with this process, because its standard input ends.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Refusal::Failed(format!("cannot start {name}: {error}")))?;
    let mut orders = child.stdin.take().expect("the stream is piped");
    let answers = child.stdout.take().expect("the stream is piped");
    let line =
        serde_json::to_string(&Order::Prepare(order.clone())).expect("an order is plain data");
    writeln!(orders, "{line}").map_err(failed)?;
    let answer = first_line(answers, READY_LIMIT).map_err(|error| {
        let _ = child.kill();
        let _ = child.wait();
        failed(error)
    })?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Ready(answer)) => ready(&answer),
        Ok(Answer::Failed(refusal)) => {
            let _ = child.wait();
            return Err(refusal);
        }
        _ => {
            drop(orders);
            let status = child.wait().map_err(failed)?;
            return Err(Refusal::Failed(format!("{name} ended before it was ready ({status})")));
        }
    }
    let status = child.wait().map_err(failed)?;
    Err(Refusal::Failed(format!("{name} ended ({status})")))
}

/// The first line, with its end unless the input ends without.
///
/// # Errors
/// If it does not come within `limit`, is longer than [`LINE_BYTES_MAX`], or cannot be read.
fn first_line(answers: impl Read + Send + 'static, limit: Duration) -> io::Result<String> {
    let (sender, line) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(answers.take(LINE_BYTES_MAX)).read_line(&mut line);
        // After the limit, the line reaches no receiver.
        let _ = sender.send(read.map(|_| line));
    });
    let timed_out = |_| {
        let text = format!("no answer within {} s", limit.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let line = line.recv_timeout(limit).map_err(timed_out)??;
    if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with('\n') {
        return Err(io::Error::other("the answer exceeds 1 MiB without a newline"));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_has_limits() {
        let minute = Duration::from_mins(1);
        assert_eq!(first_line(&b"one\ntwo\n"[..], minute).unwrap(), "one\n");
        assert_eq!(first_line(&b"one"[..], minute).unwrap(), "one");
        let error = first_line(io::repeat(b'x'), minute).unwrap_err();
        assert_eq!(error.to_string(), "the answer exceeds 1 MiB without a newline");
        // The other end stays open.
        let (silent, _open) = io::pipe().unwrap();
        let error = first_line(silent, Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
