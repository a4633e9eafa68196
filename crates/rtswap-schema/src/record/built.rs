//! Lanes that were built for a run, against a version of their runtime.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::LanePlan;

/// What the executable of a lane was built from. No field holds an absolute path of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The crate whose version the lane names: `tokio`.
    pub package: String,
    /// Its version: `1.50.0`.
    pub version: String,
    /// Where it comes from if that is not the registry: `git:URL#COMMIT`, or `path:` and the folder's last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SHA-256 of the files of the folder, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// The adapter's crate: `rtswap-tokio`.
    pub adapter: String,
    /// Where its source comes from: `registry` or `checkout`.
    pub adapter_source: String,
    /// The compiler, from `rustc --version`.
    pub rustc: String,
    /// The toolchain that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// The compiler's flags, if there were any: those of the spec and of the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rustflags: Vec<String>,
    /// SHA-256 of the executable, in hexadecimal.
    pub executable_sha256: String,
    /// The packages whose version is not the one in the lockfile of rtswap, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PackageChange>,
}

/// A package that is not in another lockfile in the same version.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageChange {
    /// The package.
    pub name: String,
    /// The version in the other lockfile that it replaces, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its version.
    pub new: String,
}

/// `mio 1.0.1 → 1.0.2`.
impl fmt::Display for PackageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, old, new } = self;
        match old {
            Some(old) => write!(f, "{name} {old} → {new}"),
            None => write!(f, "{name} {new}"),
        }
    }
}

impl Built {
    /// The packages besides the two lanes' own crates in which another built lane differs from this one: from this
    /// lane's version to the other's.
    fn others(&self, other: &Self) -> Vec<PackageChange> {
        let own = |name: &str| name == self.package || name == other.package;
        let find = |of: &Self, change: &PackageChange| {
            let mut all = of.changes.iter();
            all.find(|it| it.name == change.name && (it.old == change.old || it.new == change.new))
                .cloned()
        };
        let mut found = Vec::new();
        for change in self.changes.iter().filter(|it| !own(&it.name)) {
            // What one lane alone has changed is in the other as in rtswap, if it is there at all.
            let new = find(other, change).map_or_else(|| change.old.clone(), |it| Some(it.new));
            let old = Some(change.new.clone());
            if let Some(new) = new.filter(|new| *new != change.new) {
                found.push(PackageChange { name: change.name.clone(), old, new });
            }
        }
        for change in other.changes.iter().filter(|it| !own(&it.name)) {
            if find(self, change).is_none() {
                found.push(change.clone());
            }
        }
        found.sort();
        found
    }
}

/// Pairs of lanes that were built of one crate and differ in more packages than it, with these packages.
pub fn other_changes(lanes: &[LanePlan]) -> Vec<(&LanePlan, &LanePlan, Vec<PackageChange>)> {
    let built: Vec<_> = lanes
        .iter()
        .filter(|lane| !lane.control)
        .filter_map(|lane| Some((lane, lane.built.as_deref()?)))
        .collect();
    let mut found = Vec::new();
    for (position, (first, of_first)) in built.iter().enumerate() {
        for (second, of_second) in &built[position + 1..] {
            let others = of_first.others(of_second);
            if of_first.package == of_second.package && !others.is_empty() {
                found.push((*first, *second, others));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, changes: &[(&str, &str, &str)]) -> LanePlan {
        let changes = changes.iter().map(|(name, old, new)| PackageChange {
            name: (*name).to_owned(),
            old: (!old.is_empty()).then(|| (*old).to_owned()),
            new: (*new).to_owned(),
        });
        let package = "tokio".to_owned();
        let built = Built { package, changes: changes.collect(), ..Built::default() };
        LanePlan { name: name.to_owned(), built: Some(Box::new(built)), ..LanePlan::default() }
    }

    fn shown(first: &[(&str, &str, &str)], second: &[(&str, &str, &str)]) -> Vec<String> {
        let lanes = [lane("a", first), lane("b", second)];
        let found = other_changes(&lanes);
        found.iter().flat_map(|it| &it.2).map(ToString::to_string).collect()
    }

    #[test]
    fn other_changes_leaves_out_the_named_crate_and_what_both_share() {
        let tokio = |version| ("tokio", "1.54.1", version);
        let redis = ("redis", "1.8.1", "1.2.4");
        assert_eq!(shown(&[tokio("1.50.0"), redis], &[tokio("1.51.0"), redis]), [""; 0]);
        let newer = ("redis", "1.8.1", "1.3.0");
        let found = shown(&[tokio("1.50.0"), redis], &[tokio("1.51.0"), newer]);
        assert_eq!(found, ["redis 1.2.4 → 1.3.0"]);
    }

    #[test]
    fn other_changes_has_what_one_lane_alone_changed_or_added() {
        let mio = ("mio", "1.0.1", "1.0.2");
        assert_eq!(shown(&[], &[mio]), ["mio 1.0.1 → 1.0.2"]);
        assert_eq!(shown(&[mio], &[]), ["mio 1.0.2 → 1.0.1"]);
        assert_eq!(shown(&[], &[("new", "", "0.1.0")]), ["new 0.1.0"]);
        assert_eq!(shown(&[("new", "", "0.1.0")], &[]), [""; 0], "the other has none");
    }

    #[test]
    fn other_changes_leaves_out_control_and_lanes_of_other_crates() {
        let mio = ("mio", "1.0.1", "1.0.2");
        let mut lanes = [lane("a", &[]), lane("b", &[mio])];
        lanes[1].control = true;
        assert!(other_changes(&lanes).is_empty());
        lanes[1].control = false;
        lanes[1].built.as_mut().unwrap().package = "smol".to_owned();
        assert!(other_changes(&lanes).is_empty());
    }
}
