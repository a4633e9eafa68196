use std::hint::black_box;
use std::time::{Duration, Instant};

/// CPU time burnt once per operation, to slow a lane by a known amount.
///
/// A loop of known length and not a loop on the clock: reading the clock takes about as long as the
/// smallest delay worth injecting. A turn is a chain of multiplications in a register, which takes the same time in a
/// long loop, where it is calibrated, and in a short one. A counter in memory does not: processors that rename memory
/// (Golden Cove) run it five times as fast once they have learned the loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spin {
    turns: u64,
}

impl Spin {
    /// No delay. [`burn`](Self::burn) is then one comparison.
    pub const NONE: Self = Self { turns: 0 };

    /// Measures this CPU for about 20 ms and returns a spin of `delay`.
    pub fn calibrated(delay: Duration) -> Self {
        const TURNS: u64 = 200_000;
        if delay.is_zero() {
            return Self::NONE;
        }
        // The fastest of many: whatever else the machine does only makes a try slower.
        let fastest = (0..20)
            .map(|_| {
                let start = Instant::now();
                Self { turns: TURNS }.burn();
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        let turn_ns = fastest.as_nanos() as f64 / TURNS as f64;
        Self { turns: (delay.as_nanos() as f64 / turn_ns).round().max(1.0) as u64 }
    }

    /// Burns it once for each of `ops` operations.
    #[inline]
    pub fn burn_each(self, ops: u64) {
        for _ in 0..ops {
            self.burn();
        }
    }

    /// Burns it.
    #[inline]
    pub fn burn(self) {
        // The multiplier of Knuth's MMIX.
        let mut chain = black_box(1_u64);
        for _ in 0..self.turns {
            chain = chain.wrapping_mul(6_364_136_223_846_793_005) ^ (chain >> 33);
        }
        black_box(chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_delay_takes_more_turns_and_none_takes_none() {
        assert_eq!(Spin::calibrated(Duration::ZERO), Spin::NONE);
        let (short, long) =
            (Spin::calibrated(Duration::from_nanos(100)), Spin::calibrated(Duration::from_secs(1)));
        assert!(0 < short.turns && short.turns < long.turns);
    }
}
