//! A Redis server without persistence and with one account, which can set and get.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::ServiceError;
use crate::process::ServerFolder;
use crate::server::{Answer, ServerProgram};

/// The file of settings, which holds the password.
const SETTINGS: &str = "redis.conf";

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

    fn account(&self) -> &'static str {
        "redis"
    }

    fn stop_signal(&self) -> Signal {
        Signal::SIGTERM
    }

    fn prepare(
        &self,
        _program: &Path,
        folder: &ServerFolder,
        password: &str,
    ) -> Result<(), ServiceError> {
        // Keys are not restricted: that would be looked at for every command.
        let text = format!(
            "bind 127.0.0.1\nprotected-mode yes\nsave \"\"\nappendonly no\nuser default off\n\
             user rtswap on >{password} ~* -@all +@connection +get +set\n"
        );
        folder.write_file(SETTINGS, &text)?;
        folder.create_folder("data")
    }

    fn arguments(&self, folder: &ServerFolder, port: u16) -> Vec<OsString> {
        let (settings, data) = (folder.path(SETTINGS), folder.path("data"));
        let port = port.to_string();
        vec![settings.into(), "--port".into(), port.into(), "--dir".into(), data.into()]
    }

    fn url(&self, port: u16, password: &str) -> String {
        format!("redis://rtswap:{password}@127.0.0.1:{port}")
    }

    fn probe(&self, mut stream: TcpStream, _url: &ServerUrl) -> io::Result<Answer> {
        stream.write_all(b"PING\r\n")?;
        let mut line = String::new();
        // What answers there may be no Redis and send without end.
        BufReader::new(stream.take(1024)).read_line(&mut line)?;
        match line.trim() {
            // A lane that logs in reports a wrong password.
            line if line == "+PONG" || line.starts_with("-NOAUTH") => Ok(Answer::Ready),
            line if line.starts_with("-LOADING") => Ok(Answer::Starting),
            line if line.starts_with('-') => Ok(Answer::Refused(line[1..].to_owned())),
            _ => Ok(Answer::OtherProtocol),
        }
    }
}
