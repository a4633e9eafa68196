//! The lanes of an adapter, built against a version of its runtime.

mod folder;
mod resolve;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cargo_lock::Lockfile;
use rtswap_schema::record::Built;

use crate::cache::{EXECUTABLE, Entry};
use crate::cargo::{Cargo, Watch};
use crate::digest::{self, Digester};
use crate::package::{Package, Pin};
use crate::{BuildError, Cache, Source, Version, cache, lockfile};
use folder::CrateFolder;

/// Changes with everything that changes the executable and is not part of a request.
const FORMAT: &str = "1";

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Request {
    /// How it is asked for, whatever the lane of the adapter: `tokio@1.50.0`.
    pub spec: String,
    /// The adapter's crate: `rtswap-tokio`.
    pub adapter: String,
    /// Features of the adapter.
    pub features: Vec<String>,
    /// Whether it has the workloads that need hyper, rustls or a database client.
    pub apps: bool,
    /// The crate whose version is chosen: `tokio`.
    pub package: String,
    /// Its repository, for git revisions without one.
    pub repository: Option<String>,
    /// The version.
    pub version: Version,
    /// A toolchain of rustup's, instead of the default one.
    pub toolchain: Option<String>,
    /// Flags for the compiler, after those of the environment.
    pub rustflags: Vec<String>,
    /// The lockfile that rtswap was built with, which the lane's begins with.
    pub lockfile: &'static str,
    /// Where the adapter's source comes from.
    pub source: Source,
}

/// A lane that is built.
#[derive(Clone, Debug)]
pub struct BuiltLane {
    /// What it was built from.
    pub built: Built,
    /// The executable, whose argument is the name of a lane.
    pub executable: PathBuf,
    /// How long the build took; `None` if it was there.
    pub took: Option<Duration>,
}

/// Hears of a build.
pub trait Steps {
    /// Another process builds in the cache, and is waited for.
    fn waits(&mut self);
    /// It was not there, and is being built.
    fn begins(&mut self, request: &Request);
    /// A line of cargo's.
    fn line(&mut self, line: &str);
}

/// Builds a lane, unless it is in the cache. `cancel` ends the build once it is set.
///
/// # Errors
/// If it cannot be built, or the cache cannot be used.
pub fn build(
    cache: &Cache,
    request: &Request,
    steps: &mut dyn Steps,
    cancel: &AtomicBool,
) -> Result<BuiltLane, BuildError> {
    let begin = Instant::now();
    cache.check()?;
    cache::make(cache.lanes())?;
    let cargo = Cargo::new(request.toolchain.as_deref(), &request.rustflags);
    let rustc = cargo.rustc(cache.lanes())?;
    let build = Build { cache, request, rustc, cargo, own: own_lockfile(request)? };
    let folder = match &request.version {
        Version::Path(folder) => {
            Some(CrateFolder::find(folder, &request.package, &build.cargo, cache.lanes(), cancel)?)
        }
        _ => None,
    };
    if let Some(identity) = build.identity(folder.as_ref())?
        && let Some(found) = build.find(&build.digest(&identity)?)
    {
        return Ok(found);
    }
    let _lock = cache.lock(cancel, || steps.waits())?;
    build.carry_out(folder.as_ref(), begin, steps, cancel).map_err(|error| build.hide(error))
}

struct Build<'a> {
    cache: &'a Cache,
    request: &'a Request,
    cargo: Cargo,
    /// What the compiler says of its version.
    rustc: String,
    /// The lockfile of rtswap.
    own: Lockfile,
}

fn own_lockfile(request: &Request) -> Result<Lockfile, BuildError> {
    // Empty where the build of rtswap has left none.
    let text = if request.lockfile.is_empty() { "version = 4\n" } else { request.lockfile };
    Ok(text.parse()?)
}

impl Build<'_> {
    /// What the version is, if it cannot change: `None` for a git revision that may be a branch.
    fn identity(&self, folder: Option<&CrateFolder>) -> Result<Option<String>, BuildError> {
        Ok(match (&self.request.version, folder) {
            (Version::Published(version), _) => Some(version.to_string()),
            (_, Some(folder)) => Some(folder.digest()?),
            (Version::Git { revision, .. }, _) => {
                let is_commit =
                    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit());
                if is_commit {
                    Some(format!("git:{}#{revision}", self.repository()?))
                } else {
                    None
                }
            }
            (Version::Path(_), None) => None,
        })
    }

    fn repository(&self) -> Result<String, BuildError> {
        let Version::Git { url, revision } = &self.request.version else {
            return Ok(String::new());
        };
        let found = url.clone().or_else(|| self.request.repository.clone());
        found.ok_or_else(|| BuildError::NoRepository {
            package: self.request.package.clone(),
            revision: revision.clone(),
        })
    }

    fn pin(&self, folder: Option<&CrateFolder>) -> Result<Pin, BuildError> {
        Ok(match (&self.request.version, folder) {
            (Version::Published(version), _) => Pin::Exact(version.clone()),
            (Version::Git { revision, .. }, _) => {
                let (url, revision) = (self.repository()?, revision.clone());
                Pin::Git { url, revision, is_branch: false }
            }
            (Version::Path(path), folder) => {
                Pin::Path(folder.map_or_else(|| path.clone(), |it| it.path.clone()))
            }
        })
    }

    /// The digest of all that the executable follows from. Two of them are equally long, and so are the paths of two
    /// executables.
    fn digest(&self, identity: &str) -> Result<String, BuildError> {
        let request = self.request;
        let mut digest = Digester::default();
        let apps = if request.apps { "apps" } else { "" };
        for text in [FORMAT, &request.adapter, &request.package, identity, apps, &self.rustc] {
            digest.text(text);
        }
        digest.text(&request.source.digest(&request.adapter, &self.own)?);
        digest.text(request.lockfile);
        digest.text(&request.features.join(","));
        digest.text(&self.cargo.rustflags().join("\u{1f}"));
        for (name, value) in env::vars_os().filter(|(name, _)| changes_code(name)) {
            digest.part(name.as_encoded_bytes());
            digest.part(value.as_encoded_bytes());
        }
        Ok(digest.finish()[..16].to_owned())
    }

    fn find(&self, digest: &str) -> Option<BuiltLane> {
        let (entry, executable) = self.cache.find(digest)?;
        Some(BuiltLane { built: entry.built, executable, took: None })
    }

    fn carry_out(
        &self,
        folder: Option<&CrateFolder>,
        begin: Instant,
        steps: &mut dyn Steps,
        cancel: &AtomicBool,
    ) -> Result<BuiltLane, BuildError> {
        // Another process may have built it while this one waited.
        let known = self.identity(folder)?;
        if let Some(found) = known.as_deref().map(|it| self.digest(it)).transpose()?
            && let Some(found) = self.find(&found)
        {
            return Ok(found);
        }
        let request = self.request;
        steps.begins(request);
        let package = Package {
            folder: self.cache.work(),
            adapter: &request.adapter,
            source: &request.source,
            features: &request.features,
            apps: request.apps,
            pinned: &request.package,
        };
        let mut line = |line: &str| steps.line(line);
        let mut watch = Watch { line: &mut line, cancel };
        let pin = self.pin(folder)?;
        let resolved = resolve::resolve(&package, &pin, request, &self.cargo, &mut watch)?;
        let identity = known.unwrap_or_else(|| resolved.source.clone().unwrap_or_default());
        let digest = self.digest(&identity)?;
        if let Some(found) = self.find(&digest) {
            return Ok(found);
        }
        let target = package.folder.join("target");
        let target = ["--release", "--locked", "--target-dir"]
            .map(OsStr::new)
            .into_iter()
            .chain([target.as_os_str()]);
        let arguments: Vec<_> = target.collect();
        let built = self.cargo.executable(&package.folder, EXECUTABLE, &arguments, &mut watch)?;
        let executable_sha256 = digest::of_file(&built).map_err(|source| BuildError::Cache {
            action: "read",
            path: built.clone(),
            source,
        })?;
        let entry = Entry {
            spec: request.spec.clone(),
            built: Built {
                package: request.package.clone(),
                version: resolved.version,
                source: match &request.version {
                    Version::Path(path) => Some(format!("path:{}", last_part(path))),
                    _ => resolved.source,
                },
                source_sha256: folder.map(CrateFolder::digest).transpose()?,
                adapter: request.adapter.clone(),
                adapter_source: request.source.word().to_owned(),
                rustc: self.rustc.lines().next().unwrap_or_default().to_owned(),
                toolchain: request.toolchain.clone(),
                rustflags: self.cargo.rustflags().to_vec(),
                executable_sha256,
                changes: lockfile::changes(&self.own, &resolved.lockfile),
            },
        };
        let files = [package.lockfile(), package.manifest()];
        let executable = self.cache.keep(&digest, &entry, &built, &files)?;
        Ok(BuiltLane { built: entry.built, executable, took: Some(begin.elapsed()) })
    }

    /// An error without the user's folders in it, because it goes into the record.
    fn hide(&self, error: BuildError) -> BuildError {
        let mut folders = vec![self.cache.lanes().to_owned()];
        if let Source::Checkout(folder) = &self.request.source {
            folders.push(folder.clone());
        }
        if let Version::Path(folder) = &self.request.version {
            folders.push(cache::absolute(folder));
        }
        error.hide(&folders)
    }
}

fn last_part(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Whether an environment variable may change the code that cargo builds. RUSTFLAGS are part of the digest anyway.
fn changes_code(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let begins = ["CARGO_PROFILE_RELEASE_", "CARGO_BUILD_", "CARGO_TARGET_", "RUSTC"];
    let harmless = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_JOBS"];
    begins.iter().any(|begin| name.starts_with(begin)) && !harmless.contains(&name)
}
