//! A crate's source in a folder of the user's.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::Deserialize;

use crate::cargo::{Cargo, Watch};
use crate::digest::{self, Digester};
use crate::{BuildError, cache};

/// The folder of a crate, and of those that it finds by their path.
#[derive(Clone, Debug)]
pub(super) struct CrateFolder {
    pub path: PathBuf,
    /// Sorted, the crate's own among them.
    sources: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
    kind: Option<String>,
}

impl CrateFolder {
    /// The crate `package` in a folder: its own, or that of a workspace.
    pub fn find(
        folder: &Path,
        package: &str,
        cargo: &Cargo,
        current: &Path,
        cancel: &AtomicBool,
    ) -> Result<Self, BuildError> {
        let absolute = cache::absolute(folder);
        let no_crate = |found: String| BuildError::NoCrate {
            folder: folder.to_owned(),
            package: package.to_owned(),
            found,
        };
        let absolute = absolute.canonicalize().map_err(|error| no_crate(error.to_string()))?;
        let manifest = absolute.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(no_crate("there is no Cargo.toml".to_owned()));
        }
        let arguments = ["metadata", "--no-deps", "--format-version=1", "--manifest-path"];
        let mut all: Vec<_> = arguments.iter().map(std::ffi::OsStr::new).collect();
        all.push(manifest.as_os_str());
        let lines = cargo.run(current, &all, &mut Watch { line: &mut |_| {}, cancel });
        let lines = match lines {
            Err(BuildError::Cargo { last, .. }) => return Err(no_crate(last)),
            lines => lines?,
        };
        let metadata: Metadata = serde_json::from_str(&lines.concat())
            .map_err(|error| no_crate(format!("cargo describes it in another way: {error}")))?;
        let find = |path: &Path| {
            metadata.packages.iter().find(|it| it.manifest_path.parent() == Some(path))
        };
        let Some(found) = metadata.packages.iter().find(|it| it.name == package) else {
            let names: Vec<_> = metadata.packages.iter().map(|it| it.name.as_str()).collect();
            return Err(no_crate(format!("it has {}", names.join(", "))));
        };
        let path = found.manifest_path.parent().unwrap_or(&absolute).to_owned();
        let mut sources = vec![path.clone()];
        let mut next = 0;
        while let Some(source) = sources.get(next).cloned() {
            let dependencies = find(&source).map(|it| it.dependencies.as_slice());
            for dependency in dependencies.unwrap_or_default() {
                let is_dev = dependency.kind.as_deref() == Some("dev");
                if let Some(path) = dependency.path.as_ref().filter(|_| !is_dev)
                    && !sources.contains(path)
                {
                    sources.push(path.clone());
                }
            }
            next += 1;
        }
        sources.sort();
        Ok(Self { path, sources })
    }

    /// What is in it now, in hexadecimal.
    pub fn digest(&self) -> Result<String, BuildError> {
        let mut digest = Digester::default();
        for path in &self.sources {
            digest.part(path.as_os_str().as_encoded_bytes());
            let source = digest::of_source(path);
            digest
                .text(&source.map_err(|source| BuildError::Source { path: path.clone(), source })?);
        }
        Ok(digest.finish())
    }
}
