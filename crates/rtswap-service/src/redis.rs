//! A Redis server without persistence.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::ServiceError;
use crate::process::ServerFolder;
use crate::server::{Answer, ServerProgram};

#[derive(Debug)]
pub(crate) struct Redis;

impl ServerProgram for Redis {
    fn kind(&self) -> ServerKind {
        ServerKind::Redis
    }

    fn names(&self) -> (&'static str, &'static str) {
        ("redis-server", "redis-server")
    }

    fn search_folders(&self) -> Vec<PathBuf> {
        ["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from).to_vec()
    }

    fn account(&self) -> Option<&'static str> {
        None
    }

    fn stop_signal(&self) -> Signal {
        Signal::SIGTERM
    }

    fn prepare(&self, _program: &Path, _folder: &ServerFolder) -> Result<(), ServiceError> {
        Ok(())
    }

    fn arguments(&self, folder: &ServerFolder, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
                .map(OsString::from)
                .to_vec();
        arguments.extend([port.to_string().into(), "--dir".into(), folder.path("").into()]);
        arguments
    }

    fn url(&self, port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    fn probe(&self, mut stream: TcpStream, _url: &ServerUrl) -> io::Result<Answer> {
        stream.write_all(b"PING\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        match line.trim() {
            // A lane that logs in reports a wrong password.
            line if line == "+PONG" || line.starts_with("-NOAUTH") => Ok(Answer::Ready),
            line if line.starts_with("-LOADING") => Ok(Answer::Starting),
            line if line.starts_with('-') => Ok(Answer::Refused(line[1..].to_owned())),
            _ => Ok(Answer::OtherProtocol),
        }
    }
}
