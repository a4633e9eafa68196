//! The overhead of the contract, from a run that measures it, beside the figures of another run.

use super::{Cell, Interval, Metric, Role, Summary};

impl Summary {
    /// Writes into each cell what the contract costs it, from the summary of an `rtswap overhead`: of the lane
    /// against its native lane in the same workload, at any rate.
    pub fn mark_overhead(&mut self, measured: &Self) {
        for cell in &mut self.cells {
            let same = |other: &&Cell| other.lane == cell.lane && is_same_program(other, cell);
            cell.overhead = measured.cells.iter().find(same).and_then(overhead);
        }
    }
}

/// The same work, offered at whatever rate.
fn is_same_program(a: &Cell, b: &Cell) -> bool {
    let work = |cell: &Cell| {
        let mut params = cell.params.clone();
        params.retain(|name, _| name != "rate" && name != "arrivals");
        params
    };
    a.workload == b.workload && work(a) == work(b)
}

/// The cost per operation of a lane that was compared with a native lane, where it is not 1.
fn overhead(cell: &Cell) -> Option<Interval> {
    cell.against.as_ref().filter(|_| cell.live() && cell.role == Role::Lane)?;
    let interval = cell.decisive()?.interval().filter(|interval| !interval.holds_one())?;
    Some(if cell.deciding == Some(Metric::OpsPerS) { inverse(interval) } else { interval })
}

/// Twice the operations per second are half the cost of one. A lower end of 0 leaves the upper end open.
fn inverse(Interval { ratio, lo, hi }: Interval) -> Interval {
    let hi = hi.map_or(0.0, f64::recip);
    Interval { ratio: ratio.recip(), lo: hi, hi: (lo > 0.0).then(|| lo.recip()) }
}
