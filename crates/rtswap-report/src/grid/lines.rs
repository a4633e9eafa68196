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

    /// Whether the lanes count their own operations.
    pub(super) fn is_self_reported(&self) -> bool {
        !self.workload.by_generator
    }

    /// The meaning of the daggers that there are.
    pub fn footnotes(&self) -> impl Iterator<Item = &'static str> {
        let self_reported = (self.is_self_reported() && !self.is_empty()).then_some(
            "† self-reported: the lane counts its own operations and times its own window; CPU time and memory are read \
             from outside",
        );
        let overhead = self.rows.iter().any(|cell| cell.overhead.is_some()).then_some(
            "‡ cost per operation over that of the same program written for the runtime, without the contract, in a run \
             of their own: part of the ratio is this project's and not the runtime's",
        );
        self_reported.into_iter().chain(overhead)
    }

    /// What this run could see: `this run detects differences of 3.4 % in CPU time per operation (median of the
    /// lanes; 11 % in all)`.
    pub fn sensitivity(&self) -> Option<String> {
        let workload = self.workload;
        let lead = workload.deciding;
        let largest = workload.mde.get(&lead)?;
        let median = workload.mde_median.get(&lead)?;
        let lanes = self.rows.iter().filter(|cell| cell.role == Role::Lane).count();
        let both = if lanes > 1 {
            format!(" (median of the lanes; {} in every lane)", format::percent(*largest))
        } else {
            String::new()
        };
        Some(format!(
            "This run detects differences of {} in {}{both}.",
            format::percent(*median),
            lead.words()
        ))
    }

    /// Control, generator and rounds.
    pub fn foot(&self) -> String {
        let (workload, lead) = (self.workload, self.workload.deciding);
        let control = self.summary.cells_of(&workload.name).find(|cell| cell.role == Role::Control);
        let interval = control.and_then(|cell| cell.metrics.get(&lead)?.interval());
        let mut parts = vec![match (interval, control) {
            (Some(interval), _) => format!("control {}", format::interval(&interval)),
            (_, None) => "no control lane".to_owned(),
            (_, Some(Cell { reason: Some(reason), status, .. })) => {
                format!("control {}: {}", status_word(*status), format::one_line(reason))
            }
            _ => "control without a ratio".to_owned(),
        }];
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
