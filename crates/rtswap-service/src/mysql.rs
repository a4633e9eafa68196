//! A MariaDB server with one account.

use std::ffi::OsString;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::ServiceError;
use crate::process::ServerFolder;
use crate::server::{Answer, ServerProgram, find_program};

#[derive(Debug)]
pub(crate) struct Mysql;

/// What creates the tables of accounts.
const INSTALL: &str = "mariadb-install-db";

/// How long that may take.
const INSTALL_LIMIT: Duration = Duration::from_mins(1);

/// Durability is off.
const FLAGS: [&str; 13] = [
    "--skip-name-resolve",
    "--local-infile=OFF",
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

    fn account(&self) -> &'static str {
        "mysql"
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
        // Read before the server takes connections. The accounts that the tables come with are removed.
        let init = format!(
            "DELETE FROM mysql.global_priv;\n\
             FLUSH PRIVILEGES;\n\
             CREATE DATABASE IF NOT EXISTS rtswap;\n\
             CREATE USER rtswap@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON rtswap.* TO rtswap@'127.0.0.1';\n"
        );
        folder.write_file("init.sql", &init)?;
        folder.create_folder("data")?;
        folder.create_folder("exchange")?;
        let Some(install) = find_program(INSTALL, &self.search_folders()) else {
            let ((_, package), kind) = (self.names(), self.kind().name());
            return Err(ServiceError::NotInstalled { program: INSTALL, package, kind });
        };
        let data = |flag: &str| {
            let mut argument = OsString::from(flag);
            argument.push(folder.path("data"));
            argument
        };
        let mut arguments = vec!["--no-defaults".into(), "--skip-test-db".into()];
        // The account may be unable to write to the system's folder for temporary files.
        arguments.extend([data("--datadir="), data("--tmpdir=")]);
        arguments.extend(FLAGS.iter().map(OsString::from));
        // The server starts on what this leaves, which must be written in full.
        arguments.push("--innodb-fast-shutdown=1".into());
        folder.run(&install, &arguments, "", INSTALL_LIMIT)
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
            // Empty. The account may read and write no files in any case.
            path("--secure-file-priv=", "exchange"),
            path("--socket=", "data/socket"),
            path("--pid-file=", "data/pid"),
            format!("--port={port}").into(),
        ]);
        arguments.extend(FLAGS.iter().map(OsString::from));
        arguments.push(path("--init-file=", "init.sql"));
        arguments
    }

    fn url(&self, port: u16, password: &str) -> String {
        format!("mysql://rtswap:{password}@127.0.0.1:{port}/rtswap")
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
