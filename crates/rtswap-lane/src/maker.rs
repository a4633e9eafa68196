//! Programs of a runtime and a workload.

use std::future::Future;
use std::marker::PhantomData;
use std::net::TcpListener;
use std::time::Duration;

use rtswap_runtime::{Config, Fs, Net, Runtime};
use rtswap_schema::histogram::encode;
use rtswap_workload::{Batch, Driven, Fault, Load, Opened, Outside, Served, Spin, WithFiles};

use crate::host::Work;
use crate::tally::{Tally, add, refuse};
use crate::{Place, Prepare, ReadySignal, Refusal, Server, Shards, Slice, SliceDone, Slices};

/// Makes a program of a workload on a runtime that has the capability `C`.
pub(crate) struct Maker<'a, R, C: ?Sized> {
    pub runtime: R,
    order: &'a Prepare,
    pub place: Place,
    pub spin: Spin,
    capability: PhantomData<fn() -> C>,
}

impl<'a, R: Runtime, C: ?Sized> Maker<'a, R, C> {
    pub fn new(runtime: &R, order: &'a Prepare, place: Place) -> Self {
        let spin = Spin::calibrated(Duration::from_nanos(order.delay_ns));
        Self { runtime: runtime.clone(), order, place, spin, capability: PhantomData }
    }

    /// The refusal of a workload that needs what the runtime does not have.
    pub fn lacks(&self, what: &str) -> Refusal {
        let package = self.runtime.about().package;
        Refusal::Unsupported(format!("{package} has no {what} under the contract"))
    }

    /// Starts shards that each run `main` on the runtime to the end of its slices.
    pub fn shards<F: Future<Output = Result<(), Refusal>>>(
        self,
        main: impl Fn(Slices) -> F + Clone + Send + 'static,
    ) -> Result<Work, Refusal> {
        let (runtime, config) = (self.runtime, self.place.config.clone());
        let mut shards = Shards::start(&self.place, move |slices| {
            started(runtime.block_on(&config, main(slices)))?
        })?;
        Ok(Work::Driven(Box::new(move |window, pace| shards.slice(window, pace))))
    }
}

impl<R: Net, C: ?Sized> Maker<'_, R, C> {
    pub fn serve<W: Served>(self, workload: W) -> Result<Work, Refusal> {
        workload.check::<R>().map_err(|error| Refusal::Unsupported(error.to_string()))?;
        let Self { runtime, order, place, spin, .. } = self;
        let config = place.config.clone();
        let server = Server::start(&place, order.addr, move |listener, ready| {
            let main = serve::<R, W>(workload.clone(), listener, spin, ready.clone());
            started(runtime.block_on(&config, main))?
        })?;
        Ok(Work::Served(server))
    }

    pub fn open<W: Opened>(self, workload: W) -> Result<Work, Refusal> {
        let spin = self.spin;
        self.shards(move |slices| open_and_drive::<R, W>(workload.clone(), slices, spin))
    }
}

impl<R: Net + Fs, C: ?Sized> Maker<'_, R, C> {
    pub fn open_with_files<W: WithFiles>(self, workload: W) -> Result<Work, Refusal> {
        let spin = self.spin;
        self.shards(move |slices| open_files_and_drive::<R, W>(workload.clone(), slices, spin))
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

/// Waits for the next slice, on the runtime. All programs of the contract wait here, so that this is the place to
/// keep a runtime awake between slices as the connections of a service would: make it generic over `R`, and race it with
/// a loop of `R::sleep`. Nothing does so yet; the runtime may be idle for as long as the other lanes of a block work.
async fn next_slice(slices: &mut Slices) -> Option<Slice> {
    slices.next().await
}

/// Answers a slice of an offered load, at the end of its window or later.
async fn finish_paced<R: Runtime>(mut slice: Slice, load: &Load, done: Result<Batch, Fault>) {
    slice.record_paced(done);
    load.rest::<R>().await;
    slice.finish();
}

pub(crate) async fn drive<R: Runtime, W: Driven>(workload: W, mut slices: Slices, spin: Spin) {
    // All of it as a task: the thread of `block_on` is on a multi-threaded runtime none of the workers,
    // and would compete with them if it woke for every slice.
    R::spawn(async move {
        while let Some(mut slice) = next_slice(&mut slices).await {
            if let Some(load) = slice.load().cloned() {
                let done = workload.paced::<R>(&load, spin).await;
                finish_paced::<R>(slice, &load, done).await;
                continue;
            }
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
        while let Some(mut slice) = next_slice(&mut slices).await {
            if let Some(load) = slice.load().cloned() {
                let done = workload.paced::<R>(&mut open, &load, spin).await;
                finish_paced::<R>(slice, &load, done).await;
                continue;
            }
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
        while let Some(mut slice) = next_slice(&mut slices).await {
            if slice.load().is_some() {
                return Err(refuse(Fault::unpaced()));
            }
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
pub(crate) fn outside<R: Runtime, W: Outside>(
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
