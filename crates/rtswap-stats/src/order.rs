//! Order statistics and moments that are exactly antisymmetric: f(-x) = -f(x), bit for bit.

/// The median; `None` without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    median_of(&mut values)
}

/// The median; sorts `values`.
pub(crate) fn median_of(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The quantile `q` in 0..=0.5 counted from both ends of `sorted`: lower and upper.
///
/// Linear between order statistics (type 7 of Hyndman & Fan 1996). The upper one is read off the
/// mirrored list rather than at 1 - q, so that negating the data swaps the two exactly.
pub(crate) fn both_quantiles(sorted: &[f64], q: f64) -> (f64, f64) {
    let last = sorted.len() - 1;
    let at = last as f64 * q;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    let share = at - below as f64;
    let between = |a: f64, b: f64| a + share * (b - a);
    (between(sorted[below], sorted[above]), between(sorted[last - below], sorted[last - above]))
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation (divisor n - 1); 0 for fewer than two values.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    // Identical values must give exactly 0, which a rounded mean would spoil.
    if values.iter().all(|x| x.total_cmp(&values[0]).is_eq()) {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|x| (x - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_middle_value_or_mean_of_two() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
