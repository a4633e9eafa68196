//! Lockfiles: which packages two of them do not share.

use std::collections::{BTreeMap, BTreeSet};

use cargo_lock::{Lockfile, Package};
use rtswap_schema::record::PackageChange;

/// The packages of `new` that `old` has not got in the same version, by name. Packages that only `old` has are
/// not needed by what `new` builds, and those without a source are of the workspace.
pub fn changes(old: &Lockfile, new: &Lockfile) -> Vec<PackageChange> {
    let mut known: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
    for package in &old.packages {
        known.entry(package.name.as_str()).or_default().insert(&package.version);
    }
    let mut changes = Vec::new();
    for package in new.packages.iter().filter(|package| package.source.is_some()) {
        let versions = known.get(package.name.as_str());
        if !is_registry(package) || !versions.is_some_and(|it| it.contains(&package.version)) {
            let compatible = |other: &&&semver::Version| series(other) == series(&package.version);
            let old = versions.and_then(|it| it.iter().rfind(compatible));
            changes.push(PackageChange {
                name: package.name.to_string(),
                old: old.map(ToString::to_string),
                new: version_with_source(package),
            });
        }
    }
    changes
}

fn is_registry(package: &Package) -> bool {
    package.source.as_ref().is_some_and(cargo_lock::package::SourceId::is_registry)
}

/// `1.50.0`, or `1.50.0 (0123abc)` of a git revision.
fn version_with_source(package: &Package) -> String {
    match package.source.as_ref().and_then(cargo_lock::package::SourceId::precise) {
        Some(commit) if !is_registry(package) => {
            format!("{} ({})", package.version, commit.get(..9).unwrap_or(commit))
        }
        _ => package.version.to_string(),
    }
}

/// Versions of one series replace each other.
fn series(version: &semver::Version) -> (u64, u64, u64) {
    match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    }
}

/// The package `name` that the package `user` depends on.
pub fn dependency_of<'a>(lockfile: &'a Lockfile, user: &str, name: &str) -> Option<&'a Package> {
    let user = lockfile.packages.iter().find(|package| package.name.as_str() == user)?;
    let found = user.dependencies.iter().find(|it| it.name.as_str() == name)?;
    lockfile.packages.iter().find(|package| found.matches(package))
}

/// The text of a lockfile without the packages of a name, so that cargo chooses them anew.
pub fn without(text: &str, name: &str) -> String {
    let line = format!("name = \"{name}\"");
    let is_kept = |block: &&str| !block.lines().any(|it| it == line);
    text.split_inclusive("\n\n").filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn lockfile(packages: &[(&str, &str, &str)]) -> Lockfile {
        let mut text = "version = 4\n".to_owned();
        for (name, version, source) in packages {
            let source = if source.is_empty() { "" } else { &format!("source = \"{source}\"\n") };
            let package = format!("name = \"{name}\"\nversion = \"{version}\"\n{source}");
            text.push_str("\n[[package]]\n");
            text.push_str(&package);
        }
        text.parse().unwrap()
    }

    #[test]
    fn changes_has_what_is_new_with_the_version_that_it_replaces() {
        let old = lockfile(&[
            ("mio", "0.8.11", REGISTRY),
            ("mio", "1.0.1", REGISTRY),
            ("own", "0.1.0", ""),
            ("tokio", "1.54.1", REGISTRY),
            ("unused", "1.0.0", REGISTRY),
        ]);
        let new = lockfile(&[
            ("added", "0.3.0", REGISTRY),
            ("mio", "0.8.12", REGISTRY),
            ("mio", "1.0.2", REGISTRY),
            ("own", "0.2.0", ""),
            ("tokio", "1.50.0", REGISTRY),
        ]);
        let shown = |old, new| {
            let changes = changes(old, new).into_iter();
            changes.map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            shown(&old, &new),
            "added 0.3.0, mio 0.8.11 → 0.8.12, mio 1.0.1 → 1.0.2, tokio 1.54.1 → 1.50.0"
        );
        assert_eq!(shown(&old, &old), "");
    }

    #[test]
    fn changes_has_a_git_revision_of_the_same_version() {
        let git = "git+https://example.org/tokio?rev=main#0123456789abcdef0123456789abcdef01234567";
        let old = lockfile(&[("tokio", "1.54.1", REGISTRY)]);
        let new = lockfile(&[("tokio", "1.54.1", git)]);
        assert_eq!(changes(&old, &new)[0].to_string(), "tokio 1.54.1 → 1.54.1 (012345678)");
    }

    #[test]
    fn without_drops_all_packages_of_a_name() {
        let text = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n]\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
        let left = without(text, "b");
        assert!(left.contains("name = \"a\"") && left.contains(" \"b\",\n"), "{left}");
        assert!(!left.contains("name = \"b\""), "{left}");
    }

    #[test]
    fn dependency_of_tells_two_versions_apart() {
        let text = "version = 4\n\n[[package]]\nname = \"user\"\nversion = \"0.1.0\"\ndependencies = [\n \"b 1.0.0\",\n]\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
        let lockfile: Lockfile = text.parse().unwrap();
        assert_eq!(dependency_of(&lockfile, "user", "b").unwrap().version.to_string(), "1.0.0");
        assert!(dependency_of(&lockfile, "user", "c").is_none());
    }
}
