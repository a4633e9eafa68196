//! The clients, and what their outputs mean.

mod echo;
mod h2load;
mod oha;
mod process;
mod wrk;
mod wrk2;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use process::ProcessError;
use rtswap_service::HeldFolder;

use super::record::{ClientInfo, Load};

/// A workload that more than one client can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `tcp-echo`.
    Echo,
    /// `http`.
    Http,
}

/// What loads a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The method of `rtswap run`: short slices, with those of other lanes between them.
    Slices,
    /// The generator of `rtswap run`, without a pause.
    Sustained,
    /// The same, asleep whenever nothing is due.
    SustainedSleeping,
    /// A program that shares no code with the generator.
    Foreign(Foreign),
}

/// A client that is not part of the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The C program `echo.c`, which is compiled at the start.
    Echo,
    /// <https://github.com/wg/wrk>
    Wrk,
    /// <https://github.com/giltene/wrk2>
    Wrk2,
    /// Of nghttp2.
    H2load,
    /// <https://github.com/hatoo/oha>
    Oha,
}

/// What a foreign client is to do.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Where the lane listens.
    pub addr: SocketAddr,
    /// The path of the request.
    pub path: &'a str,
    /// Bytes of a message.
    pub size: u64,
    /// Connections.
    pub conns: u64,
    /// Threads of clients that have more than one.
    pub threads: usize,
    /// How long.
    pub seconds: u32,
    /// Operations per second over all connections; `None` for a closed loop.
    pub rate_per_s: Option<f64>,
    /// For files of the client.
    pub folder: &'a Path,
}

/// What a foreign client says it has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// Operations that were finished.
    pub ops: u64,
    /// Operations per second.
    pub ops_per_s: f64,
    /// Latencies in nanoseconds, where it has them.
    pub p50_ns: Option<f64>,
    pub p90_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    pub p999_ns: Option<f64>,
}

/// The foreign clients of this machine.
#[derive(Debug)]
pub struct Installed {
    /// All that were looked for.
    pub infos: Vec<ClientInfo>,
    /// Those that can be started.
    found: Vec<Program>,
    /// For files of the clients; removed at the end.
    folder: HeldFolder,
}

/// A client that can be started.
#[derive(Debug)]
struct Program {
    client: Foreign,
    /// The executable.
    path: String,
    version: String,
    loads: &'static [Load],
}

const BOTH: &[Load] = &[Load::Saturation, Load::Rate];

impl Family {
    /// As the catalogue has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "tcp-echo",
            Self::Http => "http",
        }
    }
}

impl Client {
    /// The name in tables and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slices => "slices",
            Self::Sustained => "sustained",
            Self::SustainedSleeping => "sustained-sleeping",
            Self::Foreign(foreign) => foreign.name(),
        }
    }
}

impl Foreign {
    const ALL: [Self; 5] = [Self::Echo, Self::Wrk, Self::Wrk2, Self::H2load, Self::Oha];

    fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Wrk => "wrk",
            Self::Wrk2 => "wrk2",
            Self::H2load => "h2load",
            Self::Oha => "oha",
        }
    }

    fn family(self) -> Family {
        if self == Self::Echo { Family::Echo } else { Family::Http }
    }

    fn find(self, probe: &Probe<'_>) -> Result<Program, String> {
        match self {
            Self::Echo => echo::find(probe),
            Self::Wrk => wrk::find(probe),
            Self::Wrk2 => wrk2::find(probe),
            Self::H2load => h2load::find(probe),
            Self::Oha => oha::find(probe),
        }
    }
}

/// Starts clients to see what they are.
#[derive(Debug)]
struct Probe<'a> {
    folder: &'a Path,
    cpus: &'a [usize],
    cancel: &'a AtomicBool,
}

impl Probe<'_> {
    /// All that a command prints, however it ends; `None` if it cannot be started or does not end.
    fn printed(&self, words: &[&str]) -> Option<String> {
        const LIMIT: Duration = Duration::from_mins(1);
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let done = process::run(&words, self.cpus, LIMIT, self.cancel).ok()?;
        done.was_found().then(|| done.stdout + &done.stderr)
    }
}

impl Installed {
    /// Looks for all clients of the families. After an interruption none is found. Removes what killed runs of this
    /// user left.
    ///
    /// # Errors
    /// If there is no room for a temporary folder.
    pub fn find(families: &[Family], cpus: &[usize], cancel: &AtomicBool) -> io::Result<Self> {
        rtswap_service::sweep();
        let folder = HeldFolder::new("agree")?;
        let probe = Probe { folder: folder.path(), cpus, cancel };
        let (mut infos, mut found) = (Vec::new(), Vec::new());
        for client in Foreign::ALL {
            if !families.contains(&client.family()) {
                continue;
            }
            let (version, missing) = match client.find(&probe) {
                Ok(program) => {
                    let version = program.version.clone();
                    found.push(program);
                    (Some(version), None)
                }
                Err(remedy) => (None, Some(remedy)),
            };
            infos.push(ClientInfo { name: client.name().to_owned(), version, missing });
        }
        Ok(Self { infos, found, folder })
    }

    /// What loads each lane in one repetition, except the slices.
    pub fn turns(&self, family: Family) -> Vec<(Client, Load)> {
        let own = [
            (Client::Sustained, Load::Saturation),
            (Client::Sustained, Load::Rate),
            (Client::SustainedSleeping, Load::Rate),
        ];
        let foreign = self.found.iter().filter(|program| program.client.family() == family);
        let foreign = foreign.flat_map(|program| {
            program.loads.iter().map(|&load| (Client::Foreign(program.client), load))
        });
        own.into_iter().chain(foreign).collect()
    }

    /// A folder for files of the clients.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets a client do a task on the CPUs.
    ///
    /// # Errors
    /// If the user has interrupted it, or the client fails or finds something wrong.
    pub fn run(
        &self,
        client: Foreign,
        task: &Task<'_>,
        cpus: &[usize],
        cancel: &AtomicBool,
    ) -> Result<Count, ProcessError> {
        /// How much longer than the task a client may take.
        const SLACK: Duration = Duration::from_secs(20);
        let program = self.found.iter().find(|program| program.client == client);
        let program = program.ok_or_else(|| ProcessError::Failed("it is missing".to_owned()))?;
        let path = program.path.as_str();
        let words = match client {
            Foreign::Echo => echo::command(path, task),
            Foreign::Wrk => wrk::command(path, task),
            Foreign::Wrk2 => wrk2::command(path, task),
            Foreign::H2load => h2load::command(path, task),
            Foreign::Oha => oha::command(path, task),
        };
        let limit = Duration::from_secs(task.seconds.into()) + SLACK;
        let done = process::run(&words, cpus, limit, cancel)?;
        let read = || {
            if !done.success {
                return Err("it failed".to_owned());
            }
            let count = match client {
                Foreign::Echo => echo::parse(&done.stdout),
                Foreign::Wrk => wrk::parse(&done.stdout),
                Foreign::Wrk2 => wrk2::parse(&done.stdout),
                Foreign::H2load => h2load::parse(&done.stdout, task),
                Foreign::Oha => oha::parse(&done.stdout),
            }?;
            if count.ops == 0 { Err("it finished no operation".to_owned()) } else { Ok(count) }
        };
        read().map_err(|why| ProcessError::Failed(format!("{why}{}", done.last_words())))
    }
}

impl Task<'_> {
    fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }
}

/// The number that follows `label` in a text.
fn number_after(text: &str, label: &str) -> Option<f64> {
    let rest = text[text.find(label)? + label.len()..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Nanoseconds from `168.00us`, `1.23ms`, `2.50s` or `1.20m`.
fn duration_ns(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task for tests of command lines.
    pub fn task(rate_per_s: Option<f64>) -> Task<'static> {
        Task {
            addr: "127.0.0.1:7000".parse().unwrap(),
            path: "/plaintext",
            size: 1024,
            conns: 32,
            threads: 1,
            seconds: 2,
            rate_per_s,
            folder: Path::new("/folder"),
        }
    }

    #[test]
    fn duration_ns_accepts_units_of_wrk() {
        let cases = [("168.00us", 168e3), ("1.23ms", 1.23e6), ("2.50s", 2.5e9), ("0.00us", 0.0)];
        for (text, ns) in cases {
            assert_eq!(duration_ns(text), Some(ns), "{text}");
        }
        for text in ["", "12", "-nan", "1.0x"] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }

    #[test]
    fn find_reports_all_clients_as_missing_after_interruption() {
        let installed =
            Installed::find(&[Family::Echo, Family::Http], &[0], &AtomicBool::new(true)).unwrap();
        assert_eq!(installed.infos.len(), Foreign::ALL.len());
        assert!(installed.infos.iter().all(|info| info.missing.is_some()), "{installed:?}");
        assert_eq!(installed.turns(Family::Http).len(), 3, "rtswap's own");
    }
}
