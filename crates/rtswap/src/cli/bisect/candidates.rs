//! The versions among which a search goes: published versions of a runtime, or commits.

use anyhow::Result;
use rtswap_build::Version;
use rtswap_build::published;
use rtswap_build::revision::Repository;

use crate::Registry;
use crate::cli::Exit;
use crate::cli::lane_spec::LaneSpec;

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What it is called: `1.49.0`, or the beginning of a commit's hash.
    pub name: String,
    /// What `gate` would be asked for: a lane spec or a commit.
    pub text: String,
}

/// The versions from `good` to `bad`, both included.
pub(super) fn between(registry: &Registry, good: &str, bad: &str) -> Result<Vec<Candidate>> {
    match (published_version(registry, good), published_version(registry, bad)) {
        (Some(good), Some(bad)) => versions(&good, &bad),
        (None, None) => commits(good, bad),
        _ => Err(unlike(good, bad)),
    }
}

/// A lane spec with a published version, in parts.
struct Spec {
    lane: String,
    settings: String,
    package: &'static str,
    version: semver::Version,
}

fn published_version(registry: &Registry, text: &str) -> Option<Spec> {
    let wanted = LaneSpec::parse(registry, text).ok()?.to_build()?;
    let Version::Published(version) = wanted.version else { return None };
    let settings = text.split_once('?').map(|(_, settings)| format!("?{settings}"));
    Some(Spec {
        lane: wanted.lane.to_owned(),
        settings: settings.unwrap_or_default(),
        package: wanted.adapter.package,
        version,
    })
}

fn unlike(good: &str, bad: &str) -> anyhow::Error {
    let text = format!(
        "`{good}` and `{bad}` are not versions in a row; name two versions of one lane (tokio@1.48.0, tokio@1.52.2) or two \
         commits"
    );
    Exit::Usage(text).into()
}

fn versions(good: &Spec, bad: &Spec) -> Result<Vec<Candidate>> {
    if (&good.lane, &good.settings) != (&bad.lane, &bad.settings) || good.version >= bad.version {
        let of = |spec: &Spec| format!("{}@{}{}", spec.lane, spec.version, spec.settings);
        return Err(unlike(&of(good), &of(bad)));
    }
    let is_between = |version: &semver::Version| good.version < *version && *version < bad.version;
    let between = published::versions(good.package).into_iter().filter(is_between);
    let all = [good.version.clone()].into_iter().chain(between).chain([bad.version.clone()]);
    let candidate = |version: semver::Version| Candidate {
        text: format!("{}@{version}{}", good.lane, good.settings),
        name: version.to_string(),
    };
    Ok(all.map(candidate).collect())
}

fn commits(good: &str, bad: &str) -> Result<Vec<Candidate>> {
    let usage = |error: rtswap_build::revision::RevisionError| Exit::Usage(error.to_string());
    let repository = Repository::of(&std::env::current_dir()?).map_err(usage)?;
    let [good, bad] = [good, bad].map(|revision| repository.commit(revision));
    let commits = repository.commits(&good.map_err(usage)?, &bad.map_err(usage)?);
    let candidate = |commit: String| Candidate {
        name: commit[..commit.len().min(10)].to_owned(),
        text: commit,
    };
    Ok(commits.map_err(usage)?.into_iter().map(candidate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(good: &str, bad: &str) -> String {
        between(&Registry::standard(), good, bad).unwrap_err().to_string()
    }

    #[test]
    fn between_needs_two_versions_of_one_lane_in_order() {
        for (good, bad) in [
            ("tokio@1.48.0", "smol@2.0.1"),
            ("tokio@1.52.2", "tokio@1.48.0"),
            ("tokio@1.48.0", "tokio@1.48.0"),
            ("tokio@1.48.0?delay_ns=1", "tokio@1.52.2"),
            ("tokio@1.48.0", "main"),
        ] {
            assert!(error(good, bad).contains("are not versions in a row"), "{good} {bad}");
        }
    }

    #[test]
    fn between_keeps_lane_settings_and_order() {
        let all = between(
            &Registry::standard(),
            "tokio-local@0.0.1?delay_ns=9",
            "tokio-local@999.0.0?delay_ns=9",
        );
        let all = all.unwrap();
        assert_eq!(all[0].text, "tokio-local@0.0.1?delay_ns=9");
        assert_eq!(all.last().unwrap().name, "999.0.0");
        let versions: Vec<semver::Version> =
            all.iter().map(|it| it.name.parse().unwrap()).collect();
        assert!(versions.is_sorted());
    }
}
