//! The Python virtual environment and its packages.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;

use super::{Installer, Versions};
use crate::InstallError;
use crate::folder::requirements;
use crate::lookup::{self, COMPLETE, contains, python_version};

/// A file in the virtual environment while it is being changed. If an installation is killed, the file stays and
/// marks the environment as possibly incomplete.
pub(super) const CHANGING: &str = "rtswap-changing";

/// The oldest Python that the lanes are written for.
const OLDEST: (u32, u32) = (3, 8);
const OLDEST_TEXT: &str = "3.8";

impl Installer<'_> {
    /// Makes the virtual environment, unless it works, and installs these packages.
    pub fn python(&mut self, packages: &[&str]) -> Result<(), InstallError> {
        let mut have = lookup::complete_packages(self.folder);
        let missing = |have: &[String]| -> Vec<String> {
            let missing = packages.iter().filter(|name| !contains(have, name));
            missing.map(ToString::to_string).collect()
        };
        let mut wanted = missing(&have);
        if self.works(&have) {
            let version = python_version(self.folder).unwrap_or_default();
            self.steps.done(&format!("virtual environment: there already, Python {version}"));
        } else {
            // The packages of the old environment are installed again.
            wanted.splice(0..0, have.drain(..));
            self.venv()?;
        }
        if !wanted.is_empty() {
            self.pip(&wanted)?;
            have.extend(wanted.iter().cloned());
            self.set_complete(&have)?;
            self.steps.done(&format!("packages: {} installed", wanted.join(", ")));
        } else if !packages.is_empty() {
            self.steps.done(&format!("packages: {} there already", packages.join(", ")));
        }
        Ok(())
    }

    /// Whether the virtual environment is complete and its Python runs: that may have been removed or replaced.
    fn works(&self, have: &[String]) -> bool {
        let Some(python) = lookup::python(self.folder) else { return false };
        if self.folder.venv().join(CHANGING).exists() {
            return false;
        }
        let modules = have.iter().filter(|name| *name != super::go::PACKAGE);
        let imports: Vec<_> = ["sys"].into_iter().chain(modules.map(String::as_str)).collect();
        let mut check = Command::new(python);
        check.args(["-I", "-c", &format!("import {}", imports.join(", "))]);
        self.run(&mut check, "python").is_ok()
    }

    fn venv(&mut self) -> Result<(), InstallError> {
        let venv = self.folder.venv();
        if venv.exists() && !super::is_ours(&venv) {
            return Err(InstallError::ForeignVenv { venv });
        }
        let Some(python) = self.folder.program(&["python3"]) else {
            return Err(InstallError::NoPython { oldest: OLDEST_TEXT });
        };
        let mut ask = Command::new(&python);
        ask.args(["-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
        let version = self.run(&mut ask, &python.display().to_string())?.trim().to_owned();
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
            return Err(InstallError::OldPython { python, version, oldest: OLDEST_TEXT });
        }
        self.steps.begin(&format!("making a virtual environment with Python {version}"));
        let prepared = match fs::remove_dir_all(&venv) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::DirBuilder::new()
                .mode(0o700)
                .create(&venv)
                .and_then(|()| fs::write(venv.join(CHANGING), "")),
        };
        prepared.map_err(self.folder.cannot("write to"))?;
        let mut make = Command::new(&python);
        make.args(["-I", "-m", "venv"]).arg(&venv);
        self.run(&mut make, "`python3 -m venv`").map_err(|error| match error {
            InstallError::Interrupted => error,
            error => InstallError::Venv { source: Box::new(error) },
        })?;
        self.set_complete(&[])?;
        self.steps.done(&format!("virtual environment: made with Python {version}"));
        Ok(())
    }

    fn pip(&mut self, wanted: &[String]) -> Result<(), InstallError> {
        let names = wanted.join(", ");
        self.steps.begin(&format!("installing {names} with pip"));
        let changing = self.folder.venv().join(CHANGING);
        fs::write(&changing, "").map_err(self.folder.cannot("write to"))?;
        let before = self.installed();
        let mut pip = Command::new(self.folder.venv().join("bin").join("python"));
        pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
        // Without a cache, which would be outside of the peers' folder.
        pip.arg("--no-cache-dir");
        match self.versions {
            Versions::Newest => {
                pip.arg("--prefer-binary").args(wanted);
            }
            Versions::Pinned => {
                let sources = self.folder.sources()?;
                pip.args(["--require-hashes", "--only-binary", ":all:"]);
                for package in wanted {
                    pip.arg("-r").arg(sources.join(requirements(package)));
                }
            }
        }
        // The user's settings apply (an index, a proxy), except for the target of packages.
        pip.env("PIP_USER", "0").env_remove("PIP_TARGET").env_remove("PIP_PREFIX");
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        let done = self.run(&mut pip, &format!("`pip install` of {names}"));
        done.map(drop).map_err(|error| match error {
            InstallError::Interrupted => error,
            error => {
                // If pip cannot download or build a package, it fails before it changes anything.
                if self.installed() == before {
                    let _ = fs::remove_file(&changing);
                }
                InstallError::Packages { packages: names, source: Box::new(error) }
            }
        })
    }

    /// The entries of the folder of packages.
    fn installed(&self) -> BTreeSet<OsString> {
        let entries =
            lookup::site_packages(self.folder).and_then(|folder| fs::read_dir(folder).ok());
        entries.map_or_else(BTreeSet::new, |all| all.flatten().map(|it| it.file_name()).collect())
    }

    /// Records which packages are complete, and that the environment is not being changed.
    fn set_complete(&self, packages: &[String]) -> Result<(), InstallError> {
        let venv = self.folder.venv();
        let text = packages.join("\n");
        let new = venv.join("rtswap-complete-new");
        let written = fs::write(&new, text)
            .and_then(|()| fs::rename(&new, venv.join(COMPLETE)))
            .and_then(|()| match fs::remove_file(venv.join(CHANGING)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        Ok(written.map_err(self.folder.cannot("write to"))?)
    }
}
