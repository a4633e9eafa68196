//! The ratio of two ratios that were measured independently.

/// A ratio with an interval. `lo` is 0 and `hi` infinite where there is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio.
    pub ratio: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// `above` over `below`, with an interval of the confidence that theirs have.
///
/// The standard errors add in quadrature on the log scale. They are taken from the sides of the intervals, as the
/// distance from the ratio to the end, so that few rounds and skewed intervals keep their width (Zou and Donner,
/// *Construction of confidence limits about effect measures: A general approach*, Statistics in Medicine 27, 2008).
/// `None` if the ratio is not finite and positive.
///
/// What differs between the two measurements and is no noise within either is not part of the interval.
pub fn quotient(above: &Ratio, below: &Ratio) -> Option<Ratio> {
    let down = |it: &Ratio| (it.ratio / it.lo).ln();
    let up = |it: &Ratio| (it.hi / it.ratio).ln();
    let ratio = above.ratio / below.ratio;
    if !(ratio.is_finite() && ratio > 0.0) {
        return None;
    }
    let lo = ratio * (-down(above).hypot(up(below))).exp();
    let hi = ratio * up(above).hypot(down(below)).exp();
    Some(Ratio { ratio, lo, hi })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotient_adds_sides_in_quadrature() {
        let above = Ratio { ratio: 2.0, lo: 2.0 * (-0.03_f64).exp(), hi: 2.0 * 0.06_f64.exp() };
        let below = Ratio { ratio: 4.0, lo: 4.0 * (-0.08_f64).exp(), hi: 4.0 * 0.04_f64.exp() };
        let it = quotient(&above, &below).unwrap();
        assert!((it.ratio - 0.5).abs() < 1e-12);
        assert!(((it.ratio / it.lo).ln() - 0.05).abs() < 1e-12, "0.03 and 0.04");
        assert!(((it.hi / it.ratio).ln() - 0.10).abs() < 1e-12, "0.06 and 0.08");
    }

    #[test]
    fn quotient_is_antisymmetric() {
        let a = Ratio { ratio: 1.2, lo: 1.1, hi: 1.25 };
        let b = Ratio { ratio: 0.9, lo: 0.85, hi: 0.99 };
        let (there, back) = (quotient(&a, &b).unwrap(), quotient(&b, &a).unwrap());
        assert!((there.ratio * back.ratio - 1.0).abs() < 1e-12);
        assert!((there.lo * back.hi - 1.0).abs() < 1e-12);
    }

    #[test]
    fn quotient_without_bounds_has_none() {
        let open = Ratio { ratio: 1.2, lo: 0.0, hi: f64::INFINITY };
        let it = quotient(&open, &Ratio { ratio: 1.0, lo: 0.9, hi: 1.1 }).unwrap();
        assert_eq!((it.lo, it.hi), (0.0, f64::INFINITY));
        let zero = Ratio { ratio: 0.0, lo: 0.0, hi: 0.1 };
        assert_eq!((quotient(&zero, &open), quotient(&open, &zero)), (None, None));
    }
}
