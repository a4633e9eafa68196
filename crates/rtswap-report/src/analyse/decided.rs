//! The comparisons of a workload and their decisions, family by family.

use std::collections::BTreeMap;

use rtswap_stats::{Comparison, Decision, Estimate, Reason, Rule, decide, estimate};

use super::options;
use crate::data::Data;
use crate::summary::{Interval, Metric};

/// All comparisons of a workload.
pub(super) struct Decided<'a> {
    pub rows: BTreeMap<(&'a str, Metric), (Estimate, Decision)>,
    controls: Vec<&'a str>,
    /// Lanes that are compared in the deciding metric, without the control.
    pub lanes: usize,
}

impl<'a> Decided<'a> {
    pub fn of(data: &Data<'a>, rule: &Rule) -> Self {
        let lanes = data.compared();
        let controls =
            lanes.iter().filter(|lane| lane.control).map(|lane| lane.name.as_str()).collect();
        let mut this = Self { rows: BTreeMap::new(), controls, lanes: 0 };
        let options = options(data.record);
        for metric in data.metrics() {
            let mut comparisons = Vec::new();
            let mut keys = Vec::new();
            for lane in &lanes {
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
                        estimate,
                    });
                }
            }
            if metric == data.deciding() {
                this.lanes = comparisons.iter().filter(|it| !it.control).count();
            }
            let decisions = decide(&comparisons, rule);
            let rows = comparisons.iter().map(|c| c.estimate).zip(decisions);
            this.rows.extend(keys.into_iter().zip(rows));
        }
        this
    }

    pub fn control(&self, metric: Metric) -> Option<Estimate> {
        self.controls.iter().find_map(|&lane| self.rows.get(&(lane, metric)).map(|row| row.0))
    }

    /// The control's ratio in a metric in which it differs from the reference.
    pub fn control_differs(&self, metric: Metric) -> Option<Interval> {
        self.controls.iter().find_map(|&lane| {
            let (estimate, decision) = self.rows.get(&(lane, metric))?;
            (decision.reason == Some(Reason::ControlDiffers)).then(|| (*estimate).into())
        })
    }
}
