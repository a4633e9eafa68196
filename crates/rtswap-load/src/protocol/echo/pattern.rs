//! The bytes of messages: one long pseudo-random pattern, of which every message is a slice.

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// Distance between the starts of two messages, in bytes. With 8, copies stay aligned, and a message
/// shifted by less than a word equals no other message.
const STRIDE: usize = 8;

/// The fewest different messages. The pattern of a few connections stays in the first-level cache,
/// and a lane could mix up only the last two or three messages of a connection.
const SLOTS_MIN: usize = 1021;

/// The bytes of all messages of one session.
///
/// Message `k` of connection `c` starts at slot `(c + k × step) mod slots`. `slots` is prime and not
/// less than the number of connections. Therefore messages with the same number on different
/// connections start at different slots, and so do any `slots` consecutive messages of one
/// connection. No window of eight bytes occurs twice in the pattern (a test checks it), so two
/// messages of eight bytes or more at different slots differ within their first eight bytes. No
/// message is filled in before it is sent, and checking an answer is one comparison of slices.
#[derive(Debug)]
pub(crate) struct Pattern {
    bytes: Box<[u8]>,
    size: usize,
    period: usize,
    step: usize,
}

impl Pattern {
    pub(crate) fn new(size: usize, conns: usize) -> Self {
        let slots = prime_from(conns.max(SLOTS_MIN));
        // The golden section spreads successive messages evenly over the pattern. Any step except
        // zero visits every slot, because the number of slots is prime.
        let step = slots * 618 / 1000;
        let period = slots * STRIDE;
        Self { bytes: pseudo_random(size + period), size, period, step: step * STRIDE }
    }

    /// Where the first message of a connection starts.
    pub(crate) fn first(&self, connection: usize) -> usize {
        connection * STRIDE % self.period
    }

    /// Where the message after the one at `offset` starts.
    pub(crate) fn next(&self, offset: usize) -> usize {
        let next = offset + self.step;
        if next < self.period { next } else { next - self.period }
    }

    /// The message at `offset`.
    pub(crate) fn message(&self, offset: usize) -> &[u8] {
        &self.bytes[offset..offset + self.size]
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

/// The same bytes in every run. Shorter patterns are prefixes of longer ones.
fn pseudo_random(length: usize) -> Box<[u8]> {
    let mut bytes = vec![0; length];
    Pcg64::seed_from_u64(0).fill_bytes(&mut bytes);
    bytes.into()
}

/// The smallest prime that is not below `minimum`.
fn prime_from(minimum: usize) -> usize {
    let mut candidate = minimum.max(2);
    while (2..=candidate.isqrt()).any(|divisor| candidate.is_multiple_of(divisor)) {
        candidate += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pattern_repeats_no_eight_byte_window() {
        // As many slots as a machine has ports, which limits the connections to one address.
        let bytes = pseudo_random(prime_from(65_536) * STRIDE + 8);
        let mut seen = HashSet::with_capacity(bytes.len());
        for window in bytes.windows(8) {
            assert!(seen.insert(window), "{window:?} repeats");
        }
    }

    #[test]
    fn message_differs_between_connections() {
        for conns in [1, 2, 32, 1021, 1022, 10_000] {
            let pattern = Pattern::new(16, conns);
            let mut offsets: Vec<_> = (0..conns).map(|c| pattern.first(c)).collect();
            for _message in 0..5 {
                let seen: HashSet<_> = offsets.iter().map(|&o| pattern.message(o)).collect();
                assert_eq!(seen.len(), conns);
                for offset in &mut offsets {
                    *offset = pattern.next(*offset);
                }
            }
        }
    }

    #[test]
    fn message_differs_from_earlier_ones_of_connection() {
        let pattern = Pattern::new(8, 32);
        let mut offset = pattern.first(31);
        let mut seen = HashSet::new();
        for _message in 0..SLOTS_MIN {
            assert!(seen.insert(pattern.message(offset)));
            offset = pattern.next(offset);
        }
        assert_eq!(offset, pattern.first(31), "the messages start over");
    }

    #[test]
    fn message_differs_from_every_shifted_message() {
        let pattern = Pattern::new(64, 32);
        let messages: HashSet<_> =
            (0..SLOTS_MIN).map(|slot| pattern.message(slot * STRIDE)).collect();
        for offset in (0..pattern.period).filter(|offset| offset % STRIDE != 0) {
            assert!(!messages.contains(pattern.message(offset)));
        }
    }

    #[test]
    fn prime_from_rounds_up_to_prime() {
        assert_eq!([0, 14, 1021, 1022].map(prime_from), [2, 17, 1021, 1031]);
    }
}
