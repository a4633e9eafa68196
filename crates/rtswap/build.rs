//! Writes down the versions of all packages in Cargo.lock, because a lane's receipt names the version
//! of its runtime and no runtime tells it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let lock = manifest.ancestors().map(|dir| dir.join("Cargo.lock")).find(|path| path.exists());
    let mut packages = Vec::new();
    if let Some(path) = &lock {
        println!("cargo::rerun-if-changed={}", path.display());
        // Without a readable lockfile versions are unknown, which the receipt says.
        packages = cargo_lock::Lockfile::load(path).map(|it| it.packages).unwrap_or_default();
    }
    let versions: Vec<_> = packages
        .iter()
        .map(|package| (package.name.as_str(), package.version.to_string()))
        .collect();
    let versions = format!("&{versions:?}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(Path::new(&out).join("versions.rs"), versions).expect("OUT_DIR is writable");
}
