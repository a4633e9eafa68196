//! Memory of writes that have ended, for the writes to come.
//!
//! It belongs to the thread and not to the connection: one that is idle holds none, a busy one does not
//! allocate, and the next write finds what a cache still has.

use std::cell::RefCell;

/// Vectors that a thread keeps at most. They are as large as the largest write that they have seen, so
/// 8 MiB at the most.
const KEPT: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty vector with room for so many bytes.
pub(super) fn take(bytes: usize) -> Vec<u8> {
    match SPARE.with_borrow_mut(Vec::pop) {
        Some(spare) if spare.capacity() >= bytes => spare,
        _ => Vec::with_capacity(bytes.next_power_of_two()),
    }
}

/// Keeps the memory of a vector, or frees it if there is enough.
pub(super) fn give(mut memory: Vec<u8>) {
    memory.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT {
            spare.push(memory);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_vector_that_is_too_small_makes_way_for_a_larger_one() {
        let spare = thread::spawn(|| {
            give(Vec::with_capacity(10));
            give(take(1000));
            (take(1000).capacity(), SPARE.with_borrow(Vec::len))
        });
        assert_eq!(spare.join().unwrap(), (1024, 0));
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let spare = thread::spawn(|| {
            (0..2 * KEPT).for_each(|_| give(vec![7]));
            (SPARE.with_borrow(Vec::len), take(1))
        });
        assert_eq!(spare.join().unwrap(), (KEPT, Vec::new()));
    }
}
