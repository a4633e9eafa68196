use std::fmt;

use serde::{Deserialize, Serialize};

use super::offered::{ARRIVALS, Coded as _, RATES};
use super::{Arrivals, Rate, text_value};

/// A workload with its parameters open: `tcp-echo`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Family {
    /// Its name. Stable: records are keyed by it.
    pub name: &'static str,
    /// What one operation is: completes the sentence "one operation is …".
    pub operation: &'static str,
    /// One operation's noun, in the singular: `message`.
    pub unit: &'static str,
    /// Its parameters, in the order of a workload's full name.
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
#[non_exhaustive]
pub enum Uses {
    /// Streams that are polled. The lane reports how it provides them.
    PollStreams,
    /// Files. The lane reports what does their I/O.
    Files,
    /// A folder for each lane.
    Folder,
    /// A file to read from.
    Blocks,
    /// An HTTPS origin to download images from.
    Origin,
    /// A Redis server.
    Redis,
    /// A MySQL or MariaDB server.
    Mysql,
    /// A PostgreSQL server.
    Postgres,
}

impl Uses {
    /// The names of what a lane is given for it: keys of [`Resources`](super::Resources).
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
#[non_exhaustive]
pub struct Param {
    /// Its name: `size`.
    pub name: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// The value if none is given.
    pub default: u64,
    /// The values of the full matrix.
    pub values: &'static [u64],
    /// The largest value that is accepted; the smallest is 1.
    pub max: u64,
    /// The names of the values, for values that are not quantities: value 0 has the first name, and
    /// `max` is not used.
    pub names: &'static [&'static str],
    /// Whether full names omit its default: for a parameter that was added when records of its family
    /// existed, so that recorded workloads keep their names.
    pub later: bool,
    /// How a value is spelled, if not as a number or by one of `names`.
    pub notation: Notation,
}

/// How the values of a parameter are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notation {
    /// As a number, or by a name.
    #[default]
    Plain,
    /// A [`Rate`], or nothing.
    Rate,
    /// [`Arrivals`].
    Arrivals,
    /// A path, or nothing. In a workload's name it goes on until a parameter of the family follows.
    Path,
    /// The name of something that the user has described, or nothing.
    Label,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A quantity.
    Number(u64),
    /// One of several names.
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
        Self {
            name,
            about,
            default,
            values,
            max,
            names: &[],
            later: false,
            notation: Notation::Plain,
        }
    }

    /// A parameter whose values have names; the first is the default.
    pub const fn named(
        name: &'static str,
        about: &'static str,
        names: &'static [&'static str],
        values: &'static [u64],
    ) -> Self {
        Self {
            name,
            about,
            default: 0,
            values,
            max: 0,
            names,
            later: false,
            notation: Notation::Plain,
        }
    }

    /// `rate`: how many operations per second are offered; a closed loop if none is given.
    pub const RATE: Self = Self {
        notation: Notation::Rate,
        ..Self::named(
            "rate",
            "operations offered per second: 20k, or 60% of the slowest lane's capacity; without it, a closed \
             loop at saturation",
            &[],
            &[0],
        )
        .added_later()
    };

    /// `arrivals`: when the operations of a [`RATE`](Self::RATE) are due.
    pub const ARRIVALS: Self = Self {
        notation: Notation::Arrivals,
        ..Self::named(
            "arrivals",
            "when operations are due, with a rate: constant, poisson or burst:N",
            &[],
            &[0],
        )
        .added_later()
    };

    /// `path`: what a request of the user's own asks for.
    pub const PATH: Self = Self {
        notation: Notation::Path,
        ..Self::named(
            "path",
            "what is asked for, of a server of your own (--lane NAME=serve:COMMAND): /users/7",
            &[],
            &[text_value::NONE],
        )
        .added_later()
    };

    /// `request`: the name of a request of the user's own.
    pub const REQUEST: Self = Self {
        notation: Notation::Label,
        ..Self::named(
            "request",
            "the request of a section `[http.NAME]` of rtswap.toml, for a server of your own",
            &[],
            &[text_value::NONE],
        )
        .added_later()
    };

    /// The same parameter, with [`later`](Self::later) set.
    #[must_use]
    pub const fn added_later(self) -> Self {
        Self { later: true, ..self }
    }

    /// Reads a value; `None` if the parameter does not accept it.
    pub(super) fn parse(&self, text: &str) -> Option<u64> {
        match self.notation {
            Notation::Rate => text.parse().ok().map(|rate: Rate| Some(rate).code()),
            Notation::Arrivals => text.parse().ok().map(Arrivals::code),
            Notation::Path => {
                // The slash of `path=/conns=8` ends a path as well as it begins one.
                let path = if text.is_empty() { "/" } else { text };
                text_value::is_path(path).then(|| text_value::code(path))
            }
            Notation::Label => text_value::is_name(text).then(|| text_value::code(text)),
            Notation::Plain if self.names.is_empty() => {
                text.parse().ok().filter(|value| (1..=self.max).contains(value))
            }
            Notation::Plain => {
                self.names.iter().position(|name| *name == text).map(|index| index as u64)
            }
        }
    }

    /// The accepted values: completes the sentence "… is not …".
    pub(super) fn accepts(&self) -> String {
        match self.notation {
            Notation::Rate => RATES.to_owned(),
            Notation::Arrivals => ARRIVALS.to_owned(),
            Notation::Path => text_value::PATHS.to_owned(),
            Notation::Label => text_value::NAMES.to_owned(),
            Notation::Plain if self.names.is_empty() => {
                format!("a whole number from 1 to {}", self.max)
            }
            Notation::Plain => self.names.join(" or "),
        }
    }

    /// A value as full names and records spell it.
    pub(super) fn spell(&self, number: u64) -> ParamValue {
        match self.notation {
            Notation::Rate => match Option::<Rate>::decode(number) {
                Some(share @ Rate::Share(_)) => ParamValue::Name(share.to_string()),
                _ => ParamValue::Number(number),
            },
            Notation::Arrivals => ParamValue::Name(Arrivals::decode(number).to_string()),
            Notation::Path | Notation::Label => {
                ParamValue::Name(text_value::decode(number).unwrap_or_default().to_owned())
            }
            Notation::Plain => match self.names.get(number as usize) {
                Some(name) => ParamValue::Name((*name).to_owned()),
                None => ParamValue::Number(number),
            },
        }
    }

    /// Whether the value is a quantity.
    pub(super) fn is_quantity(&self) -> bool {
        self.names.is_empty() && self.notation == Notation::Plain
    }
}

/// What the load generator sends to a lane that serves.
///
/// Exhaustive: the generator and the planner must handle every kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Messages that the lane sends back, on persistent connections.
    #[default]
    Echo,
    /// One message that the lane sends back, on a connection of its own.
    Churn,
    /// HTTP requests, on persistent connections.
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
