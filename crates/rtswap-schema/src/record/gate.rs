//! What a gate asks of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A run with the lanes `base`, `control` (a second process of base) and `head` asks whether head is worse than base.
/// Fixed before anything is measured, so that the data cannot select it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatePlan {
    /// The largest change for the worse that passes, relative: 0.02 is 2 %.
    pub tolerance: f64,
    /// Whether a regression is only what is shown to be worse than the tolerance.
    #[serde(default)]
    pub strict: bool,
    /// Whether the gate passes where it decides nothing.
    #[serde(default)]
    pub pass_inconclusive: bool,
    /// Changes that were accepted, by the workload's full name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<String, Accepted>,
    /// The old version.
    pub base: Side,
    /// The new version.
    pub head: Side,
}

/// One side of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// As it was asked for: a lane spec, an executable or a git revision.
    pub asked: String,
    /// The full hash of the commit that was built; `None` if it is not a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// SHA-256 of the executable's loaded sections, in hex; `None` if it has none that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_sha256: Option<String>,
    /// Milliseconds that its build took; `None` if nothing was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_ms: Option<u64>,
}

/// A change for the worse that the project has accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The largest such change, relative: 0.05 is 5 %.
    pub up_to: f64,
    /// Since when: a date, a release or a commit.
    pub since: String,
    /// Why.
    pub why: String,
}
