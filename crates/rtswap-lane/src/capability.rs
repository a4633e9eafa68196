//! How much of the contract a runtime has, at compile time.

use rtswap_runtime::{Fs, Net, Runtime};
use rtswap_workload::{Opened, Served, WithFiles};

use crate::Refusal;
use crate::host::Work;
use crate::maker::Maker;

/// Makes the programs that need more of a runtime than tasks and timers, or refuses them.
pub(crate) trait Capability<R: Runtime>: 'static {
    fn served<W: Served>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal>;
    fn opened<W: Opened>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal>;
    fn with_files<W: WithFiles>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal>;
}

/// Streams and files.
pub(crate) struct All;

impl<R: Net + Fs> Capability<R> for All {
    fn served<W: Served>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.serve(workload)
    }

    fn opened<W: Opened>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.open(workload)
    }

    fn with_files<W: WithFiles>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.open_with_files(workload)
    }
}

/// Files, and streams for workloads with files alone: for a lane that differs from another in its files.
pub(crate) struct FilesOnly;

impl FilesOnly {
    /// The families of workloads that there are.
    pub const FAMILIES: &[&str] = &["file", "fetch"];

    fn refusal() -> Refusal {
        let known = Self::FAMILIES.join(", ");
        Refusal::Unsupported(format!("a lane of files: it does {known} only"))
    }
}

impl<R: Net + Fs> Capability<R> for FilesOnly {
    fn served<W: Served>(_: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(Self::refusal())
    }

    fn opened<W: Opened>(_: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(Self::refusal())
    }

    fn with_files<W: WithFiles>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.open_with_files(workload)
    }
}

/// Streams.
pub(crate) struct NoFiles;

impl<R: Net> Capability<R> for NoFiles {
    fn served<W: Served>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.serve(workload)
    }

    fn opened<W: Opened>(maker: Maker<'_, R, Self>, workload: W) -> Result<Work, Refusal> {
        maker.open(workload)
    }

    fn with_files<W: WithFiles>(maker: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(maker.lacks("files"))
    }
}

/// Neither.
pub(crate) struct TasksOnly;

impl<R: Runtime> Capability<R> for TasksOnly {
    fn served<W: Served>(maker: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(maker.lacks("TCP streams"))
    }

    fn opened<W: Opened>(maker: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(maker.lacks("TCP streams"))
    }

    fn with_files<W: WithFiles>(maker: Maker<'_, R, Self>, _: W) -> Result<Work, Refusal> {
        Err(maker.lacks("files"))
    }
}
