//! `rtswap origin`: serving images to any client.

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rtswap::runtimes::Tokio;
use rtswap::workload::{Standard, content};
use rtswap_lane::Lane;
use rtswap_lane::host::Work;
use rtswap_lane::{Prepare, Refusal};
use rustix::process::Signal;
use support::{Case, Running, assert_one_line, eventually, skip};

/// Serves on a free port. Returns the URL and the file of the root certificate.
fn serve(case: &Case, more: &[&str]) -> (Running, String, String) {
    let mut server = case.spawn(&[&["origin"], more].concat());
    let mut lines = BufReader::new(server.stdout()).lines().map(Result::unwrap);
    let line = lines.next().unwrap();
    let url = line.split_whitespace().last().unwrap().strip_suffix("/65536-7").unwrap().to_owned();
    let line = lines.next().unwrap();
    let root = line.strip_prefix("the root certificate is ").unwrap().to_owned();
    (server, url, root)
}

/// Downloads with the workload `fetch`, which verifies the certificate. Returns the number of images.
fn fetch(case: &Case, url: &str, root: &str) -> Result<u64, Refusal> {
    let folder = case.folder.path().to_str().unwrap();
    let resources = [("origin", url), ("origin-root", root), ("folder", folder)];
    let lane = Lane::of::<Standard, _>("tokio", "tokio", &Tokio::default());
    let program = lane.prepare(&Prepare {
        workload: "fetch/images=3/size=1000/concurrency=2/verify_tls=true".to_owned(),
        cpus: vec![0],
        resources: resources.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Prepare::default()
    })?;
    let Work::Driven(mut slice) = program.work else { panic!("the lane drives fetch itself") };
    slice(std::time::Duration::from_millis(1), None).map(|done| done.ops)
}

#[test]
fn signal_ends_the_origin_and_removes_its_certificate() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let case = Case::new();
        let (server, url, root) = serve(&case, &[]);
        assert!(fetch(&case, &url, &root).unwrap() >= 3);
        server.signal(signal);
        let (status, stderr) = server.wait();
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        assert!(!Path::new(&root).exists());
        let addr = url.strip_prefix("https://").unwrap();
        assert!(eventually(|| TcpListener::bind(addr).ok()).is_some(), "{addr} is taken");
        case.assert_nothing_left();
    }
}

#[test]
fn root_option_keeps_the_certificate() {
    let case = Case::new();
    let (server, url, root) = serve(&case, &["--root", "root.pem"]);
    assert_eq!(root, "root.pem");
    let root = case.path("root.pem");
    assert!(fetch(&case, &url, root.to_str().unwrap()).unwrap() >= 3);
    server.signal(Signal::INT);
    assert!(server.wait().0.success());
    assert!(root.exists());
}

#[test]
fn curl_downloads_with_and_without_verification() {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("curl is not installed: apt-get install curl");
        return;
    }
    let case = Case::new();
    let (_server, url, root) = serve(&case, &[]);
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "30"]);
        command.args(args).output().unwrap()
    };
    let (seven, eight, absent) =
        (format!("{url}/65536-7"), format!("{url}/1048576-8"), format!("{url}/image.png"));
    let done = curl(&["-k", &seven]);
    assert!(done.stdout == content(65_536, 7), "{done:?}");
    let both = curl(&["--cacert", &root, &seven, &eight]);
    assert!(both.stdout == [content(65_536, 7), content(1 << 20, 8)].concat());
    // 60: the issuer of the certificate is unknown. 22: a status of 400 or more.
    assert_eq!(curl(&[&seven]).status.code(), Some(60));
    assert_eq!(curl(&["-k", &absent]).status.code(), Some(22));
}

#[test]
fn start_error_is_one_line_with_cause() {
    let case = Case::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (args, messages) in [
        (["--addr", addr.as_str()], [addr.as_str(), "Address already in use"]),
        (["--root", "absent/root.pem"], ["to absent/root.pem", "No such file"]),
    ] {
        let done = case.rtswap().arg("origin").args(args).assert().code(1);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        let line = assert_one_line(&stderr);
        assert!(messages.iter().all(|message| line.contains(message)), "{line}");
    }
}
