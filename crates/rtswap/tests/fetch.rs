//! `fetch`: what it leaves when all goes well, and what it says when something does not.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rtswap::Registry;
use rtswap::runtimes::{AsyncStd, Smol, SmolLocal, Tokio};
use rtswap::workload::{Standard, content};
use rtswap_lane::adapter::prepare;
use rtswap_lane::host::{Program, Work};
use rtswap_lane::{Prepare, Refusal, SliceDone};
use rtswap_service::origin::{Options, Origin};
use support::{Case, RECORD, cell, json};
use tempfile::TempDir;

type PrepareFn = fn(&Prepare) -> Result<Program, Refusal>;

/// Runtimes of each kind that has files on threads.
const LANES: [(&str, PrepareFn); 3] = [
    ("tokio", prepare::<Standard, Tokio>),
    ("async-std", prepare::<Standard, AsyncStd>),
    ("smol", prepare::<Standard, Smol>),
];

const SMALL: &str = "fetch/images=5/size=100000/concurrency=3";
const CHECKED: &str = "fetch/images=5/size=100000/concurrency=3/verify_tls=true";

fn origin() -> Origin {
    Origin::start(&Options { faults: true, ..Options::default() }).unwrap()
}

/// What a lane is told to do.
struct Job<'a> {
    workload: &'a str,
    cpus: &'a [usize],
    url: &'a str,
    root: &'a Path,
    folder: &'a Path,
}

impl Job<'_> {
    /// One slice of one batch, or of a few.
    fn run(&self, prepare: PrepareFn) -> Result<SliceDone, Refusal> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let given = [
            ("origin", self.url.to_owned()),
            ("origin-root", text(self.root)),
            ("folder", text(self.folder)),
        ];
        let program = prepare(&Prepare {
            workload: self.workload.to_owned(),
            cpus: self.cpus.to_owned(),
            resources: given.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Prepare::default()
        })?;
        let Work::Driven(mut slice) = program.work else { panic!("fetch is not served") };
        slice(Duration::from_millis(1))
    }
}

/// What every lane says of a job that fails: one line, and nothing is left in the folder.
fn refusals(workload: &str, url: &str, root: &Path) -> Vec<String> {
    let told = LANES.map(|(lane, prepare)| {
        let folder = TempDir::new().unwrap();
        let job = Job { workload, cpus: &[0], url, root, folder: folder.path() };
        let refusal = job.run(prepare).unwrap_err();
        let Refusal::Failed(told) = refusal else { panic!("{lane}: {refusal:?}") };
        assert_eq!(names(folder.path()), BTreeSet::new(), "{lane}: {told}");
        assert!(!told.contains('\n'), "{told}");
        told
    });
    told.into()
}

/// As [`refusals`], each of which tells all of that.
fn assert_refused(workload: &str, url: &str, root: &Path, tells: &[&str]) {
    for told in refusals(workload, url, root) {
        for tells in tells.iter().chain([&url]) {
            assert!(told.contains(tells), "`{tells}` is not in: {told}");
        }
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_image_is_saved_in_full_under_its_name() {
    let origin = origin();
    for (lane, prepare) in LANES {
        for workload in [SMALL, CHECKED] {
            let folder = TempDir::new().unwrap();
            let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
            let done = Job { workload, cpus: &[0], url, root, folder }.run(prepare).unwrap();
            assert!(done.ops >= 5 && done.ops.is_multiple_of(5), "{lane}: {}", done.ops);
            assert!(done.latency_hdr.is_some(), "{lane}");
            let expected: BTreeSet<_> = (0..5).map(|it| format!("100000-{it}")).collect();
            assert_eq!(names(folder), expected, "{lane}");
            for number in 0..5 {
                let image = fs::read(folder.join(format!("100000-{number}"))).unwrap();
                assert!(image == content(100_000, number), "{lane}: {number}");
            }
        }
    }
}

#[test]
fn shards_do_not_write_each_others_files() {
    let (origin, folder) = (origin(), TempDir::new().unwrap());
    let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
    let done = Job { workload: SMALL, cpus: &[0, 1], url, root, folder }
        .run(prepare::<Standard, SmolLocal>)
        .unwrap();
    assert!(done.ops >= 10);
    assert_eq!(names(folder), (0..10).map(|number| format!("100000-{number}")).collect());
}

#[test]
fn every_runtime_downloads_whether_it_can_save_or_not() {
    for lane in Registry::standard().runtimes() {
        if (lane.available)().is_err() {
            continue;
        }
        let (origin, folder) = (origin(), TempDir::new().unwrap());
        let (url, root, folder) = (&origin.url(), origin.root(), folder.path());
        let job = Job { workload: CHECKED, cpus: &[0], url, root, folder };
        match job.run(lane.prepare) {
            Ok(done) => assert!(done.ops >= 5, "{}", lane.name),
            Err(Refusal::Unsupported(told)) => assert!(told.contains("no files"), "{told}"),
            Err(refusal) => panic!("{}: {refusal}", lane.name),
        }
        assert!(origin.served() > 0, "{} saves what it has not downloaded", lane.name);
    }
}

#[test]
fn an_image_that_is_not_there_is_told() {
    let origin = origin();
    let url = format!("{}/nowhere", origin.url());
    assert_refused(SMALL, &url, origin.root(), &["/nowhere/100000-", "404 Not Found"]);
}

#[test]
fn half_an_image_is_told_and_never_saved() {
    let origin = origin();
    let url = format!("{}/short/", origin.url());
    assert_refused(SMALL, &url, origin.root(), &["/short/100000-", "cut short after 50000 bytes"]);
}

#[test]
fn an_origin_that_goes_in_the_midst_of_an_image_is_told() {
    for (lane, prepare) in LANES {
        let (origin, folder) = (origin(), TempDir::new().unwrap());
        let (url, root) = (format!("{}/stall", origin.url()), origin.root().to_owned());
        let end = thread::spawn(move || {
            // As good as ever in the midst: nothing ever comes of it before.
            thread::sleep(Duration::from_millis(500));
            drop(origin);
        });
        let job =
            Job { workload: SMALL, cpus: &[0], url: &url, root: &root, folder: folder.path() };
        let refusal = job.run(prepare).unwrap_err();
        assert!(matches!(&refusal, Refusal::Failed(told) if told.contains(&url)), "{refusal:?}");
        assert_eq!(names(folder.path()), BTreeSet::new(), "{lane}");
        end.join().unwrap();
    }
}

#[test]
fn a_certificate_of_another_root_is_refused_where_it_is_checked() {
    let (one, other) = (origin(), origin());
    let tells = ["invalid peer certificate", "UnknownIssuer"];
    assert_refused(CHECKED, &one.url(), other.root(), &tells);
    for (_, prepare) in LANES {
        let folder = TempDir::new().unwrap();
        let (url, root, folder) = (&one.url(), other.root(), folder.path());
        Job { workload: SMALL, cpus: &[0], url, root, folder }.run(prepare).unwrap();
    }
}

#[test]
fn a_root_that_is_none_is_told() {
    let origin = origin();
    let case = Case::new();
    let (absent, empty) = (case.path("absent.pem"), case.path("empty.pem"));
    fs::write(&empty, "no certificate\n").unwrap();
    for (root, tells) in [(&absent, "cannot read"), (&empty, "no certificate in it")] {
        for told in refusals(CHECKED, &origin.url(), root) {
            assert!(told.contains(tells) && told.contains(root.to_str().unwrap()), "{told}");
        }
    }
}

#[test]
fn where_no_origin_is_is_told() {
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
fn a_file_that_cannot_be_saved_is_told_and_leaves_no_part() {
    let origin = origin();
    let (url, root) = (&origin.url(), origin.root());
    for (lane, prepare) in LANES {
        let folder = TempDir::new().unwrap();
        // Its name is taken by something that a rename does not replace.
        let taken = folder.path().join("100000-0");
        fs::create_dir(&taken).unwrap();
        let job = Job { workload: SMALL, cpus: &[0], url, root, folder: folder.path() };
        let told = job.run(prepare).unwrap_err().to_string();
        assert!(told.contains(&format!("{url}/100000-0: cannot save it as")), "{told}");
        assert!(told.contains("Is a directory"), "{told}");
        assert!(names(folder.path()).iter().all(|name| name.starts_with("100000-")), "{lane}");
        let folder = folder.path().join("absent");
        let told = Job { folder: &folder, ..job }.run(prepare).unwrap_err().to_string();
        assert!(told.contains(folder.to_str().unwrap()) && told.contains("No such file"), "{told}");
    }
}

#[test]
fn a_lane_that_is_not_told_where_things_are_says_so() {
    let order = Prepare { workload: SMALL.to_owned(), cpus: vec![0], ..Prepare::default() };
    let told = prepare::<Standard, Tokio>(&order).unwrap_err().to_string();
    assert!(told.contains("does not know where its `origin` is"), "{told}");
}

#[test]
fn a_full_disk_fails_the_lane_and_says_where() {
    let case = Case::new();
    // Enough for the root certificate and two images of ten.
    let Some(mut verify) = case.on_small_disk("256k") else { return };
    verify.args(["verify", "--workload", SMALL]);
    for (lane, _) in LANES {
        verify.args(["--lane", lane]);
    }
    let output = verify.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    for (lane, _) in LANES {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(&format!("{lane} ")));
        let line = line.unwrap_or_else(|| panic!("no {lane}: {stdout}"));
        assert!(line.contains("failed: https://127.0.0.1:"), "{line}");
        assert!(line.contains("No space left on device"), "{line}");
    }
    assert_eq!(fs::read_to_string(case.path("left")).unwrap(), "");
}

/// The lane in Python.
fn python(name: &str, fault: &str) -> String {
    let lane = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fetch_lane.py");
    format!("{name}=python3 {lane} {fault}")
}

#[test]
fn lanes_that_lie_are_invalid_and_those_that_do_not_are_not() {
    let case = Case::new();
    let lanes = ["sound", "claims", "half", "part"].map(|name| {
        let fault = if name == "sound" { "" } else { name };
        python(name, fault)
    });
    // The run says it of each slice, `verify` without one that is timed.
    let done = case.quick_run(CHECKED, &lanes).assert().code(1);
    let summary = json(&done.get_output().stdout);
    let mut verify = case.rtswap();
    verify.args(["verify", "--workload", SMALL]);
    let done = verify.args(lanes.iter().flat_map(|lane| ["--lane", lane])).assert().code(1);
    let verified = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    for (name, tells) in [
        ("claims", "downloads, and the origin has served"),
        ("half", "has 50000 bytes"),
        ("part", "no name of a finished one"),
    ] {
        let cell = cell(&summary, name);
        assert_eq!(cell["status"], "invalid", "{cell:#}");
        assert!(cell["reason"].as_str().unwrap().contains(tells), "{cell:#}");
        let line = verified.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains("invalid: ") && line.contains(tells), "{verified}");
    }
    assert_eq!(cell(&summary, "sound")["status"], "ok", "{:#}", cell(&summary, "sound"));
    assert!(verified.lines().any(|line| line.contains("sound   ok, ")), "{verified}");
    assert_eq!(cell(&summary, "tokio-local")["status"], "ok");
    let receipt = fs::read_to_string(case.path(RECORD)).unwrap();
    assert!(receipt.contains("\"files\":\"threads\""), "the record says who does file I/O");
    case.assert_nothing_left();
}
