//! The lines above and below a workload's table.

use rtswap_schema::record::Stop;
use rtswap_schema::workload::Arrivals;

use super::{Grid, status_word};
use crate::format;
use crate::summary::{Cell, Role};

impl Grid<'_> {
    /// The load that all lanes were offered: `offered 21,300 requests/s (60 % of the slowest lane's capacity, at
    /// equal intervals)`. `None` in a closed loop.
    pub fn offered(&self) -> Option<String> {
        let workload = self.workload;
        let arrivals = match workload.arrivals? {
            Arrivals::Constant => "at equal intervals".to_owned(),
            Arrivals::Poisson => "Poisson arrivals".to_owned(),
            Arrivals::Burst(number) => format!("in bursts of {number}"),
        };
        let rate = workload.offered_per_s.map_or_else(
            || "at a rate that the record does not state".to_owned(),
            |per_s| format!("{} {}/s", format::rate(per_s), format::plural(&workload.unit)),
        );
        let share = workload.offered_share.map_or(String::new(), |share| {
            format!("{} of the slowest lane's capacity, ", format::percent(share))
        });
        Some(format!("offered {rate} ({share}{arrivals})"))
    }

    /// Whether a metric other than the table's decides for this lane.
    pub(super) fn otherwise(&self, cell: &Cell) -> bool {
        cell.role == Role::Lane
            && cell.deciding != Some(self.workload.deciding)
            && cell.decisive().is_some_and(|figure| figure.ratio.is_some())
    }

    /// The meaning of the asterisk, if there is one.
    pub fn footnote(&self) -> Option<&'static str> {
        self.rows.iter().any(|cell| self.otherwise(cell)).then_some(
            "* decided by CPU time per operation, because this lane did not use its CPUs to the full",
        )
    }

    /// Noise floor, minimum detectable effect, generator and rounds.
    pub fn foot(&self) -> String {
        let (workload, lead) = (self.workload, self.workload.deciding);
        let control = self.summary.cells_of(&workload.name).find(|cell| cell.role == Role::Control);
        let interval = control.and_then(|cell| cell.metrics.get(&lead)?.interval());
        let floor = workload.noise_floor.get(&lead);
        let mut parts = vec![match (interval, floor, control) {
            (Some(interval), Some(floor), _) => format!(
                "noise floor ±{} (control {})",
                format::percent(*floor),
                format::interval(&interval)
            ),
            (_, _, None) => "noise floor unknown (no control lane)".to_owned(),
            (_, _, Some(Cell { reason: Some(reason), status, .. })) => format!(
                "noise floor unknown (control {}: {})",
                status_word(*status),
                format::one_line(reason)
            ),
            _ => "noise floor unknown".to_owned(),
        }];
        // Lanes that another metric decides have no part in this metric's detectable effect.
        let decided =
            self.rows.iter().filter(|cell| cell.role == Role::Lane && !self.otherwise(cell));
        let mde = decided
            .filter_map(|cell| cell.metrics.get(&lead))
            .filter(|figure| figure.is_decidable())
            .filter_map(|figure| figure.mde)
            .max_by(f64::total_cmp);
        if let Some(mde) = mde {
            parts.push(format!("minimum detectable effect {}", format::percent(mde)));
        }
        if let Some(ns) = workload.load_cpu_ns_per_op {
            parts.push(format!("generator {} CPU/op", format::time(ns)));
        }
        if let Some(ns) = workload.late_p99_ns {
            let most =
                workload.late_max_ns.map(|ns| format!(", at most {}", format::time(ns as f64)));
            let most = most.unwrap_or_default();
            parts.push(format!("load generator late by ≤ {} (99 %){most}", format::time(ns)));
        }
        if workload.voided_slices > 0 {
            parts.push(format!("{} voided", format::counted(workload.voided_slices, "slice")));
        }
        if let Some(sockets) = workload.time_wait {
            parts.push(format!("at most {} sockets in TIME_WAIT", format::rate(sockets as f64)));
        }
        let stopped = match workload.stopped {
            Some(Stop::Rounds) => "as planned",
            Some(Stop::Precision) => "then precise enough",
            Some(Stop::Budget) => "then the time budget was spent",
            Some(Stop::Lanes) => "then no lane was left",
            Some(_) => "then it was stopped",
            None => "then the run was cut short",
        };
        parts.push(format!("{}, {stopped}", format::counted(workload.rounds, "round")));
        parts.join("; ")
    }
}
