use std::time::Duration;

use crate::Fault;

/// How many lengths the sleeps of a batch have. Each is 1 ms longer than the one before.
pub(super) const LENGTHS: usize = 5;

/// By how much the first sleeps of two lengths may end in the wrong order: a machine that has stalled makes
/// all of them due at once, and a runtime wakes those in batches.
const SLACK: Duration = Duration::from_millis(1);

/// With fewer batches, stalls alone may put the same two lengths out of order in most of them.
const BATCHES_MIN: u32 = 8;

/// Whether sleeps end in the order of their length: in each batch, and over all batches of a lane.
///
/// Each length is judged by its first sleep, which has no other of its length before it. Of the later ones
/// nothing can be asked, as a timer that finds many due at once, after a stall, may go through all of one
/// length before it comes to what is left of another.
///
/// In one batch, lengths that are 2 ms or more apart must be in order, except for half of the six pairs: where
/// one thread of several has stalled, the length that it holds ends after those that others have woken, and that
/// is not the runtime's doing. A stall is at random, so that it puts other lengths out of order in other batches.
/// A runtime that always wakes the same length late does the same to the same pair in every batch.
#[derive(Debug)]
pub(super) struct Order {
    /// The shortest length, in milliseconds.
    ms: u64,
    batches: u32,
    /// In how many batches the first sleep of one length ended after that of a longer one.
    late: [[u32; LENGTHS]; LENGTHS],
}

impl Order {
    pub fn new(ms: u64) -> Self {
        Self { ms, batches: 0, late: [[0; LENGTHS]; LENGTHS] }
    }

    /// Checks one more batch: when the sleeps of each length ended.
    pub fn check(&mut self, ends: &[Vec<Duration>; LENGTHS]) -> Result<(), Fault> {
        let firsts = ends.each_ref().map(|ends| ends.iter().min());
        self.batches += 1;
        let mut pairs = 0;
        let mut wrong = Vec::new();
        for (shorter, sooner) in firsts.iter().enumerate() {
            for (longer, later) in firsts.iter().enumerate().skip(shorter + 1) {
                let (Some(sooner), Some(later)) = (sooner, later) else { continue };
                let late = **sooner > **later + SLACK;
                self.late[shorter][longer] += u32::from(late);
                // In one batch, 1 ms may be rounded.
                if longer > shorter + 1 {
                    pairs += 1;
                    wrong.extend(late.then_some((sooner, later)));
                }
            }
        }
        match wrong.first() {
            Some((sooner, later)) if wrong.len() * 2 > pairs => Err(Fault::Wrong(format!(
                "{} of {pairs} shorter sleeps ended later: {sooner:?} against {later:?}",
                wrong.len()
            ))),
            _ => self.check_all(),
        }
    }

    /// Checks that no two lengths were out of order in more than three quarters of all batches.
    fn check_all(&self) -> Result<(), Fault> {
        if self.batches < BATCHES_MIN {
            return Ok(());
        }
        for (shorter, late) in self.late.iter().enumerate() {
            for (longer, late) in late.iter().enumerate() {
                if late * 4 > self.batches * 3 {
                    return Err(Fault::Wrong(format!(
                        "sleeps of {} ms ended after those of {} ms in {late} of {} batches",
                        self.ms + shorter as u64,
                        self.ms + longer as u64,
                        self.batches
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64Mcg;

    use super::*;

    const PUNCTUAL: [u64; LENGTHS] = [10, 11, 12, 13, 14];

    fn at(groups: [u64; LENGTHS]) -> [Vec<Duration>; LENGTHS] {
        groups.map(|ms| vec![Duration::from_millis(ms); 3])
    }

    fn check_one(ends: &[Vec<Duration>; LENGTHS]) -> Result<(), Fault> {
        Order::new(10).check(ends)
    }

    /// One length ends `ms` milliseconds late.
    fn one_late(length: usize, ms: u64) -> [Vec<Duration>; LENGTHS] {
        let mut ends = PUNCTUAL;
        ends[length] += ms;
        at(ends)
    }

    #[test]
    fn groups_must_end_in_the_order_of_their_length() {
        assert!(check_one(&at(PUNCTUAL)).is_ok());
        assert!(check_one(&at([20, 20, 20, 20, 20])).is_ok(), "all at once after a stall");
        assert!(check_one(&at([11, 10, 12, 14, 13])).is_ok(), "1 ms apart may be rounded");
        assert!(check_one(&at([21, 20, 20, 20, 20])).is_ok(), "in any order after a stall");
        assert!(check_one(&at([18, 17, 16, 15, 14])).is_err());
        assert!(check_one(&at([18, 17, 12, 12, 14])).is_err(), "most pairs");
    }

    /// What Go did: the thread that had the sleeps of 10 ms stalled, and another one woke the rest.
    #[test]
    fn one_length_may_be_late() {
        assert!(check_one(&at([14, 11, 12, 12, 12])).is_ok());
        assert!(check_one(&at([10, 11, 18, 13, 14])).is_ok());
    }

    #[test]
    fn one_length_may_not_be_late_in_every_batch() {
        for length in 0..LENGTHS - 1 {
            let mut order = Order::new(10);
            for batch in 1..BATCHES_MIN {
                assert!(order.check(&one_late(length, 6)).is_ok(), "{length}, batch {batch}");
            }
            let fault = order.check(&one_late(length, 6)).unwrap_err().to_string();
            let (short, long) = (10 + length, 11 + length);
            let expected =
                format!("sleeps of {short} ms ended after those of {long} ms in 8 of 8 batches");
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn one_length_that_is_late_now_and_then_is_no_fault() {
        let mut order = Order::new(10);
        for batch in 0..1_000 {
            // Three of four.
            let late = if batch % 4 == 0 { 0 } else { 6 };
            order.check(&one_late(1, late)).unwrap();
        }
    }

    #[test]
    fn one_stalled_batch_is_no_fault() {
        for stalled in 0..BATCHES_MIN {
            let mut order = Order::new(10);
            for batch in 0..4 * BATCHES_MIN {
                order.check(&one_late(0, if batch == stalled { 50 } else { 0 })).unwrap();
            }
        }
    }

    #[test]
    fn stalls_of_random_lengths_are_no_fault() {
        let mut random = Pcg64Mcg::seed_from_u64(1);
        let mut order = Order::new(10);
        for _ in 0..10_000 {
            order.check(&one_late(random.random_range(0..LENGTHS), 50)).unwrap();
        }
    }

    #[test]
    fn rounding_to_2_ms_in_every_batch_is_no_fault() {
        let mut order = Order::new(10);
        for _ in 0..100 {
            order.check(&at([12, 11, 14, 13, 14])).unwrap();
        }
    }

    /// What Node.js did on a machine that had stalled: most of the shorter ones after the longer ones.
    #[test]
    fn only_the_first_of_a_length_has_to_keep_the_order() {
        let ms = |all: [u64; 3]| all.map(Duration::from_millis).to_vec();
        let stalled = [[10, 20, 21], [11, 19, 19], [14, 14, 15], [15, 15, 16], [16, 16, 17]];
        assert!(check_one(&stalled.map(ms)).is_ok());
        let reversed = [[16, 17, 17], [15, 16, 16], [14, 14, 15], [13, 13, 15], [12, 12, 17]];
        assert!(check_one(&reversed.map(ms)).is_err());
    }

    #[test]
    fn few_tasks_leave_groups_empty() {
        let mut order = Order::new(10);
        for _ in 0..100 {
            order.check(&[vec![Duration::ZERO], vec![], vec![], vec![], vec![]]).unwrap();
        }
    }
}
