/// Why a workload is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No family has that name.
    #[error("unknown workload `{name}`{}; `rtswap list` shows all workloads", suggest(suggestion.as_deref()))]
    Unknown {
        /// The given name.
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
    /// The family has no such parameter.
    #[error("`{workload}` has no parameter `{param}`; it has {known}")]
    Param {
        /// The workload.
        workload: String,
        /// The given parameter.
        param: String,
        /// The parameters that the family has.
        known: String,
    },
    /// A resource that the workload needs was not given.
    #[error(
        "`{workload}` does not know where its `{resource}` is; name it in the `resources` of `prepare` (LANES.md)"
    )]
    Missing {
        /// The workload.
        workload: String,
        /// The missing resource.
        resource: &'static str,
    },
    /// A request of the user's own, which programs that ship do not know.
    #[error("`{workload}` is for servers of your own: --lane NAME=serve:COMMAND")]
    OwnRequest {
        /// The workload.
        workload: String,
    },
    /// Arrivals without a rate.
    #[error("`{workload}` has arrivals and no rate; add `rate=`, for example `rate=60%`")]
    NoRate {
        /// The given workload.
        workload: String,
    },
    /// Two parameters that exclude each other.
    #[error("`{first}` and `{second}` exclude each other ({workload}){}", .why)]
    Exclusive {
        /// The given workload.
        workload: String,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why, after a colon; empty if it is obvious.
        why: &'static str,
    },
    /// The parameter does not accept the value.
    #[error("`{param}={value}` is not {accepted} ({workload})")]
    Value {
        /// The workload.
        workload: String,
        /// The parameter.
        param: String,
        /// The given value.
        value: String,
        /// The accepted values.
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
