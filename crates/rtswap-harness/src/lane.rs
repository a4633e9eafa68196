//! One lane process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rtswap_lane::{Answer, Order, Prepare, Ready, SliceDone};
use rtswap_schema::one_line;
use rtswap_service::on_cpus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::record::Status;

/// How long a lane may take to get ready.
pub const READY_LIMIT: Duration = Duration::from_secs(15);
/// How much longer than its window a slice may take.
pub const SLICE_LIMIT: Duration = Duration::from_secs(10);
/// How long a lane may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(1);
/// The longest line that an answer may have.
const LINE_LIMIT: usize = 1 << 20;

/// Tells glibc when to give memory back to the kernel: never here. A lane that frees all that it has at the
/// end of each batch would spend its time on that, while another, which keeps one block at the end of
/// the heap, would not: a difference of 50 % in `sleep` that is nobody's merit.
const TRIM: &str = "MALLOC_TRIM_THRESHOLD_";
const TRIM_NEVER: &str = "1073741824";

pub use rtswap_service::PARENT;

/// How to start a lane.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// CPU time to burn in each operation, nanoseconds.
    pub delay_ns: u64,
}

/// Why a lane drops out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It loses the workload.
    Lost(Status, String),
    /// The run is being interrupted: nobody's fault.
    Cancelled,
}

impl Trouble {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Lost(Status::Failed, why.into())
    }
}

/// A lane that was started. Dropping it kills it and whatever it has started.
#[derive(Debug)]
pub struct Lane {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    // An unnamed file and not a pipe: a lane that chatters must not block on us.
    stderr: File,
    pending: Vec<u8>,
}

impl Lane {
    /// Starts the process on `cpus`, with `resources` to work with and `pad` bytes of environment so that its stack lies elsewhere
    /// each time, and orders it to prepare.
    ///
    /// # Errors
    /// [`Trouble::Lost`] if it cannot be started.
    pub fn start(
        launch: &Launch,
        workload: &str,
        resources: BTreeMap<String, String>,
        cpus: &[usize],
        pad: usize,
    ) -> Result<Self, Trouble> {
        let program = &launch.command[0];
        let cannot = |error: io::Error| {
            Trouble::failed(format!("cannot start {}: {error}", program.to_string_lossy()))
        };
        let stderr = tempfile::tempfile().map_err(|error| {
            let folder = std::env::temp_dir();
            Trouble::failed(format!(
                "cannot keep its standard error in {}: {error}; set TMPDIR to a folder that can",
                folder.display()
            ))
        })?;
        let mut command = Command::new(program);
        command
            .args(&launch.command[1..])
            // Not overruling the user.
            .envs(std::env::var_os(TRIM).is_none().then_some((TRIM, TRIM_NEVER)))
            .env("RTSWAP_PAD", "x".repeat(pad))
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().map_err(cannot)?)
            // A group of its own: Ctrl-C is ours to handle, and what it starts can be killed with it.
            .process_group(0);
        let mut child = on_cpus(cpus, || command.spawn()).map_err(cannot)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lane = Self { child, stdin, stdout, stderr, pending: Vec::new() };
        lane.order(&Order::Prepare(Prepare {
            workload: workload.to_owned(),
            cpus: cpus.to_vec(),
            delay_ns: launch.delay_ns,
            resources,
            addr: None,
        }))?;
        Ok(lane)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// [`Trouble`] if it refuses, dies, hangs or answers something else.
    pub fn ready(&mut self, cancel: &AtomicBool) -> Result<Ready, Trouble> {
        match self.answer(READY_LIMIT, cancel)? {
            Answer::Ready(ready) => Ok(ready),
            other => Err(unexpected("ready", &other)),
        }
    }

    /// Lets it run a slice of `window`.
    ///
    /// # Errors
    /// [`Trouble`] if it fails, dies, hangs, answers something else, or claims what cannot be.
    pub fn slice(&mut self, window: Duration, cancel: &AtomicBool) -> Result<SliceDone, Trouble> {
        let start = Instant::now();
        let ms = window.as_millis() as u64;
        self.order(&Order::Slice { ms })?;
        let done = match self.answer(window + SLICE_LIMIT, cancel)? {
            Answer::Slice(done) => done,
            other => return Err(unexpected("slice", &other)),
        };
        // A lane times itself: it may at least not claim more than there was, which is also how an
        // answer to an earlier order shows, nor less than was ordered, but for a clock of milliseconds.
        let most_ns = start.elapsed().as_nanos() as u64;
        let least_ns = (ms.saturating_sub(1) * 1_000_000).max(1);
        if !(least_ns..=most_ns).contains(&done.elapsed_ns) {
            let claimed_ns = done.elapsed_ns;
            let why = format!(
                "it claims a slice of {claimed_ns} ns within {most_ns} ns, of {ms} ms ordered"
            );
            return Err(Trouble::Lost(Status::Invalid, why));
        }
        Ok(done)
    }

    /// What happened to it, for a trouble seen from outside: its last words, or that it is gone.
    pub fn explain(&mut self, seen: &str) -> String {
        // A process that dies closes its sockets before it can be waited for.
        let until = Instant::now() + Duration::from_millis(100);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return format!("{seen}: it ended ({status}){}", self.words()),
                _ if Instant::now() > until => return format!("{seen}{}", self.words()),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Why it has given up, if it said so unasked: a lane that serves may at any time.
    pub fn gave_up(&mut self) -> Option<Trouble> {
        while readable(&self.stdout, Duration::ZERO) && self.pending.len() <= LINE_LIMIT {
            let mut bytes = [0; 4096];
            match self.stdout.read(&mut bytes) {
                Ok(some) if some > 0 => self.pending.extend_from_slice(&bytes[..some]),
                _ => break,
            }
        }
        let line = self.pending.split_inclusive(|&byte| byte == b'\n').next()?;
        let refusal =
            read_answer(line).ok().filter(|answer| matches!(answer, Answer::Failed(_)))?;
        Some(unexpected("nothing", &refusal))
    }

    fn order(&mut self, order: &Order) -> Result<(), Trouble> {
        let mut line = serde_json::to_vec(order).expect("an order is plain data");
        line.push(b'\n');
        let stdin = self.stdin.as_mut().expect("stdin is open until the lane is dropped");
        match stdin.write_all(&line) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(Trouble::failed(self.explain(&format!("it takes no order ({error})"))))
            }
        }
    }

    fn answer(&mut self, limit: Duration, cancel: &AtomicBool) -> Result<Answer, Trouble> {
        let until = Instant::now() + limit;
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return read_answer(&line);
            }
            if self.pending.len() > LINE_LIMIT {
                return Err(Trouble::failed("its answer has no end"));
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Trouble::Cancelled);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let part = match quoted(&self.pending) {
                    text if text.is_empty() => text,
                    text => format!(", but without an end of line: {text}"),
                };
                let why = format!("it gave no answer within {} s{part}", limit.as_secs_f64());
                return Err(Trouble::failed(self.explain(&why)));
            }
            // Woken now and then to see whether the run was cancelled.
            if readable(&self.stdout, left.min(Duration::from_millis(100))) {
                let mut bytes = [0; 4096];
                match self.stdout.read(&mut bytes) {
                    Ok(0) => return Err(Trouble::failed(self.explain("it closed its output"))),
                    Ok(some) => self.pending.extend_from_slice(&bytes[..some]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Trouble::failed(error.to_string())),
                }
            }
        }
    }

    /// The last lines of its standard error.
    fn words(&mut self) -> String {
        const LAST_BYTES: u64 = 400;
        let mut text = Vec::new();
        let length = self.stderr.seek(SeekFrom::End(0)).unwrap_or(0);
        let _ = self.stderr.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)));
        let _ = self.stderr.read_to_end(&mut text);
        let text = one_line(&String::from_utf8_lossy(&text));
        if text.is_empty() { text } else { format!("; it said: {text}") }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Politely first, so that foreign lanes can tidy up: the end of its input means stop.
        drop(self.stdin.take());
        let until = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        // The group even so: a shell that has ended may have left something running. The id is not
        // reused while the group has members, and a group without any is an error we can ignore.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn unexpected(order: &str, answer: &Answer) -> Trouble {
    match answer {
        Answer::Failed(refusal) => Trouble::Lost(refusal.status(), one_line(&refusal.to_string())),
        other => {
            let text = serde_json::to_string(other).unwrap_or_default();
            Trouble::failed(format!("it should answer `{order}` but says {text}"))
        }
    }
}

fn read_answer(line: &[u8]) -> Result<Answer, Trouble> {
    serde_json::from_slice(line).map_err(|error| {
        Trouble::failed(format!("it answers nonsense ({error}): {}", quoted(line)))
    })
}

/// The beginning of what a lane says.
fn quoted(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes)).chars().take(200).collect()
}

fn readable(stdout: &ChildStdout, limit: Duration) -> bool {
    let limit =
        Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    let mut fds = [PollFd::new(stdout, PollFlags::IN)];
    // An interruption is as good as a timeout: the caller looks again.
    poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
}
