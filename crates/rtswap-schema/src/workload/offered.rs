//! The load that a workload is offered: how many operations per second, and when each of them is due.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many operations per second are offered to every lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// So many.
    PerSecond(u32),
    /// So many per cent of the slowest lane's capacity, which is measured in the same run.
    Share(u32),
}

/// When the operations of an offered load are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// At independent, exponentially distributed distances, as from many users.
    Poisson,
    /// So many at once, at equal distances.
    Burst(u32),
}

/// A text that is no rate, or no kind of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidLoad(pub(super) &'static str);

/// What [`Rate::from_str`] accepts.
pub(super) const RATES: &str =
    "a rate: 20000 or 20k operations per second, or 60% of the slowest lane's capacity";
/// What [`Arrivals::from_str`] accepts.
pub(super) const ARRIVALS: &str = "constant, poisson or burst:N (N from 2 to 10000)";

const PER_SECOND_MAX: u32 = 100_000_000;
const PER_CENT_MAX: u32 = 1000;
const BURST_MAX: u32 = 10_000;

impl FromStr for Rate {
    type Err = InvalidLoad;

    /// `20000`, `20k`, `1.5M`, `60%`.
    fn from_str(text: &str) -> Result<Self, InvalidLoad> {
        let within = |number: &str, factor: f64, most: u32| {
            let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number = number.parse::<f64>().ok().filter(|_| is_plain)? * factor;
            // 1.234k is a whole number all the same.
            let is_whole = (number - number.round()).abs() < 1e-6;
            (is_whole && (1.0..=f64::from(most)).contains(&number)).then_some(number.round() as u32)
        };
        let rate = match text.as_bytes() {
            [.., b'%'] => within(&text[..text.len() - 1], 1.0, PER_CENT_MAX).map(Self::Share),
            [.., b'k'] => within(&text[..text.len() - 1], 1e3, PER_SECOND_MAX).map(Self::PerSecond),
            [.., b'M'] => within(&text[..text.len() - 1], 1e6, PER_SECOND_MAX).map(Self::PerSecond),
            _ => within(text, 1.0, PER_SECOND_MAX).map(Self::PerSecond),
        };
        rate.ok_or(InvalidLoad(RATES))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(number) => number.fmt(f),
            Self::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Arrivals {
    type Err = InvalidLoad;

    fn from_str(text: &str) -> Result<Self, InvalidLoad> {
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => text
                .strip_prefix("burst:")
                .and_then(|number| number.parse().ok())
                .filter(|number| (2..=BURST_MAX).contains(number))
                .map(Self::Burst)
                .ok_or(InvalidLoad(ARRIVALS)),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Burst(number) => write!(f, "burst:{number}"),
        }
    }
}

impl From<Arrivals> for String {
    fn from(arrivals: Arrivals) -> Self {
        arrivals.to_string()
    }
}

impl TryFrom<String> for Arrivals {
    type Error = InvalidLoad;

    fn try_from(text: String) -> Result<Self, InvalidLoad> {
        text.parse()
    }
}

/// As a [`Spec`](super::Spec) keeps a value: a number, of which 0 is the default.
pub(super) trait Coded: Sized {
    fn code(self) -> u64;
    fn decode(code: u64) -> Self;
}

/// Marks a share among rates, and a burst among arrivals.
const MARK: u64 = 1 << 32;

impl Coded for Option<Rate> {
    fn code(self) -> u64 {
        match self {
            None => 0,
            Some(Rate::PerSecond(number)) => number.into(),
            Some(Rate::Share(percent)) => MARK | u64::from(percent),
        }
    }

    fn decode(code: u64) -> Self {
        let number = code as u32;
        match code {
            0 => None,
            _ if code & MARK == 0 => Some(Rate::PerSecond(number)),
            _ => Some(Rate::Share(number)),
        }
    }
}

impl Coded for Arrivals {
    fn code(self) -> u64 {
        match self {
            Self::Constant => 0,
            Self::Poisson => 1,
            Self::Burst(number) => MARK | u64::from(number),
        }
    }

    fn decode(code: u64) -> Self {
        match code {
            0 => Self::Constant,
            1 => Self::Poisson,
            _ => Self::Burst(code as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_reads_numbers_suffixes_and_shares() {
        let cases = [
            ("20000", Rate::PerSecond(20_000)),
            ("20k", Rate::PerSecond(20_000)),
            ("1.5M", Rate::PerSecond(1_500_000)),
            ("1.234k", Rate::PerSecond(1234)),
            ("60%", Rate::Share(60)),
            ("1000%", Rate::Share(1000)),
        ];
        for (text, rate) in cases {
            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string().parse(), Ok(rate));
            assert_eq!(Option::<Rate>::decode(Some(rate).code()), Some(rate));
        }
        assert_eq!(Option::<Rate>::decode(None::<Rate>.code()), None);
    }

    #[test]
    fn rate_rejects_other_text() {
        for text in ["", "0", "-1", "k", "%", "0%", "1001%", "0.5", "1.5%", "1e3", "200M", "inf"] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidLoad(RATES)), "{text}");
        }
    }

    #[test]
    fn arrivals_read_what_they_write() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Burst(8)] {
            assert_eq!(arrivals.to_string().parse(), Ok(arrivals));
            assert_eq!(Arrivals::decode(arrivals.code()), arrivals);
        }
        for text in ["", "bursts", "burst", "burst:", "burst:1", "burst:10001", "Poisson"] {
            assert_eq!(text.parse::<Arrivals>(), Err(InvalidLoad(ARRIVALS)), "{text}");
        }
    }
}
