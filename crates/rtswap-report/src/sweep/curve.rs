//! How far one lane's latency stays within a limit as the offered rate grows.

use rtswap_stats::Bounds;

/// The latency at one offered rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Level {
    /// The percentile, nanoseconds.
    Latency(f64),
    /// The lane does not keep up with the rate, so its latency grows with the length of the run.
    Overloaded,
}

/// The highest offered rate at which the latency is at most `limit_ns`, on a curve of rates (operations per
/// second, ascending) and levels; `None` without any level.
///
/// It lies between the last rate with a latency within the limit and the next rate of the curve, interpolated
/// linearly in the logarithm of the latency. It is the last rate within the limit and not the one before the
/// first above it, because a disturbed round only ever lengthens latency: a single disturbance at a low rate
/// would end the curve there. On a curve that rises they are the same.
///
/// Where nothing can be interpolated, only bounds are known. If the next rate is overloaded, the result lies
/// between the two rates, since an overloaded lane has no latency. If the last rate of all is within the limit,
/// there is no upper bound; if none is, no lower bound above 0.
pub(super) fn highest_within(curve: &[(f64, Level)], limit_ns: f64) -> Option<Bounds> {
    let is_within =
        |(_, level): &(f64, Level)| matches!(level, Level::Latency(ns) if *ns <= limit_ns);
    let first = curve.first()?;
    let Some(last) = curve.iter().rposition(is_within) else {
        return Some(Bounds { lo: 0.0, hi: first.0 });
    };
    let (from, Level::Latency(below_ns)) = curve[last] else { return None };
    Some(match curve.get(last + 1) {
        None => Bounds { lo: from, hi: f64::INFINITY },
        Some(&(to, Level::Overloaded)) => Bounds { lo: from, hi: to },
        Some(&(to, Level::Latency(above_ns))) => {
            let share = (limit_ns / below_ns).ln() / (above_ns / below_ns).ln();
            Bounds::exact(from + share * (to - from))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Level::{Latency, Overloaded};
    use super::*;

    fn within(levels: &[Level], limit_ns: f64) -> Bounds {
        let rates = (1..).map(|step| f64::from(step) * 1000.0);
        highest_within(&rates.zip(levels.iter().copied()).collect::<Vec<_>>(), limit_ns).unwrap()
    }

    #[test]
    fn highest_within_interpolates_in_log_latency() {
        // A tenth of the way up from 100 to 10,000, in logarithms, is a factor of 10^0.2.
        let curve = [Latency(50.0), Latency(100.0), Latency(10_000.0)];
        let found = within(&curve, 100.0 * 10_f64.powf(0.2));
        assert_eq!(found, Bounds::exact(found.lo));
        assert!((found.lo - 2100.0).abs() < 1e-6, "{found:?}");
        assert_eq!(within(&curve, 100.0), Bounds::exact(2000.0));
    }

    #[test]
    fn highest_within_has_bounds_where_nothing_can_be_interpolated() {
        let curve = [Latency(50.0), Latency(100.0), Overloaded];
        assert_eq!(within(&curve, 200.0), Bounds { lo: 2000.0, hi: 3000.0 });
        assert_eq!(within(&curve, 40.0), Bounds { lo: 0.0, hi: 1000.0 });
        assert_eq!(within(&[Overloaded], 40.0), Bounds { lo: 0.0, hi: 1000.0 });
        assert_eq!(within(&curve[..2], 100.0), Bounds { lo: 2000.0, hi: f64::INFINITY });
        assert_eq!(highest_within(&[], 40.0), None);
    }

    #[test]
    fn highest_within_survives_disturbance_at_low_rate() {
        let curve = [Latency(50.0), Latency(900.0), Latency(70.0), Latency(80.0), Overloaded];
        assert_eq!(within(&curve, 100.0), Bounds { lo: 4000.0, hi: 5000.0 });
    }
}
