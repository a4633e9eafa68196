use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use rtswap_harness::record::Kind;
use rtswap_workload::{Family, Spec, families};
use serde::Serialize;

use crate::Registry;
use crate::cli::Format;

/// Show lanes and workloads, and what this machine cannot run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rtswap list\n  rtswap list --format json")]
pub(super) struct Args {
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Listing {
    lanes: Vec<LaneLine>,
    workloads: Vec<WorkloadLine>,
}

#[derive(Serialize)]
struct LaneLine {
    name: String,
    about: String,
    version: String,
    driver: &'static str,
    threads: &'static str,
    kind: Kind,
    /// The families of workloads that it takes part in, where these are not all.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    families: &'static [&'static str],
    in_default: bool,
    available: bool,
    reason: Option<String>,
    /// The cargo feature that brings it, where it is not built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_feature: Option<&'static str>,
}

#[derive(Serialize)]
struct WorkloadLine {
    name: String,
    operation: &'static str,
    driven_by: &'static str,
    in_default: bool,
    in_quick: bool,
    /// The cargo feature that brings it, where it is not built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_feature: Option<&'static str>,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    let listing = listing(registry);
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&listing)? + "\n",
        Format::Table => text(&listing, presets::NOTHING),
        Format::Markdown => text(&listing, presets::ASCII_MARKDOWN),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn listing(registry: &Registry) -> Listing {
    let lanes = registry.lanes.iter().map(|lane| {
        let available = lane.available();
        LaneLine {
            name: lane.name.clone(),
            about: lane.about.clone(),
            version: crate::registry::version(lane),
            driver: lane.driver,
            kind: lane.kind,
            families: lane.families,
            in_default: lane.in_default,
            threads: lane.threads,
            available: available.is_ok(),
            reason: available.err().map(|error| error.to_string()),
            missing_feature: lane.missing_feature,
        }
    });
    let all = registry.catalogue.iter().flat_map(|family| Spec::matrix(family));
    let mut workloads: Vec<_> = all.map(|spec| workload(registry, &spec)).collect();
    // A selection may name parameters that are not in the matrix.
    for name in registry.default.iter().chain(registry.quick) {
        if workloads.iter().all(|workload| workload.name != *name)
            && let Ok(spec) = Spec::parse(name, registry.catalogue)
        {
            workloads.push(workload(registry, &spec));
        }
    }
    Listing { lanes: lanes.collect(), workloads }
}

fn workload(registry: &Registry, spec: &Spec) -> WorkloadLine {
    let name = spec.to_string();
    WorkloadLine {
        operation: spec.family().operation,
        driven_by: match spec.drive() {
            rtswap_workload::Drive::Generator(_) => "generator",
            rtswap_workload::Drive::Lane => "lane",
        },
        in_default: registry.default.contains(&name.as_str()),
        in_quick: registry.quick.contains(&name.as_str()),
        missing_feature: missing_feature(spec.family()),
        name,
    }
}

fn text(listing: &Listing, style: TableStyle) -> String {
    let table = |header: &[&str], rows: Vec<Vec<String>>| {
        let mut table = Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header).add_rows(rows);
        // A table's last column is padded; trailing spaces are noise in a pipe.
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>()
    };
    let lanes = listing.lanes.iter().map(|lane| {
        let usable = lane.reason.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}"));
        let chosen = match lane.kind {
            Kind::Native | Kind::Polled => "overhead",
            Kind::Peer => "--peers",
            _ if lane.in_default => "default",
            _ => "--lane",
        };
        let version = if lane.version.is_empty() { "–" } else { &lane.version };
        let about = [&lane.name, version, lane.driver, chosen, &lane.about];
        about.map(ToString::to_string).into_iter().chain([usable]).collect()
    });
    let workloads = listing.workloads.iter().map(|workload| {
        let chosen = match (workload.missing_feature, workload.in_default, workload.in_quick) {
            (Some(feature), ..) => format!("not built in: --features {feature}"),
            (None, _, true) => "default, quick".to_owned(),
            (None, true, false) => "default".to_owned(),
            (None, false, false) => "--all".to_owned(),
        };
        vec![workload.name.clone(), chosen, workload.operation.to_owned()]
    });
    format!(
        "{}\n{}\nParameters take other values too: --workload tcp-echo/size=64/conns=8\n",
        table(
            &["lane", "version", "driver", "measured by", "what it is", "usable here"],
            lanes.collect()
        ),
        table(&["workload", "measured by", "one operation is"], workloads.collect()),
    )
}

/// The feature of a family whose program is not built in.
fn missing_feature(family: &Family) -> Option<&'static str> {
    family.feature.filter(|feature| *feature == families::APPS && !cfg!(feature = "apps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_has_every_lane_and_default_workload() {
        let registry = Registry::standard();
        let listing = listing(&registry);
        assert_eq!(listing.lanes.len(), registry.lanes.len());
        let chosen = listing.workloads.iter().filter(|workload| workload.in_default).count();
        assert_eq!(chosen, registry.default.len());
        let text = text(&listing, presets::NOTHING);
        assert!(text.contains("tokio-uring") && text.contains("tcp-echo/size=102400/conns=256"));
    }
}
