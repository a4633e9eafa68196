use serde::{Deserialize, Serialize};

/// A workload with its parameters still open: `tcp-echo`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, stable: history is keyed by it.
    pub name: &'static str,
    /// What one operation is, to be read after "one operation is".
    pub operation: &'static str,
    /// One operation's noun, in the singular: `message`.
    pub unit: &'static str,
    /// Its parameters, in the order in which a name spells them.
    pub params: &'static [Param],
    /// Who drives a slice.
    pub drive: Drive,
}

/// One parameter of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name: `size`.
    pub name: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// The value where none is given.
    pub default: u64,
    /// The values of the full matrix.
    pub values: &'static [u64],
    /// The largest value that is accepted; the smallest is 1.
    pub max: u64,
}

/// What the load generator sends to a lane that serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Messages that are to come back, on connections that are kept.
    #[default]
    Echo,
    /// A message that is to come back, on a connection of its own.
    Churn,
}

/// Who drives a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// The load generator, over TCP.
    Generator(Traffic),
    /// The lane itself.
    Lane,
}
