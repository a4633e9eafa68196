//! `fetch`: the files it writes, and its messages for each failure.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rtswap::Registry;
use rtswap::workload::content;
use rtswap_lane::host::Work;
use rtswap_lane::{Lane, Prepare, Refusal, SliceDone};
use rtswap_service::origin::{Options, Origin};
use support::{Case, RECORD, cell, json};
use tempfile::TempDir;

/// Runtimes with file I/O on threads.
const LANES: [&str; 3] = ["tokio", "async-std", "smol"];

fn lane(name: &str) -> Lane {
    Registry::standard().lane(name).unwrap().clone()
}

/// Checks the origin's certificate, as it does by default.
const SMALL: &str = "fetch/images=5/size=100000/concurrency=3";
const UNCHECKED: &str = "fetch/images=5/size=100000/concurrency=3/verify_tls=false";

fn origin() -> Origin {
    Origin::start(&Options { faults: true, ..Options::default() }).unwrap()
}

/// The order to a lane.
struct Job<'a> {
    workload: &'a str,
    cpus: &'a [usize],
    url: &'a str,
    root: &'a Path,
    folder: &'a Path,
}

impl Job<'_> {
    /// One slice of one batch or a few batches.
    fn run(&self, lane: &Lane) -> Result<SliceDone, Refusal> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let resources = [
            ("origin", self.url.to_owned()),
            ("origin-root", text(self.root)),
            ("folder", text(self.folder)),
        ];
        let program = lane.prepare(&Prepare {
            workload: self.workload.to_owned(),
            cpus: self.cpus.to_owned(),
            resources: resources.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Prepare::default()
        })?;
        let Work::Driven(mut slice) = program.work else { panic!("the lane drives fetch itself") };
        slice(Duration::from_millis(1), None)
    }
}

/// The message of every lane for a job that fails. Checks that it is one line, and that the folder is empty.
fn refusals(workload: &str, url: &str, root: &Path) -> Vec<String> {
    let messages = LANES.map(|name| {
        let folder = TempDir::new().unwrap();
        let job = Job { workload, cpus: &[0], url, root, folder: folder.path() };
        let refusal = job.run(&lane(name)).unwrap_err();
        let Refusal::Failed(message) = refusal else { panic!("{name}: {refusal:?}") };
        assert_eq!(names(folder.path()), BTreeSet::new(), "{name}: {message}");
        assert!(!message.contains('\n'), "{message}");
        message
    });
    messages.into()
}

/// Checks that every lane fails, with each of `parts` and the URL in its message.
fn assert_refused(workload: &str, url: &str, root: &Path, parts: &[&str]) {
    for message in refusals(workload, url, root) {
        for part in parts.iter().chain([&url]) {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

/// The names of the files in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn images_are_saved_in_full_under_their_names() {
    let origin = origin();
    for name in LANES {
        for workload in [SMALL, UNCHECKED] {
            let folder = TempDir::new().unwrap();
            let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
            let done = Job { workload, cpus: &[0], url, root, folder }.run(&lane(name)).unwrap();
            assert!(done.ops >= 5 && done.ops.is_multiple_of(5), "{name}: {}", done.ops);
            assert!(done.latency_hdr.is_some(), "{name}");
            let expected: BTreeSet<_> = (0..5).map(|it| format!("100000-{it}")).collect();
            assert_eq!(names(folder), expected, "{name}");
            for number in 0..5 {
                let image = fs::read(folder.join(format!("100000-{number}"))).unwrap();
                assert!(image == content(100_000, number), "{name}: {number}");
            }
        }
    }
}

#[test]
fn shards_save_to_different_files() {
    let (origin, folder) = (origin(), TempDir::new().unwrap());
    let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
    let done =
        Job { workload: SMALL, cpus: &[0, 1], url, root, folder }.run(&lane("smol-local")).unwrap();
    assert!(done.ops >= 10);
    assert_eq!(names(folder), (0..10).map(|number| format!("100000-{number}")).collect());
}

#[test]
fn every_runtime_downloads_and_saves() {
    for lane in Registry::standard().runtimes() {
        if let Err(why) = lane.available() {
            // The kernel may forbid io_uring. Every machine has epoll.
            assert_eq!(lane.driver, "io_uring", "{}: {why}", lane.name);
            eprintln!("SKIPPED: {}: {why}", lane.name);
            continue;
        }
        let (origin, folder) = (origin(), TempDir::new().unwrap());
        let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
        let job = Job { workload: SMALL, cpus: &[0], url, root, folder };
        let done = job.run(lane).unwrap_or_else(|refusal| panic!("{}: {refusal}", lane.name));
        assert!(done.ops >= 5, "{}", lane.name);
        assert!(origin.served() > 0, "{} downloaded nothing", lane.name);
    }
}

#[test]
fn missing_image_fails_with_its_status() {
    let origin = origin();
    let url = format!("{}/nowhere", origin.url());
    assert_refused(SMALL, &url, origin.root(), &["/nowhere/100000-", "404 Not Found"]);
}

#[test]
fn truncated_image_fails_and_is_not_saved() {
    let origin = origin();
    let url = format!("{}/short/", origin.url());
    assert_refused(SMALL, &url, origin.root(), &["/short/100000-", "cut short after 50000 bytes"]);
}

#[test]
fn origin_that_ends_during_an_image_fails_the_lane() {
    for name in LANES {
        let (origin, folder) = (origin(), TempDir::new().unwrap());
        let (url, root) = (format!("{}/stall", origin.url()), origin.root().to_owned());
        let end = thread::spawn(move || {
            // No lane finishes earlier: half of each image never arrives.
            thread::sleep(Duration::from_millis(500));
            drop(origin);
        });
        let job =
            Job { workload: SMALL, cpus: &[0], url: &url, root: &root, folder: folder.path() };
        let refusal = job.run(&lane(name)).unwrap_err();
        assert!(matches!(&refusal, Refusal::Failed(why) if why.contains(&url)), "{refusal:?}");
        assert_eq!(names(folder.path()), BTreeSet::new(), "{name}");
        end.join().unwrap();
    }
}

#[test]
fn foreign_certificate_fails_by_default() {
    let (one, other) = (origin(), origin());
    let parts = ["invalid peer certificate", "UnknownIssuer"];
    assert_refused(SMALL, &one.url(), other.root(), &parts);
    for name in LANES {
        let folder = TempDir::new().unwrap();
        let (url, root, folder) = (&one.url(), other.root(), folder.path());
        Job { workload: UNCHECKED, cpus: &[0], url, root, folder }.run(&lane(name)).unwrap();
    }
}

#[test]
fn unusable_root_certificate_fails_with_its_path() {
    let origin = origin();
    let case = Case::new();
    let (absent, empty) = (case.path("absent.pem"), case.path("empty.pem"));
    fs::write(&empty, "no certificate\n").unwrap();
    for (root, part) in [(&absent, "cannot read"), (&empty, "no certificate in it")] {
        for message in refusals(SMALL, &origin.url(), root) {
            assert!(message.contains(part), "{message}");
            assert!(message.contains(root.to_str().unwrap()), "{message}");
        }
    }
}

#[test]
fn unreachable_origin_and_invalid_url_fail() {
    let origin = origin();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("https://{free}");
    assert_refused(SMALL, &refused, origin.root(), &["cannot connect", "Connection refused"]);
    assert_refused(SMALL, "http://127.0.0.1:1", origin.root(), &["not an https URL"]);
    assert_refused(SMALL, "https://", origin.root(), &["no URL"]);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("https://{}", silent.local_addr().unwrap());
    let server = thread::spawn(move || {
        use std::io::Write as _;
        for _ in LANES {
            silent.accept().unwrap().0.write_all(b"220 this is no TLS\r\n").unwrap();
        }
    });
    assert_refused(SMALL, &plain, origin.root(), &["no TLS"]);
    server.join().unwrap();
}

#[test]
fn unwritable_file_fails_and_leaves_no_partial_file() {
    let origin = origin();
    let (url, root) = (&origin.url(), origin.root());
    for name in LANES {
        let folder = TempDir::new().unwrap();
        // A rename does not replace a folder.
        let taken = folder.path().join("100000-0");
        fs::create_dir(&taken).unwrap();
        let job = Job { workload: SMALL, cpus: &[0], url, root, folder: folder.path() };
        let message = job.run(&lane(name)).unwrap_err().to_string();
        assert!(message.contains(&format!("{url}/100000-0: cannot save it as")), "{message}");
        assert!(message.contains("Is a directory"), "{message}");
        assert!(names(folder.path()).iter().all(|file| file.starts_with("100000-")), "{name}");
        let folder = folder.path().join("absent");
        let message = Job { folder: &folder, ..job }.run(&lane(name)).unwrap_err().to_string();
        assert!(message.contains(folder.to_str().unwrap()), "{message}");
        assert!(message.contains("No such file"), "{message}");
    }
}

#[test]
fn prepare_without_resources_names_the_missing_one() {
    let order = Prepare { workload: SMALL.to_owned(), cpus: vec![0], ..Prepare::default() };
    let message = lane("tokio").prepare(&order).unwrap_err().to_string();
    assert!(message.contains("does not know where its `origin` is"), "{message}");
}

#[test]
fn full_disk_fails_the_lane_with_the_url() {
    let case = Case::new();
    // Room for the root certificate and two images of ten.
    let Some(mut verify) = case.on_small_disk("256k") else { return };
    verify.args(["verify", "--workload", SMALL]);
    for lane in LANES {
        verify.args(["--lane", lane]);
    }
    let output = verify.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    for lane in LANES {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(&format!("{lane} ")));
        let line = line.unwrap_or_else(|| panic!("no {lane}: {stdout}"));
        assert!(line.contains("failed: https://127.0.0.1:"), "{line}");
        assert!(line.contains("No space left on device"), "{line}");
    }
    assert_eq!(fs::read_to_string(case.path("left")).unwrap(), "");
}

/// The lane spec of `fetch_lane.py`.
fn python(name: &str, fault: &str) -> String {
    let lane = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fetch_lane.py");
    format!("{name}=python3 {lane} {fault}")
}

#[test]
fn lanes_with_wrong_reports_or_files_are_invalid() {
    let case = Case::new();
    let lanes = ["sound", "claims", "half", "part"].map(|name| {
        let fault = if name == "sound" { "" } else { name };
        python(name, fault)
    });
    // `run` checks each slice, `verify` a slice that is not timed.
    let done = case.quick_run(SMALL, &lanes).assert().code(1);
    let summary = json(&done.get_output().stdout);
    let mut verify = case.rtswap();
    verify.args(["verify", "--workload", SMALL]);
    let done = verify.args(lanes.iter().flat_map(|lane| ["--lane", lane])).assert().code(1);
    let verified = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    for (name, part) in [
        ("claims", "downloads, but the origin served"),
        ("half", "has 50000 bytes instead of 100000"),
        ("part", "an unfinished file"),
    ] {
        let cell = cell(&summary, name);
        assert_eq!(cell["status"], "invalid", "{cell:#}");
        assert!(cell["reason"].as_str().unwrap().contains(part), "{cell:#}");
        let line = verified.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains("invalid: ") && line.contains(part), "{verified}");
    }
    assert_eq!(cell(&summary, "sound")["status"], "ok", "{:#}", cell(&summary, "sound"));
    assert!(verified.lines().any(|line| line.contains("sound   ok, ")), "{verified}");
    assert_eq!(cell(&summary, "tokio-local")["status"], "ok");
    let record = fs::read_to_string(case.path(RECORD)).unwrap();
    assert!(record.contains("\"files\":\"threads\""), "the lane info names the file I/O");
    case.assert_nothing_left();
}
