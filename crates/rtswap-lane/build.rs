//! Writes down the versions of all packages in Cargo.lock: lane info names the version of the runtime, and
//! runtimes do not report their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut packages = Vec::new();
    if let Some(path) = lockfile(&out) {
        println!("cargo::rerun-if-changed={}", path.display());
        // Without a readable lockfile versions are unknown, which lane info says.
        packages = cargo_lock::Lockfile::load(path).map(|it| it.packages).unwrap_or_default();
    }
    let versions: Vec<_> = packages
        .iter()
        .map(|package| (package.name.as_str(), package.version.to_string()))
        .collect();
    let versions = format!("&{versions:?}");
    fs::write(out.join("versions.rs"), versions).expect("OUT_DIR is writable");
}

/// The lockfile of the build: next to the target folder, which is in the workspace that is being built,
/// wherever this package comes from. Where the target folder is elsewhere, that of this package's own
/// workspace.
fn lockfile(out: &Path) -> Option<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // The lockfile in a package from a registry says what its author built, not what is built now.
    let from_registry = manifest.join(".cargo-ok").exists();
    let own = (!from_registry).then_some(manifest.as_path());
    [Some(out), own]
        .into_iter()
        .flatten()
        .flat_map(Path::ancestors)
        .map(|dir| dir.join("Cargo.lock"))
        .find(|path| path.exists())
}
