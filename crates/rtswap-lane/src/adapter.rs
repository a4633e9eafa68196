//! Any workload on any runtime that has an adapter.

use std::marker::PhantomData;
use std::net::TcpListener;
use std::time::Duration;

use rtswap_runtime::{Config, Runtime};
use rtswap_schema::histogram::encode;
use rtswap_workload::{
    Driven, Family, Opened, Outside, PolledEcho, Served, Spec, Spin, Standard, Suite, TcpEcho,
    Uses, Visitor,
};

use crate::host::{Program, Work};
use crate::tally::{Tally, add, refuse};
use crate::{Crew, Orders, Place, Prepare, Receipt, Refusal, Server, SliceDone, Up};

/// The note of a receipt that says how a lane's streams are polled: `native` or `bridged`.
pub const STREAMS: &str = "streams";

/// The note of a receipt that says who does its file I/O: `threads`, `ring` or `in place`.
pub const FILES: &str = "files";

/// Prepares a workload of the suite on the runtime.
///
/// # Errors
/// [`Refusal`] if the machine does not let the runtime work, or it cannot start.
pub fn prepare<S: Suite, R: Runtime>(order: &Prepare) -> Result<Program, Refusal> {
    R::available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spec = Spec::parse(&order.workload, S::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spin = Spin::calibrated(Duration::from_nanos(order.delay_ns));
    let place = Place::of::<R>(&order.cpus);
    let receipt = with_paths::<R>(receipt::<R>(&place), spec.family());
    let maker = Maker::<R> { order, place, spin, runtime: PhantomData };
    let work = S::visit(&spec, &order.resources, maker)
        .map_err(|error| Refusal::Unsupported(error.to_string()))??;
    Ok(Program { receipt, work })
}

/// The families of workloads that are there over the poll face as well.
pub const POLLED: &[&str] = &["tcp-echo"];

/// Prepares a workload over the poll face instead of owned buffers.
///
/// # Errors
/// [`Refusal`] if the machine does not let the runtime work, it cannot start, or the workload has no
/// such form.
pub fn prepare_polled<R: Runtime>(order: &Prepare) -> Result<Program, Refusal> {
    R::available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spec = Spec::parse(&order.workload, Standard::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    if !POLLED.contains(&spec.family().name) {
        let (name, known) = (spec.family().name, POLLED.join(", "));
        return Err(Refusal::Unsupported(format!("no polled `{name}`, only {known}")));
    }
    let spin = Spin::calibrated(Duration::from_nanos(order.delay_ns));
    let place = Place::of::<R>(&order.cpus);
    let mut receipt = receipt::<R>(&place);
    receipt.notes.insert(STREAMS.to_owned(), R::ABOUT.streams.name().to_owned());
    let maker = Maker::<R> { order, place, spin, runtime: PhantomData };
    let work = maker.served(PolledEcho::new(TcpEcho::new(&spec)))?;
    Ok(Program { receipt, work })
}

/// What a runtime really is when it is spread like this.
pub(crate) fn receipt<R: Runtime>(place: &Place) -> Receipt {
    let effective = R::effective(&place.config);
    Receipt {
        runtime: R::ABOUT.package.to_owned(),
        version: String::new(),
        driver: effective.driver.name().to_owned(),
        workers: effective.workers * place.shards.len(),
        shards: place.shards.len(),
        notes: effective.notes,
    }
}

/// Notes which of its ways a runtime goes for what the workload uses.
fn with_paths<R: Runtime>(mut receipt: Receipt, family: &Family) -> Receipt {
    let mut note = |key: &str, name: &str| {
        receipt.notes.insert(key.to_owned(), name.to_owned());
    };
    if family.uses.contains(&Uses::PollStreams) {
        note(STREAMS, R::ABOUT.streams.name());
    }
    if family.uses.contains(&Uses::Files) {
        note(FILES, R::ABOUT.files.name());
    }
    receipt
}

struct Maker<'a, R> {
    order: &'a Prepare,
    place: Place,
    spin: Spin,
    runtime: PhantomData<R>,
}

impl<R: Runtime> Visitor for Maker<'_, R> {
    type Output = Result<Work, Refusal>;

    fn served<W: Served>(self, workload: W) -> Self::Output {
        let Self { order, place, spin, .. } = self;
        let config = place.config.clone();
        let server = Server::start(&place, order.addr, move |listener, up| {
            let main = serve::<R, W>(workload.clone(), listener, spin, up.clone());
            started(R::block_on(&config, main))?
        })?;
        Ok(Work::Served(server))
    }

    fn driven<W: Driven>(self, workload: W) -> Self::Output {
        let Self { place, spin, .. } = self;
        let config = place.config.clone();
        let mut crew = Crew::start(&place, move |orders| {
            started(R::block_on(&config, drive::<R, W>(workload.clone(), orders, spin)))
        })?;
        Ok(Work::Driven(Box::new(move |window| crew.slice(window))))
    }

    fn opened<W: Opened>(self, workload: W) -> Self::Output {
        let Self { place, spin, .. } = self;
        let config = place.config.clone();
        let mut crew = Crew::start(&place, move |orders| {
            started(R::block_on(&config, open_and_drive::<R, W>(workload.clone(), orders, spin)))?
        })?;
        Ok(Work::Driven(Box::new(move |window| crew.slice(window))))
    }

    fn outside<W: Outside>(self, workload: W) -> Self::Output {
        let (config, spin) = (self.place.config, self.spin);
        Ok(Work::Driven(Box::new(move |window| outside::<R, W>(&workload, &config, spin, window))))
    }
}

fn started<T>(end: std::io::Result<T>) -> Result<T, Refusal> {
    end.map_err(|error| Refusal::Failed(format!("cannot start the runtime: {error}")))
}

async fn serve<R: Runtime, W: Served>(
    workload: W,
    listener: TcpListener,
    spin: Spin,
    up: Up,
) -> Result<(), Refusal> {
    let listener = R::listen(listener)
        .map_err(|error| Refusal::Failed(format!("the runtime refuses the socket: {error}")))?;
    up.tell();
    // As a task and not in main: on a multi-threaded runtime main is on none of the workers.
    R::spawn(async move { workload.serve::<R>(listener, spin).await })
        .await
        .map_err(|error| Refusal::Failed(format!("cannot accept: {error}")))
}

async fn drive<R: Runtime, W: Driven>(workload: W, mut orders: Orders, spin: Spin) {
    // All of it as a task: the thread of `block_on` is on a multi-threaded runtime none of the workers,
    // and would compete with them if it woke for every slice.
    R::spawn(async move {
        while let Some(mut slice) = orders.next().await {
            while slice.goes_on() {
                slice.take(workload.batch::<R>(spin).await);
            }
            slice.end();
        }
    })
    .await;
}

/// As [`drive`], once all is open. Orders that come before that wait.
async fn open_and_drive<R: Runtime, W: Opened>(
    workload: W,
    mut orders: Orders,
    spin: Spin,
) -> Result<(), Refusal> {
    R::spawn(async move {
        let mut open = workload.open::<R>().await.map_err(refuse)?;
        while let Some(mut slice) = orders.next().await {
            while slice.goes_on() {
                slice.take(workload.batch::<R>(&mut open, spin).await);
            }
            slice.end();
        }
        Ok(())
    })
    .await
}

/// A slice that is driven from outside of the runtime, by the lane's main thread.
fn outside<R: Runtime, W: Outside>(
    workload: &W,
    config: &Config,
    spin: Spin,
    window: Duration,
) -> Result<SliceDone, Refusal> {
    let mut tally = Tally::start();
    while tally.elapsed() < window {
        tally.take(workload.batch::<R>(config, spin).map_err(refuse)?);
    }
    let (mut done, mut histogram) = (SliceDone::default(), None);
    add(&mut done, &mut histogram, tally.end());
    done.latency_hdr = histogram.as_ref().map(encode);
    Ok(done)
}
