//! Keeps the lockfile of the build: that of a lane that is built against another version of its runtime begins with it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut text = String::new();
    if let Some(path) = lockfile(&out) {
        println!("cargo::rerun-if-changed={}", path.display());
        // Without one, the lane has the newest versions.
        text = fs::read_to_string(path).unwrap_or_default();
    }
    fs::write(out.join("Cargo.lock"), text).expect("OUT_DIR is writable");
}

/// The lockfile of the build: next to the target folder, which is in the workspace that is being built, wherever this
/// package comes from. Where the target folder is elsewhere, that of this package, which a registry has as well.
fn lockfile(out: &Path) -> Option<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folders = out.ancestors().chain(manifest.ancestors());
    folders.map(|folder| folder.join("Cargo.lock")).find(|path| path.exists())
}
