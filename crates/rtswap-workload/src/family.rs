use std::fmt;

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
    /// What it needs apart from the runtime's tasks, timers and streams of owned buffers.
    pub uses: &'static [Uses],
    /// The cargo feature of `rtswap` that its program needs, if it needs one.
    pub feature: Option<&'static str>,
}

impl Family {
    /// A family without parameters, whose program needs tasks, timers and streams alone.
    pub const fn new(
        name: &'static str,
        operation: &'static str,
        unit: &'static str,
        drive: Drive,
    ) -> Self {
        Self { name, operation, unit, params: &[], drive, uses: &[], feature: None }
    }

    /// The same, with parameters.
    #[must_use]
    pub const fn params(self, params: &'static [Param]) -> Self {
        Self { params, ..self }
    }

    /// The same, with more that it needs.
    #[must_use]
    pub const fn uses(self, uses: &'static [Uses]) -> Self {
        Self { uses, ..self }
    }

    /// The same, for a program that is there with a cargo feature only.
    #[must_use]
    pub const fn feature(self, feature: &'static str) -> Self {
        Self { feature: Some(feature), ..self }
    }
}

/// What a workload needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uses {
    /// Streams that are polled: the path that a lane took is part of its receipt.
    PollStreams,
    /// Files: who does their I/O is part of the receipt.
    Files,
    /// A folder of each lane's own.
    Folder,
    /// The file that is read from.
    Blocks,
    /// The HTTPS origin that images are downloaded from.
    Origin,
    /// A Redis server.
    Redis,
    /// A MySQL or MariaDB server.
    Mysql,
    /// A PostgreSQL server.
    Postgres,
}

impl Uses {
    /// What a lane is told of it: the keys of [`Resources`](crate::Resources).
    pub fn resources(self) -> &'static [&'static str] {
        match self {
            Self::PollStreams | Self::Files => &[],
            Self::Folder => &["folder"],
            Self::Blocks => &["blocks"],
            Self::Origin => &["origin", "origin-root"],
            Self::Redis => &["redis"],
            Self::Mysql => &["mysql"],
            Self::Postgres => &["postgres"],
        }
    }
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
    /// What the values are called, where they are no quantities: value 0 is the first name, and `max`
    /// does not matter.
    pub names: &'static [&'static str],
    /// Whether it came when its family had a history: then names leave its default out, so that what is
    /// on record keeps its name.
    pub later: bool,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A quantity.
    Number(u64),
    /// One of a few.
    Name(String),
}

impl ParamValue {
    /// The quantity, if it is one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Param {
    /// A parameter whose values are quantities, 1 to `max`.
    pub const fn number(
        name: &'static str,
        about: &'static str,
        default: u64,
        values: &'static [u64],
        max: u64,
    ) -> Self {
        Self { name, about, default, values, max, names: &[], later: false }
    }

    /// A parameter whose values have names; the first is the default.
    pub const fn named(
        name: &'static str,
        about: &'static str,
        names: &'static [&'static str],
        values: &'static [u64],
    ) -> Self {
        Self { name, about, default: 0, values, max: 0, names, later: false }
    }

    /// The same, with a default that names leave out.
    #[must_use]
    pub const fn added_later(self) -> Self {
        Self { later: true, ..self }
    }

    /// Reads a value.
    pub(crate) fn parse(&self, text: &str) -> Option<u64> {
        if self.names.is_empty() {
            text.parse().ok().filter(|value| (1..=self.max).contains(value))
        } else {
            self.names.iter().position(|name| *name == text).map(|index| index as u64)
        }
    }

    /// What may be given, to be read after "is not".
    pub(crate) fn accepts(&self) -> String {
        if self.names.is_empty() {
            format!("a whole number from 1 to {}", self.max)
        } else {
            self.names.join(" or ")
        }
    }

    /// A value as it is spelled.
    pub(crate) fn spell(&self, number: u64) -> ParamValue {
        match self.names.get(number as usize) {
            Some(name) => ParamValue::Name((*name).to_owned()),
            None => ParamValue::Number(number),
        }
    }
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
    /// HTTP requests, on connections that are kept.
    Http,
}

/// Who drives a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// The load generator, over TCP.
    Generator(Traffic),
    /// The lane itself.
    Lane,
}
