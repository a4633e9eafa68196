//! Makes a lane of any runtime that has an adapter.

use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use rtswap_runtime::Runtime;
use rtswap_workload::{Driven, Outside, Served, Spec, Spin, Suite, Visitor};

use crate::outside::Alone;
use crate::place::Place;
use crate::served::Server;
use crate::tasks::Crew;
use crate::{Answer, Order, Prepare, Ready, Receipt, Refusal, SliceDone};

/// Takes orders until told to stop, or until the input ends.
///
/// `version` is that of the runtime's package. Returns the code to exit with: the caller should exit
/// at once, because a served workload's threads are still running.
pub fn run<S: Suite, R: Runtime>(
    version: &str,
    input: impl BufRead,
    mut output: impl Write,
) -> ExitCode {
    let told = serve_orders::<S, R>(version, input, |answer| say(&mut output, answer));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // If the harness is gone there is nobody to tell.
            let _ = say(&mut output, &Answer::Failed(refusal));
            ExitCode::FAILURE
        }
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

fn serve_orders<S: Suite, R: Runtime>(
    version: &str,
    input: impl BufRead,
    mut say: impl FnMut(&Answer) -> io::Result<()>,
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
                let mut prepared = prepare::<S, R>(&order)?;
                version.clone_into(&mut prepared.ready.receipt.version);
                say(&Answer::Ready(prepared.ready.clone())).map_err(gone)?;
                program = Some(prepared);
            }
            (Order::Prepare(_), Some(_)) => {
                return Err(Refusal::Failed("a lane is prepared once".to_owned()));
            }
            (Order::Slice { ms }, Some(Program { slice: Some(slice), .. })) => {
                let done = slice(Duration::from_millis(ms))?;
                say(&Answer::Slice(done)).map_err(gone)?;
            }
            (Order::Slice { .. }, _) => {
                return Err(Refusal::Failed("no slice without a workload to drive".to_owned()));
            }
        }
    }
    Ok(())
}

/// Serves a workload at an address, for any client, until the process ends.
///
/// `ready` is told the address once it accepts.
///
/// # Errors
/// [`Refusal`] if the workload is not one that is served, or cannot be.
pub fn serve<S: Suite, R: Runtime>(
    order: &Prepare,
    ready: impl FnOnce(&Ready),
) -> Result<std::convert::Infallible, Refusal> {
    let program = prepare::<S, R>(order)?;
    let server = program.server.ok_or_else(|| {
        Refusal::Unsupported(format!("{} is not served: the lane drives itself", order.workload))
    })?;
    ready(&program.ready);
    Err(server.wait())
}

/// What a lane was prepared for.
pub(crate) struct Program {
    pub ready: Ready,
    pub slice: Option<SliceFn>,
    pub server: Option<Server>,
}

/// Runs one slice.
pub(crate) type SliceFn = Box<dyn FnMut(Duration) -> Result<SliceDone, Refusal>>;

fn prepare<S: Suite, R: Runtime>(order: &Prepare) -> Result<Program, Refusal> {
    R::available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spec = Spec::parse(&order.workload, S::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spin = Spin::calibrated(Duration::from_nanos(order.delay_ns));
    let place = Place::of::<R>(&order.cpus);
    let effective = R::effective(&place.config);
    let receipt = Receipt {
        runtime: R::ABOUT.package.to_owned(),
        version: String::new(),
        driver: effective.driver.name().to_owned(),
        workers: effective.workers * place.shards.len(),
        shards: place.shards.len(),
        notes: effective.notes,
    };
    let maker = Maker::<R> { order, place, spin, runtime: std::marker::PhantomData };
    let mut program =
        S::visit(&spec, maker).map_err(|error| Refusal::Unsupported(error.to_string()))??;
    program.ready.receipt = receipt;
    Ok(program)
}

struct Maker<'a, R> {
    order: &'a Prepare,
    place: Place,
    spin: Spin,
    runtime: std::marker::PhantomData<R>,
}

impl<R: Runtime> Visitor for Maker<'_, R> {
    type Output = Result<Program, Refusal>;

    fn served<W: Served>(self, workload: W) -> Self::Output {
        let server = Server::start::<R, W>(&workload, &self.place, self.order.addr, self.spin)?;
        let ready = Ready { addr: Some(server.addr()), ..Ready::default() };
        Ok(Program { ready, slice: None, server: Some(server) })
    }

    fn driven<W: Driven>(self, workload: W) -> Self::Output {
        let mut crew = Crew::start::<R, W>(&workload, &self.place, self.spin)?;
        let slice: SliceFn = Box::new(move |window| crew.slice(window));
        Ok(Program { ready: Ready::default(), slice: Some(slice), server: None })
    }

    fn outside<W: Outside>(self, workload: W) -> Self::Output {
        let alone = Alone::new::<R, W>(workload, self.place.config, self.spin);
        let slice: SliceFn = Box::new(move |window| alone.slice(window));
        Ok(Program { ready: Ready::default(), slice: Some(slice), server: None })
    }
}
