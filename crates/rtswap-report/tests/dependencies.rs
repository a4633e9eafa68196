//! Reports and statistics depend on the schema alone: no runtime, HTTP library or database client.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that do I/O or run tasks, and those that bring one in.
const BANNED: [&str; 24] = [
    "async-channel",
    "async-executor",
    "async-io",
    "async-std",
    "compio",
    "futures-lite",
    "glommio",
    "hyper",
    "hyper-util",
    "io-uring",
    "mio",
    "monoio",
    "mysql_common",
    "perf-event2",
    "polling",
    "procfs",
    "redis",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-postgres",
    "tokio-rustls",
    "tokio-uring",
];

/// The names of a package and of all that it links, as cargo lists them.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", package, "-e", "normal", "--offline", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn assert_depends(package: &str, siblings: &[&str]) {
    let found = dependencies(package);
    assert!(found.contains("serde"), "the list of {package} is not complete: {found:?}");
    let allowed =
        |name: &str| name == package || siblings.contains(&name) || !name.starts_with("rtswap");
    let wrong: Vec<&String> =
        found.iter().filter(|name| !allowed(name) || BANNED.contains(&name.as_str())).collect();
    assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
}

#[test]
fn report_depends_on_schema_and_stats_alone() {
    assert_depends("rtswap-report", &["rtswap-schema", "rtswap-stats"]);
}

#[test]
fn stats_depends_on_schema_alone() {
    assert_depends("rtswap-stats", &["rtswap-schema"]);
}

#[test]
fn schema_depends_on_no_sibling() {
    assert_depends("rtswap-schema", &[]);
}
