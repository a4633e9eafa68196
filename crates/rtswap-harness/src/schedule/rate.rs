//! The rate that a share of capacity comes to.

use std::collections::BTreeMap;

use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64;
use rtswap_workload::Rate;

use super::{Run, ScheduleError};
use crate::plan::measures_capacity;
use crate::record::{Line, OfferedRate, RecordError, WorkloadPlan};

/// Slices of each lane from which a share of capacity is computed.
const CAPACITY_PASSES: u32 = 3;

impl Run<'_> {
    /// The capacity of each lane in this round, by lane, for a workload with an offered rate. If the rate is a
    /// share of capacity and not known yet, the first capacities decide it.
    pub(super) fn capacities(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
        rng: &mut Pcg64,
    ) -> Result<BTreeMap<usize, f64>, ScheduleError> {
        let Some(rate) = workload.rate() else { return Ok(BTreeMap::new()) };
        let is_known = self.record.offered_per_s(workload).is_some();
        if !is_known && let Some(known) = self.known_capacities(workload) {
            self.keep_rate(workload, rate, known)?;
            return Ok(BTreeMap::new());
        }
        if is_known && !measures_capacity(self.plan, workload) {
            return Ok(BTreeMap::new());
        }
        // The rate holds for the whole run, so one disturbed slice must not decide it.
        let passes = if is_known { 1 } else { CAPACITY_PASSES };
        let mut figures: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for _ in 0..passes {
            let mut lanes = self.lanes_in(workload);
            lanes.shuffle(rng);
            for lane in lanes {
                if self.backend.cancelled() {
                    return Err(ScheduleError::Interrupted);
                }
                match self.backend.capacity(workload, lane) {
                    Ok(per_s) => figures.entry(lane).or_default().push(per_s),
                    Err(error) => {
                        self.drop_lane(workload, round, lane, error)?;
                        if self.backend.service_ended() {
                            return Ok(BTreeMap::new());
                        }
                    }
                }
            }
        }
        let live = self.lanes_in(workload);
        figures.retain(|lane, _| live.contains(lane));
        let capacities: BTreeMap<usize, f64> =
            figures.into_iter().filter_map(|(lane, all)| Some((lane, middle(all)?))).collect();
        if !is_known && !capacities.is_empty() {
            let name = |lane: usize| self.plan.lanes[lane].name.clone();
            let by_name = capacities.iter().map(|(&lane, &per_s)| (name(lane), per_s)).collect();
            self.keep_rate(workload, rate, by_name)?;
        }
        Ok(capacities)
    }

    /// The capacities that were measured for another rate of the same workload.
    fn known_capacities(&self, workload: &WorkloadPlan) -> Option<BTreeMap<String, f64>> {
        let closed_loop = workload.closed_loop();
        let same = |name: &str| {
            let plan = self.plan.workloads.iter().find(|plan| plan.name == name);
            plan.is_some_and(|plan| plan.closed_loop() == closed_loop)
        };
        let known = self.record.offered_rates.iter().find(|rate| same(&rate.workload));
        known.map(|rate| rate.capacity_per_s.clone())
    }

    fn keep_rate(
        &mut self,
        workload: &WorkloadPlan,
        rate: Rate,
        capacity_per_s: BTreeMap<String, f64>,
    ) -> Result<(), RecordError> {
        let Rate::Share(percent) = rate else { return Ok(()) };
        let slowest = capacity_per_s.values().copied().fold(f64::INFINITY, f64::min);
        let per_s = (slowest * f64::from(percent) / 100.0).max(1.0);
        let workload = workload.name.clone();
        self.keep(Line::OfferedRate(OfferedRate { workload, per_s, capacity_per_s }))
    }
}

/// The median; the lower one of two.
fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}
