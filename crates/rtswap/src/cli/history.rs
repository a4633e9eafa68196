mod add;
mod file;
mod git;
mod notes;
mod show;
mod store;

use std::process::ExitCode;

use anyhow::Result;

use store::Place;

/// Keep what each commit of a branch measured against a release, show it, and find the commits that changed it.
///
/// Entries are kept in git notes (`refs/notes/rtswap`), which `fetch` and `push` share, or in a file. A change point is
/// a candidate: `rtswap gate` on the commits around it confirms it.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    rtswap history add gate.jsonl --anchor v0.3.0\n  \
    rtswap history push\n  \
    rtswap history --workload tcp-echo --plot history.svg\n  \
    rtswap history show --file history.jsonl --format json\n\n\
    Exit codes: 0 done, 1 failed or no history, 2 wrong usage."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: show::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(add::Args),
    Show(show::Args),
    Fetch(Fetch),
    Push(Push),
}

/// Get the entries of others from the remote repository, and merge them with those that are here.
#[derive(Debug, clap::Args)]
struct Fetch {
    #[command(flatten)]
    shared: Shared,
}

/// Share entries: merge with those of the remote repository, and push without force.
///
/// Where another push was faster, it is merged and tried again.
#[derive(Debug, clap::Args)]
struct Push {
    #[command(flatten)]
    shared: Shared,
}

/// What is shared, and with whom.
#[derive(Debug, clap::Args)]
struct Shared {
    /// The remote repository: a name or an address.
    #[arg(long, value_name = "REMOTE", default_value = "origin")]
    remote: String,
    /// The git notes.
    #[arg(long, value_name = "REF", value_parser = store::notes_ref, default_value = store::NOTES)]
    notes: String,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        None => show::run(&args.show)?,
        Some(Command::Show(args)) => show::run(args)?,
        Some(Command::Add(args)) => add::run(args)?,
        Some(Command::Fetch(Fetch { shared })) => {
            let notes = notes::Notes::open(&shared.notes)?;
            if notes.fetch(&shared.remote)? {
                note!("merged {} of {}", shared.notes, shared.remote);
            } else {
                note!("{} has no {} yet", shared.remote, shared.notes);
            }
        }
        Some(Command::Push(Push { shared })) => {
            notes::Notes::open(&shared.notes)?.push(&shared.remote)?;
            note!("pushed {} to {}", shared.notes, shared.remote);
        }
    }
    Ok(ExitCode::SUCCESS)
}
