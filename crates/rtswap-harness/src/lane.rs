//! One lane process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rtswap_lane::process::spawn_confined;
use rtswap_lane::{Answer, Order, Pace, Prepare, Ready, Refusal, SliceDone};
use rtswap_schema::one_line;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::counters::CpuClock;
use crate::descendants::{self, Tag};
use crate::listener;
use crate::record::{CpuSource, LanePlan, Status};
use crate::stderr::LaneStderr;

/// How long a lane may take to get ready.
pub const READY_LIMIT: Duration = Duration::from_secs(15);
/// How much longer than its window a slice may take.
pub const SLICE_LIMIT: Duration = Duration::from_secs(10);
/// How long a lane may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(1);
/// A wait that takes longer by this much shows that this process was stopped, as by Ctrl-Z. The lane did not have
/// that time to answer.
pub(crate) const STOOD_STILL: Duration = Duration::from_millis(250);
/// A core begins fewer operations than this in a nanosecond, whatever an operation is.
const OPS_PER_NS_MOST: u64 = 2;
/// The longest line that an answer may have.
const LINE_LIMIT: usize = 1 << 20;

/// glibc returns memory to the kernel beyond this many bytes. Lanes never do: an allocation pattern that
/// frees the top of the heap after each batch would pay for it and another would not, which made a
/// difference of 50 % in `sleep` that neither runtime causes.
const TRIM: &str = "MALLOC_TRIM_THRESHOLD_";
const TRIM_NEVER: &str = "1073741824";

/// How to start a lane.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// CPU time to burn in each operation, nanoseconds.
    pub delay_ns: u64,
    /// Whether CPU time is read from the clock of the process although perf is allowed: to compare the two.
    pub process_clock: bool,
    /// Whether all shards of the lane are to share one address: for clients that know only one.
    pub one_address: bool,
}

/// A lane of a plan and how to start it.
#[derive(Clone, Debug)]
pub struct PlannedLane {
    /// The lane as the record keeps it.
    pub plan: LanePlan,
    /// How to start it.
    pub launch: Launch,
}

/// Why a lane has no figure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// The lane loses the workload. The reason goes into the record.
    #[error("{1}")]
    Failure(Status, String),
    /// The run is being interrupted, which is no failure of the lane.
    #[error("interrupted")]
    Cancelled,
}

impl LaneError {
    pub(crate) fn failed(why: impl Display) -> Self {
        Self::Failure(Status::Failed, why.to_string())
    }

    pub(crate) fn invalid(why: impl Display) -> Self {
        Self::Failure(Status::Invalid, why.to_string())
    }
}

/// A lane that was started. Dropping it kills it and whatever it has started.
#[derive(Debug)]
pub struct Lane {
    child: Child,
    /// The process that does the work, if it is another one.
    worker: Option<u32>,
    /// `None` if the process has ended at once.
    clock: Option<CpuClock>,
    /// How many CPUs it is confined to.
    cpus: usize,
    stood_still: Duration,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: LaneStderr,
    tag: Tag,
    pending: Vec<u8>,
}

impl Lane {
    /// Starts the process on `cpus` and orders it to prepare with `resources`. `pad` bytes of environment
    /// move its stack, so that each process is another sample of memory layout. `tag` marks all that it starts.
    ///
    /// # Errors
    /// [`LaneError::Failure`] if it cannot be started.
    pub fn start(
        launch: &Launch,
        tag: &Tag,
        workload: &str,
        resources: BTreeMap<String, String>,
        cpus: &[usize],
        pad: usize,
    ) -> Result<Self, LaneError> {
        let program = &launch.command[0];
        let cannot = |error: io::Error| {
            LaneError::failed(format!("cannot start {}: {error}", program.to_string_lossy()))
        };
        let (stderr, stderr_writer) = LaneStderr::open().map_err(cannot)?;
        let mut command = Command::new(program);
        command
            .args(&launch.command[1..])
            // Unless the user has set it.
            .envs(std::env::var_os(TRIM).is_none().then_some((TRIM, TRIM_NEVER)))
            .env("RTSWAP_PAD", "x".repeat(pad))
            .envs([tag.variable()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr_writer);
        let mut child = spawn_confined(&mut command, cpus).map_err(cannot)?;
        // Before it has started threads: they inherit the counter, and one is read faster than many.
        let clock =
            if launch.process_clock { CpuClock::process_clock } else { CpuClock::of }(child.id())
                .ok();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lane = Self {
            child,
            worker: None,
            clock,
            cpus: cpus.len(),
            stood_still: Duration::ZERO,
            stdin,
            stdout,
            stderr,
            tag: tag.clone(),
            pending: Vec::new(),
        };
        lane.order(&Order::Prepare(Prepare {
            workload: workload.to_owned(),
            cpus: cpus.to_vec(),
            delay_ns: launch.delay_ns,
            resources,
            addr: launch.one_address.then(|| (Ipv4Addr::LOCALHOST, 0).into()),
        }))?;
        Ok(lane)
    }

    /// The id of the process that does its work: the one that was started, unless the ready response names another.
    pub fn pid(&self) -> u32 {
        self.worker.unwrap_or(self.child.id())
    }

    /// The clock of its CPU time.
    ///
    /// # Errors
    /// [`LaneError::Failure`] if there is none, because the process has ended.
    pub fn cpu_clock(&mut self) -> Result<CpuClock, LaneError> {
        match &self.clock {
            Some(clock) => Ok(clock.clone()),
            None => Err(LaneError::failed(self.explain("cannot read its CPU clock"))),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// [`LaneError`] if it refuses, dies, hangs or answers something else.
    pub fn ready(&mut self, cancel: &AtomicBool) -> Result<Ready, LaneError> {
        match self.answer(READY_LIMIT, cancel)? {
            Answer::Ready(ready) => {
                ready.pid.map_or(Ok(()), |pid| self.set_worker(pid))?;
                Ok(ready)
            }
            Answer::Failed(Refusal::Failed(reason)) => {
                Err(LaneError::failed(one_line(&reason) + &self.last_output()))
            }
            other => Err(unexpected("ready", &other)),
        }
    }

    /// Reads the counters of another process of the lane from now on.
    fn set_worker(&mut self, pid: u32) -> Result<(), LaneError> {
        if !descendants::of_lane(self.child.id().cast_signed(), &self.tag)
            .contains(&pid.cast_signed())
        {
            let why = format!("its ready response names process {pid}, which it has not started");
            return Err(LaneError::failed(why));
        }
        self.worker = Some(pid);
        // The perf event counts all that the first process has started, from its start.
        if self.clock.as_ref().is_none_or(|clock| clock.source() == CpuSource::ProcessClock) {
            self.clock = CpuClock::process_clock(pid).ok();
        }
        Ok(())
    }

    /// Checks that the lane itself listens at the addresses of its response.
    ///
    /// # Errors
    /// [`LaneError::Failure`] if there are none, one is not of the loopback, or another process listens there.
    pub fn check_addresses(&mut self, ready: &Ready) -> Result<(), LaneError> {
        let addrs = ready.addresses();
        if addrs.is_empty() {
            return Err(LaneError::failed("the ready response has no address"));
        }
        listener::check(&addrs, self.pid(), &self.tag)
            .map_err(|error| LaneError::failed(self.explain(&error.to_string())))
    }

    /// Lets it run a slice of `window`, at a pace or as a closed loop.
    ///
    /// # Errors
    /// [`LaneError`] if it fails, dies, hangs, answers something else, or claims what cannot be.
    pub fn slice(
        &mut self,
        window: Duration,
        pace: Option<&Pace>,
        cancel: &AtomicBool,
    ) -> Result<SliceDone, LaneError> {
        self.expect_no_response()?;
        let start = Instant::now();
        let ms = window.as_millis() as u64;
        self.order(&Order::Slice { ms, pace: pace.copied() })?;
        let done = match self.answer(window + SLICE_LIMIT, cancel)? {
            Answer::Slice(done) => done,
            other => return Err(unexpected("slice", &other)),
        };
        if pace.is_some() && done.offered.is_none() {
            let why = "it does not pace itself: its response to a slice with a pace has no `offered` (LANES.md); \
                       measure this workload without a rate";
            return Err(LaneError::Failure(Status::Unsupported, why.to_owned()));
        }
        // A lane times itself. Its time must fit between the order and the answer, which also detects an
        // answer to an earlier order, and must reach the ordered time up to the resolution of a clock in
        // milliseconds.
        let most_ns = start.elapsed().as_nanos() as u64;
        let least_ns = (ms.saturating_sub(1) * 1_000_000).max(1);
        if !(least_ns..=most_ns).contains(&done.elapsed_ns) {
            let claimed_ns = done.elapsed_ns;
            let why = format!(
                "slice of {claimed_ns} ns reported, but {ms} ms ordered and {most_ns} ns passed"
            );
            return Err(LaneError::invalid(why));
        }
        if done.ops == 0 && pace.is_none() {
            let why =
                format!("no operation in a slice of {ms} ms, although a slice ends with a batch");
            return Err(LaneError::failed(why));
        }
        let ops_most = OPS_PER_NS_MOST.saturating_mul(most_ns).saturating_mul(self.cpus as u64);
        if done.ops > ops_most {
            let (ops, per_ns) = (done.ops, done.ops / most_ns.max(1));
            let why = format!(
                "{ops} operations reported in {most_ns} ns, {per_ns} per nanosecond: impossible on {} CPUs",
                self.cpus
            );
            return Err(LaneError::invalid(why));
        }
        Ok(done)
    }

    /// For how long this process was stopped while it waited for responses, in total.
    pub fn stood_still(&self) -> Duration {
        self.stood_still
    }

    /// `seen`, an error seen from outside, with how the process ended and the end of its standard error.
    pub fn explain(&mut self, seen: &str) -> String {
        // A process that dies closes its sockets before it can be waited for.
        let until = Instant::now() + Duration::from_millis(100);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    return format!("{seen}: the process ended ({status}){}", self.last_output());
                }
                _ if Instant::now() > until => return format!("{seen}{}", self.last_output()),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Fails if a response has come although none is due.
    fn expect_no_response(&mut self) -> Result<(), LaneError> {
        match self.unasked_line() {
            None => Ok(()),
            Some(line) => Err(match read_answer(&line) {
                Ok(refusal @ Answer::Failed(_)) => unexpected("nothing", &refusal),
                _ => LaneError::invalid(format!("two responses to one order: {}", quoted(&line))),
            }),
        }
    }

    /// Why the lane has given up, if it has said so without an order, as a lane that serves may at any time.
    pub fn gave_up(&mut self) -> Option<LaneError> {
        let line = self.unasked_line()?;
        let refusal =
            read_answer(&line).ok().filter(|answer| matches!(answer, Answer::Failed(_)))?;
        Some(unexpected("nothing", &refusal))
    }

    /// The first line that the lane has written since its last response, if any. The line is kept.
    fn unasked_line(&mut self) -> Option<Vec<u8>> {
        while readable(&self.stdout, Duration::ZERO) && self.pending.len() <= LINE_LIMIT {
            let mut bytes = [0; 4096];
            match self.stdout.read(&mut bytes) {
                Ok(some) if some > 0 => self.pending.extend_from_slice(&bytes[..some]),
                _ => break,
            }
        }
        let line = self.pending.split_inclusive(|&byte| byte == b'\n').next()?;
        Some(line.to_vec())
    }

    fn order(&mut self, order: &Order) -> Result<(), LaneError> {
        let mut line = serde_json::to_vec(order).expect("an order is plain data");
        line.push(b'\n');
        let stdin = self.stdin.as_mut().expect("stdin is open until the lane is dropped");
        match stdin.write_all(&line) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(LaneError::failed(self.explain(&format!("cannot send an order ({error})"))))
            }
        }
    }

    fn answer(&mut self, limit: Duration, cancel: &AtomicBool) -> Result<Answer, LaneError> {
        let mut until = Instant::now() + limit;
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return read_answer(&line);
            }
            if self.pending.len() > LINE_LIMIT {
                return Err(LaneError::failed("response exceeds 1 MiB without a newline"));
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(LaneError::Cancelled);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let part = match quoted(&self.pending) {
                    text if text.is_empty() => text,
                    text => format!(", only a line without its end: {text}"),
                };
                let why = format!("no response within {} s{part}", limit.as_secs_f64());
                return Err(LaneError::failed(self.explain(&why)));
            }
            // In steps, to notice that the run was cancelled or this process was stopped.
            let (step, begin) = (left.min(Duration::from_millis(100)), Instant::now());
            let is_readable = readable(&self.stdout, step);
            let late = begin.elapsed().saturating_sub(step);
            if late > STOOD_STILL {
                until += late;
                self.stood_still += late;
            }
            if is_readable {
                let mut bytes = [0; 4096];
                match self.stdout.read(&mut bytes) {
                    Ok(0) => return Err(LaneError::failed(self.explain("standard output closed"))),
                    Ok(some) => self.pending.extend_from_slice(&bytes[..some]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(LaneError::failed(error.to_string())),
                }
            }
        }
    }

    /// The last lines of its standard error.
    fn last_output(&self) -> String {
        let text = one_line(&String::from_utf8_lossy(&self.stderr.end()));
        if text.is_empty() { text } else { format!("; stderr: {text}") }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The end of its input means stop, and lets a foreign lane tidy up before it is killed.
        drop(self.stdin.take());
        let until = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        // In any case: a shell that has ended may have left children running. The id is not reused while
        // the group has members, and the error of an empty group is ignored.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn unexpected(order: &str, answer: &Answer) -> LaneError {
    match answer {
        Answer::Failed(refusal) => {
            LaneError::Failure(refusal.status(), one_line(&refusal.to_string()))
        }
        other => {
            let text = serde_json::to_string(other).unwrap_or_default();
            LaneError::failed(format!("expected the response `{order}`, got {text}"))
        }
    }
}

fn read_answer(line: &[u8]) -> Result<Answer, LaneError> {
    serde_json::from_slice(line)
        .map_err(|error| LaneError::failed(format!("invalid response ({error}): {}", quoted(line))))
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
