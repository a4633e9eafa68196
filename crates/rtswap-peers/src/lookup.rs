//! Which interpreters, packages and lanes are installed. Starts no process, with one exception: `node`, for its
//! version.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rtswap_lane::Refusal;

use crate::{Needs, Peer, PeerError, PeerFolder};

/// A file in the virtual environment that lists the packages whose installation is complete.
pub(crate) const COMPLETE: &str = "rtswap-complete";

/// The program that runs a peer.
///
/// # Errors
/// What is missing.
pub fn find(folder: &PeerFolder, peer: &Peer) -> Result<PathBuf, PeerError> {
    let name = peer.name;
    folder.check()?;
    match peer.needs {
        Needs::Python(packages) => {
            let python = python(folder);
            let complete = python.as_ref().map_or_else(Vec::new, |_| complete_packages(folder));
            if let Some(package) = packages.iter().find(|package| !contains(&complete, package)) {
                return Err(PeerError::NoPackage { package, peer: name });
            }
            python.ok_or(PeerError::NoVenv { peer: name })
        }
        Needs::Node => node(folder),
        Needs::Go => {
            let lane = folder.go_lane();
            if lane.is_file() { Ok(lane) } else { Err(PeerError::NoGoLane { peer: name }) }
        }
    }
}

/// The command line that starts a peer. Writes the sources if they are not there.
///
/// # Errors
/// [`Refusal::Skipped`] if something is missing.
pub fn command(folder: &PeerFolder, peer: &Peer) -> Result<Vec<OsString>, Refusal> {
    let program = find(folder, peer).map_err(|missing| Refusal::Skipped(missing.with_causes()))?;
    let mut command: Vec<OsString> = vec![program.into()];
    if matches!(peer.needs, Needs::Python(_)) {
        // Without PYTHONPATH and the packages in the user's home folder.
        command.extend(["-E".into(), "-s".into()]);
    }
    let (source, arguments) = peer.command.split_first().expect("every peer has a command");
    if !source.is_empty() {
        let sources = folder.sources().map_err(|error| Refusal::Failed(error.with_causes()))?;
        command.push(sources.join(source).into());
    }
    command.extend(arguments.iter().map(Into::into));
    Ok(command)
}

/// The executable of Node.js.
pub(crate) fn node(folder: &PeerFolder) -> Result<PathBuf, PeerError> {
    // `nodejs` is its name in old releases of Debian.
    folder.program(&["node", "nodejs"]).ok_or(PeerError::NoNode)
}

/// The interpreter of the virtual environment, if that is complete and the Python it was made with still exists.
pub(crate) fn python(folder: &PeerFolder) -> Option<PathBuf> {
    let venv = folder.venv();
    let python = venv.join("bin").join("python");
    (python.is_file() && venv.join(COMPLETE).is_file()).then_some(python)
}

/// The packages in the virtual environment whose installation is complete.
pub(crate) fn complete_packages(folder: &PeerFolder) -> Vec<String> {
    let text = fs::read_to_string(folder.venv().join(COMPLETE)).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

pub(crate) fn contains(packages: &[String], package: &str) -> bool {
    packages.iter().any(|name| name == package)
}

/// The version of what the peer is named after, if it can be read from files.
pub fn version(folder: &PeerFolder, peer: &Peer) -> Option<String> {
    match peer.needs {
        Needs::Python([]) => python_version(folder),
        Needs::Python([package, ..]) => package_version(folder, package),
        Needs::Node => None,
        Needs::Go => go_version(folder),
    }
}

/// A peer and whether it is ready.
#[derive(Debug)]
pub struct Details {
    /// The peer.
    pub peer: &'static Peer,
    /// What the peer needs, with versions, if all of it is installed.
    pub ready: Result<String, PeerError>,
}

/// Whether a peer is ready. Starts `node` to ask for its version, if the peer needs it.
pub fn details(folder: &PeerFolder, peer: &'static Peer) -> Details {
    let ready = find(folder, peer).map(|program| match peer.needs {
        Needs::Python(packages) => {
            let versions = packages.iter().map(|it| (*it, package_version(folder, it)));
            let all = versions.chain([("Python", python_version(folder))]);
            let all = all.map(|(name, version)| with_version(name, version));
            all.collect::<Vec<_>>().join(", ")
        }
        Needs::Node => with_version("Node.js", node_version(program)),
        Needs::Go => with_version("Go", go_version(folder)),
    });
    Details { peer, ready }
}

fn with_version(name: &str, version: Option<String>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}

pub(crate) fn python_version(folder: &PeerFolder) -> Option<String> {
    let text = fs::read_to_string(folder.venv().join("pyvenv.cfg")).ok()?;
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "version").then(|| value.trim().to_owned())
    };
    text.lines().find_map(value)
}

/// The folder of the virtual environment's packages.
pub(crate) fn site_packages(folder: &PeerFolder) -> Option<PathBuf> {
    let lib = fs::read_dir(folder.venv().join("lib")).ok()?;
    lib.flatten().map(|it| it.path().join("site-packages")).find(|it| it.is_dir())
}

/// The version in the name of the folder that pip creates: `uvloop-0.22.1.dist-info`.
fn package_version(folder: &PeerFolder, package: &str) -> Option<String> {
    let entries = fs::read_dir(site_packages(folder)?).ok()?;
    let version = |name: String| {
        let rest = name.strip_prefix(package)?.strip_prefix('-')?;
        Some(rest.strip_suffix(".dist-info")?.to_owned())
    };
    entries.flatten().find_map(|entry| version(entry.file_name().into_string().ok()?))
}

fn go_version(folder: &PeerFolder) -> Option<String> {
    fs::read_to_string(folder.go().join("version")).ok()
}

fn node_version(node: PathBuf) -> Option<String> {
    let output = Command::new(node).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().trim_start_matches('v').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PEERS;

    #[test]
    fn find_names_the_remedy_for_each_peer() {
        let empty = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(empty.path(), "");
        for peer in PEERS {
            let error = find(&folder, peer).unwrap_err().to_string();
            let install = format!("run `rtswap peers install {}`", peer.name);
            let remedy =
                if peer.needs == Needs::Node { "apt install nodejs" } else { install.as_str() };
            assert!(error.contains(remedy), "{}: {error}", peer.name);
        }
    }

    #[test]
    fn command_of_a_missing_peer_is_skipped() {
        let empty = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(empty.path(), "");
        for peer in PEERS {
            let refusal = command(&folder, peer).unwrap_err();
            assert!(matches!(refusal, Refusal::Skipped(_)), "{}: {refusal:?}", peer.name);
        }
        assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "no sources are written");
    }
}
