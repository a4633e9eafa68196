//! Runs cargo: with progress, until it ends or the user interrupts it.

mod output;

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_schema::one_line;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::BuildError;
use output::Failure;

/// How long an interrupted cargo may take to end before it is killed.
const END_LIMIT: Duration = Duration::from_secs(3);
/// How often the flag of an interruption is looked at.
const STEP: Duration = Duration::from_millis(50);
/// Lines of cargo that are kept for an error.
const KEPT_LINES: usize = 400;

/// How cargo is run: the toolchain and the flags of the compiler.
#[derive(Clone, Debug, Default)]
pub struct Cargo {
    toolchain: Option<String>,
    rustflags: Vec<String>,
}

/// Who watches cargo work.
pub struct Watch<'a> {
    /// Hears each line of cargo's progress: `Compiling tokio v1.50.0`.
    pub line: &'a mut dyn FnMut(&str),
    /// Ends cargo once it is set.
    pub cancel: &'a AtomicBool,
}

impl Cargo {
    /// The cargo of `PATH`, with a toolchain of rustup's, if one is named, and flags for the compiler after those of
    /// the environment.
    pub fn new(toolchain: Option<&str>, rustflags: &[String]) -> Self {
        let mut all = flags_of_environment();
        all.extend(rustflags.iter().cloned());
        Self { toolchain: toolchain.map(str::to_owned), rustflags: all }
    }

    /// The flags of the compiler, those of the environment first.
    pub fn rustflags(&self) -> &[String] {
        &self.rustflags
    }

    /// What the compiler says of its version, with the host that it compiles for; the first line is
    /// `rustc 1.95.0 (59807616e 2026-04-14)`.
    ///
    /// # Errors
    /// If there is no rustc, or no such toolchain.
    pub fn rustc(&self, folder: &Path) -> Result<String, BuildError> {
        let mut command = self.command("rustc", folder);
        // rustup adds a backtrace to its message where the user wants them.
        command.arg("-vV").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        let done = command.output().map_err(|error| cannot_run("rustc", error))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&done.stderr);
        let last = one_line(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default());
        Err(match &self.toolchain {
            Some(toolchain) => BuildError::NoToolchain { toolchain: toolchain.clone(), last },
            None => BuildError::Cargo { status: done.status, last },
        })
    }

    /// Runs a command of cargo in `folder`, and returns its standard output, in lines.
    ///
    /// # Errors
    /// If it cannot be started, is interrupted or fails: then with its last lines.
    pub fn run(
        &self,
        folder: &Path,
        arguments: &[&OsStr],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<String>, BuildError> {
        let mut command = self.command("cargo", folder);
        command
            .args(arguments)
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("CARGO_TERM_QUIET", "false")
            .env("CARGO_TERM_VERBOSE", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A process group of its own: Ctrl-C is handled here, and ends the compilers as well.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| cannot_run("cargo", error))?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("the stream is piped");
        let stderr = child.stderr.take().expect("the stream is piped");
        read(stdout, sender.clone(), Line::Out);
        read(stderr, sender, Line::Err);
        let (status, kept) = follow(child, &lines, watch)?;
        if status.success() {
            return Ok(kept.out);
        }
        let offline = env::var("CARGO_NET_OFFLINE").is_ok_and(|it| it == "true");
        Err(Failure { status, lines: &kept.err, offline }.into())
    }

    /// Builds a package with `cargo build` and these further arguments, and returns the path of the executable that is
    /// called `name`.
    ///
    /// # Errors
    /// As [`run`](Self::run), or if there is no such executable.
    pub fn executable(
        &self,
        folder: &Path,
        name: &str,
        arguments: &[&OsStr],
        watch: &mut Watch<'_>,
    ) -> Result<PathBuf, BuildError> {
        let build = ["build", "--bin", name, "--message-format=json-render-diagnostics"];
        let all: Vec<_> = build.iter().map(OsStr::new).chain(arguments.iter().copied()).collect();
        let lines = self.run(folder, &all, watch)?;
        output::executable(&lines, name)
            .ok_or_else(|| BuildError::NoExecutable { name: name.to_owned() })
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).args(self.toolchain.iter().map(|name| format!("+{name}")));
        if !self.rustflags.is_empty() {
            // Cargo prefers it to RUSTFLAGS, and a flag may hold a space.
            command.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags.join("\u{1f}"));
        }
        command
    }
}

/// The flags that the environment gives to the compiler, as cargo reads them.
fn flags_of_environment() -> Vec<String> {
    let parts = |text: String, separator: char| {
        let parts = text.split(separator).map(str::trim).filter(|flag| !flag.is_empty());
        parts.map(str::to_owned).collect()
    };
    match (env::var("CARGO_ENCODED_RUSTFLAGS"), env::var("RUSTFLAGS")) {
        (Ok(encoded), _) => parts(encoded, '\u{1f}'),
        (_, Ok(plain)) => parts(plain, ' '),
        _ => Vec::new(),
    }
}

fn cannot_run(program: &'static str, source: io::Error) -> BuildError {
    match source.kind() {
        ErrorKind::NotFound => BuildError::NoCargo { program },
        _ => BuildError::Run { program, source },
    }
}

enum Line {
    Out(String),
    Err(String),
}

fn read(stream: impl Read + Send + 'static, lines: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        // Its messages may quote bytes of any kind.
        while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if lines.send(kind(text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

#[derive(Default)]
struct Kept {
    out: Vec<String>,
    err: Vec<String>,
}

/// Reads lines until cargo ends.
fn follow(
    mut child: Child,
    lines: &Receiver<Line>,
    watch: &mut Watch<'_>,
) -> Result<(ExitStatus, Kept), BuildError> {
    let group = Pid::from_child(&child);
    let mut kept = Kept::default();
    let mut interrupted: Option<Instant> = None;
    loop {
        match lines.recv_timeout(STEP) {
            Ok(Line::Out(line)) => kept.out.push(line),
            Ok(Line::Err(line)) => {
                (watch.line)(line.trim());
                kept.err.push(line);
                let surplus = kept.err.len().saturating_sub(KEPT_LINES);
                kept.err.drain(..surplus);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Both streams have ended.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        match interrupted {
            None if watch.cancel.load(Ordering::Relaxed) => {
                let _ = kill_process_group(group, Signal::INT);
                interrupted = Some(Instant::now());
            }
            Some(since) if since.elapsed() > END_LIMIT => break,
            _ => {}
        }
    }
    if interrupted.is_some() {
        // Compilers may have ignored the first signal.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(|source| BuildError::Run { program: "cargo", source })?;
    if interrupted.is_some() { Err(BuildError::Interrupted) } else { Ok((status, kept)) }
}
