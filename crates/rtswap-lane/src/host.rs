//! Speaks the lane protocol for a program.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use crate::{Answer, LaneInfo, Order, Pace, Prepare, Ready, Refusal, Server, SliceDone};

/// What a lane was prepared for.
#[derive(Debug)]
pub struct Program {
    /// What it really is; the host fills in the version.
    pub info: LaneInfo,
    /// The program itself.
    pub work: Work,
}

/// A program at work, by what drives a slice of it.
pub enum Work {
    /// The load generator does.
    Served(Server),
    /// The lane itself does, when it is ordered to.
    Driven(SliceFn),
}

/// Runs one slice of about the given length: a closed loop, or the load of a pace. What cannot pace itself refuses a
/// pace as `unsupported`.
pub type SliceFn = Box<dyn FnMut(Duration, Option<&Pace>) -> Result<SliceDone, Refusal>>;

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(server) => f.debug_tuple("Served").field(server).finish(),
            Self::Driven(_) => f.debug_tuple("Driven").finish_non_exhaustive(),
        }
    }
}

impl Program {
    fn ready(&self, version: &str) -> Ready {
        let addrs = match &self.work {
            Work::Served(server) => server.addrs(),
            Work::Driven(_) => &[],
        };
        let addr = addrs.first().copied();
        let addrs = if addrs.len() > 1 { addrs.to_vec() } else { Vec::new() };
        let info = LaneInfo { version: version.to_owned(), ..self.info.clone() };
        Ready { addr, addrs, info, ..Ready::default() }
    }
}

/// Takes orders until it is ordered to stop, or until the input ends.
///
/// `version` is that of the runtime's package. Returns the code to exit with: the caller should exit
/// at once, because the threads of a served workload are still running.
pub fn run(
    version: &str,
    input: impl BufRead,
    mut output: impl Write,
    prepare: impl Fn(&Prepare) -> Result<Program, Refusal>,
) -> ExitCode {
    match take_orders(version, input, |answer| say(&mut output, answer), prepare) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // If the harness is gone, the answer reaches no process.
            let _ = say(&mut output, &Answer::Failed(refusal));
            ExitCode::FAILURE
        }
    }
}

/// Serves a workload at an address, for any client, until the process ends.
///
/// `ready` gets the address once it accepts.
///
/// # Errors
/// [`Refusal`] if the workload is not one that is served, or cannot be.
pub fn serve(
    version: &str,
    order: &Prepare,
    prepare: impl Fn(&Prepare) -> Result<Program, Refusal>,
    ready: impl FnOnce(&Ready),
) -> Result<Infallible, Refusal> {
    let program = prepare(order)?;
    ready(&program.ready(version));
    match program.work {
        Work::Served(server) => Err(server.wait()),
        Work::Driven(_) => Err(Refusal::Unsupported(format!(
            "{} is not served: the lane drives itself",
            order.workload
        ))),
    }
}

/// Runs a shard's thread so that a panic becomes a refusal instead of a wait without end.
pub(crate) fn guarded(shard: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
    catch_unwind(AssertUnwindSafe(shard)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Refusal::Failed(format!("the lane panicked: {text}")))
    })
}

fn say(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer).expect("an answer is plain data");
    line.push('\n');
    output.write_all(line.as_bytes())?;
    output.flush()
}

fn take_orders(
    version: &str,
    input: impl BufRead,
    mut say: impl FnMut(&Answer) -> io::Result<()>,
    prepare: impl Fn(&Prepare) -> Result<Program, Refusal>,
) -> Result<(), Refusal> {
    let gone = |error: io::Error| Refusal::Failed(format!("cannot answer: {error}"));
    let mut program: Option<Program> = None;
    for line in input.lines() {
        let line = line.map_err(|error| Refusal::Failed(format!("cannot read orders: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let order: Order = serde_json::from_str(&line)
            .map_err(|error| Refusal::Failed(format!("not an order ({error}): {line}")))?;
        match (order, &mut program) {
            (Order::Stop, _) => {
                say(&Answer::Stopped).map_err(gone)?;
                return Ok(());
            }
            (Order::Prepare(order), None) => {
                let prepared = prepare(&order)?;
                say(&Answer::Ready(prepared.ready(version))).map_err(gone)?;
                program = Some(prepared);
            }
            (Order::Prepare(_), Some(_)) => {
                return Err(Refusal::Failed("a lane is prepared once".to_owned()));
            }
            (Order::Slice { ms, pace }, Some(Program { work: Work::Driven(slice), .. })) => {
                if let Some(Pace { rate_per_s, .. }) = pace
                    && rate_per_s <= 0.0
                {
                    let message = format!("rate_per_s is {rate_per_s}: expected a positive number");
                    return Err(Refusal::Failed(message));
                }
                let done = slice(Duration::from_millis(ms), pace.as_ref())?;
                say(&Answer::Slice(done)).map_err(gone)?;
            }
            (Order::Slice { .. }, _) => {
                return Err(Refusal::Failed("no slice without a workload to drive".to_owned()));
            }
            (_, _) => return Err(Refusal::Unsupported(format!("unknown order: {line}"))),
        }
    }
    Ok(())
}
