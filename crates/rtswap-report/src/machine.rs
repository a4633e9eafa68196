//! Where, when and by what a run was made, in one line.

use crate::summary::Summary;
use crate::words;

/// CPU, kernel, date, command, rounds and seed.
pub(crate) fn line(summary: &Summary) -> String {
    let receipt = &summary.receipt;
    let plan = &summary.plan;
    let virtual_machine = if receipt.virtual_machine { ", virtual" } else { "" };
    let or_unknown = |text: &str, what: &str| {
        if text.is_empty() { format!("unknown {what}") } else { words::one_line(text) }
    };
    format!(
        "Measured {} on {} ({}{virtual_machine}, {}), {}, rtswap {}: {}, lanes on {}, \
         load generator on {}, seed {}, `{}`.",
        words::date(receipt.started_unix_s),
        or_unknown(&receipt.cpu_model, "CPU"),
        words::counted(receipt.cpus, "CPU"),
        words::bytes(receipt.memory_bytes as f64),
        or_unknown(&receipt.kernel, "kernel"),
        or_unknown(&receipt.rtswap, "version"),
        words::rounds(plan.rounds, plan.blocks, plan.blocks_most),
        cpus(&plan.server_cpus),
        cpus(&plan.load_cpus),
        summary.seed,
        or_unknown(&receipt.command.join(" "), "command"),
    )
}

fn cpus(cpus: &[usize]) -> String {
    let names: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    match names.len() {
        0 => "any CPU".to_owned(),
        1 => format!("CPU {}", names[0]),
        _ => format!("CPUs {}", words::list(&names)),
    }
}
