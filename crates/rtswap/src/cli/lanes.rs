use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use rtswap_build::Cache;
use rtswap_build::cache::Listed;
use serde::Serialize;

use crate::Registry;
use crate::cli::lane_spec::{LaneSpec, ToBuild};
use crate::cli::{Exit, FAILED, Format, built, signals};

/// Build, list or remove lanes of other versions: tokio@1.50.0, tokio@git:REV, tokio@path:../tokio.
///
/// All of them are kept in one folder, `RTSWAP_CACHE` or else rtswap in the user's folder for caches (~/.cache). A run
/// builds those that it names and does not find there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap lanes build tokio@1.50.0 tokio@1.51.0\n  \
    rtswap run --lane tokio@1.50.0 --lane tokio@1.51.0 --workload channel\n  \
    rtswap lanes list\n  \
    rtswap lanes clean tokio@1.50.0\n  \
    rtswap lanes clean --all")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Build(Build),
    List(List),
    Clean(Clean),
}

/// Build lanes, and print where their executables are.
///
/// A version is published (1.50.0), a revision of the runtime's repository (git:REV, git:URL#REV: a commit, a tag or a branch), or
/// a folder with its source (path:FOLDER). `?`, `&` and `%` in it are percent-encoded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap lanes build tokio@1.50.0 smol@2.0.1\n  \
    rtswap lanes build tokio@git:tokio-1.50.0\n  \
    rtswap lanes build 'tokio@git:https://github.com/tokio-rs/tokio#0123abc'\n  \
    rtswap lanes build tokio@path:../tokio\n  \
    rtswap lanes build 'tokio@1.50.0?toolchain=1.94&rustflags=-Ctarget-cpu=native'\n\n\
    Exits with 1 if one of them cannot be built.")]
struct Build {
    /// The lanes.
    #[arg(value_name = "SPEC", required = true)]
    specs: Vec<String>,
}

/// Show the lanes that are built.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rtswap lanes list\n  rtswap lanes list --format json")]
struct List {
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Remove lanes that are built, and print what was freed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rtswap lanes clean tokio@1.50.0\n  rtswap lanes clean --all")]
struct Clean {
    /// The lanes, as `rtswap lanes list` shows them.
    #[arg(value_name = "SPEC", required_unless_present = "all")]
    specs: Vec<String>,
    /// All of them, and what they were built with.
    #[arg(long, conflicts_with = "specs")]
    all: bool,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Build(args) => build(registry, args),
        Command::List(args) => list(args.format),
        Command::Clean(args) => clean(registry, args),
    }
}

/// What a spec asks to be built.
fn wanted<'a>(registry: &'a Registry, spec: &'a str) -> Result<ToBuild<'a>> {
    LaneSpec::parse(registry, spec)?.to_build().ok_or_else(|| {
        let text =
            format!("`{spec}` names no version to build: expected NAME@VERSION, as tokio@1.50.0");
        Exit::Usage(text).into()
    })
}

fn build(registry: &Registry, args: &Build) -> Result<ExitCode> {
    let cancel = signals::cancel()?;
    let all = args.specs.iter().map(|spec| wanted(registry, spec)).collect::<Result<Vec<_>>>()?;
    let mut code = ExitCode::SUCCESS;
    for (spec, wanted) in args.specs.iter().zip(&all) {
        match built::one(wanted, spec, &cancel) {
            Ok(lane) => {
                let (built, path) = (&lane.built, lane.executable.display());
                writeln!(io::stdout(), "{spec}  {} {}  {path}", built.package, built.version)?;
            }
            Err(error) if error.is_of_lane() => {
                note!("rtswap: {spec} cannot be built: {}", error.with_causes());
                code = ExitCode::from(FAILED);
            }
            Err(error) => return Err(built::to_exit(error)),
        }
    }
    Ok(code)
}

#[derive(Serialize)]
struct Line {
    spec: String,
    package: String,
    version: String,
    rustc: String,
    bytes: u64,
    age_s: Option<u64>,
    path: String,
}

fn list(format: Format) -> Result<ExitCode> {
    let lines: Vec<_> = Cache::of_user()?.list().into_iter().map(line).collect();
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&lines)? + "\n",
        Format::Table => table(&lines, presets::NOTHING),
        Format::Markdown => table(&lines, presets::ASCII_MARKDOWN),
    };
    io::stdout().write_all(text.as_bytes())?;
    if lines.is_empty() && format == Format::Table {
        note!("no lanes are built; `rtswap lanes build tokio@1.50.0` builds one");
    }
    Ok(ExitCode::SUCCESS)
}

fn line(listed: Listed) -> Line {
    let now = SystemTime::now();
    let age = listed.built_at.and_then(|built_at| now.duration_since(built_at).ok());
    let built = listed.entry.built;
    Line {
        spec: listed.entry.spec,
        package: built.package,
        version: built.version,
        rustc: built.rustc,
        bytes: listed.bytes,
        age_s: age.map(|age| age.as_secs()),
        path: listed.executable.display().to_string(),
    }
}

fn table(lines: &[Line], style: TableStyle) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["lane", "crate", "size", "age", "executable"]);
    table.add_rows(lines.iter().map(|line| {
        let age = line.age_s.map(age).unwrap_or_default();
        let package = format!("{} {}", line.package, line.version);
        [line.spec.clone(), package, megabytes(line.bytes), age, line.path.clone()]
    }));
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The largest unit of a time.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn clean(registry: &Registry, args: &Clean) -> Result<ExitCode> {
    let cache = Cache::of_user()?;
    let specs = args.specs.iter().map(|spec| Ok((spec, wanted(registry, spec)?.spec())));
    let specs = specs.collect::<Result<Vec<_>>>()?;
    if !cache.lanes().exists() {
        writeln!(io::stdout(), "nothing to remove in {}", cache.lanes().display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let cancel = signals::cancel()?;
    let waits = || note!("waiting for another rtswap, which builds lanes in the same cache");
    let _lock = cache.lock(&cancel, waits).map_err(built::to_exit)?;
    if args.all {
        let freed = cache.clear()?;
        writeln!(io::stdout(), "removed {}: {} freed", cache.lanes().display(), megabytes(freed))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (spec, built) in specs {
        let mut freed = None;
        for listed in cache.list().iter().filter(|it| it.entry.spec == built) {
            *freed.get_or_insert(0) += cache.remove(listed)?;
        }
        match freed {
            Some(bytes) => writeln!(io::stdout(), "removed {spec}: {} freed", megabytes(bytes))?,
            None => writeln!(io::stdout(), "{spec} is not built")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_has_the_largest_unit() {
        let ages = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "10 d"]);
    }
}
