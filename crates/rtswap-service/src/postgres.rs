//! A PostgreSQL server with one role that can log in, which is no superuser.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use rtswap_workload::{ServerKind, ServerUrl};

use crate::ServiceError;
use crate::process::ServerFolder;
use crate::server::{Answer, ServerProgram};

#[derive(Debug)]
pub(crate) struct Postgres;

/// Durability and background work are off.
const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=32MB",
    // In the server's folder, so that nothing is left in /dev/shm.
    "dynamic_shared_memory_type=mmap",
    // All lanes of a round are connected at the same time.
    "max_connections=1000",
    // The server reports a port in use at the level LOG.
    "log_min_messages=log",
    "log_line_prefix=",
];

/// Who may log in: the superuser may not.
const LOGINS: &str = "host postgres rtswap 127.0.0.1/32 scram-sha-256\n";

/// How long the preparation may take, in each of its two parts.
const PREPARE_LIMIT: Duration = Duration::from_mins(1);

impl ServerProgram for Postgres {
    fn kind(&self) -> ServerKind {
        ServerKind::Postgres
    }

    fn names(&self) -> (&'static str, &'static str) {
        ("postgres", "postgresql")
    }

    /// Debian installs each version in a folder outside of `PATH`.
    fn search_folders(&self) -> Vec<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let version = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.split('.').next().and_then(|major| major.parse::<u32>().ok())
        };
        let mut folders: Vec<_> = versions.map(|entry| entry.path()).collect();
        folders.sort_by_key(|path| std::cmp::Reverse(version(path)));
        let mut folders: Vec<_> = folders.into_iter().map(|path| path.join("bin")).collect();
        folders.extend(["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
        folders
    }

    fn account(&self) -> &'static str {
        "postgres"
    }

    /// The immediate shutdown of PostgreSQL.
    fn stop_signal(&self) -> Signal {
        Signal::SIGQUIT
    }

    fn prepare(
        &self,
        program: &Path,
        folder: &ServerFolder,
        password: &str,
    ) -> Result<(), ServiceError> {
        folder.create_folder("data")?;
        folder.write_file("pg_hba.conf", LOGINS)?;
        let data = folder.path("data").into_os_string();
        let flags = ["-U", "postgres", "-A", "reject", "-E", "UTF8", "--locale=C"];
        let flags = flags.into_iter().chain(["--no-sync", "--wal-segsize=1"]).map(OsString::from);
        let arguments: Vec<_> = flags.chain(["-D".into(), data.clone()]).collect();
        // From the same folder, so that both are of one version.
        folder.run(&program.with_file_name("initdb"), &arguments, "", PREPARE_LIMIT)?;
        // Without a port, on standard input: a statement is a line.
        let single =
            ["--single", "-c", "fsync=off", "-c", "password_encryption=scram-sha-256", "-D"];
        let single = single.into_iter().map(OsString::from);
        let arguments: Vec<_> = single.chain([data, "postgres".into()]).collect();
        let statements = format!(
            "CREATE ROLE rtswap LOGIN PASSWORD '{password}'\nALTER DATABASE postgres OWNER TO rtswap\n"
        );
        folder.run(program, &arguments, &statements, PREPARE_LIMIT)
    }

    fn arguments(&self, folder: &ServerFolder, port: u16) -> Vec<OsString> {
        let mut arguments = vec!["-D".into(), folder.path("data").into_os_string()];
        arguments.extend(["-p".into(), port.to_string().into()]);
        for setting in SETTINGS {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let mut logins = OsString::from("hba_file=");
        logins.push(folder.path("pg_hba.conf"));
        arguments.extend(["-c".into(), logins]);
        arguments
    }

    fn url(&self, port: u16, password: &str) -> String {
        format!("postgres://rtswap:{password}@127.0.0.1:{port}/postgres")
    }

    fn probe(&self, mut stream: TcpStream, url: &ServerUrl) -> io::Result<Answer> {
        const PROTOCOL_3_0: u32 = 196_608;
        let (user, _, database) = url.login();
        let mut hello = PROTOCOL_3_0.to_be_bytes().to_vec();
        for text in ["user", user.as_str(), "database", database.as_str()] {
            hello.extend(text.as_bytes());
            hello.push(0);
        }
        hello.push(0);
        stream.write_all(&(hello.len() as u32 + 4).to_be_bytes())?;
        stream.write_all(&hello)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        match kind {
            // An authentication request. A lane that logs in reports a wrong password.
            [b'R'] => Ok(Answer::Ready),
            [b'E'] => {
                let mut text = Vec::new();
                let _ = stream.read_to_end(&mut text);
                let fields =
                    String::from_utf8_lossy(text.get(4..).unwrap_or_default()).into_owned();
                let field = |of| fields.split('\0').find_map(|field| field.strip_prefix(of));
                // SQLSTATE `cannot_connect_now`.
                if field('C') == Some("57P03") {
                    return Ok(Answer::Starting);
                }
                Ok(Answer::Refused(field('M').unwrap_or("no reason is given").to_owned()))
            }
            _ => Ok(Answer::OtherProtocol),
        }
    }
}
