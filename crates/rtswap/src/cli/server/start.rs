//! Starts a server, waits until it listens, and says what it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rtswap_harness::descendants::Tag;
use rtswap_harness::listener::{self, ListenerError};
use rtswap_lane::{LaneInfo, Refusal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::filled;
use super::port::{self, Port};
use crate::cli::FAILED;

/// How long a server may take until it listens. The harness waits for 15 s.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const STEP: Duration = Duration::from_millis(2);

/// A server that goes on in the background ends its first process within this time after it has begun to listen.
const FORK_LIMIT: Duration = Duration::from_millis(10);

/// A server that was started. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Readable once it has ended.
    end: OwnedFd,
}

impl Server {
    /// This executable becomes the command, once it is sure to die with this process. The server writes to standard
    /// error only: standard output belongs to the protocol.
    fn start(command: &str) -> io::Result<Self> {
        let stdout = io::stderr().as_fd().try_clone_to_owned()?;
        let child = Command::new("/proc/self/exe")
            .args(["lane", "--exec", command])
            .env(crate::cli::lane::PARENT_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()?;
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Self { child, end })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A descriptor that is readable once it has ended.
    pub fn end(&self) -> &OwnedFd {
        &self.end
    }

    fn ends_within(&self, limit: Duration) -> bool {
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        let mut end = [PollFd::new(&self.end, PollFlags::IN)];
        poll(&mut end, Some(&limit)).is_ok_and(|ended| ended > 0)
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why a server does not listen.
enum StartError {
    /// Another process has taken the port meanwhile.
    Taken(String),
    /// The server's own fault, in a sentence.
    Failed(String),
}

/// Starts the command at an address, or at a free port of 127.0.0.1, and waits until it listens. Returns the server and
/// its port.
///
/// # Errors
/// [`Refusal::Failed`] with what the server did instead.
pub(super) fn start(command: &str, addr: Option<SocketAddr>) -> Result<(Server, Port), Refusal> {
    let failed = |error: io::Error| Refusal::Failed(format!("cannot start it: {error}"));
    let given = addr.filter(|addr| addr.port() != 0);
    // Another program may take the port before the server does.
    let attempts = if given.is_some() { 1 } else { 2 };
    let mut taken = String::new();
    for _ in 0..attempts {
        let mut port = match given {
            Some(addr) => Port::given(addr),
            None => Port::choose().map_err(failed)?,
        };
        if let (None, Some(addr)) = (given, addr) {
            port.addr.set_ip(addr.ip());
        }
        let mut server = Server::start(&filled(command, port.addr)).map_err(failed)?;
        match wait_until_listening(&mut server, port.addr) {
            Ok(()) => return Ok((server, port)),
            Err(StartError::Taken(why)) => taken = why,
            Err(StartError::Failed(why)) => return Err(Refusal::Failed(why)),
        }
    }
    Err(Refusal::Failed(taken))
}

fn wait_until_listening(server: &mut Server, addr: SocketAddr) -> Result<(), StartError> {
    let begin = Instant::now();
    loop {
        if let Some(status) = server.ended() {
            return Err(ended_early(status, addr));
        }
        if TcpStream::connect(reachable(addr)).is_ok() {
            if server.ends_within(FORK_LIMIT) {
                continue;
            }
            let Some(tag) = Tag::of_self() else { return Ok(()) };
            match listener::check(&[reachable(addr)], server.id(), &tag) {
                Err(error @ ListenerError::Foreign { .. }) => {
                    return Err(StartError::Taken(error.to_string()));
                }
                // It has closed meanwhile.
                Err(ListenerError::NotListening(_)) => {}
                // What cannot be seen is the harness's to judge.
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        if begin.elapsed() > LISTEN_LIMIT {
            return Err(StartError::Failed(silent(server, addr)));
        }
        std::thread::sleep(STEP);
    }
}

/// What connections go to.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, addr.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, addr.port()).into(),
        addr => addr,
    }
}

fn ended_early(status: ExitStatus, addr: SocketAddr) -> StartError {
    if status.success() {
        // With its work done, or to go on in the background.
        return StartError::Failed(format!(
            "the server ended ({status}) and left nothing that listens at {addr}: it has to stay in the foreground"
        ));
    }
    let why = format!("the server ended ({status}) before it listened at {addr}");
    if port::is_free(addr) { StartError::Failed(why) } else { StartError::Taken(why) }
}

/// The message for a server that runs and does not listen where it was to.
fn silent(server: &Server, addr: SocketAddr) -> String {
    let own = Tag::of_self().map(|tag| listener::addresses_of(server.id(), &tag));
    let elsewhere: Vec<_> = own.unwrap_or_default().iter().map(ToString::to_string).collect();
    let limit = LISTEN_LIMIT.as_secs();
    let why = format!("it did not listen at {addr} within {limit} s");
    if elsewhere.is_empty() {
        return why;
    }
    let elsewhere = elsewhere.join(" and ");
    format!("{why}, but at {elsewhere}: pass {{addr}} or {{port}} on to what listens")
}

/// Ends this process as the server has ended.
pub(super) fn end_like(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(signal) = status.signal().and_then(Signal::from_named_raw) {
        let _ = kill_process(rustix::process::getpid(), signal);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(FAILED))
}

/// What can be seen of a server from outside.
pub(super) fn info(pid: u32, command: &str) -> LaneInfo {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    let program = program.ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let workers = threads(pid.cast_signed());
    let notes = BTreeMap::from([("command".to_owned(), command.to_owned())]);
    LaneInfo {
        runtime: program.unwrap_or_else(|| "unknown".to_owned()),
        version: "unknown".to_owned(),
        driver: "unknown".to_owned(),
        workers,
        shards: 1,
        notes,
    }
}

/// Threads of a process and its descendants.
fn threads(pid: i32) -> usize {
    let Ok(tasks) = procfs::process::Process::new(pid).and_then(|process| process.tasks()) else {
        return 0;
    };
    let of_task = |task: procfs::process::Task| {
        let children = task.children().unwrap_or_default();
        1 + children.into_iter().map(|child| threads(child.cast_signed())).sum::<usize>()
    };
    tasks.flatten().map(of_task).sum()
}
