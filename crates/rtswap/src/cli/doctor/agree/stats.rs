//! Means of logarithms with Student's t.

/// A geometric mean and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The geometric mean.
    pub ratio: f64,
    /// The interval; `None` with fewer than two values.
    pub interval: Option<(f64, f64)>,
}

/// The geometric mean of the numbers whose logarithms these are; `None` without any.
pub fn geometric_mean(logs: &[f64]) -> Option<Mean> {
    let n = logs.len();
    if n == 0 {
        return None;
    }
    let mean = logs.iter().sum::<f64>() / n as f64;
    let interval = (n > 1).then(|| {
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let half = t_quantile(n - 1) * (squares / (n - 1) as f64 / n as f64).sqrt();
        ((mean - half).exp(), (mean + half).exp())
    });
    Some(Mean { ratio: mean.exp(), interval })
}

/// The 97.5th percentile of Student's t.
fn t_quantile(degrees: usize) -> f64 {
    const TABLE: [f64; 10] =
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    const Z: f64 = 1.959_964;
    if let Some(value) = degrees.checked_sub(1).and_then(|index| TABLE.get(index)) {
        return *value;
    }
    // Abramowitz & Stegun 26.7.5; the error is below 0.001 from 11 degrees on.
    let n = degrees as f64;
    Z + (Z.powi(3) + Z) / (4.0 * n)
        + (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / (96.0 * n * n)
        + (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / (384.0 * n.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometric_mean_has_interval_of_t() {
        assert_eq!(geometric_mean(&[]), None);
        let one = geometric_mean(&[2_f64.ln()]).unwrap();
        assert!((one.ratio - 2.0).abs() < 1e-12 && one.interval.is_none());
        // The standard deviation is 0.1, that of the mean 0.1 / sqrt 3.
        let three = geometric_mean(&[-0.1, 0.0, 0.1]).unwrap();
        let (lo, hi) = three.interval.unwrap();
        let half = 4.303 * 0.1 / 3_f64.sqrt();
        assert!((three.ratio - 1.0).abs() < 1e-12);
        assert!((lo.ln() + half).abs() < 1e-9 && (hi.ln() - half).abs() < 1e-9);
    }

    #[test]
    fn t_quantile_matches_published_values() {
        for (degrees, value) in [(1, 12.706), (2, 4.303), (11, 2.201), (20, 2.086), (120, 1.980)] {
            assert!((t_quantile(degrees) - value).abs() < 1e-3, "{degrees}");
        }
    }
}
