//! What messages are made of: one long pseudo-random pattern, of which every message is a slice.

/// Distance between the starts of two messages, in bytes. Eight, so that copies stay aligned and a
/// shift by less than a word never lands on another message.
const STRIDE: usize = 8;

/// Fewest different messages. Small, so that the pattern of a few connections stays in the first
/// level cache; large against the two or three messages of a connection a lane could mix up.
const FEWEST_SLOTS: usize = 1021;

/// The bytes of all messages of one session.
///
/// Message `k` of connection `c` starts at slot `(c + k × step) mod slots`. `slots` is prime and at
/// least the number of connections, so messages of the same index on different connections start
/// at different slots, and so do any `slots` consecutive messages of one connection. Windows of
/// eight bytes never repeat in the pattern (a test proves it), so two messages of eight bytes or
/// more at different slots differ, and do so within their first eight bytes. Nothing is filled in
/// per message, and checking an answer is one comparison of slices.
#[derive(Debug)]
pub(crate) struct Pattern {
    bytes: Box<[u8]>,
    size: usize,
    period: usize,
    step: usize,
}

impl Pattern {
    pub(crate) fn new(size: usize, conns: usize) -> Self {
        let slots = prime_from(conns.max(FEWEST_SLOTS));
        // The golden section spreads successive messages best over the pattern. Any step but zero
        // visits every slot, as the number of slots is prime.
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

/// `SplitMix64` from a fixed seed: the same bytes in every run, and shorter patterns are prefixes
/// of longer ones.
fn pseudo_random(length: usize) -> Box<[u8]> {
    let mut state: u64 = 0;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The smallest prime that is not below `least`.
fn prime_from(least: usize) -> usize {
    let mut candidate = least.max(2);
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
    fn eight_byte_windows_never_repeat() {
        // As many slots as a machine has ports, which bounds the connections to one address.
        let bytes = pseudo_random(prime_from(65_536) * STRIDE + 8);
        let mut seen = HashSet::with_capacity(bytes.len());
        for window in bytes.windows(8) {
            assert!(seen.insert(window), "{window:?} repeats");
        }
    }

    #[test]
    fn messages_of_one_index_differ_between_connections() {
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
    fn consecutive_messages_of_a_connection_all_differ() {
        let pattern = Pattern::new(8, 32);
        let mut offset = pattern.first(31);
        let mut seen = HashSet::new();
        for _message in 0..FEWEST_SLOTS {
            assert!(seen.insert(pattern.message(offset)));
            offset = pattern.next(offset);
        }
        assert_eq!(offset, pattern.first(31), "then they start over");
    }

    #[test]
    fn a_shifted_message_is_no_message() {
        let pattern = Pattern::new(64, 32);
        let messages: HashSet<_> =
            (0..FEWEST_SLOTS).map(|slot| pattern.message(slot * STRIDE)).collect();
        for offset in (0..pattern.period).filter(|offset| offset % STRIDE != 0) {
            assert!(!messages.contains(pattern.message(offset)));
        }
    }

    #[test]
    fn primes_are_found() {
        assert_eq!([0, 14, 1021, 1022].map(prime_from), [2, 17, 1021, 1031]);
    }
}
