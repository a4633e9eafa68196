//! A peer as a process.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rtswap_lane::host::{self, Program};
use rtswap_lane::{Answer, Order, Prepare, Ready, Refusal};

use crate::{Peer, Place, found};

fn command(peer: &Peer) -> Result<Command, Refusal> {
    let line = found::command(&Place::of_user().map_err(Refusal::Skipped)?, peer)?;
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    Ok(command)
}

/// Becomes the peer. If something is missing, speaks the lane protocol to say so.
pub fn become_lane(peer: &Peer) -> ExitCode {
    let refusal = match command(peer) {
        Ok(mut command) => {
            // Only returns if it fails.
            let error = command.exec();
            let program = command.get_program().display().to_string();
            Refusal::Failed(format!("cannot run {program}: {error}"))
        }
        Err(refusal) => refusal,
    };
    host::run("", BufReader::new(stdin()), stdout(), |_| Err(refusal.clone()))
}

/// Of a peer nothing can be prepared in this process.
///
/// # Errors
/// Always.
pub fn prepare(_: &Prepare) -> Result<Program, Refusal> {
    Err(Refusal::Unsupported("a peer is a program of its own, not a part of this one".to_owned()))
}

/// Has the peer serve a workload until one of the two processes ends; `ready` hears the address.
///
/// # Errors
/// [`Refusal`] if it cannot, or has ended.
pub fn serve(
    peer: &Peer,
    order: &Prepare,
    ready: impl FnOnce(&Ready),
) -> Result<Infallible, Refusal> {
    let failed =
        |error: std::io::Error| Refusal::Failed(format!("it cannot be spoken to: {error}"));
    // It ends with us, because its standard input does.
    let mut child = command(peer)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Refusal::Failed(format!("cannot be started: {error}")))?;
    let mut orders = child.stdin.take().expect("it is piped");
    let answers = child.stdout.take().expect("it is piped");
    let line = serde_json::to_string(&Order::Prepare(order.clone())).expect("it is plain data");
    writeln!(orders, "{line}").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(answers).read_line(&mut answer).map_err(failed)?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Ready(it)) => ready(&it),
        Ok(Answer::Failed(refusal)) => {
            let _ = child.wait();
            return Err(refusal);
        }
        _ => {
            drop(orders);
            let end = child.wait().map_err(failed)?;
            return Err(Refusal::Failed(format!("it ended ({end}) and was not ready")));
        }
    }
    let end = child.wait().map_err(failed)?;
    Err(Refusal::Failed(format!("it ended ({end})")))
}
