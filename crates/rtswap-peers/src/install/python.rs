//! Python's virtual environment, and packages in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::Command;

use super::{Job, Trouble};
use crate::found::{self, COMPLETE, has, python_version};

/// A file in the virtual environment while something is done to it. One that was left there by
/// somebody who was killed tells that nothing in it is sure to be whole.
pub(super) const CHANGING: &str = "rtswap-changing";

/// The oldest Python that the lanes are written for.
const LEAST: (u32, u32) = (3, 8);

impl Job<'_> {
    /// Makes the virtual environment, unless there is one, and gets these packages into it.
    pub fn python(&mut self, packages: &[&str]) -> Result<(), Trouble> {
        let mut have = found::complete(self.place);
        let missing = |have: &[String]| -> Vec<String> {
            let missing = packages.iter().filter(|name| !has(have, name));
            missing.map(ToString::to_string).collect()
        };
        let mut wanted = missing(&have);
        if self.works(&have) {
            let version = python_version(self.place).unwrap_or_default();
            self.steps.done(&format!("virtual environment: there already, Python {version}"));
        } else {
            // What was in it is wanted again.
            wanted.splice(0..0, have.drain(..));
            self.venv()?;
        }
        if !wanted.is_empty() {
            self.pip(&wanted)?;
            have.extend(wanted.iter().cloned());
            self.complete(&have)?;
            self.steps.done(&format!("packages: {} installed", wanted.join(", ")));
        } else if !packages.is_empty() {
            self.steps.done(&format!("packages: {} there already", packages.join(", ")));
        }
        Ok(())
    }

    /// Whether the virtual environment is whole: the Python that it was made with may be gone, or another.
    fn works(&self, have: &[String]) -> bool {
        let Some(python) = found::python(self.place) else { return false };
        if self.place.venv().join(CHANGING).exists() {
            return false;
        }
        let modules = have.iter().filter(|name| *name != super::go::PACKAGE);
        let imports: Vec<_> = ["sys"].into_iter().chain(modules.map(String::as_str)).collect();
        let mut check = Command::new(python);
        check.args(["-I", "-c", &format!("import {}", imports.join(", "))]);
        self.run(&mut check, "python").is_ok()
    }

    fn venv(&mut self) -> Result<(), Trouble> {
        let venv = self.place.venv();
        if venv.exists() && !super::is_ours(&venv) {
            let venv = venv.display();
            return Err(Trouble::Failed(format!(
                "{venv} is somebody else's; {} names another folder",
                crate::FOLDER
            )));
        }
        let Some(python) = self.place.program(&["python3"]) else {
            return Err(Trouble::Failed(format!(
                "there is no `python3` on PATH; install Python {}.{} or later, for example: \
                 apt install python3 python3-venv",
                LEAST.0, LEAST.1
            )));
        };
        let mut ask = Command::new(&python);
        ask.args(["-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
        let version = self.run(&mut ask, &python.display().to_string())?.trim().to_owned();
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < LEAST {
            return Err(Trouble::Failed(format!(
                "{} is Python {version}, and {}.{} or later is needed; put it first on PATH",
                python.display(),
                LEAST.0,
                LEAST.1
            )));
        }
        self.steps.begin(&format!("making a virtual environment with Python {version}"));
        let prepared = match fs::remove_dir_all(&venv) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&venv).and_then(|()| fs::write(venv.join(CHANGING), "")),
        };
        prepared.map_err(|error| self.failed("write to", &error))?;
        let mut make = Command::new(&python);
        make.args(["-I", "-m", "venv"]).arg(&venv);
        self.run(&mut make, "`python3 -m venv`").map_err(|trouble| match trouble {
            Trouble::Failed(why) => Trouble::Failed(format!(
                "{why}; Debian and Ubuntu have it in a package: apt install python3-venv"
            )),
            Trouble::Interrupted => trouble,
        })?;
        self.complete(&[])?;
        self.steps.done(&format!("virtual environment: made with Python {version}"));
        Ok(())
    }

    fn pip(&mut self, wanted: &[String]) -> Result<(), Trouble> {
        let names = wanted.join(", ");
        self.steps.begin(&format!("getting {names} by pip"));
        let changing = self.place.venv().join(CHANGING);
        fs::write(&changing, "").map_err(|error| self.failed("write to", &error))?;
        let before = self.installed();
        let mut pip = Command::new(self.place.venv().join("bin").join("python"));
        pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
        // Its cache would lie outside of the peers' folder.
        pip.args(["--no-cache-dir", "--prefer-binary"]).args(wanted);
        // The user's configuration counts (an index, a proxy), but not for where packages go.
        pip.env("PIP_USER", "0").env_remove("PIP_TARGET").env_remove("PIP_PREFIX");
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        let done = self.run(&mut pip, &format!("`pip install` of {names}"));
        if let Err(Trouble::Failed(why)) = done {
            // It fails before it changes anything where it cannot download or build.
            if self.installed() == before {
                let _ = fs::remove_file(&changing);
            }
            return Err(Trouble::Failed(format!(
                "{why}; what is there already stays usable, and `rtswap peers install` tries again"
            )));
        }
        done.map(drop)
    }

    /// What the folder of packages has in it.
    fn installed(&self) -> BTreeSet<OsString> {
        let entries = found::packages(self.place).and_then(|folder| fs::read_dir(folder).ok());
        entries.map_or_else(BTreeSet::new, |all| all.flatten().map(|it| it.file_name()).collect())
    }

    /// Says which packages are whole, and that nothing is being changed.
    fn complete(&self, packages: &[String]) -> Result<(), Trouble> {
        let venv = self.place.venv();
        let text = packages.join("\n");
        let aside = venv.join("rtswap-complete-new");
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, venv.join(COMPLETE)))
            .and_then(|()| match fs::remove_file(venv.join(CHANGING)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
            .map_err(|error| self.failed("write to", &error))
    }
}
