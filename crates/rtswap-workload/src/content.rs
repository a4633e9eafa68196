use std::sync::OnceLock;

/// Bytes of a block of the file that `file` reads from.
pub const BLOCK_BYTES: usize = 4096;

/// Blocks of that file: 256 MiB, more than a slice can cover.
pub const BLOCKS: u64 = 65_536;

/// Numbers after which contents repeat.
const DISTINCT: usize = 1 << 20;

/// Far from one number's content to that of the next, and odd, so that all offsets are met.
const STRIDE: u64 = 4099;

/// What the image, file or block of a number holds: `size` bytes that look random, and differ from those
/// of any other number below 2^20. Lanes, servers and checks know it without telling each other.
///
/// It is a part of one pattern, which is made at the first call.
pub fn content(size: usize, number: u64) -> &'static [u8] {
    static SMALL: OnceLock<Vec<u8>> = OnceLock::new();
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    const SMALL_MOST: usize = 64 << 10;
    const LARGE_MOST: usize = 16 << 20;
    let (pattern, most) =
        if size <= SMALL_MOST { (&SMALL, SMALL_MOST) } else { (&LARGE, LARGE_MOST) };
    assert!(size <= most, "content of {size} bytes is more than the {most} that there are");
    let offset = number.wrapping_mul(STRIDE) as usize % DISTINCT;
    &pattern.get_or_init(|| pattern_of(DISTINCT + most))[offset..offset + size]
}

/// `SplitMix64`, from a fixed seed.
fn pattern_of(bytes: usize) -> Vec<u8> {
    let mut state = 0x7274_7377_6170_u64;
    let mut pattern = Vec::with_capacity(bytes + 8);
    while pattern.len() < bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        pattern.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn contents_differ_and_do_not_depend_on_how_much_is_asked_for() {
        let firsts: HashSet<_> = (0..100_000).map(|number| content(8, number)).collect();
        assert_eq!(firsts.len(), 100_000);
        assert_eq!(content(4096, 77), &content(10 << 20, 77)[..4096]);
    }
}
