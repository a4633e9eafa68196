//! The values of the parameter that a sweep varies.

use std::str::FromStr;

use rtswap_workload::Rate;

use crate::cli::args::InvalidValue;

/// The parameter whose values may be a range: the offered rate.
const RATE: &str = "rate";

/// What `--over rate=` accepts.
const RATES: &str = "rate=10%..100% or rate=5k..50k for ten rates, or a list, all in per cent or none: \
    rate=20%,50%,90% or rate=10k,20k";

/// Rates of a range. Ten show the shape of a curve, and a round of them takes as long as ten workloads.
const STEPS: u32 = 10;

/// `conns=1,8,64`, `rate=10%..100%`.
#[derive(Clone, Debug)]
pub(super) struct Over {
    /// The parameter.
    pub param: String,
    /// Its values, as a workload's name spells them.
    pub values: Vec<String>,
}

impl FromStr for Over {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_rate = text.split_once('=').is_some_and(|(param, _)| param == RATE);
        let wrong = || {
            if is_rate {
                InvalidValue::new("list of rates", text, RATES)
            } else {
                InvalidValue::new("list of values", text, "conns=1,8,64")
            }
        };
        let (param, values) = text.split_once('=').ok_or_else(wrong)?;
        let values = match values.split_once("..") {
            Some((first, last)) if is_rate => range(first, last).ok_or_else(wrong)?,
            // Only rates have ranges: other parameters are rarely of interest at even distances.
            Some(_) => return Err(wrong()),
            None => values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        if param.is_empty() || values.len() < 2 || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        if is_rate && !is_of_one_kind(&values) {
            return Err(wrong());
        }
        Ok(Self { param: param.to_owned(), values })
    }
}

/// Whether all values are rates, all shares of capacity or none of them.
fn is_of_one_kind(values: &[String]) -> bool {
    let share = |value: &String| Some(matches!(value.parse().ok()?, Rate::Share(_)));
    let shares: Option<Vec<bool>> = values.iter().map(share).collect();
    shares.is_some_and(|shares| shares.iter().all(|share| *share == shares[0]))
}

/// Evenly spaced rates from `first` to `last`, both among them, rounded to whole per cent or operations per
/// second: fewer than ten if some of them round to the same. `None` if the ends are not two rates of one kind,
/// ascending.
fn range(first: &str, last: &str) -> Option<Vec<String>> {
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let (from, to, rate): (u32, u32, fn(u32) -> Rate) = match (first, last) {
        (Rate::Share(from), Rate::Share(to)) => (from, to, Rate::Share),
        (Rate::PerSecond(from), Rate::PerSecond(to)) => (from, to, Rate::PerSecond),
        _ => return None,
    };
    let width = f64::from(to.checked_sub(from).filter(|width| *width > 0)?);
    let value = |step| from + (width * f64::from(step) / f64::from(STEPS - 1)).round() as u32;
    let mut values: Vec<u32> = (0..STEPS).map(value).collect();
    values.dedup();
    Some(values.into_iter().map(|value| rate(value).to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        text.parse::<Over>().unwrap().values
    }

    #[test]
    fn over_accepts_two_values_or_more() {
        let over: Over = "conns=1, 8,64".parse().unwrap();
        assert_eq!((over.param.as_str(), over.values.len()), ("conns", 3));
        for wrong in ["conns", "conns=", "conns=1", "=1,2", "conns=1,,2", "conns=1..64"] {
            let error = wrong.parse::<Over>().unwrap_err().to_string();
            assert_eq!(error, format!("invalid list of values {wrong:?}: expected conns=1,8,64"));
        }
    }

    #[test]
    fn over_makes_ten_rates_of_range() {
        let shares = ["10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%", "100%"];
        assert_eq!(values("rate=10%..100%"), shares);
        let rates = values("rate=5k..50k");
        assert_eq!(
            (rates.len(), &rates[0], &rates[1], &rates[9]),
            (10, &"5000".into(), &"10000".into(), &"50000".into())
        );
        // Rounded to whole per cent, and above capacity.
        let rounded = ["20%", "40%", "60%", "80%", "100%", "120%", "140%", "160%", "180%", "200%"];
        assert_eq!(values("rate=20%..200%"), rounded);
        assert_eq!(
            values("rate=10%..30%"),
            ["10%", "12%", "14%", "17%", "19%", "21%", "23%", "26%", "28%", "30%"]
        );
        assert_eq!(values("rate=98%..100%"), ["98%", "99%", "100%"]);
    }

    #[test]
    fn over_keeps_lists_of_rates() {
        assert_eq!(values("rate=20%,50%,150%"), ["20%", "50%", "150%"]);
        assert_eq!(values("rate=10k, 1.5M"), ["10k", "1.5M"]);
    }

    #[test]
    fn over_rejects_other_rates_in_one_line() {
        for wrong in [
            "rate=",
            "rate=10%",
            "rate=10k,20k,40%",
            "rate=10%..20k",
            "rate=10k..40%",
            "rate=100%..10%",
            "rate=10%..10%",
            "rate=..100%",
            "rate=10%..",
            "rate=0%..100%",
            "rate=10%..2000%",
            "rate=x,y",
            "rate=10%..50%,80%",
            "rate=10%..20%..30%",
            "rate=10%,,20%",
            "rate=10%..100%/5",
        ] {
            let error = wrong.parse::<Over>().unwrap_err().to_string();
            assert_eq!(error, format!("invalid list of rates {wrong:?}: expected {RATES}"));
            assert_eq!(error.lines().count(), 1);
        }
    }
}
