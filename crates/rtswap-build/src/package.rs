//! The package that is built: an adapter's lanes, with one crate in a chosen version.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::EXECUTABLE;
use crate::{BuildError, Source, cache};

/// The table of what replaces crates of the registry.
const PATCH: &str = "\n[patch.crates-io]\n";

/// What decides on the named crate's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// An exact requirement.
    Exact(semver::Version),
    /// A git repository, in place of the registry.
    Git { url: String, revision: String, is_branch: bool },
    /// A folder, in place of the registry.
    Path(PathBuf),
}

/// The package.
pub(crate) struct Package<'a> {
    /// Where it is written.
    pub folder: PathBuf,
    pub adapter: &'a str,
    pub source: &'a Source,
    /// Features of the adapter.
    pub features: &'a [String],
    /// Whether it has the workloads that need hyper, rustls or a database client.
    pub apps: bool,
    /// The crate whose version is chosen.
    pub pinned: &'a str,
}

impl Package<'_> {
    pub fn lockfile(&self) -> PathBuf {
        self.folder.join("Cargo.lock")
    }

    pub fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }

    /// Writes the package, and a lockfile for cargo to begin with.
    pub fn write(&self, pin: &Pin, lockfile: &str) -> Result<(), BuildError> {
        cache::make(&self.folder)?;
        let module = self.adapter.replace('-', "_");
        let main = format!(
            "fn main() -> std::process::ExitCode {{\n    rtswap_lane::process::main(&{module}::lanes())\n}}\n"
        );
        let files = [
            (self.manifest(), self.manifest_text(pin)),
            (self.folder.join("main.rs"), main),
            (self.lockfile(), lockfile.to_owned()),
        ];
        for (path, text) in files {
            fs::write(&path, text).map_err(|source| BuildError::Cache {
                action: "write to",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// The profile is that of rtswap: one codegen unit for each crate, and no LTO.
    fn manifest_text(&self, pin: &Pin) -> String {
        let apps: &[_] = if self.apps { &["apps".to_owned()] } else { &[] };
        let (adapter, pinned) = (self.adapter, self.pinned);
        let mut text = format!(
            "# Written by rtswap, and written anew for each build.\n\
             [package]\nname = \"rtswap-built-lane\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [[bin]]\nname = \"{EXECUTABLE}\"\npath = \"main.rs\"\n\n\
             [workspace]\n\n\
             [profile.release]\ncodegen-units = 1\n\n\
             [dependencies]\n"
        );
        let crates = [("rtswap-lane", apps), ("rtswap-workload", apps), (adapter, self.features)];
        for (name, features) in crates {
            text.push_str(&self.dependency(name, features));
        }
        let (table, place) = match pin {
            Pin::Exact(version) => {
                ("", format!("version = \"={version}\", default-features = false"))
            }
            Pin::Git { url, revision, is_branch } => {
                let key = if *is_branch { "branch" } else { "rev" };
                (PATCH, format!("git = {}, {key} = {}", quoted(url), quoted(revision)))
            }
            Pin::Path(folder) => (PATCH, format!("path = {}", quoted_path(folder))),
        };
        text + &format!("{table}{pinned} = {{ {place} }}\n")
    }

    fn dependency(&self, name: &str, features: &[String]) -> String {
        let features: Vec<_> = features.iter().map(|it| quoted(it)).collect();
        let features = features.join(", ");
        let place = match self.source {
            Source::Registry(version) => format!("version = \"={version}\""),
            Source::Checkout(folder) => {
                format!("path = {}", quoted_path(&folder.join("crates").join(name)))
            }
        };
        format!("{name} = {{ {place}, default-features = false, features = [{features}] }}\n")
    }
}

/// A string of TOML, which reads the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(source: &Source, pin: &Pin) -> String {
        let package = Package {
            folder: "/cache/work".into(),
            adapter: "rtswap-tokio",
            source,
            features: &["tokio-unstable".to_owned()],
            apps: true,
            pinned: "tokio",
        };
        package.manifest_text(pin)
    }

    #[test]
    fn manifest_pins_published_version_exactly() {
        let text =
            manifest(&Source::Checkout("/src".into()), &Pin::Exact(semver::Version::new(1, 50, 0)));
        for line in [
            "rtswap-lane = { path = \"/src/crates/rtswap-lane\", default-features = false, features = [\"apps\"] }",
            "rtswap-tokio = { path = \"/src/crates/rtswap-tokio\", default-features = false, features = [\"tokio-unstable\"] }",
            "tokio = { version = \"=1.50.0\", default-features = false }",
            "codegen-units = 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
        }
        assert!(!text.contains("[patch"), "{text}");
    }

    #[test]
    fn manifest_patches_crate_by_git_and_path() {
        let registry = Source::Registry("0.1.0".to_owned());
        let git = |is_branch| {
            let (url, revision) = ("file:///a\"b".to_owned(), "abc".to_owned());
            manifest(&registry, &Pin::Git { url, revision, is_branch })
        };
        let text = git(false);
        let patch = "[patch.crates-io]\ntokio = { git = \"file:///a\\\"b\", rev = \"abc\" }\n";
        assert!(text.ends_with(patch), "{text}");
        assert!(git(true).ends_with("\", branch = \"abc\" }\n"), "{}", git(true));
        assert!(text.contains("rtswap-tokio = { version = \"=0.1.0\", "), "{text}");
        let text = manifest(&registry, &Pin::Path("/a b/tokio".into()));
        assert!(text.ends_with("tokio = { path = \"/a b/tokio\" }\n"), "{text}");
    }
}
