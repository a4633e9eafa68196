//! What is drawn at random: the order of the lanes.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64;
use xxhash_rust::xxh3::xxh3_64;

use crate::record::{LanePlan, Plan};

/// A stream of random numbers for each round, so that a resumed run draws the same orders as one that was
/// not interrupted.
pub(super) fn rng(seed: u64, workload: &str, round: u32) -> Pcg64 {
    // XXH3 is the same on every machine and in every version, unlike the hash of std. Every bit of its input
    // affects every bit of the seed, so that neither rounds nor seeds that differ by little share orders.
    let key = [&seed.to_le_bytes()[..], &round.to_le_bytes(), workload.as_bytes()].concat();
    Pcg64::seed_from_u64(xxh3_64(&key))
}

/// The lanes in random order. A lane that the plan pairs with another runs directly before or after it,
/// or one lane away where a chain of pairs has three lanes.
pub(super) fn order(plan: &Plan, lanes: Vec<usize>, rng: &mut Pcg64) -> Vec<usize> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for lane in lanes {
        let head = head(plan, &plan.lanes[lane]);
        match groups.iter_mut().find(|(name, _)| *name == head) {
            Some((_, group)) => group.push(lane),
            None => groups.push((head, vec![lane])),
        }
    }
    groups.shuffle(rng);
    for (_, group) in &mut groups {
        group.shuffle(rng);
    }
    groups.into_iter().flat_map(|(_, group)| group).collect()
}

/// The lane at the end of a chain of pairs: the native lane of an adapter and of its polled form.
fn head<'p>(plan: &'p Plan, mut lane: &'p LanePlan) -> &'p str {
    // Bounded, because the pairs of a foreign record may form a circle.
    for _ in 0..plan.lanes.len() {
        let Some(against) = lane.against.as_deref() else { break };
        let Some(next) = plan.lanes.iter().find(|other| other.name == against) else {
            return against;
        };
        lane = next;
    }
    &lane.name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng as _;

    use super::*;

    #[test]
    fn rng_is_same_in_every_version() {
        let drawn = [rng(7, "tcp-echo/size=1024/conns=32", 0), rng(7, "spawn", 3)]
            .map(|mut rng| rng.next_u64());
        assert_eq!(drawn, [7_353_691_201_463_474_312, 12_800_314_433_591_899_712]);
    }

    #[test]
    fn rng_draws_other_orders_in_every_round() {
        let order = |round| {
            let mut lanes: Vec<_> = (0..11).collect();
            lanes.shuffle(&mut rng(7, "tcp-echo/size=1024/conns=32", round));
            lanes
        };
        let mut orders: Vec<_> = (0..200).map(order).collect();
        orders.sort();
        orders.dedup();
        // 11! is 40 million: the chance that any two of 200 are equal is 1 in 2,000.
        assert_eq!(orders.len(), 200);
    }

    #[test]
    fn rng_depends_on_seed_round_and_workload() {
        let draw = |seed, workload, round| rng(seed, workload, round).next_u64();
        let drawn = [draw(7, "a", 0), draw(8, "a", 0), draw(7, "b", 0), draw(7, "a", 1)];
        // The seed and the round are not interchangeable.
        let swapped = [draw(0, "a", 7), draw(1, "a", 7)];
        let distinct: BTreeSet<_> = drawn.iter().chain(&swapped).collect();
        assert_eq!(distinct.len(), 6, "{drawn:?} {swapped:?}");
    }
}
