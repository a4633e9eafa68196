//! When the operations of an offered load are due.

use std::f64::consts::LN_2;
use std::iter::FusedIterator;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

use crate::protocol::Pace;
use crate::workload::Arrivals;

/// The instants at which the operations of a [`Pace`] are due, in nanoseconds from the start of a slice, ascending.
///
/// The iterator has no end: the caller stops at the end of the window. It is empty if the rate is not a positive
/// number. The same pace gives the same instants on every machine: an instant is computed with operations that IEEE
/// 754 defines exactly, and tests compare instants with literals.
///
/// The load can be split into parts, one for each thread that offers it. Constant arrivals and bursts number the
/// operations of the whole load from 0, and operation `i` belongs to part `i % parts`; all parts together are
/// the whole. Poisson arrivals of a part are independent of the other parts' and have `1 / parts` of the rate;
/// all parts together are a Poisson process of the whole rate again.
///
/// | arrivals | operation `i` is due at |
/// |---|---|
/// | `constant` | `i / rate` |
/// | `poisson` | the sum of `i + 1` exponential gaps |
/// | `burst:N` | `floor(i / N) × N / rate` |
///
/// ```
/// use rtswap_schema::protocol::Pace;
/// use rtswap_schema::schedule::Schedule;
/// use rtswap_schema::workload::Arrivals;
///
/// let pace = Pace { rate_per_s: 20_000.0, arrivals: Arrivals::Constant, seed: 1 };
/// let window_ns = 250_000;
/// let due: Vec<u64> = Schedule::new(&pace, 0, 1).take_while(|&due_ns| due_ns < window_ns).collect();
/// assert_eq!(due, [0, 50_000, 100_000, 150_000, 200_000]);
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Of the whole load.
    rate_per_ns: f64,
    arrivals: Gaps,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// `size` operations at once; 1 for constant arrivals.
    Bursts {
        next: u64,
        parts: u64,
        size: u64,
    },
    Exponential {
        now_ns: u64,
        mean_ns: f64,
        random: Pcg64,
    },
}

/// The highest rate that is honoured, per second: one operation each nanosecond.
const RATE_MAX_PER_S: f64 = 1e9;

impl Schedule {
    /// The instants of part `part` of `parts`.
    ///
    /// # Panics
    /// If `part` is not less than `parts`.
    pub fn new(pace: &Pace, part: usize, parts: usize) -> Self {
        assert!(part < parts, "part {part} of {parts}");
        let rate_per_ns = pace.rate_per_s.clamp(0.0, RATE_MAX_PER_S) / 1e9;
        let bursts = |size| Gaps::Bursts { next: part as u64, parts: parts as u64, size };
        let arrivals = match pace.arrivals {
            Arrivals::Constant => bursts(1),
            Arrivals::Burst(size) => bursts(u64::from(size.max(1))),
            Arrivals::Poisson => Gaps::Exponential {
                now_ns: 0,
                mean_ns: parts as f64 / rate_per_ns,
                random: generator(pace.seed, part as u64),
            },
        };
        Self { rate_per_ns, arrivals }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        // Not so either if the rate is not a number.
        let has_rate = self.rate_per_ns > 0.0;
        has_rate.then(|| match &mut self.arrivals {
            Gaps::Bursts { next, parts, size } => {
                let first_of_burst = *next - *next % *size;
                *next += *parts;
                (first_of_burst as f64 / self.rate_per_ns).round() as u64
            }
            Gaps::Exponential { now_ns, mean_ns, random } => {
                // 53 random bits: u is in [0, 1), so that 1 - u has a logarithm.
                let u = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                let gap_ns = (-ln(1.0 - u) * *mean_ns).round() as u64;
                *now_ns = now_ns.saturating_add(gap_ns);
                *now_ns
            }
        })
    }
}

impl FusedIterator for Schedule {}

/// A generator of its own for each part. The seed is mixed first: PCG sequences whose seeds differ in few bits
/// are correlated.
fn generator(seed: u64, part: u64) -> Pcg64 {
    let mut state = seed ^ split_mix(&mut { part });
    let mut bytes = [0; 32];
    for word in bytes.chunks_exact_mut(8) {
        word.copy_from_slice(&split_mix(&mut state).to_le_bytes());
    }
    Pcg64::from_seed(bytes)
}

/// The next output of `SplitMix64`.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The natural logarithm of a normal number from (0, 1].
///
/// [`f64::ln`] may differ in the last bit from one C library to the next, and a schedule must not. This one uses
/// arithmetic alone: `x = m × 2^e` with `m` near 1, and `ln m = 2 atanh((m - 1) / (m + 1))` as a series.
fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & MANTISSA | 1.0_f64.to_bits());
    // [1, 2) becomes [0.7, 1.4), where z is at most 0.18.
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    // Of the term that is left out, z^21 / 21 is less than 1e-17.
    let series = (0..10).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * z * series + f64::from(exponent) * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate_per_s: f64, arrivals: Arrivals) -> Pace {
        Pace { rate_per_s, arrivals, seed: 42 }
    }

    fn first(pace: &Pace, part: usize, parts: usize, number: usize) -> Vec<u64> {
        Schedule::new(pace, part, parts).take(number).collect()
    }

    fn within_1_s(pace: &Pace, part: usize, parts: usize) -> Vec<u64> {
        Schedule::new(pace, part, parts).take_while(|&due_ns| due_ns < 1_000_000_000).collect()
    }

    #[test]
    fn constant_divides_time_equally_and_does_not_drift() {
        let thirds = pace(3.0, Arrivals::Constant);
        assert_eq!(first(&thirds, 0, 1, 4), [0, 333_333_333, 666_666_667, 1_000_000_000]);
        let far = Schedule::new(&thirds, 0, 1).nth(3_000_000).unwrap();
        assert_eq!(far, 1_000_000_000_000_000);
        assert_eq!(first(&thirds, 1, 3, 2), [333_333_333, 1_333_333_333]);
    }

    #[test]
    fn burst_repeats_an_instant_and_keeps_the_rate() {
        let bursts = pace(4000.0, Arrivals::Burst(4));
        let whole = [0, 0, 0, 0, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 2_000_000];
        assert_eq!(first(&bursts, 0, 1, 9), whole);
        assert_eq!(first(&bursts, 2, 3, 3), [0, 1_000_000, 2_000_000], "operations 2, 5 and 8");
        assert_eq!(within_1_s(&bursts, 0, 1).len(), 4000);
    }

    #[test]
    fn poisson_has_the_same_instants_on_every_machine() {
        let poisson = pace(20_000.0, Arrivals::Poisson);
        // Computed in Python, with a PCG XSL RR 128/64 of its own and logarithms of 40 decimal digits.
        assert_eq!(first(&poisson, 0, 1, 6), [78_974, 189_351, 191_214, 239_260, 248_286, 258_920]);
        assert_eq!(Schedule::new(&poisson, 0, 1).nth(99_999), Some(5_002_855_916));
        assert_eq!(first(&poisson, 1, 2, 3), [147_689, 229_102, 284_562]);
        let other = Pace { seed: 43, ..poisson };
        assert_eq!(first(&other, 0, 1, 3), [165_343, 167_614, 178_532]);
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let poisson = pace(1_000_000.0, Arrivals::Poisson);
        let number = 1_000_000;
        let mut last = 0;
        let gaps = Schedule::new(&poisson, 0, 1).take(number).map(|due_ns| {
            let gap_ns = due_ns - last;
            last = due_ns;
            gap_ns as f64
        });
        let (mut sum, mut squares, mut long) = (0.0, 0.0, 0);
        for gap_ns in gaps {
            sum += gap_ns;
            squares += gap_ns * gap_ns;
            long += usize::from(gap_ns > 3000.0);
        }
        // The mean and the deviation are both 1000 ns; e^-3 of the gaps exceed three means. Six standard errors.
        let mean = sum / number as f64;
        let deviation = (squares / number as f64 - mean * mean).sqrt();
        assert!((mean - 1000.0).abs() < 6.0, "{mean}");
        assert!((deviation - 1000.0).abs() < 9.0, "{deviation}");
        let expected = (-3.0_f64).exp() * number as f64;
        assert!((long as f64 - expected).abs() < 6.0 * expected.sqrt(), "{long}, not {expected}");
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        for arrivals in [Arrivals::Constant, Arrivals::Burst(7)] {
            let pace = pace(1234.5, arrivals);
            for parts in [1, 2, 3, 32] {
                let each = (0..parts).flat_map(|part| within_1_s(&pace, part, parts));
                let mut sum: Vec<_> = each.collect();
                sum.sort_unstable();
                assert_eq!(sum, within_1_s(&pace, 0, 1), "{arrivals}, {parts} parts");
            }
        }
        // As many within six standard deviations of the count, which is its own variance.
        let poisson = pace(100_000.0, Arrivals::Poisson);
        let each: Vec<_> = (0..4).map(|part| within_1_s(&poisson, part, 4)).collect();
        let sum: usize = each.iter().map(Vec::len).sum();
        assert!(sum.abs_diff(100_000) < 1900, "{sum}");
        assert!(each[1..].iter().all(|part| part[..10] != each[0][..10]), "parts are independent");
    }

    #[test]
    fn schedule_is_empty_without_a_positive_rate() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Burst(2)] {
            for rate_per_s in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
                assert_eq!(Schedule::new(&pace(rate_per_s, arrivals), 0, 1).next(), None);
            }
            let fastest = Schedule::new(&pace(f64::INFINITY, arrivals), 0, 1);
            assert!(fastest.take_while(|&due_ns| due_ns < 1000).count() < 1200, "{arrivals}");
        }
    }

    #[test]
    fn ln_agrees_with_the_standard_library() {
        let mut state = 1;
        for _ in 0..100_000 {
            let x = 1.0 - (split_mix(&mut state) >> 11) as f64 / (1_u64 << 53) as f64;
            assert!((ln(x) - x.ln()).abs() <= 4.0 * f64::EPSILON * x.ln().abs().max(0.1), "{x}");
        }
        assert_eq!(ln(1.0).to_bits() << 1, 0, "a zero of either sign");
        assert!((ln(2.0_f64.powi(-53)) + 53.0 * LN_2).abs() < 1e-14);
    }
}
