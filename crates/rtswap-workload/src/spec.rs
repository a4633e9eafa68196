use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Drive, Family, ParamValue, Resources};

/// A workload with its parameters: `tcp-echo/size=1024/conns=32`.
///
/// [`Display`](fmt::Display) spells the parameters in the family's order, all but those that
/// [came later](crate::Param::later) and have their default; that is the name that history is keyed by.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    family: &'static Family,
    // As many as the family has parameters, in its order.
    values: [u64; MAX_PARAMS],
}

const MAX_PARAMS: usize = 4;

/// Why a text is no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No family of that name.
    #[error("no workload is called `{name}`{}; `rtswap list` shows them all", suggest(suggestion.as_deref()))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// The family is known, and its program is not built in.
    #[error("`{name}` is not built in: build rtswap with `--features {feature}`")]
    NotBuilt {
        /// What was asked for.
        name: String,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// No such parameter.
    #[error("`{workload}` has no parameter `{param}`; it has {known}")]
    Param {
        /// The workload.
        workload: String,
        /// What was given.
        param: String,
        /// What exists.
        known: String,
    },
    /// Something that it needs was not given.
    #[error(
        "`{workload}` was not told where its `{resource}` is; LANES.md says how a lane is told"
    )]
    Missing {
        /// The workload.
        workload: String,
        /// What is missing.
        resource: &'static str,
    },
    /// Not a value of that parameter.
    #[error("`{param}={value}` is not {accepted} ({workload})")]
    Value {
        /// The workload.
        workload: String,
        /// The parameter.
        param: String,
        /// What was given.
        value: String,
        /// What is accepted.
        accepted: String,
    },
}

impl SpecError {
    /// The error for a family that leads to no program: because a cargo feature is missing, or because it
    /// is of another suite.
    pub fn missing(name: &str, feature: Option<&'static str>) -> Self {
        let name = name.to_owned();
        match feature {
            Some(feature) => Self::NotBuilt { name, feature },
            None => Self::Unknown { name, suggestion: None },
        }
    }
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map(|it| format!(" (did you mean `{it}`?)")).unwrap_or_default()
}

impl Spec {
    /// Reads `name/param=value/…`; parameters that are not named take their defaults.
    ///
    /// # Errors
    /// [`SpecError`] names what is wrong and what would be right.
    pub fn parse(text: &str, catalogue: &[&'static Family]) -> Result<Self, SpecError> {
        let mut parts = text.split('/');
        let name = parts.next().unwrap_or_default();
        let family = *catalogue.iter().find(|family| family.name == name).ok_or_else(|| {
            SpecError::Unknown {
                name: name.to_owned(),
                suggestion: nearest(name, catalogue.iter().map(|family| family.name)),
            }
        })?;
        let mut spec = Self::with_defaults(family);
        for part in parts {
            let (param, value) = part.split_once('=').unwrap_or((part, ""));
            let index =
                family.params.iter().position(|known| known.name == param).ok_or_else(|| {
                    SpecError::Param {
                        workload: name.to_owned(),
                        param: param.to_owned(),
                        known: known(family),
                    }
                })?;
            let known = &family.params[index];
            spec.values[index] = known.parse(value).ok_or_else(|| SpecError::Value {
                workload: name.to_owned(),
                param: param.to_owned(),
                value: value.to_owned(),
                accepted: known.accepts(),
            })?;
        }
        Ok(spec)
    }

    /// Every combination of the family's values, the last parameter varying fastest.
    pub fn matrix(family: &'static Family) -> Vec<Self> {
        let mut specs = vec![Self::with_defaults(family)];
        for (index, param) in family.params.iter().enumerate() {
            specs = specs
                .into_iter()
                .flat_map(|spec| {
                    param.values.iter().map(move |&value| {
                        let mut spec = spec;
                        spec.values[index] = value;
                        spec
                    })
                })
                .collect();
        }
        specs
    }

    fn with_defaults(family: &'static Family) -> Self {
        let mut values = [0; MAX_PARAMS];
        for (value, param) in values.iter_mut().zip(family.params) {
            *value = param.default;
        }
        Self { family, values }
    }

    /// The workload without its parameters.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// Who drives a slice.
    pub fn drive(&self) -> Drive {
        self.family.drive
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If the family has no such parameter: a mistake in the workload.
    pub fn get(&self, param: &str) -> u64 {
        let index = self.family.params.iter().position(|known| known.name == param);
        self.values[index.expect("a workload asks for its own parameters only")]
    }

    /// The value of a parameter whose values have names.
    ///
    /// # Panics
    /// If the family has no such parameter, or its values have no names: a mistake in the workload.
    pub fn name_of(&self, param: &str) -> &'static str {
        let known = self.family.params.iter().find(|known| known.name == param);
        known.expect("a workload asks for its own parameters only").names[self.get(param) as usize]
    }

    /// The value of a parameter that the family may have, if it is a quantity.
    pub fn number(&self, param: &str) -> Option<u64> {
        let index = self.family.params.iter().position(|known| known.name == param)?;
        self.family.params[index].names.is_empty().then_some(self.values[index])
    }

    /// Something that the workload was given.
    ///
    /// # Errors
    /// [`SpecError::Missing`] if it was not.
    pub fn given(&self, given: &Resources, resource: &'static str) -> Result<String, SpecError> {
        given
            .get(resource)
            .cloned()
            .ok_or_else(|| SpecError::Missing { workload: self.family.name.to_owned(), resource })
    }

    /// The parameters by name.
    pub fn params(&self) -> BTreeMap<&'static str, ParamValue> {
        let params = self.family.params.iter().zip(self.values);
        params.map(|(param, value)| (param.name, param.spell(value))).collect()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)?;
        let params = self.family.params.iter().zip(self.values);
        for (param, value) in
            params.filter(|(param, value)| !param.later || *value != param.default)
        {
            write!(f, "/{}={}", param.name, param.spell(value))?;
        }
        Ok(())
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.family.name == other.family.name && self.values == other.values
    }
}

impl Eq for Spec {}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn known(family: &Family) -> String {
    match family.params {
        [] => "none".to_owned(),
        params => {
            params.iter().map(|param| format!("`{}`", param.name)).collect::<Vec<_>>().join(", ")
        }
    }
}

/// The name that is nearest to `name`, if any is near enough to be meant.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Standard, Suite};

    fn parse(text: &str) -> Result<Spec, SpecError> {
        Spec::parse(text, Standard::CATALOGUE)
    }

    #[test]
    fn a_name_spells_all_parameters_in_order() {
        let full = "tcp-echo/size=1024/conns=1";
        assert_eq!(parse("tcp-echo/conns=1").unwrap().to_string(), full);
        assert_eq!(parse("tcp-echo/conns=1/size=1024").unwrap(), parse(full).unwrap());
        assert_eq!(parse(full).unwrap().get("conns"), 1);
    }

    #[test]
    fn a_name_that_is_on_record_is_that_of_the_same_workload_for_ever() {
        let recorded = "http/body=plaintext/conns=32/pipeline=1";
        assert_eq!(parse("http").unwrap().to_string(), recorded);
        assert_eq!(parse(recorded).unwrap(), parse("http/h2=false").unwrap());
        assert_eq!(parse("http/h2=false").unwrap().name_of("h2"), "false");
        let other = parse("http/h2=true").unwrap();
        assert_eq!(other.to_string(), format!("{recorded}/h2=true"));
        assert_eq!(parse(&other.to_string()).unwrap(), other);
    }

    #[test]
    fn the_matrix_holds_every_combination_once() {
        for family in Standard::CATALOGUE {
            let specs = Spec::matrix(family);
            let expected: usize = family.params.iter().map(|param| param.values.len()).product();
            assert_eq!(specs.len(), expected);
            for spec in &specs {
                assert_eq!(&parse(&spec.to_string()).unwrap(), spec);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let told = |text| parse(text).unwrap_err().to_string();
        assert!(told("tpc-echo").contains("did you mean `tcp-echo`?"));
        assert!(!told("zzz").contains("did you mean"));
        assert!(told("tcp-echo/sise=1").contains("it has `size`, `conns`"));
        assert!(told("startup/tasks=1").contains("it has none"));
        assert!(told("tcp-echo/conns=0").contains("from 1 to"));
        assert!(told("tcp-echo/conns=many").contains("conns=many"));
        assert!(told("tcp-echo/conns").contains("whole number"));
    }
}
