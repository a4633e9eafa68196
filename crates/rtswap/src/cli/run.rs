use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rtswap_harness::fleet::Fleet;
use rtswap_harness::lane::Launch;
use rtswap_harness::machine;
use rtswap_harness::plan::{self, Request};
use rtswap_harness::record::{Ended, Header, LanePlan, Line, Plan, Record, SCHEMA, Writer};
use rtswap_harness::schedule;

use crate::Registry;
use crate::cli::progress::Progress;
use crate::cli::{Exit, select, signals};

/// Measure lanes side by side and print who is faster, by how much, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Workloads: names or globs (`rtswap list` shows them); may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Lanes: names, globs, `NAME?delay_ns=N`, or `NAME=COMMAND`; may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Every workload with every value of its parameters.
    #[arg(long, conflicts_with_all = ["workload", "quick"])]
    all: bool,
    /// The lane that ratios are taken against.
    #[arg(long, default_value = "tokio", value_name = "LANE")]
    reference: String,
    /// Time that the run may take: 90s, 5m.
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    budget: Option<Duration>,
    /// Stop a workload once every interval is this narrow: 1% or 0.01 means ± 1 %.
    #[arg(long, value_parser = share, value_name = "WIDTH")]
    precision: Option<f64>,
    /// Few workloads and short slices: a first impression in about 20 seconds.
    #[arg(long)]
    quick: bool,
    /// Draw orders from this number instead of a random one.
    #[arg(long)]
    seed: Option<u64>,
    /// CPUs for the lanes: 0 or 0-3 or 0,2.
    #[arg(long, value_parser = cpu_list, value_name = "LIST")]
    server_cpus: Option<CpuList>,
    /// CPUs for the load generator.
    #[arg(long, value_parser = cpu_list, value_name = "LIST")]
    load_cpus: Option<CpuList>,
    /// Where to keep the record; a new file.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on with a record that was cut short, instead of a new one.
    #[arg(long, value_name = "RECORD", conflicts_with_all = [
        "workload", "lane", "all", "reference", "budget", "precision", "quick", "seed",
        "server_cpus", "load_cpus", "out",
    ])]
    resume: Option<PathBuf>,
}

/// CPUs by number.
#[derive(Clone, Debug)]
struct CpuList(Vec<usize>);

const BUDGET: Duration = Duration::from_secs(120);
const BUDGET_QUICK: Duration = Duration::from_secs(17);

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let (mut record, mut writer, limit) = match &args.resume {
        Some(path) => (Record::recover(path)?, Writer::append(path)?, None),
        None => begin(registry, args)?,
    };
    let plan = record.header.plan.clone();
    let spelled = launches(registry, &plan)?;
    announce(&plan, writer.path(), args.resume.is_some());
    let mut fleet = Fleet::new(spelled, plan.server_cpus.clone(), plan.load_cpus.clone(), cancel)
        .context("cannot start the load generator")?;
    let mut progress = Progress::new(Duration::from_secs_f64(plan::expected_s(&plan)));
    let precise = |_: &Record, _: &str| false;
    let ended = schedule::run(&mut record, &mut fleet, &mut writer, &mut progress, &precise, limit);
    progress.finish();
    drop(fleet);
    if ended? == Ended::Interrupted {
        let path = writer.path().display();
        return Err(Exit::Interrupted(format!(
            "; `rtswap run --resume {path}` goes on where it stopped"
        ))
        .into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Plans a new run and opens its record.
fn begin(registry: &Registry, args: &Args) -> Result<(Record, Writer, Option<Duration>)> {
    let workloads = if args.all {
        select::all_workloads(registry)
    } else if args.workload.is_empty() {
        let names = if args.quick { registry.quick } else { registry.default };
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        select::workloads(registry, &names)?
    } else {
        select::workloads(registry, &args.workload)?
    };
    let lanes = select::lanes(registry, &args.lane, &args.reference)?;
    let reference = lanes[0].0.name.clone();
    let (server_cpus, load_cpus) = placement(args)?;
    let budget = args.budget.unwrap_or(if args.quick { BUDGET_QUICK } else { BUDGET });
    let plan = plan::make(Request {
        workloads,
        lanes: lanes.into_iter().map(|(lane, _)| lane).collect(),
        reference,
        budget,
        precision: args.precision,
        quick: args.quick,
        server_cpus,
        load_cpus,
    });
    let header = Header {
        schema: SCHEMA,
        seed: args.seed.unwrap_or_else(|| rand::random::<u64>() >> 16),
        receipt: machine::receipt(std::env::args().collect()),
        plan,
    };
    let mut writer = create(args.out.as_deref(), header.receipt.started_unix_s)?;
    writer.write(&Line::Header(Box::new(header.clone())))?;
    Ok((Record::new(header), writer, Some(budget)))
}

fn create(out: Option<&Path>, now_s: u64) -> Result<Writer> {
    const FOLDER: &str = "rtswap-records";
    if let Some(path) = out {
        return Ok(Writer::create(path)?);
    }
    fs::create_dir_all(FOLDER).with_context(|| {
        format!("cannot make the folder {FOLDER}; `--out FILE` puts the record elsewhere")
    })?;
    // Two runs may begin within a second.
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.subsec_millis());
    Ok(Writer::create(&Path::new(FOLDER).join(format!("{now_s}-{ms:03}.jsonl")))?)
}

/// How to start the lanes of a plan, by their spelling in it.
fn launches(registry: &Registry, plan: &Plan) -> Result<Vec<(LanePlan, Launch)>> {
    plan.lanes
        .iter()
        .map(|lane| {
            let spelling = std::slice::from_ref(&lane.spelling);
            let (_, launch) = select::lanes(registry, spelling, &lane.spelling)?.swap_remove(0);
            Ok((lane.clone(), launch))
        })
        .collect()
}

fn placement(args: &Args) -> Result<(Vec<usize>, Vec<usize>)> {
    let cpus = machine::cpus();
    let (server, load) = machine::halves(&cpus);
    let chosen = |list: &Option<CpuList>, default| match list {
        None => Ok(default),
        Some(CpuList(list)) => match list.iter().find(|cpu| !cpus.contains(cpu)) {
            None => Ok(list.clone()),
            Some(cpu) => {
                Err(Exit::Usage(format!("there is no CPU {cpu} here: {cpus:?} may be used")))
            }
        },
    };
    Ok((chosen(&args.server_cpus, server)?, chosen(&args.load_cpus, load)?))
}

fn announce(plan: &Plan, path: &Path, resumed: bool) {
    let seconds = plan::expected_s(plan).round();
    eprintln!(
        "{} {} workloads on {} lanes and a control, {} rounds of {} blocks, about {seconds} s.\n\
         Lanes on CPU {:?}, load generator on CPU {:?}. Record: {}",
        if resumed { "Going on with" } else { "Measuring" },
        plan.workloads.len(),
        plan.lanes.len() - 1,
        plan.rounds,
        plan.blocks,
        plan.server_cpus,
        plan.load_cpus,
        path.display(),
    );
}

/// `90`, `90s`, `5m`, `1h`.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; say 90s, 5m or 1h");
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let seconds: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(seconds * factor) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong()),
    }
}

/// `1%` or `0.01`.
fn share(text: &str) -> Result<f64, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match parsed {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(format!("`{text}` is no width; say 1% or 0.01")),
    }
}

/// `0`, `0-3`, `0,2`.
fn cpu_list(text: &str) -> Result<CpuList, String> {
    let wrong = || format!("`{text}` is no list of CPUs; say 0 or 0-3 or 0,2");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last > 4096 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(CpuList(cpus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_widths_and_lists_are_read_or_told_what_they_should_be() {
        assert_eq!(seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "0s", "-1s", "5 minutes", "nan"] {
            assert!(seconds(wrong).unwrap_err().contains("90s"), "{wrong}");
        }
        assert_eq!((share("1%"), share("0.5")), (Ok(0.01), Ok(0.5)));
        for wrong in ["0", "1", "-1%", "x"] {
            assert!(share(wrong).unwrap_err().contains("1%"), "{wrong}");
        }
        assert_eq!(cpu_list("0,2-4,2").unwrap().0, [0, 2, 3, 4]);
        for wrong in ["", "3-1", "a", "0-99999"] {
            assert!(cpu_list(wrong).unwrap_err().contains("0-3"), "{wrong}");
        }
    }
}
