//! From the lockfile of rtswap to one with a crate in another version, in which as little else changes as can be.

use std::ffi::OsStr;

use cargo_lock::{Lockfile, Package as Locked};

use super::Request;
use crate::BuildError;
use crate::cargo::{Cargo, Watch};
use crate::lockfile::{dependency_of, without};
use crate::package::{Package, Pin};

/// What cargo chose.
pub(super) struct Resolved {
    pub lockfile: Lockfile,
    /// The version of the named crate.
    pub version: String,
    /// Its git source with the commit, if it has one.
    pub source: Option<String>,
}

/// Writes the package, and has cargo choose the versions.
pub(super) fn resolve(
    package: &Package<'_>,
    pin: &Pin,
    request: &Request,
    cargo: &Cargo,
    watch: &mut Watch<'_>,
) -> Result<Resolved, BuildError> {
    let Pin::Git { url, revision, .. } = pin else {
        return resolve_pin(package, pin, request, cargo, watch);
    };
    // Cargo wants to know which of them a name is.
    for is_branch in [false, true] {
        let (url, revision) = (url.clone(), revision.clone());
        let pin = Pin::Git { url, revision, is_branch };
        match resolve_pin(package, &pin, request, cargo, watch) {
            Err(BuildError::Cargo { last, .. }) if is_no_revision(&last) => {}
            done => return done,
        }
    }
    Err(BuildError::NoRevision { url: url.clone(), revision: revision.clone() })
}

/// Whether cargo, or the git in it, has not found a revision or a branch.
fn is_no_revision(last: &str) -> bool {
    let parts = ["revspec", "failed to find branch", "couldn't find remote ref"];
    parts.iter().any(|part| last.contains(part))
}

fn resolve_pin(
    package: &Package<'_>,
    pin: &Pin,
    request: &Request,
    cargo: &Cargo,
    watch: &mut Watch<'_>,
) -> Result<Resolved, BuildError> {
    let start = match pin {
        Pin::Exact(_) => request.lockfile.to_owned(),
        // Otherwise cargo keeps the version that is locked.
        _ => without(request.lockfile, package.pinned),
    };
    let first = choose(package, pin, &start, cargo, watch)?;
    let Err(found) = check(&first, package, pin) else { return Ok(accept(first, package)) };
    let replaced = match pin {
        Pin::Exact(_) => None,
        // Packages that ask for a newer version are locked: those that go with the published version do not.
        _ => version_of_replacement(&first, package),
    };
    let Some(version) = replaced else { return Err(not_accepted(package, request, &found)) };
    let published = choose(package, &Pin::Exact(version), request.lockfile, cargo, watch)?;
    let start = without(&published.to_string(), package.pinned);
    let second = choose(package, pin, &start, cargo, watch)?;
    match check(&second, package, pin) {
        Ok(()) => Ok(accept(second, package)),
        Err(found) => Err(not_accepted(package, request, &found)),
    }
}

fn choose(
    package: &Package<'_>,
    pin: &Pin,
    start: &str,
    cargo: &Cargo,
    watch: &mut Watch<'_>,
) -> Result<Lockfile, BuildError> {
    package.write(pin, start)?;
    // Changes what it has to, and downloads nothing but the index.
    cargo.run(&package.folder, &["update", "--workspace"].map(OsStr::new), watch)?;
    Ok(Lockfile::load(package.lockfile())?)
}

/// Whether the adapter, and all that share their types with it, use the pinned crate. The error is what the adapter
/// would use.
fn check(lockfile: &Lockfile, package: &Package<'_>, pin: &Pin) -> Result<(), String> {
    let used = dependency_of(lockfile, package.adapter, package.pinned);
    let used = used.ok_or_else(|| "none".to_owned())?;
    let is_pinned = match pin {
        Pin::Exact(version) => used.version == *version,
        _ => is_replacement(used, package),
    };
    let another = lockfile.packages.iter().find(|it| {
        let is_compatible = it.version.major == used.version.major && used.version.major > 0;
        it.name == used.name && it.source != used.source && is_compatible
    });
    match another {
        None if is_pinned => Ok(()),
        None => Err(used.version.to_string()),
        Some(other) => Err(format!("{} and {}", used.version, other.version)),
    }
}

/// Whether it is the crate in place of the registry's.
fn is_replacement(locked: &Locked, package: &Package<'_>) -> bool {
    let from_registry =
        locked.source.as_ref().is_some_and(cargo_lock::package::SourceId::is_registry);
    locked.name.as_str() == package.pinned && !from_registry
}

/// The version of the replacement, whether it is used or not.
fn version_of_replacement(lockfile: &Lockfile, package: &Package<'_>) -> Option<semver::Version> {
    let used = lockfile.packages.iter().find(|it| is_replacement(it, package));
    let unused = || lockfile.patch.unused.iter().find(|it| it.name.as_str() == package.pinned);
    used.map(|it| it.version.clone()).or_else(|| unused().map(|it| it.version.clone()))
}

fn accept(lockfile: Lockfile, package: &Package<'_>) -> Resolved {
    let used = dependency_of(&lockfile, package.adapter, package.pinned).expect("it was checked");
    let git = used.source.as_ref().filter(|source| source.is_git());
    let source = git.map(|it| format!("git:{}#{}", it.url(), it.precise().unwrap_or_default()));
    let version = used.version.to_string();
    Resolved { lockfile, version, source }
}

fn not_accepted(package: &Package<'_>, request: &Request, used: &str) -> BuildError {
    BuildError::NotAccepted {
        adapter: package.adapter.to_owned(),
        package: package.pinned.to_owned(),
        version: request.version.to_string(),
        used: format!("{} {used}", package.pinned),
    }
}
