//! A Redis server that keeps nothing on the disk.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::child::Home;
use crate::server::{Kind, stranger};

#[derive(Debug)]
pub(crate) struct Redis;

impl Kind for Redis {
    fn kind(&self) -> ServerKind {
        ServerKind::Redis
    }

    fn program(&self) -> (&'static str, &'static str) {
        ("redis-server", "redis-server")
    }

    fn folders(&self) -> Vec<PathBuf> {
        ["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from).to_vec()
    }

    fn account(&self) -> Option<&'static str> {
        None
    }

    fn stop(&self) -> Signal {
        Signal::SIGTERM
    }

    fn prepare(&self, _program: &Path, _home: &Home) -> Result<(), String> {
        Ok(())
    }

    fn arguments(&self, home: &Home, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
                .map(OsString::from)
                .to_vec();
        arguments.extend([port.to_string().into(), "--dir".into(), home.path("").into()]);
        arguments
    }

    fn url(&self, port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    fn greet(&self, mut stream: TcpStream, _url: &ServerUrl) -> io::Result<Option<String>> {
        stream.write_all(b"PING\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        match line.trim() {
            // Whether the password is right shows when a lane logs in.
            line if line == "+PONG" || line.starts_with("-NOAUTH") => Ok(None),
            line if line.starts_with("-LOADING") => Err(io::ErrorKind::WouldBlock.into()),
            line if line.starts_with('-') => Ok(Some(line[1..].to_owned())),
            _ => Err(stranger()),
        }
    }
}
