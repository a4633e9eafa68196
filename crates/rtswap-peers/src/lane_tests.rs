//! Runs the tests next to the lanes' sources, which are in the languages of the lanes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{PeerFolder, lookup};

/// A folder of sources.
fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lanes").join(language)
}

/// Skips a part of a test. Fails it if the environment variable `CI` is set: CI installs all that tests need.
fn skip(why: &str) {
    assert!(env::var_os("CI").is_none(), "CI must not skip this test: {why}");
    eprintln!("SKIPPED: {why}");
}

fn assert_passes(tool: &mut Command) {
    let done = tool.output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{tool:?}: {}\n{stdout}{stderr}", done.status);
}

#[test]
fn python_tests_pass() {
    let folder = PeerFolder::of_user().unwrap();
    let Some(python) = folder.program(&["python3"]) else {
        return skip("there is no `python3` on PATH");
    };
    // Without compiled files next to the sources.
    let mut tests = Command::new(python);
    tests.args(["-B", "-m", "unittest", "-v", "test_sleep_order"]);
    assert_passes(tests.current_dir(sources("python")));
}

#[test]
fn node_tests_pass() {
    let Ok(node) = lookup::node(&PeerFolder::of_user().unwrap()) else {
        return skip("there is no `node` on PATH");
    };
    let mut tests = Command::new(node);
    assert_passes(tests.args(["--test", "sleep_order.test.mjs"]).current_dir(sources("node")));
}

/// By the Go of PATH, or the one that `rtswap peers install` got.
#[test]
fn go_tests_pass() {
    let folder = PeerFolder::of_user().unwrap();
    let installed = lookup::site_packages(&folder).unwrap_or_default().join("go");
    let (go, root) = match folder.program(&["go"]) {
        Some(go) => (go, None),
        None => (installed.join("bin").join("go"), Some(installed)),
    };
    if !go.is_file() {
        return skip("there is no Go: run `rtswap peers install go`");
    }
    let cache = tempfile::tempdir().unwrap();
    let mut tests = Command::new(go);
    tests.args(["test", "sleep_order.go", "sleep_order_test.go"]).current_dir(sources("go"));
    tests.env("GOCACHE", cache.path().join("build")).env("GOPATH", cache.path().join("path"));
    tests.env("GOENV", "off").env("GOFLAGS", "").env("GOWORK", "off");
    tests.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    if let Some(root) = root {
        tests.env("GOROOT", root);
    }
    assert_passes(&mut tests);
}
