//! A MariaDB server without accounts.

use std::ffi::OsString;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::ServiceError;
use crate::process::ServerFolder;
use crate::server::{Answer, ServerProgram};

#[derive(Debug)]
pub(crate) struct Mysql;

/// Without the tables of accounts the server starts on an empty folder: `mariadb-install-db` would take as long
/// as the start itself, and 100 MB. Durability is off.
const FLAGS: [&str; 13] = [
    "--skip-grant-tables",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--bind-address=127.0.0.1",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-fast-shutdown=2",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=4M",
    "--innodb-data-file-path=ibdata1:10M:autoextend",
    "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
    "--performance-schema=OFF",
    // All lanes of a round are connected at the same time.
    "--max-connections=2000",
];

impl ServerProgram for Mysql {
    fn kind(&self) -> ServerKind {
        ServerKind::Mysql
    }

    fn names(&self) -> (&'static str, &'static str) {
        ("mariadbd", "mariadb-server")
    }

    fn search_folders(&self) -> Vec<PathBuf> {
        ["/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin"]
            .map(PathBuf::from)
            .to_vec()
    }

    fn account(&self) -> Option<&'static str> {
        Some("mysql")
    }

    fn stop_signal(&self) -> Signal {
        Signal::SIGTERM
    }

    fn prepare(&self, _program: &Path, folder: &ServerFolder) -> Result<(), ServiceError> {
        folder.write_file("init.sql", "CREATE DATABASE IF NOT EXISTS rtswap;\n")?;
        folder.create_folder("data")
    }

    fn arguments(&self, folder: &ServerFolder, port: u16) -> Vec<OsString> {
        // mariadbd takes this flag in first place only.
        let mut arguments = vec!["--no-defaults".into()];
        let path = |flag: &str, name| {
            let mut argument = OsString::from(flag);
            argument.push(folder.path(name));
            argument
        };
        arguments.extend([
            path("--datadir=", "data"),
            path("--tmpdir=", "data"),
            path("--socket=", "socket"),
            path("--pid-file=", "pid"),
            format!("--port={port}").into(),
        ]);
        arguments.extend(FLAGS.iter().map(OsString::from));
        arguments.push(path("--init-file=", "init.sql"));
        arguments
    }

    fn url(&self, port: u16) -> String {
        format!("mysql://rtswap@127.0.0.1:{port}/rtswap")
    }

    fn probe(&self, mut stream: TcpStream, _url: &ServerUrl) -> io::Result<Answer> {
        /// The version of the protocol, or in an error packet the byte in its place.
        const VERSION: u8 = 10;
        const ERROR: u8 = 255;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let rest = usize::from(head[0]).saturating_sub(1);
        match head[4] {
            VERSION => Ok(Answer::Ready),
            ERROR => {
                let mut text = vec![0; rest];
                stream.read_exact(&mut text)?;
                let reason =
                    String::from_utf8_lossy(text.get(2..).unwrap_or_default()).into_owned();
                Ok(Answer::Refused(reason))
            }
            _ => Ok(Answer::OtherProtocol),
        }
    }
}
