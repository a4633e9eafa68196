use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

use rtswap_schema::workload::families;

use crate::args::{Args, Mode};
use crate::program;

/// The target `paired`: `rtswap run --quick`, or of what the filter names.
///
/// Criterion's own flags have no meaning here and are ignored; with one that works on saved figures
/// there is nothing to do.
///
/// # Errors
/// Why it cannot start.
pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    // A filter may name any workload of the default table; without one, few are enough.
    let offered = if args.is_filtered() { families::DEFAULT } else { families::QUICK };
    let chosen: Vec<_> = offered.iter().filter(|name| args.matches(&id(name))).collect();
    if args.mode == Mode::List {
        for name in chosen {
            println!("{}: benchmark", id(name));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if chosen.is_empty() || args.mode == Mode::Load {
        return Ok(ExitCode::SUCCESS);
    }
    let record = record().map_err(|error| format!("cannot make a folder for records: {error}"))?;
    let program = program::build()?;
    // Returns only if it fails: progress, Ctrl-C and exit codes are those of the program.
    let error = Command::new(&program).args(command_line(&chosen, args.mode, record)).exec();
    Err(format!("cannot start {}: {error}", program.display()))
}

/// What the filter is held against; `paired` names all.
fn id(workload: &str) -> String {
    format!("paired/{workload}")
}

fn command_line(workloads: &[&&str], mode: Mode, record: OsString) -> Vec<OsString> {
    let mut line: Vec<OsString> = ["run", "--quick"].map(Into::into).to_vec();
    for workload in workloads {
        line.extend(["--workload".into(), workload.into()]);
    }
    if mode == Mode::Test {
        // Every lane once around, no matter what it shows.
        line.extend(["--budget", "2s", "--allow-missing"].map(Into::into));
    }
    line.extend(["--out".into(), record]);
    line
}

/// A file that is not there yet, in `rtswap-records` beside the folder of criterion's figures: cargo
/// starts benches in their package, where a record would be in the way.
fn record() -> io::Result<OsString> {
    let exe = env::current_exe()?;
    let target = exe.ancestors().nth(2).unwrap_or(&exe);
    let folder = target.join("rtswap-records");
    fs::create_dir_all(&folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(folder.join(format!("paired-{}.jsonl", now.as_millis())).into_os_string())
}
