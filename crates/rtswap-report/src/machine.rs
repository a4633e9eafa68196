//! The environment of a run in one line.

use crate::format;
use crate::summary::Summary;

/// CPU, kernel, date, command, rounds and seed.
pub(crate) fn line(summary: &Summary) -> String {
    let environment = &summary.environment;
    let plan = &summary.plan;
    let virtual_machine = if environment.virtual_machine { ", virtual" } else { "" };
    let or_unknown = |text: &str, what: &str| {
        if text.is_empty() { format!("unknown {what}") } else { format::one_line(text) }
    };
    format!(
        "Measured {} on {} ({}{virtual_machine}, {}), {}, rtswap {}: at most {}, lanes on {}, \
         load generator on {}, seed {}, `{}`.",
        format::date(environment.started_unix_s),
        or_unknown(&environment.cpu_model, "CPU"),
        format::counted(environment.cpus, "CPU"),
        format::bytes(environment.memory_bytes as f64),
        or_unknown(&environment.kernel, "kernel"),
        or_unknown(&environment.rtswap, "version"),
        format::rounds(plan.rounds, plan.blocks, plan.blocks_most),
        cpus(&plan.server_cpus),
        cpus(&plan.load_cpus),
        summary.seed,
        or_unknown(&environment.command.join(" "), "command"),
    )
}

fn cpus(cpus: &[usize]) -> String {
    let names: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    match names.len() {
        0 => "any CPU".to_owned(),
        1 => format!("CPU {}", names[0]),
        _ => format!("CPUs {}", format::list(&names)),
    }
}
