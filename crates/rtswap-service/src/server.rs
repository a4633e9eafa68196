//! A database server: one that is started for the run, or the user's.

use std::env;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rtswap_workload::{Resources, ServerKind, ServerUrl};

use crate::child::{Account, Child, Home};
use crate::{Missing, Service};

/// The environment variable that names the folders in which servers' programs are looked for, instead of
/// those of `PATH` and where packages put them.
pub const SERVERS: &str = "RTSWAP_SERVERS";

/// How long a server may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Ports that are tried: one that was free a moment ago may not be any more.
const PORTS: u32 = 3;

/// Attempts to start a server again, which what is left of the one before may hinder for a moment.
const REVIVALS: u32 = 5;

/// What a kind of server takes.
pub(crate) trait Kind: Debug + Send + Sync {
    fn kind(&self) -> ServerKind;

    /// The name of its program, and of the package that has it.
    fn program(&self) -> (&'static str, &'static str);

    /// Where to look besides `PATH`, the best first.
    fn folders(&self) -> Vec<PathBuf>;

    /// As whom it runs where we are root, if it refuses to be.
    fn account(&self) -> Option<&'static str>;

    /// What stops it, in a way that takes no longer than it must: nothing in it is to be kept.
    fn stop(&self) -> Signal;

    /// Makes what it needs in its folder.
    fn prepare(&self, program: &Path, home: &Home) -> Result<(), String>;

    /// How it is started.
    fn arguments(&self, home: &Home, port: u16) -> Vec<OsString>;

    /// How a lane reaches it.
    fn url(&self, port: u16) -> String;

    /// Whether it is this kind of server and ready, by its first words.
    ///
    /// `Ok(Some(reason))` is the reason why it takes no one, `WouldBlock` that it will later.
    fn greet(&self, stream: TcpStream, url: &ServerUrl) -> io::Result<Option<String>>;
}

/// A server of ours.
#[derive(Debug)]
pub(crate) struct Server {
    // First: it is stopped before its folder is removed.
    child: Option<Child>,
    kind: &'static dyn Kind,
    program: PathBuf,
    home: Home,
    port: u16,
}

/// A server of the user's.
#[derive(Debug)]
pub(crate) struct Given {
    kind: &'static dyn Kind,
    url: ServerUrl,
}

impl Server {
    pub fn start(kind: &'static dyn Kind, cpus: &[usize]) -> Result<Self, Missing> {
        let (name, package) = kind.program();
        let flag = kind.kind().name();
        let Some(program) = find(name, &kind.folders()) else {
            return Err(Missing::Program(format!(
                "{name} is not installed: apt-get install {package}, or give --{flag}-url"
            )));
        };
        let failed = |why: String| Missing::Failed(format!("{name}: {why}"));
        let account = kind.account().map_or(Ok(Account::Own), Account::of).map_err(failed)?;
        let home = Home::new(flag, account, cpus).map_err(failed)?;
        kind.prepare(&program, &home).map_err(failed)?;
        let mut server = Self { kind, program, home, port: 0, child: None };
        let mut tries = 0;
        loop {
            tries += 1;
            server.port = free_port().map_err(|error| failed(error.to_string()))?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(why) if tries < PORTS && why.contains("in use") => {}
                Err(why) => return Err(failed(why)),
            }
        }
    }

    /// Starts the process and waits until it answers.
    fn launch(&mut self) -> Result<(), String> {
        let arguments = self.kind.arguments(&self.home, self.port);
        let mut child = self.home.spawn(&self.program, &arguments, self.kind.stop())?;
        let url = ServerUrl::parse(self.kind.kind(), &self.kind.url(self.port))?;
        let until = Instant::now() + READY_LIMIT;
        loop {
            if let Some(status) = child.ended() {
                return Err(format!("it ended ({status}){}", child.words()));
            }
            if let Ok(None) = greet(self.kind, &url) {
                self.child = Some(child);
                return Ok(());
            }
            if Instant::now() > until {
                let limit = READY_LIMIT.as_secs();
                return Err(format!("it does not answer within {limit} s{}", child.words()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Service for Server {
    fn resources(&mut self, _lane: &str) -> Result<Resources, String> {
        Ok([(self.kind.kind().name().to_owned(), self.kind.url(self.port))].into())
    }

    fn revive(&mut self) -> Result<(), String> {
        let (name, _) = self.kind.program();
        let end = match &mut self.child {
            Some(child) => match child.ended() {
                None => return Ok(()),
                Some(status) => format!("{name} had ended ({status}){}", child.words()),
            },
            None => format!("{name} had ended"),
        };
        self.child = None;
        // On its old port: lanes that are about to be started may have been told already.
        let mut again = self.launch();
        for _ in 1..REVIVALS {
            if again.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
            again = self.launch();
        }
        match again {
            Ok(()) => Err(end),
            Err(why) => Err(format!("{end}; started again, {why}")),
        }
    }
}

impl Given {
    pub fn new(kind: &'static dyn Kind, text: &str) -> Result<Self, String> {
        let name = kind.kind().name();
        let url =
            ServerUrl::parse(kind.kind(), text).map_err(|why| format!("--{name}-url: {why}"))?;
        Ok(Self { kind, url })
    }

    /// Whether it is there.
    pub fn reach(&self) -> Result<(), String> {
        let name = self.kind.kind().name();
        let (label, remedy) = (self.url.label(), format!("start it, or mend --{name}-url"));
        match greet(self.kind, &self.url) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(format!("{label}: {reason}; mend that, or --{name}-url")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(format!("{label}: what answers there is no {name} server; mend --{name}-url"))
            }
            Err(error) if error.to_string().starts_with(&label) => {
                Err(format!("{error}; {remedy}"))
            }
            Err(error) => Err(format!("{label}: {error}; {remedy}")),
        }
    }
}

impl Service for Given {
    fn resources(&mut self, _lane: &str) -> Result<Resources, String> {
        Ok([(self.kind.kind().name().to_owned(), self.url.text().to_owned())].into())
    }

    fn revive(&mut self) -> Result<(), String> {
        self.reach()
    }
}

/// What a server says to somebody who knocks.
fn greet(kind: &dyn Kind, url: &ServerUrl) -> io::Result<Option<String>> {
    let stream = TcpStream::connect_timeout(&url.addr()?, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    kind.greet(stream, url).map_err(|error| match error.kind() {
        // It hung up on somebody who speaks the protocol.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => stranger(),
        _ => error,
    })
}

/// What answers is no server of this kind.
pub(crate) fn stranger() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A port of the loopback device that nobody listens on.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A program, by its name.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let only = env::var_os(SERVERS);
    let path = only.clone().or_else(|| env::var_os("PATH")).unwrap_or_default();
    let folders = if only.is_some() { &[] } else { folders };
    env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file()))
}
