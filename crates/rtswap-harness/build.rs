//! Writes down what the harness is built from and with: records name both.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    if let Some(version) = output(Command::new(rustc).arg("--version")) {
        println!("cargo::rustc-env=RTSWAP_RUSTC={version}");
    }
    // Only of optimised builds, because a new revision builds every crate above this one again.
    if env::var("PROFILE").as_deref() == Ok("release")
        && let Some(revision) = revision()
    {
        println!("cargo::rustc-env=RTSWAP_GIT_REVISION={revision}");
    }
}

/// The revision that this package was built from: of the working tree, or that which `cargo package` has noted.
fn revision() -> Option<String> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let noted = manifest.join(".cargo_vcs_info.json");
    if let Ok(text) = std::fs::read_to_string(noted) {
        let (_, after) = text.split_once("\"sha1\"")?;
        return after.split('"').nth(1).map(str::to_owned);
    }
    let workspace = manifest.ancestors().nth(2)?;
    // Not the repository of a program that has this package in a folder of its own.
    if !workspace.join(".git").exists() {
        return None;
    }
    // Not at each change of a file, because then every crate above this one would be built again.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(workspace, &["rev-parse", "--git-path", file])?;
        let path = workspace.join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(workspace, &["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    output(Command::new("git").current_dir(folder).env("GIT_OPTIONAL_LOCKS", "0").args(args))
}

/// The one line that a command prints; `None` if it fails.
fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    let text = String::from_utf8(done.stdout).ok()?;
    let line = text.trim();
    (!line.is_empty() && !line.contains('\n')).then(|| line.to_owned())
}
