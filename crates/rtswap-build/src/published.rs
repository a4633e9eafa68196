//! The published versions of a crate.

use std::env;
use std::fs;
use std::path::PathBuf;

use semver::Version;
use serde::Deserialize;

/// One line of the registry's index.
#[derive(Deserialize)]
struct Published {
    vers: Version,
    #[serde(default)]
    yanked: bool,
}

/// The versions of a crate that are not yanked and no pre-release, oldest first: those in cargo's own copy of the
/// registry's index, which is as new as its last lookup of that crate. Empty where cargo has none.
///
/// The copy has the lines of the index, one for each version, between zero bytes.
pub fn versions(package: &str) -> Vec<Version> {
    let files = index_folders().into_iter().map(|folder| folder.join(path(package)));
    let all = files.filter_map(|file| fs::read(file).ok());
    let mut versions: Vec<Version> = all.flat_map(|bytes| parsed(&bytes)).collect();
    versions.sort();
    versions.dedup();
    versions
}

fn parsed(bytes: &[u8]) -> Vec<Version> {
    let lines = bytes.split(|&byte| byte == 0);
    let published = lines.filter_map(|line| serde_json::from_slice::<Published>(line).ok());
    published.filter(|it| !it.yanked && it.vers.pre.is_empty()).map(|it| it.vers).collect()
}

fn index_folders() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")));
    let folders = home.and_then(|home| fs::read_dir(home.join("registry/index")).ok());
    folders.into_iter().flatten().flatten().map(|it| it.path().join(".cache")).collect()
}

/// Where the index has a crate: `to/ki/tokio`.
fn path(package: &str) -> String {
    let package = package.to_lowercase();
    match package.len() {
        0..=2 => format!("{}/{package}", package.len()),
        3 => format!("3/{}/{package}", &package[..1]),
        _ => format!("{}/{}/{package}", &package[..2], &package[2..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_reads_lines_and_leaves_out_what_is_not_to_be_used() {
        let bytes = b"\x03\x02\0\0\0\0etag\x001.9.0\0{\"vers\":\"1.9.0\"}\x001.10.0\0{\"vers\":\"1.10.0\",\"yanked\":false}\0\
            1.11.0\0{\"vers\":\"1.11.0\",\"yanked\":true}\x002.0.0-rc.1\0{\"vers\":\"2.0.0-rc.1\"}\0";
        let versions: Vec<_> = parsed(bytes).iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["1.9.0", "1.10.0"]);
    }

    #[test]
    fn path_is_that_of_the_index() {
        assert_eq!(
            ["a", "ab", "abc", "tokio"].map(path),
            ["1/a", "2/ab", "3/a/abc", "to/ki/tokio"]
        );
    }
}
