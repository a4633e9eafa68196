//! Any workload on any runtime that has an adapter.

use rtswap_runtime::{About, Net, Runtime};
use rtswap_workload::{
    Driven, Family, Fault, Opened, Outside, PolledEcho, Served, Spec, SpecError, Standard, Suite,
    TcpEcho, Uses, Visitor, WithFiles,
};

use crate::capability::{Capability, NoFiles};
use crate::host::{Program, Work};
use crate::maker::{Maker, drive, outside};
use crate::tally::refuse;
use crate::{LaneInfo, Place, Prepare, Refusal};

/// The note of lane info that says how a lane's streams are polled: `native`, `readiness` or
/// `bridged`.
pub const STREAMS: &str = "streams";

/// The note of lane info that says who does its file I/O: `threads`, `ring`, `in place`, or which operations the ring
/// and which ones threads.
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
        Ok(Work::Driven(Box::new(move |window, pace| {
            if pace.is_some() {
                return Err(refuse(Fault::unpaced()));
            }
            outside(&runtime, &workload, &place.config, spin, window)
        })))
    }
}
