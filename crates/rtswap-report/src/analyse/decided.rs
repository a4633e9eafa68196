//! The comparisons of a workload and their decisions, family by family.

use std::collections::BTreeMap;

use rtswap_stats::{Comparison, Decision, Estimate, Reason, decide, estimate};

use super::options;
use crate::data::Data;
use crate::summary::{ALPHA, Interval, Metric};

/// All comparisons of a workload.
pub(super) struct Decided<'a> {
    pub rows: BTreeMap<(&'a str, Metric), (Estimate, Decision)>,
    controls: Vec<&'a str>,
    /// Comparisons of the timed family.
    pub timed: usize,
}

impl<'a> Decided<'a> {
    pub fn of(data: &Data<'a>) -> Self {
        let lanes = data.compared();
        let controls =
            lanes.iter().filter(|lane| lane.control).map(|lane| lane.name.as_str()).collect();
        let mut this = Self { rows: BTreeMap::new(), controls, timed: 0 };
        let options = options(data.record);
        for (at, family) in data.families().iter().enumerate() {
            let mut comparisons = Vec::new();
            let mut keys = Vec::new();
            for lane in &lanes {
                for &metric in *family {
                    let paired = if metric.is_timed() {
                        data.paired(&lane.name, metric)
                    } else if let Ok(paired) = data.paired_rounds(&lane.name, metric) {
                        paired
                    } else {
                        continue;
                    };
                    if let Some(estimate) = estimate(&paired, &options) {
                        keys.push((lane.name.as_str(), metric));
                        comparisons.push(Comparison {
                            direction: metric.direction(),
                            control: lane.control,
                            metric: metric as usize,
                            estimate,
                        });
                    }
                }
            }
            if at == 0 {
                this.timed = comparisons.len();
            }
            let decisions = decide(&comparisons, ALPHA);
            let rows = comparisons.iter().map(|c| c.estimate).zip(decisions);
            this.rows.extend(keys.into_iter().zip(rows));
        }
        this
    }

    pub fn control(&self, metric: Metric) -> Option<Estimate> {
        self.controls.iter().find_map(|&lane| self.rows.get(&(lane, metric)).map(|row| row.0))
    }

    /// The metrics in which the control differs from the reference, apart from exact counts.
    pub fn control_differs(&self) -> Vec<(Metric, Interval)> {
        let row = |metric| {
            self.controls.iter().find_map(|&lane| {
                let (estimate, decision) = self.rows.get(&(lane, metric))?;
                (decision.reason == Some(Reason::ControlDiffers))
                    .then_some((metric, (*estimate).into()))
            })
        };
        let metrics = Metric::TIMED.into_iter().chain(Metric::LATENCY).chain(Metric::CAPACITY);
        metrics.filter_map(row).collect()
    }
}
