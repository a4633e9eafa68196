//! Where the source of an adapter comes from.

use std::env;
use std::path::{Path, PathBuf};

use cargo_lock::Lockfile;

use crate::digest::{self, Digester};
use crate::{BuildError, cache};

/// The environment variable that names a checkout of rtswap.
pub const SOURCE_VAR: &str = "RTSWAP_SOURCE";

/// Where the source of an adapter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A checkout of rtswap.
    Checkout(PathBuf),
    /// The registry, in this version.
    Registry(String),
}

impl Source {
    /// The word in records, which name no folder of the user.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Checkout(_) => "checkout",
            Self::Registry(_) => "registry",
        }
    }

    /// What the adapter's code is, as far as it is built.
    pub(crate) fn digest(&self, adapter: &str, lockfile: &Lockfile) -> Result<String, BuildError> {
        let folder = match self {
            Self::Registry(version) => return Ok(version.clone()),
            Self::Checkout(folder) => folder,
        };
        let mut digest = Digester::default();
        for name in members(adapter, lockfile) {
            let path = folder.join("crates").join(&name);
            // A member that only tests need may be gone from this checkout.
            if path.is_dir() {
                let of_crate = digest::of_source(&path);
                digest.text(&of_crate.map_err(|source| BuildError::Source { path, source })?);
            }
        }
        // Its dependencies' features and versions are there.
        let path = folder.join("Cargo.toml");
        let manifest = digest::of_file(&path);
        digest.text(&manifest.map_err(|source| BuildError::Source { path, source })?);
        Ok(digest.finish())
    }
}

/// The crates of the workspace that an adapter is made of, in a fixed order.
fn members(adapter: &str, lockfile: &Lockfile) -> Vec<String> {
    let own = |name: &str| {
        let mut packages = lockfile.packages.iter();
        packages.find(|package| package.name.as_str() == name && package.source.is_none())
    };
    let mut found = vec![adapter.to_owned()];
    let mut next = 0;
    while let Some(name) = found.get(next) {
        let dependencies = own(name).map(|package| package.dependencies.as_slice());
        for dependency in dependencies.unwrap_or_default() {
            let name = dependency.name.to_string();
            if own(&name).is_some() && !found.contains(&name) {
                found.push(name);
            }
        }
        next += 1;
    }
    found.sort();
    found
}

/// Where the source of the crate `adapter` comes from: the checkout that `RTSWAP_SOURCE` names, or `built_from`, the
/// folder that rtswap was built from, or the registry, in the version of rtswap.
///
/// # Errors
/// If `RTSWAP_SOURCE` names no checkout.
pub fn source(adapter: &str, built_from: &Path, version: &str) -> Result<Source, BuildError> {
    let has_it = |folder: &Path| folder.join("crates").join(adapter).join("Cargo.toml").is_file();
    if let Some(named) = env::var_os(SOURCE_VAR).filter(|name| !name.is_empty()) {
        let folder = cache::absolute(Path::new(&named));
        if has_it(&folder) {
            return Ok(Source::Checkout(folder));
        }
        return Err(BuildError::NoCheckout { folder, adapter: adapter.to_owned() });
    }
    // Without `..` in it: the path becomes part of the executable.
    match built_from.canonicalize() {
        Ok(folder) if has_it(&folder) => Ok(Source::Checkout(folder)),
        _ => Ok(Source::Registry(version.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LOCKFILE: &str = r#"
version = 4

[[package]]
name = "rtswap-lane"
version = "0.1.0"
dependencies = [
 "rtswap-schema",
 "serde",
]

[[package]]
name = "rtswap-schema"
version = "0.1.0"

[[package]]
name = "rtswap-smol"
version = "0.1.0"

[[package]]
name = "rtswap-tokio"
version = "0.1.0"
dependencies = [
 "rtswap-lane",
]

[[package]]
name = "serde"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
"#;

    #[test]
    fn digest_follows_the_crates_that_an_adapter_is_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let lockfile = LOCKFILE.parse().unwrap();
        let source = Source::Checkout(folder.path().to_owned());
        let digest = || source.digest("rtswap-tokio", &lockfile).unwrap();
        write("Cargo.toml", "");
        write("crates/rtswap-tokio/src/lib.rs", "a");
        let mut last = digest();
        write("crates/rtswap-smol/src/lib.rs", "another adapter");
        assert_eq!(digest(), last);
        for part in
            ["crates/rtswap-tokio/src/lib.rs", "crates/rtswap-schema/src/lib.rs", "Cargo.toml"]
        {
            write(part, "changed");
            let now = digest();
            assert_ne!(now, last, "{part}");
            last = now;
        }
    }

    #[test]
    fn source_without_checkout_is_the_registry() {
        let folder = tempfile::tempdir().unwrap();
        let found = source("rtswap-tokio", folder.path(), "0.1.0").unwrap();
        assert_eq!(found, Source::Registry("0.1.0".to_owned()));
        fs::create_dir_all(folder.path().join("crates/rtswap-tokio")).unwrap();
        fs::write(folder.path().join("crates/rtswap-tokio/Cargo.toml"), "").unwrap();
        let found = source("rtswap-tokio", folder.path(), "0.1.0").unwrap();
        assert_eq!(found, Source::Checkout(folder.path().canonicalize().unwrap()));
    }
}
