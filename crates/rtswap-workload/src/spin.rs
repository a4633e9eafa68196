use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// Measures this CPU for about 50 ms and returns a spin of `delay`.
    pub fn calibrated(delay: Duration) -> Self {
        const TURNS: u64 = 200_000;
        if delay.is_zero() {
            return Self::NONE;
        }
        let turn_ns = fastest_ns(|| Self { turns: TURNS }.burn()) / TURNS as f64;
        let delay_ns = delay.as_nanos() as f64;
        let turns = |ns: f64| Self { turns: (ns / turn_ns).round().max(1.0) as u64 };
        let spin = turns(delay_ns);
        if delay > SHORT {
            return spin;
        }
        // The processor begins what follows a spin before it has ended, so that a short one costs less than its
        // turns. Between system calls, as in a server.
        let calls = |spin: Self| {
            fastest_ns(|| {
                (0..CALLS).for_each(|_| {
                    black_box(std::process::id());
                    spin.burn();
                });
            })
        };
        let cost_ns = (calls(spin) - calls(Self::NONE)) / f64::from(CALLS);
        // A disturbed measurement must not change the delay by much.
        turns(delay_ns + (delay_ns - cost_ns).clamp(-0.2 * delay_ns, 0.2 * delay_ns))
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
        if self.turns == 0 {
            return;
        }
        // The processor executes a locked instruction once all before it are done, and no load after it earlier. Without
        // them some 70 ns of a spin overlap with the cache misses around it, which is half of 2 % of a message.
        let fence = AtomicU64::new(1);
        let mut chain = black_box(&fence).fetch_add(1, Ordering::SeqCst);
        for _ in 0..self.turns {
            // The multiplier of Knuth's MMIX.
            chain = chain.wrapping_mul(6_364_136_223_846_793_005) ^ (chain >> 33);
        }
        black_box(&fence).fetch_add(chain, Ordering::SeqCst);
    }
}

/// Above this time what overlaps does not matter.
const SHORT: Duration = Duration::from_micros(5);
const CALLS: u32 = 2_000;

/// The fastest of many tries, nanoseconds: whatever else the machine does only makes a try slower.
fn fastest_ns(run: impl Fn()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..20).map(time).min().unwrap_or_default().as_nanos() as f64
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
