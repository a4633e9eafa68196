//! What is there already. Nothing is started to find out.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use rtswap_lane::Refusal;

use crate::{Needs, Peer, Place};

/// A file in the virtual environment that names the packages in it which are complete.
pub(crate) const COMPLETE: &str = "rtswap-complete";

/// What runs a peer.
///
/// # Errors
/// What is missing, and what to do, in a line.
pub fn find(place: &Place, peer: &Peer) -> Result<PathBuf, String> {
    let name = peer.name;
    let remedy = format!("`rtswap peers install {name}` gets it");
    match peer.needs {
        Needs::Python(packages) => {
            let python = python(place);
            let complete = python.as_ref().map_or_else(Vec::new, |_| complete(place));
            if let Some(missing) = packages.iter().find(|it| !has(&complete, it)) {
                return Err(format!("{missing} is not installed; {remedy}"));
            }
            python.ok_or_else(|| format!("there is no virtual environment of Python; {remedy}"))
        }
        Needs::Node => node(place),
        Needs::Go => {
            let lane = place.go_lane();
            if lane.is_file() { Ok(lane) } else { Err(format!("Go's lane is not built; {remedy}")) }
        }
    }
}

/// How to start a peer. Writes its source, if that is not there.
///
/// # Errors
/// [`Refusal::Skipped`] if something is missing.
pub fn command(place: &Place, peer: &Peer) -> Result<Vec<OsString>, Refusal> {
    let program = find(place, peer).map_err(Refusal::Skipped)?;
    let mut command: Vec<OsString> = vec![program.into()];
    if matches!(peer.needs, Needs::Python(_)) {
        // Whatever else the user has for Python is left out: PYTHONPATH, packages of the home folder.
        command.extend(["-E".into(), "-s".into()]);
    }
    let (source, arguments) = peer.command.split_first().expect("every peer has a command");
    if !source.is_empty() {
        let sources = place.sources().map_err(Refusal::Failed)?;
        command.push(sources.join(source).into());
    }
    command.extend(arguments.iter().map(Into::into));
    Ok(command)
}

/// Node.js, or that it is missing.
pub(crate) fn node(place: &Place) -> Result<PathBuf, String> {
    // Debian called it nodejs, once.
    place.program(&["node", "nodejs"]).ok_or_else(|| {
        "there is no `node` on PATH; install Node.js, for example: apt install nodejs".to_owned()
    })
}

/// The interpreter of the virtual environment, if that was made to the end and what it was made with is
/// still there.
pub(crate) fn python(place: &Place) -> Option<PathBuf> {
    let venv = place.venv();
    let python = venv.join("bin").join("python");
    (python.is_file() && venv.join(COMPLETE).is_file()).then_some(python)
}

/// The packages in the virtual environment that are complete.
pub(crate) fn complete(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.venv().join(COMPLETE)).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

pub(crate) fn has(complete: &[String], package: &str) -> bool {
    complete.iter().any(|name| name == package)
}

/// What it is to be called in a listing, as far as that can be told without starting it.
pub fn version(place: &Place, peer: &Peer) -> Option<String> {
    match peer.needs {
        Needs::Python([]) => python_version(place),
        Needs::Python([package, ..]) => package_version(place, package),
        Needs::Node => None,
        Needs::Go => go_version(place),
    }
}

/// All that is known of a peer.
#[derive(Clone, Debug)]
pub struct Details {
    /// The peer.
    pub peer: &'static Peer,
    /// What it needs and which versions are there, if all are.
    pub ready: Result<String, String>,
}

/// What is known of a peer. Starts `node` to ask for its version, if that is what it needs.
pub fn details(place: &Place, peer: &'static Peer) -> Details {
    let ready = find(place, peer).map(|_| match peer.needs {
        Needs::Python(packages) => {
            let versions = packages.iter().map(|it| (*it, package_version(place, it)));
            let all = versions.chain([("Python", python_version(place))]);
            let said = all.map(|(name, version)| said(name, version));
            said.collect::<Vec<_>>().join(", ")
        }
        Needs::Node => said("Node.js", node_version(place)),
        Needs::Go => said("Go", go_version(place)),
    });
    Details { peer, ready }
}

fn said(name: &str, version: Option<String>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}

pub(crate) fn python_version(place: &Place) -> Option<String> {
    let text = fs::read_to_string(place.venv().join("pyvenv.cfg")).ok()?;
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "version").then(|| value.trim().to_owned())
    };
    text.lines().find_map(value)
}

/// The folder of a virtual environment's packages.
pub(crate) fn packages(place: &Place) -> Option<PathBuf> {
    let lib = fs::read_dir(place.venv().join("lib")).ok()?;
    lib.flatten().map(|it| it.path().join("site-packages")).find(|it| it.is_dir())
}

/// `uvloop-0.22.1.dist-info` is what pip leaves.
fn package_version(place: &Place, package: &str) -> Option<String> {
    let all = fs::read_dir(packages(place)?).ok()?;
    let version = |name: String| {
        let rest = name.strip_prefix(package)?.strip_prefix('-')?;
        Some(rest.strip_suffix(".dist-info")?.to_owned())
    };
    all.flatten().find_map(|entry| version(entry.file_name().into_string().ok()?))
}

fn go_version(place: &Place) -> Option<String> {
    fs::read_to_string(place.go().join("version")).ok()
}

fn node_version(place: &Place) -> Option<String> {
    let mut command = std::process::Command::new(node(place).ok()?);
    let output = command.arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().trim_start_matches('v').to_owned())
}
