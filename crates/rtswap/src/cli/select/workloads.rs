//! Workloads by name and by glob.

use anyhow::Result;
use rtswap_workload::Spec;

use super::{glob, is_glob};
use crate::Registry;
use crate::cli::Exit;

/// The workloads that `patterns` select: full names, names with some parameters, or globs over the full names
/// of all workloads.
pub(in crate::cli) fn workloads(registry: &Registry, patterns: &[String]) -> Result<Vec<Spec>> {
    let mut selected: Vec<Spec> = Vec::new();
    for pattern in patterns {
        let found = if is_glob(pattern) {
            let matcher = glob(pattern)?;
            let all = all_workloads(registry).into_iter();
            let found: Vec<_> = all.filter(|spec| matcher.is_match(spec.to_string())).collect();
            if found.is_empty() {
                return Err(Exit::Usage(format!(
                    "no workload matches `{pattern}`; `rtswap list` shows all workloads"
                ))
                .into());
            }
            found
        } else {
            let spec = Spec::parse(pattern, registry.catalogue);
            vec![spec.map_err(|error| Exit::Usage(error.to_string()))?]
        };
        for spec in found {
            if !selected.contains(&spec) {
                selected.push(spec);
            }
        }
    }
    Ok(selected)
}

/// The full names of the workloads that `patterns` name one by one, as opposed to those that a glob selects.
pub(in crate::cli) fn named_workloads(registry: &Registry, patterns: &[String]) -> Vec<String> {
    let named = patterns.iter().filter(|pattern| !is_glob(pattern));
    let specs = named.filter_map(|pattern| Spec::parse(pattern, registry.catalogue).ok());
    specs.map(|spec| spec.to_string()).collect()
}

/// All workloads if `all`, those that `patterns` select if there are any, or those of `default`.
pub(in crate::cli) fn workloads_or(
    registry: &Registry,
    patterns: &[String],
    all: bool,
    default: &[&str],
) -> Result<Vec<Spec>> {
    match (all, patterns) {
        (true, _) => Ok(all_workloads(registry)),
        (false, []) => {
            let default: Vec<_> = default.iter().map(ToString::to_string).collect();
            workloads(registry, &default)
        }
        (false, patterns) => workloads(registry, patterns),
    }
}

fn all_workloads(registry: &Registry) -> Vec<Spec> {
    registry.catalogue.iter().flat_map(|family| Spec::matrix(family)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(patterns: &[&str]) -> Result<Vec<String>> {
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let specs = workloads(&Registry::standard(), &patterns)?;
        Ok(specs.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn workloads_selects_matches_of_glob_once() {
        assert_eq!(
            specs(&["tcp-echo/size=1024/*", "tcp-echo"]).unwrap(),
            [
                "tcp-echo/size=1024/conns=1",
                "tcp-echo/size=1024/conns=32",
                "tcp-echo/size=1024/conns=256"
            ]
        );
        assert_eq!(specs(&["tcp-echo/conns=7"]).unwrap(), ["tcp-echo/size=1024/conns=7"]);
    }

    #[test]
    fn workloads_rejects_unknown_name_and_glob_without_match() {
        assert!(specs(&["nope/*"]).unwrap_err().to_string().contains("no workload matches"));
        assert!(specs(&["slep"]).unwrap_err().to_string().contains("did you mean `sleep`?"));
    }

    #[test]
    fn workloads_or_prefers_all_then_patterns_then_default() {
        let registry = Registry::standard();
        let names = |patterns: &[String], all| {
            let specs = workloads_or(&registry, patterns, all, &["spawn/tasks=7"]).unwrap();
            specs.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let patterns = ["sleep/tasks=3/ms=1".to_owned()];
        assert_eq!(names(&[], false), ["spawn/tasks=7"]);
        assert_eq!(names(&patterns, false), ["sleep/tasks=3/ms=1"]);
        assert_eq!(names(&patterns, true).len(), all_workloads(&registry).len());
    }
}
