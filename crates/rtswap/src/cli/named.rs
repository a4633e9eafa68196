//! Lanes that the command line names one by one. A run that has no figure for one of them has failed.

use anyhow::{Result, bail};
use rtswap_harness::record::{LanePlan, Status};
use rtswap_report::{Cell, Summary, WarningKind};

/// The lanes that `specs` name, as opposed to those that a glob or the default selects, and `reference` if it
/// was given.
pub(super) fn named<'a>(
    lanes: impl IntoIterator<Item = &'a LanePlan>,
    specs: &[String],
    reference: Option<&str>,
) -> Vec<&'a str> {
    let is_named = |lane: &&LanePlan| {
        !lane.control && (specs.contains(&lane.spec) || reference == Some(lane.name.as_str()))
    };
    lanes.into_iter().filter(is_named).map(|lane| lane.name.as_str()).collect()
}

/// Checks the outcome of each named lane: pairs of the lane's name and the workload, with the status. A lane
/// must not fail in any workload and must have a figure in one at least.
///
/// # Errors
/// The lanes that do not, with their workloads.
pub(super) fn check<'a>(
    named: &[&str],
    outcomes: impl IntoIterator<Item = (&'a str, &'a str, Status)>,
) -> Result<()> {
    let outcomes: Vec<_> = outcomes.into_iter().filter(|it| named.contains(&it.0)).collect();
    let mut missing = Vec::new();
    for name in named {
        let of_lane = || outcomes.iter().filter(|(lane, ..)| lane == name);
        let has_figure = of_lane().any(|(.., status)| *status == Status::Ok);
        for (lane, workload, status) in of_lane() {
            let failed = matches!(status, Status::Failed | Status::Invalid);
            if failed || !has_figure {
                missing.push(format!("{lane} on {workload} ({})", word(*status)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("named lanes without a result: {}; the output above has the reasons", missing.join(", "))
}

/// [`check`] for the cells of a summary. A lane that has figures, but was not measured to the end, has failed.
pub(super) fn check_summary(named: &[&str], summary: &Summary) -> Result<()> {
    let ended_early = |cell: &Cell| {
        let mut warnings =
            summary.warnings.iter().filter(|it| it.kind == WarningKind::PartlyMeasured);
        warnings.any(|it| it.lanes.contains(&cell.lane) && it.workloads.contains(&cell.name))
    };
    let outcome = |cell: &'_ Cell| if ended_early(cell) { Status::Failed } else { cell.status };
    let cells = summary.cells.iter();
    check(named, cells.map(|cell| (cell.lane.as_str(), cell.name.as_str(), outcome(cell))))
}

/// Fails if one of the named workloads has no figure of any lane.
///
/// # Errors
/// The workloads, by full name.
pub(super) fn check_workloads(named: &[String], summary: &Summary) -> Result<()> {
    let has_figure = |name: &&String| {
        let mut cells = summary.cells.iter().filter(|cell| cell.name == **name);
        cells.any(|cell| matches!(cell.status, Status::Ok | Status::Overloaded))
    };
    let missing: Vec<_> =
        named.iter().filter(|name| !has_figure(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "named workloads without a result: {}; the output above has the reasons",
        missing.join(", ")
    )
}

/// The status in a message.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Unsupported => "unsupported",
        Status::Invalid => "invalid",
        Status::Skipped => "skipped",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, spec: &str) -> LanePlan {
        LanePlan { name: name.to_owned(), spec: spec.to_owned(), ..LanePlan::default() }
    }

    #[test]
    fn named_leaves_out_globs_defaults_and_control() {
        let control = LanePlan { control: true, ..lane("control", "tokio") };
        let lanes =
            [lane("tokio", "tokio"), lane("smol", "smol"), lane("mine", "mine=true"), control];
        let names = |specs: &[&str], reference| {
            let specs: Vec<_> = specs.iter().map(ToString::to_string).collect();
            named(&lanes, &specs, reference)
        };
        assert_eq!(names(&["sm*"], None), Vec::<&str>::new());
        assert_eq!(names(&["sm*", "mine=true"], None), ["mine"]);
        assert_eq!(names(&["smol"], Some("tokio")), ["tokio", "smol"]);
    }

    #[test]
    fn check_rejects_failure_and_lane_without_figure() {
        let verdict = |outcomes: &[(&'static str, &'static str, Status)]| {
            check(&["mine"], outcomes.iter().copied()).map_err(|error| error.to_string())
        };
        let (ok, unsupported) = (Status::Ok, Status::Unsupported);
        assert_eq!(verdict(&[("mine", "echo", ok), ("other", "echo", Status::Failed)]), Ok(()));
        // Support for part of the workloads is a result.
        assert_eq!(verdict(&[("mine", "echo", ok), ("mine", "file", unsupported)]), Ok(()));
        let none = verdict(&[("mine", "file", unsupported)]).unwrap_err();
        assert!(none.contains("mine on file (unsupported)"), "{none}");
        let failed = verdict(&[("mine", "echo", ok), ("mine", "spawn", Status::Invalid)]);
        let failed = failed.unwrap_err();
        assert!(failed.contains("mine on spawn (invalid)") && !failed.contains("echo"), "{failed}");
    }
}
