//! The number of a tracepoint, with and without a mounted tracefs.

use std::process::Command;

use rtswap_harness::tracefs::tracepoint_id;

const NAME: &str = "raw_syscalls/sys_enter";
/// Makes this executable print the number, in a namespace in which tracefs is not mounted.
const INNER: &str = "RTSWAP_TEST_UNMOUNTED";

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must not skip this test: {why}");
    eprintln!("SKIPPED: {why}");
}

#[test]
fn tracepoint_id_needs_no_mounted_tracefs() {
    if std::env::var_os(INNER).is_some() {
        let mounted = || std::fs::read_to_string("/proc/mounts").unwrap().contains(" tracefs ");
        assert!(!mounted());
        eprintln!("the number is {}", tracepoint_id(NAME).unwrap());
        assert!(!mounted(), "the mount is left behind");
        return;
    }
    let script = "umount -l /sys/kernel/tracing /sys/kernel/debug/tracing 2>/dev/null; exec \"$@\"";
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tracepoint_id_needs_no_mounted_tracefs", "--nocapture"])
        .env(INNER, "1")
        .output();
    let Ok(done) = done else { return skip("unshare is missing: apt install util-linux") };
    let stderr = String::from_utf8_lossy(&done.stderr);
    if stderr.contains("unshare failed") {
        return skip("only root may unmount tracefs; run this test as root");
    }
    assert!(done.status.success(), "{stderr}");
    let number = stderr.lines().find_map(|line| line.strip_prefix("the number is "));
    let number: u64 = number.unwrap_or_else(|| panic!("no number: {stderr}")).parse().unwrap();
    assert_eq!(number, tracepoint_id(NAME).unwrap());
}

#[test]
fn tracepoint_id_of_unknown_name_is_not_found() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root may read tracefs; run this test as root");
    }
    let error = tracepoint_id("no/such").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
}
