//! A database server: one that is started for the run, or one of the user's.

use std::env;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rtswap_workload::{Resources, ServerKind, ServerUrl};

use crate::password::Password;
use crate::process::{Account, ServerFolder, ServerProcess};
use crate::{Service, ServiceError};

/// The environment variable that names the folders in which programs of servers are looked for. It replaces
/// `PATH` and the folders of packages.
pub const SERVERS_VAR: &str = "RTSWAP_SERVERS";

/// How long a server may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long a server may take to connect, read or write.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Ports that are tried: another program may take a free port before the server does.
const PORTS: u32 = 3;

/// Attempts to restart a server: what is left of the earlier process may hold the port for a moment.
const RESTARTS: u32 = 5;

/// How to find, start and probe one kind of server.
pub(crate) trait ServerProgram: Debug + Send + Sync {
    fn kind(&self) -> ServerKind;

    /// The name of the program, and of the Debian package that has it.
    fn names(&self) -> (&'static str, &'static str);

    /// Where to look for the program after `PATH`, the best folder first.
    fn search_folders(&self) -> Vec<PathBuf>;

    /// The account to run as if rtswap runs as root.
    fn account(&self) -> &'static str;

    /// The signal for the fastest shutdown: no data has to be kept.
    fn stop_signal(&self) -> Signal;

    /// Creates what the server needs in its folder, with one account that has this password and no more rights
    /// than lanes need. The password is never on a command line, which every user can read.
    fn prepare(
        &self,
        program: &Path,
        folder: &ServerFolder,
        password: &str,
    ) -> Result<(), ServiceError>;

    /// The server's command line.
    fn arguments(&self, folder: &ServerFolder, port: u16) -> Vec<OsString>;

    /// The URL by which a lane reaches the server.
    fn url(&self, port: u16, password: &str) -> String;

    /// Begins the protocol on a new connection. `UnexpectedEof` counts as [`Answer::OtherProtocol`].
    fn probe(&self, stream: TcpStream, url: &ServerUrl) -> io::Result<Answer>;
}

/// A server's answer to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ready,
    /// The server loads its data or recovers.
    Starting,
    /// The server takes no connection, with its reason.
    Refused(String),
    /// This is not the expected kind of server.
    OtherProtocol,
}

/// A server that was started for the run.
#[derive(Debug)]
pub(crate) struct ManagedServer {
    // The first field, so that the process is stopped before the folder is removed.
    process: Option<ServerProcess>,
    kind: &'static dyn ServerProgram,
    program: PathBuf,
    folder: ServerFolder,
    password: Password,
    port: u16,
}

/// A server of the user's.
#[derive(Debug)]
pub(crate) struct ExternalServer {
    kind: &'static dyn ServerProgram,
    url: ServerUrl,
}

impl ManagedServer {
    pub fn start(kind: &'static dyn ServerProgram, cpus: &[usize]) -> Result<Self, ServiceError> {
        let (name, package) = kind.names();
        let Some(program) = find_program(name, &kind.search_folders()) else {
            let kind = kind.kind().name();
            return Err(ServiceError::NotInstalled { program: name, package, kind });
        };
        Self::start_program(kind, program, cpus)
            .map_err(|source| ServiceError::Start { service: name, source: Box::new(source) })
    }

    fn start_program(
        kind: &'static dyn ServerProgram,
        program: PathBuf,
        cpus: &[usize],
    ) -> Result<Self, ServiceError> {
        let (name, _) = kind.names();
        let account = Account::of(name, kind.account())?;
        let folder = ServerFolder::new(kind.kind().name(), account, cpus)?;
        let password = Password::draw().map_err(|source| ServiceError::Password { source })?;
        kind.prepare(&program, &folder, password.as_str())?;
        let mut server = Self { kind, program, folder, password, port: 0, process: None };
        let mut tries = 0;
        loop {
            tries += 1;
            server.port = free_port().map_err(|source| ServiceError::Port { source })?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) if tries < PORTS && error.is_port_in_use() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn url(&self) -> String {
        self.kind.url(self.port, self.password.as_str())
    }

    /// Starts the process and waits until the server is ready.
    fn launch(&mut self) -> Result<(), ServiceError> {
        let url = parse_url(self.kind, &self.url())?;
        let arguments = self.kind.arguments(&self.folder, self.port);
        let stop = self.kind.stop_signal();
        let mut process = self.folder.spawn(&self.program, &arguments, stop, Stdio::null())?;
        let until = Instant::now() + READY_LIMIT;
        loop {
            let program = self.program.clone();
            if let Some(status) = process.exit_status() {
                let output = process.last_output();
                return Err(ServiceError::Exited { program, status, output });
            }
            if probe(self.kind, &url).is_ok_and(|answer| answer == Answer::Ready) {
                self.process = Some(process);
                return Ok(());
            }
            if Instant::now() > until {
                let output = process.last_output();
                return Err(ServiceError::Timeout { program, limit: READY_LIMIT, output });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Service for ManagedServer {
    fn resources(&mut self, _lane: &str) -> Result<Resources, ServiceError> {
        Ok([(self.kind.kind().name().to_owned(), self.url())].into())
    }

    fn revive(&mut self) -> Result<(), ServiceError> {
        let (program, _) = self.kind.names();
        let ended = match &mut self.process {
            Some(process) => match process.exit_status() {
                None => return Ok(()),
                status => ServiceError::Ended { program, status, output: process.last_output() },
            },
            // An earlier restart failed.
            None => ServiceError::Ended { program, status: None, output: String::new() },
        };
        self.process = None;
        // On the old port, because lanes may have received its URL already.
        let mut restarted = self.launch();
        for _ in 1..RESTARTS {
            if restarted.is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(200));
            restarted = self.launch();
        }
        match restarted {
            Ok(()) => Err(ended),
            Err(source) => {
                Err(ServiceError::Restart { ended: Box::new(ended), source: Box::new(source) })
            }
        }
    }
}

impl ExternalServer {
    pub fn new(kind: &'static dyn ServerProgram, url: &str) -> Result<Self, ServiceError> {
        Ok(Self { kind, url: parse_url(kind, url)? })
    }

    /// Checks that the server is there and ready.
    pub fn reach(&self) -> Result<(), ServiceError> {
        let (kind, server) = (self.kind.kind().name(), self.url.label());
        // Resolved here as well, because the resolver's errors name the server already.
        self.url.addr().map_err(|source| ServiceError::Resolve { kind, source })?;
        match probe(self.kind, &self.url) {
            Ok(Answer::Ready) => Ok(()),
            Ok(Answer::Starting) => Err(ServiceError::Starting { server }),
            Ok(Answer::Refused(reason)) => Err(ServiceError::Refused { server, kind, reason }),
            Ok(Answer::OtherProtocol) => Err(ServiceError::WrongServer { server, kind }),
            Err(source) => Err(ServiceError::Unreachable { server, kind, source }),
        }
    }
}

impl Service for ExternalServer {
    fn resources(&mut self, _lane: &str) -> Result<Resources, ServiceError> {
        Ok([(self.kind.kind().name().to_owned(), self.url.text().to_owned())].into())
    }

    fn revive(&mut self) -> Result<(), ServiceError> {
        self.reach()
    }
}

fn parse_url(kind: &dyn ServerProgram, url: &str) -> Result<ServerUrl, ServiceError> {
    let kind = kind.kind();
    ServerUrl::parse(kind, url).map_err(|reason| ServiceError::Url { kind: kind.name(), reason })
}

/// Connects to a server and reads its first answer.
fn probe(kind: &dyn ServerProgram, url: &ServerUrl) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&url.addr()?, PROBE_LIMIT)?;
    stream.set_read_timeout(Some(PROBE_LIMIT))?;
    stream.set_write_timeout(Some(PROBE_LIMIT))?;
    kind.probe(stream, url).or_else(|error| match error.kind() {
        // A server of the expected kind answers before it closes the connection.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => Ok(Answer::OtherProtocol),
        _ => Err(error),
    })
}

/// A port of 127.0.0.1 that is free at this moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The first program of that name in `PATH` and `folders`, or in the folders of [`SERVERS_VAR`] alone.
pub(crate) fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let only = env::var_os(SERVERS_VAR);
    let path = only.clone().or_else(|| env::var_os("PATH")).unwrap_or_default();
    let folders = if only.is_some() { &[] } else { folders };
    env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::{mysql::Mysql, postgres::Postgres, redis::Redis};

    /// What `reach` says of a server that sends these bytes to each connection.
    fn reach(kind: &'static dyn ServerProgram, said: &[u8]) -> Result<(), ServiceError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = kind.url(listener.local_addr().unwrap().port(), "secret");
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                // The client may be gone already: it leaves as soon as it knows enough.
                let _ = stream.write_all(said);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                // Closing with unread bytes would reset the connection.
                let _ = stream.read_to_end(&mut Vec::new());
            });
            ExternalServer::new(kind, &url).unwrap().reach()
        })
    }

    #[test]
    fn reach_accepts_a_server_that_is_ready() {
        reach(&Redis, b"+PONG\r\n").unwrap();
        reach(&Redis, b"-NOAUTH Authentication required.\r\n").unwrap();
        reach(&Mysql, b"\x01\0\0\0\x0a").unwrap();
        reach(&Postgres, b"R").unwrap();
    }

    #[test]
    fn reach_rejects_a_server_that_is_not_ready() {
        let starting = |error: ServiceError| matches!(error, ServiceError::Starting { .. });
        assert!(starting(reach(&Redis, b"-LOADING dataset in memory\r\n").unwrap_err()));
        let recovers = b"E\0\0\0\0SFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert!(starting(reach(&Postgres, recovers).unwrap_err()));
    }

    #[test]
    fn reach_quotes_the_reason_of_a_server_that_refuses() {
        for (kind, said, reason) in [
            (&Redis as &dyn ServerProgram, b"-ERR max clients\r\n".as_slice(), "ERR max clients"),
            (&Mysql, b"\x0b\0\0\0\xff\x10\x04too many", "too many"),
            (&Postgres, b"E\0\0\0\0SFATAL\0C53300\0Mtoo many clients\0\0", "too many clients"),
        ] {
            let error = reach(kind, said).unwrap_err();
            assert!(
                matches!(&error, ServiceError::Refused { reason: found, .. } if found == reason),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("--{}-url", kind.kind().name())));
        }
    }

    #[test]
    fn reach_rejects_another_protocol() {
        for kind in [&Redis as &'static dyn ServerProgram, &Mysql, &Postgres] {
            for said in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b""] {
                let error = reach(kind, said).unwrap_err();
                assert!(matches!(error, ServiceError::WrongServer { .. }), "{kind:?}: {error}");
            }
        }
    }

    #[test]
    fn reach_names_the_server_that_is_not_there_and_the_remedy() {
        let port = free_port().unwrap();
        let error =
            ExternalServer::new(&Redis, &Redis.url(port, "secret")).unwrap().reach().unwrap_err();
        assert_eq!(
            error.with_causes(),
            format!(
                "cannot reach redis at 127.0.0.1:{port} (start it, or correct --redis-url): \
                 Connection refused (os error 111)"
            )
        );
    }

    #[test]
    fn external_server_rejects_a_url_of_another_kind() {
        let error = ExternalServer::new(&Redis, "mysql://me@localhost/db").unwrap_err();
        assert!(error.to_string().starts_with("--redis-url: "), "{error}");
    }
}
