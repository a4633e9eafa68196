//! The cost of a segment that grows by one point at a time.

use super::{Loss, Point};

/// Points of one segment, and how far they lie from its level.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    loss: Loss,
    /// Value, weight, and rank of the value among all points.
    points: Vec<(f64, f64, usize)>,
    /// The values in order.
    sorted: Vec<f64>,
    /// The points of the segment so far.
    sum: Sums,
    /// Sums up to a rank, as a Fenwick tree.
    tree: Vec<Sums>,
}

/// Sums of weights, weighted values and weighted squares.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: f64,
    value: f64,
    square: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.weight += other.weight;
        self.value += other.value;
        self.square += other.square;
    }
}

impl Cost {
    pub(super) fn new(loss: Loss, points: &[Point]) -> Self {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| points[*a].value.total_cmp(&points[*b].value));
        let mut ranks = vec![0; points.len()];
        for (rank, at) in order.iter().enumerate() {
            ranks[*at] = rank;
        }
        let weight = |point: &Point| match loss {
            Loss::Absolute => point.se.recip(),
            Loss::Squares => point.se.powi(-2),
        };
        Self {
            loss,
            points: points
                .iter()
                .zip(ranks)
                .map(|(it, rank)| (it.value, weight(it), rank))
                .collect(),
            sorted: order.iter().map(|at| points[*at].value).collect(),
            sum: Sums::default(),
            tree: vec![Sums::default(); points.len() + 1],
        }
    }

    /// Starts a new segment.
    pub(super) fn clear(&mut self) {
        self.sum = Sums::default();
        self.tree.fill(Sums::default());
    }

    /// Adds a point to the segment, by its index.
    pub(super) fn add(&mut self, at: usize) {
        let (value, weight, rank) = self.points[at];
        let sums = Sums { weight, value: weight * value, square: weight * value * value };
        self.sum.add(sums);
        if self.loss == Loss::Absolute {
            let mut node = rank + 1;
            while node < self.tree.len() {
                self.tree[node].add(sums);
                node += node & node.wrapping_neg();
            }
        }
    }

    /// The weighted median or mean of the segment.
    pub(super) fn level(&self) -> f64 {
        match self.loss {
            Loss::Absolute => self.median().0,
            Loss::Squares => self.sum.value / self.sum.weight,
        }
    }

    /// The losses of the segment's points.
    pub(super) fn value(&self) -> f64 {
        let sum = self.sum;
        match self.loss {
            Loss::Absolute => {
                let (level, below) = self.median();
                let above = Sums {
                    weight: sum.weight - below.weight,
                    value: sum.value - below.value,
                    square: 0.0,
                };
                (level * below.weight - below.value) + (above.value - level * above.weight)
            }
            Loss::Squares => (sum.square - sum.value * sum.value / sum.weight).max(0.0),
        }
    }

    /// The weighted median, and the sums over the points below it.
    fn median(&self) -> (f64, Sums) {
        let half = self.sum.weight / 2.0;
        let mut below = Sums::default();
        let mut node = 0;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            let next = node + step;
            if next < self.tree.len() && below.weight + self.tree[next].weight < half {
                node = next;
                below.add(self.tree[next]);
            }
            step /= 2;
        }
        (self.sorted[node.min(self.sorted.len() - 1)], below)
    }
}
