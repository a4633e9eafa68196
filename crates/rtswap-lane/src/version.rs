const VERSIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/versions.rs"));

/// The version of a package in the lockfile of this build, the newest if it is there several times.
pub fn of(package: &str) -> Option<&'static str> {
    VERSIONS.iter().rev().find(|(name, _)| *name == package).map(|(_, version)| *version)
}
