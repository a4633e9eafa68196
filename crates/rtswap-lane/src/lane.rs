use std::convert::Infallible;
use std::fmt;
use std::io::{self, BufReader, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use rtswap_runtime::{Fs, Net, Runtime, Threads};
use rtswap_schema::record::Kind;
use rtswap_workload::Suite;

use crate::capability::{All, Capability, FilesOnly, NoFiles, TasksOnly};
use crate::host::{self, Program};
use crate::native::{self, Native};
use crate::{Prepare, Ready, Refusal, adapter, version};

/// A contestant: a runtime in one configuration, a floor, or a program in another language.
#[derive(Clone)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// `1.54.1`; empty where it is unknown before the lane is started.
    pub version: String,
    /// `epoll`, `io_uring`.
    pub driver: &'static str,
    /// What runs its tasks, in a few words.
    pub threads: &'static str,
    /// What it stands for.
    pub kind: Kind,
    /// Whether a run measures it by default.
    pub in_default: bool,
    /// The families of workloads that it takes part in; empty for all.
    pub families: &'static [&'static str],
    /// The cargo feature of `rtswap` that brings it, where it is not built in.
    pub missing_feature: Option<&'static str>,
    available: Arc<dyn Fn() -> io::Result<()> + Send + Sync>,
    prepare: Arc<PrepareFn>,
}

type PrepareFn = dyn Fn(&Prepare) -> Result<Program, Refusal> + Send + Sync;

/// [`Lane::threads`] of a lane with a shard for each CPU.
pub const SHARDED: &str = "one; a shard for each CPU";

impl Lane {
    /// A lane that prepares its programs with `prepare`.
    ///
    /// Its version, driver and threads are empty, and it takes part in all workloads by default:
    /// fields that differ are set by the caller.
    pub fn new(
        name: &str,
        about: &str,
        kind: Kind,
        prepare: impl Fn(&Prepare) -> Result<Program, Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            version: String::new(),
            driver: "",
            threads: "",
            kind,
            in_default: true,
            families: &[],
            missing_feature: None,
            available: Arc::new(|| Ok(())),
            prepare: Arc::new(prepare),
        }
    }

    /// What stands for a lane that is not built in: it is listed, and measured nowhere. `feature` of `rtswap` brings
    /// it, and `remedy` says how: ``build rtswap with `--features may` ``.
    #[must_use]
    pub fn not_built(name: &str, feature: &'static str, remedy: &str) -> Self {
        let reason = format!("not built in: {remedy}");
        let refusal = Refusal::Skipped(reason.clone());
        let lane = Self::new(name, "not built in", Kind::Runtime, move |_| Err(refusal.clone()));
        Self { missing_feature: Some(feature), ..lane.on_request() }
            .with_available(move || Err(io::Error::other(reason.clone())))
    }

    /// The same lane, with a test of whether this machine lets it work. The error says why not.
    #[must_use]
    pub fn with_available(
        self,
        available: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { available: Arc::new(available), ..self }
    }

    /// The same lane, with the version of a package in the lockfile of the build.
    #[must_use]
    pub fn version_of(self, package: &str) -> Self {
        Self { version: version::of(package).unwrap_or_default().to_owned(), ..self }
    }

    /// A lane of a runtime that has streams and files, for the workloads of a suite.
    ///
    /// The version is that of the runtime's package in the lockfile of the build.
    pub fn of<S: Suite, R: Net + Fs>(name: &str, about: &str, runtime: &R) -> Self {
        Self::with_capability::<S, R, All>(name, about, runtime)
    }

    /// A lane of a runtime that differs from another one in its files, for the workloads with files alone. A run measures
    /// it only where it is named.
    pub fn files_only<S: Suite, R: Net + Fs>(name: &str, about: &str, runtime: &R) -> Self {
        let lane = Self::with_capability::<S, R, FilesOnly>(name, about, runtime);
        Self { families: FilesOnly::FAMILIES, ..lane.on_request() }
    }

    /// A lane of a runtime that has no files: workloads that need them are `unsupported`.
    pub fn without_files<S: Suite, R: Net>(name: &str, about: &str, runtime: &R) -> Self {
        Self::with_capability::<S, R, NoFiles>(name, about, runtime)
    }

    /// A lane of a runtime that has tasks and timers alone.
    pub fn tasks_only<S: Suite, R: Runtime>(name: &str, about: &str, runtime: &R) -> Self {
        Self::with_capability::<S, R, TasksOnly>(name, about, runtime)
    }

    fn with_capability<S: Suite, R: Runtime, C: Capability<R>>(
        name: &str,
        about: &str,
        runtime: &R,
    ) -> Self {
        let properties = runtime.about();
        let (probed, prepared) = (runtime.clone(), runtime.clone());
        Self {
            version: version::of(properties.package).unwrap_or_default().to_owned(),
            driver: properties.driver.name(),
            threads: match properties.threads {
                Threads::Workers => "a worker for each CPU",
                Threads::Process => "a worker for each CPU, for the whole process",
                Threads::One => SHARDED,
            },
            ..Self::new(name, about, Kind::Runtime, move |order| {
                adapter::prepare::<S, R, C>(&prepared, order)
            })
        }
        .with_available(move || probed.available())
    }

    /// The lane of a runtime, followed by the one that is written by hand, without the contract
    /// (`native-NAME`), and the one whose streams are polled (`poll-NAME`).
    pub fn with_native<S: Suite, R: Native + Fs>(
        name: &str,
        about: &str,
        runtime: &R,
    ) -> [Self; 3] {
        let lane = Self::of::<S, R>(name, about, runtime);
        let by_hand = lane.by_hand(name, format!("{name} without the contract"), runtime);
        let polled = runtime.clone();
        let streams = runtime.about().streams.name();
        let polled = Self {
            name: polled_name(name),
            about: format!("{name} over streams that are polled ({streams})"),
            kind: Kind::Polled,
            in_default: false,
            families: adapter::POLLED,
            prepare: Arc::new(move |order| adapter::prepare_polled(&polled, order)),
            ..lane.clone()
        };
        [lane, by_hand, polled]
    }

    /// The lane `native-NAME` of a program that is written by hand, without the contract, and is otherwise as this one.
    #[must_use]
    pub fn by_hand<R: Native>(&self, name: &str, about: String, runtime: &R) -> Self {
        let native = runtime.clone();
        Self {
            name: native_name(name),
            about,
            kind: Kind::Native,
            in_default: false,
            families: native::FAMILIES,
            prepare: Arc::new(move |order| native::prepare(&native, order)),
            ..self.clone()
        }
    }

    /// The same lane, which a run measures only where it is named.
    #[must_use]
    pub fn on_request(self) -> Self {
        Self { in_default: false, ..self }
    }

    /// Whether this machine lets it work.
    ///
    /// # Errors
    /// Why not.
    pub fn available(&self) -> io::Result<()> {
        (self.available)()
    }

    /// Makes it ready for a workload.
    ///
    /// # Errors
    /// [`Refusal`] if it has no such workload, the machine does not let it work, or it cannot start.
    pub fn prepare(&self, order: &Prepare) -> Result<Program, Refusal> {
        (self.prepare)(order)
    }

    /// Speaks the lane protocol on standard input and output until it is ordered to stop.
    pub fn host(&self) -> ExitCode {
        host::run(&self.version, BufReader::new(stdin()), stdout(), &*self.prepare)
    }

    /// Serves a workload until the process ends; `ready` hears the address.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn serve(
        &self,
        order: &Prepare,
        ready: impl FnOnce(&Ready),
    ) -> Result<Infallible, Refusal> {
        host::serve(&self.version, order, &*self.prepare, ready)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The name of a runtime's lane that is written by hand, without the contract.
pub fn native_name(lane: &str) -> String {
    format!("native-{lane}")
}

/// The name of a runtime's lane whose streams are polled.
pub fn polled_name(lane: &str) -> String {
    format!("poll-{lane}")
}
