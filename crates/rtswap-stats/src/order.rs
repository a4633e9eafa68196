//! The median, exactly antisymmetric: f(-x) = -f(x), bit for bit.

/// The median; `None` without values.
///
/// Infinite values are values. The median is finite if fewer than half of them are infinite, and NaN if it
/// lies between -∞ and +∞.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_middle_value_or_mean_of_two() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::NEG_INFINITY, 1.0, 2.0]), Some(1.0));
        assert_eq!(median([f64::NEG_INFINITY, 1.0]), Some(f64::NEG_INFINITY));
    }
}
