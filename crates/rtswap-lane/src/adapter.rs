//! Any workload on any runtime that has an adapter.

use std::future::Future;
use std::marker::PhantomData;
use std::net::TcpListener;
use std::time::Duration;

use rtswap_runtime::{About, Config, Fs, Net, Runtime};
use rtswap_schema::histogram::encode;
use rtswap_workload::{
    Driven, Family, Opened, Outside, PolledEcho, Served, Spec, SpecError, Spin, Standard, Suite,
    TcpEcho, Uses, Visitor, WithFiles,
};

use crate::capability::{Capability, NoFiles};
use crate::host::{Program, Work};
use crate::tally::{Tally, add, refuse};
use crate::{LaneInfo, Place, Prepare, ReadySignal, Refusal, Server, Shards, SliceDone, Slices};

/// The note of a info that says how a lane's streams are polled: `native` or `bridged`.
pub const STREAMS: &str = "streams";

/// The note of a info that says who does its file I/O: `threads`, `ring` or `in place`.
pub const FILES: &str = "files";

/// Prepares a workload of the suite on the runtime.
///
/// # Errors
/// [`Refusal`] if the machine does not let the runtime work, or it cannot start.
pub(crate) fn prepare<S: Suite, R: Runtime, C: Capability<R>>(
    runtime: &R,
    order: &Prepare,
) -> Result<Program, Refusal> {
    runtime.available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spec = Spec::parse(&order.workload, S::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let place = Place::of(&runtime.about(), &order.cpus);
    let info = with_paths(&runtime.about(), info(runtime, &place), spec.family());
    let maker = Maker::<R, C>::new(runtime, order, place);
    let work = S::visit(&spec, &order.resources, maker).map_err(|error| match error {
        SpecError::NotBuilt { .. } => Refusal::Skipped(error.to_string()),
        _ => Refusal::Unsupported(error.to_string()),
    })??;
    Ok(Program { info, work })
}

/// The families of workloads that are there over the poll face as well.
pub const POLLED: &[&str] = &["tcp-echo"];

/// Prepares a workload over the poll face instead of owned buffers.
///
/// # Errors
/// [`Refusal`] if the machine does not let the runtime work, it cannot start, or the workload has no
/// such form.
pub(crate) fn prepare_polled<R: Net>(runtime: &R, order: &Prepare) -> Result<Program, Refusal> {
    runtime.available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    let spec = Spec::parse(&order.workload, Standard::CATALOGUE)
        .map_err(|error| Refusal::Unsupported(error.to_string()))?;
    if !POLLED.contains(&spec.family().name) {
        let (name, known) = (spec.family().name, POLLED.join(", "));
        return Err(Refusal::Unsupported(format!("no polled `{name}`, only {known}")));
    }
    let about = runtime.about();
    let place = Place::of(&about, &order.cpus);
    let mut info = info(runtime, &place);
    info.notes.insert(STREAMS.to_owned(), about.streams.name().to_owned());
    let maker = Maker::<R, NoFiles>::new(runtime, order, place);
    let work = maker.serve(PolledEcho::new(TcpEcho::new(&spec)))?;
    Ok(Program { info, work })
}

/// What a runtime really is when it is spread like this.
pub(crate) fn info<R: Runtime>(runtime: &R, place: &Place) -> LaneInfo {
    let effective = runtime.effective(&place.config);
    LaneInfo {
        runtime: runtime.about().package.to_owned(),
        version: String::new(),
        driver: effective.driver.name().to_owned(),
        workers: effective.workers * place.shards.len(),
        shards: place.shards.len(),
        notes: effective.notes,
    }
}

/// Notes which of its ways a runtime goes for what the workload uses.
fn with_paths(about: &About, mut info: LaneInfo, family: &Family) -> LaneInfo {
    let mut note = |key: &str, name: &str| {
        info.notes.insert(key.to_owned(), name.to_owned());
    };
    if family.uses.contains(&Uses::PollStreams) {
        note(STREAMS, about.streams.name());
    }
    if family.uses.contains(&Uses::Files) {
        note(FILES, about.files.name());
    }
    info
}

/// Makes a program of a workload on a runtime that has the capability `C`.
pub(crate) struct Maker<'a, R, C: ?Sized> {
    runtime: R,
    order: &'a Prepare,
    place: Place,
    spin: Spin,
    capability: PhantomData<fn() -> C>,
}

impl<'a, R: Runtime, C: ?Sized> Maker<'a, R, C> {
    fn new(runtime: &R, order: &'a Prepare, place: Place) -> Self {
        let spin = Spin::calibrated(Duration::from_nanos(order.delay_ns));
        Self { runtime: runtime.clone(), order, place, spin, capability: PhantomData }
    }

    /// The refusal of a workload that needs what the runtime does not have.
    pub(crate) fn lacks(&self, what: &str) -> Refusal {
        let package = self.runtime.about().package;
        Refusal::Unsupported(format!("{package} has no {what} under the contract"))
    }

    /// Starts shards that each run `main` on the runtime to the end of its slices.
    fn shards<F: Future<Output = Result<(), Refusal>>>(
        self,
        main: impl Fn(Slices) -> F + Clone + Send + 'static,
    ) -> Result<Work, Refusal> {
        let (runtime, config) = (self.runtime, self.place.config.clone());
        let mut shards = Shards::start(&self.place, move |slices| {
            started(runtime.block_on(&config, main(slices)))?
        })?;
        Ok(Work::Driven(Box::new(move |window| shards.slice(window))))
    }
}

impl<R: Net, C: ?Sized> Maker<'_, R, C> {
    pub(crate) fn serve<W: Served>(self, workload: W) -> Result<Work, Refusal> {
        let Self { runtime, order, place, spin, .. } = self;
        let config = place.config.clone();
        let server = Server::start(&place, order.addr, move |listener, ready| {
            let main = serve::<R, W>(workload.clone(), listener, spin, ready.clone());
            started(runtime.block_on(&config, main))?
        })?;
        Ok(Work::Served(server))
    }

    pub(crate) fn open<W: Opened>(self, workload: W) -> Result<Work, Refusal> {
        let spin = self.spin;
        self.shards(move |slices| open_and_drive::<R, W>(workload.clone(), slices, spin))
    }
}

impl<R: Net + Fs, C: ?Sized> Maker<'_, R, C> {
    pub(crate) fn open_with_files<W: WithFiles>(self, workload: W) -> Result<Work, Refusal> {
        let spin = self.spin;
        self.shards(move |slices| open_files_and_drive::<R, W>(workload.clone(), slices, spin))
    }
}

impl<R: Runtime, C: Capability<R>> Visitor for Maker<'_, R, C> {
    type Output = Result<Work, Refusal>;

    fn served<W: Served>(self, workload: W) -> Self::Output {
        C::served(self, workload)
    }

    fn driven<W: Driven>(self, workload: W) -> Self::Output {
        let spin = self.spin;
        self.shards(move |slices| {
            let work = drive::<R, W>(workload.clone(), slices, spin);
            async {
                work.await;
                Ok(())
            }
        })
    }

    fn opened<W: Opened>(self, workload: W) -> Self::Output {
        C::opened(self, workload)
    }

    fn with_files<W: WithFiles>(self, workload: W) -> Self::Output {
        C::with_files(self, workload)
    }

    fn outside<W: Outside>(self, workload: W) -> Self::Output {
        let Self { runtime, place, spin, .. } = self;
        Ok(Work::Driven(Box::new(move |window| {
            outside(&runtime, &workload, &place.config, spin, window)
        })))
    }
}

fn started<T>(end: std::io::Result<T>) -> Result<T, Refusal> {
    end.map_err(|error| Refusal::Failed(format!("cannot start the runtime: {error}")))
}

async fn serve<R: Net, W: Served>(
    workload: W,
    listener: TcpListener,
    spin: Spin,
    ready: ReadySignal,
) -> Result<(), Refusal> {
    let listener = R::listen(listener)
        .map_err(|error| Refusal::Failed(format!("the runtime refuses the socket: {error}")))?;
    ready.send();
    // As a task and not in main: on a multi-threaded runtime main is on none of the workers.
    R::spawn(async move { workload.serve::<R>(listener, spin).await })
        .await
        .map_err(|error| Refusal::Failed(format!("cannot accept: {error}")))
}

async fn drive<R: Runtime, W: Driven>(workload: W, mut slices: Slices, spin: Spin) {
    // All of it as a task: the thread of `block_on` is on a multi-threaded runtime none of the workers,
    // and would compete with them if it woke for every slice.
    R::spawn(async move {
        while let Some(mut slice) = slices.next().await {
            while slice.has_time() {
                slice.record(workload.batch::<R>(spin).await);
            }
            slice.finish();
        }
    })
    .await;
}

/// As [`drive`], once all is open. Slices that come before that wait.
async fn open_and_drive<R: Net, W: Opened>(
    workload: W,
    mut slices: Slices,
    spin: Spin,
) -> Result<(), Refusal> {
    R::spawn(async move {
        let mut open = workload.open::<R>().await.map_err(refuse)?;
        while let Some(mut slice) = slices.next().await {
            while slice.has_time() {
                slice.record(workload.batch::<R>(&mut open, spin).await);
            }
            slice.finish();
        }
        Ok(())
    })
    .await
}

/// As [`open_and_drive`], with files.
async fn open_files_and_drive<R: Net + Fs, W: WithFiles>(
    workload: W,
    mut slices: Slices,
    spin: Spin,
) -> Result<(), Refusal> {
    R::spawn(async move {
        let mut open = workload.open::<R>().await.map_err(refuse)?;
        while let Some(mut slice) = slices.next().await {
            while slice.has_time() {
                slice.record(workload.batch::<R>(&mut open, spin).await);
            }
            slice.finish();
        }
        Ok(())
    })
    .await
}

/// A slice that is driven from outside of the runtime, by the lane's main thread.
fn outside<R: Runtime, W: Outside>(
    runtime: &R,
    workload: &W,
    config: &Config,
    spin: Spin,
    window: Duration,
) -> Result<SliceDone, Refusal> {
    let mut tally = Tally::start();
    while tally.elapsed() < window {
        tally.take(workload.batch(runtime, config, spin).map_err(refuse)?);
    }
    let (mut done, mut histogram) = (SliceDone::default(), None);
    add(&mut done, &mut histogram, tally.end());
    done.latency_hdr = histogram.as_ref().map(encode);
    Ok(done)
}
