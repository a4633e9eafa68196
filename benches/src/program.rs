//! The `rtswap` executable, whose lanes are measured.
//!
//! It is built as `cargo run` builds it, so that benchmarks and `rtswap run` measure the same code, and
//! nothing is linked for the benchmarks a second time.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rtswap_schema::record::Kind;
use serde::Deserialize;

/// The workspace, where cargo reads the same configuration and selects the same packages as for the user.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A lane that can be measured, or not.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub name: String,
    pub kind: Kind,
    /// Why this machine or this build does not have it.
    pub reason: Option<String>,
    #[serde(default)]
    pub missing_feature: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    lanes: Vec<Listed>,
}

/// Builds the executable with the profile of this one. What is up to date is not built again.
///
/// # Errors
/// What cargo could not do. Its own messages are on standard error.
pub(crate) fn build() -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    // `target/release/rtswap-benches`; `debug` is the folder of the profile `dev`.
    let folder = this.parent().unwrap_or(&this);
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let built = Command::new(cargo)
        .args(["build", "--bin", "rtswap", "--profile", profile, "--quiet"])
        .current_dir(WORKSPACE)
        .stdin(Stdio::null())
        .status();
    match built {
        Ok(status) if status.success() => Ok(folder.join("rtswap")),
        Ok(_) => Err("cannot build rtswap: see cargo's message above".to_owned()),
        Err(error) => Err(format!("cannot start cargo to build rtswap: {error}")),
    }
}

/// The runtimes that are built in.
///
/// # Errors
/// What the program could not do.
pub(crate) fn runtimes(program: &Path) -> Result<Vec<Listed>, String> {
    let output = Command::new(program)
        .args(["list", "--format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let listing: Listing = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`rtswap list` gave no listing: {error}"))?;
    let runtimes = listing.lanes.into_iter();
    Ok(runtimes
        .filter(|lane| lane.kind == Kind::Runtime && lane.missing_feature.is_none())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_reads_reason_and_missing_feature() {
        let text = r#"{"lanes":[
            {"name":"tokio","kind":"runtime","reason":null,"about":"…"},
            {"name":"smol","kind":"runtime","reason":"not built in","missing_feature":"smol"}]}"#;
        let listing: Listing = serde_json::from_str(text).unwrap();
        assert_eq!(listing.lanes[0].missing_feature, None);
        assert_eq!(listing.lanes[1].missing_feature.as_deref(), Some("smol"));
    }
}
