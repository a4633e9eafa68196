//! The process of a peer.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rtswap_lane::host::{self, Program};
use rtswap_lane::{Answer, Order, Prepare, Ready, Refusal};

use crate::{Peer, PeerFolder, lookup};

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
    let failed = |error: std::io::Error| {
        Refusal::Failed(format!("cannot exchange lines with the peer: {error}"))
    };
    // The peer ends with this process, because its standard input ends.
    let mut child = command(peer)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Refusal::Failed(format!("cannot start {}: {error}", peer.name)))?;
    let mut orders = child.stdin.take().expect("the stream is piped");
    let answers = child.stdout.take().expect("the stream is piped");
    let line =
        serde_json::to_string(&Order::Prepare(order.clone())).expect("an order is plain data");
    writeln!(orders, "{line}").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(answers).read_line(&mut answer).map_err(failed)?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Ready(answer)) => ready(&answer),
        Ok(Answer::Failed(refusal)) => {
            let _ = child.wait();
            return Err(refusal);
        }
        _ => {
            drop(orders);
            let status = child.wait().map_err(failed)?;
            return Err(Refusal::Failed(format!("the peer ended before it was ready ({status})")));
        }
    }
    let status = child.wait().map_err(failed)?;
    Err(Refusal::Failed(format!("the peer ended ({status})")))
}
