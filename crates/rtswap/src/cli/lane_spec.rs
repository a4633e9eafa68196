//! Lane specs: how a lane is asked for on the command line, and kept in the plan of a record.

use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rtswap_build::Version;
use rtswap_harness::lane::{Launch, PlannedLane};
use rtswap_harness::record::{Kind, LanePlan};

use crate::Registry;
use crate::cli::server;
use crate::registry::Adapter;
use rtswap_lane::Lane;

/// The name of the control lane.
pub(super) const CONTROL: &str = "control";

/// The longest delay of an operation, nanoseconds.
const DELAY_NS_MOST: u64 = 1_000_000_000;

/// One lane as it is asked for: a name (`tokio`), a name with a version of its runtime (`tokio@1.50.0`), either with
/// settings (`tokio?delay_ns=110`), or a command (`mine=COMMAND`), a server without the lane protocol among them
/// (`mine=serve:COMMAND`).
#[derive(Clone, Debug)]
pub(super) struct LaneSpec<'a> {
    /// As written.
    text: &'a str,
    /// The lane's name in every line of the record.
    name: &'a str,
    program: Program<'a>,
}

/// What a lane's process runs.
#[derive(Clone, Debug)]
enum Program<'a> {
    /// A lane of the registry, with what its spec sets.
    Registered { lane: &'a Lane, settings: Settings },
    /// A lane of the registry, built against a version of its runtime.
    Versioned { lane: &'a Lane, adapter: &'static Adapter, version: Version, settings: Settings },
    /// A command, which the shell reads.
    Command(&'a str),
    /// The command of a server without the lane protocol, likewise.
    Server(&'a str),
}

/// What the part of a spec after the question mark sets: `delay_ns=110&cpu_clock=process`. Values are percent-encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    /// CPU time to burn in each operation, nanoseconds.
    delay_ns: u64,
    /// Whether CPU time is read from the clock of the process although perf is allowed.
    process_clock: bool,
    /// The toolchain to build with, of rustup's.
    toolchain: Option<String>,
    /// Flags for the compiler.
    rustflags: Vec<String>,
}

/// A lane that is to be built.
#[derive(Clone, Debug)]
pub(super) struct ToBuild<'a> {
    /// The lane of the adapter.
    pub lane: &'a str,
    pub adapter: &'static Adapter,
    pub version: Version,
    pub toolchain: Option<String>,
    pub rustflags: Vec<String>,
}

/// What a value of a setting may not hold as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b'&').add(b'?').add(b' ');

impl ToBuild<'_> {
    /// The spec of what is built, which is the same for all lanes of an adapter, wherever it is asked for.
    pub fn spec(&self) -> String {
        let version = match &self.version {
            Version::Path(path) => {
                let absolute = path.canonicalize();
                Version::Path(absolute.unwrap_or_else(|_| Path::new(path).to_owned()))
            }
            other => other.clone(),
        };
        let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let settings = [
            self.toolchain.as_deref().map(|name| format!("toolchain={}", encoded(name))),
            (!self.rustflags.is_empty())
                .then(|| format!("rustflags={}", encoded(&self.rustflags.join(" ")))),
        ];
        let settings: Vec<_> = settings.into_iter().flatten().collect();
        let mark = if settings.is_empty() { "" } else { "?" };
        format!("{}@{version}{mark}{}", self.adapter.runtime, settings.join("&"))
    }
}

impl Settings {
    /// `None` if something else is set, or a value is out of range.
    fn parse(text: &str) -> Option<Self> {
        let mut settings = Self::default();
        for setting in text.split('&') {
            match setting.split_once('=')? {
                ("delay_ns", ns) => {
                    settings.delay_ns = ns.parse().ok().filter(|ns| *ns <= DELAY_NS_MOST)?;
                }
                ("cpu_clock", "process") => settings.process_clock = true,
                ("toolchain", name) => settings.toolchain = Some(toolchain(name)?),
                ("rustflags", flags) => {
                    let flags = decoded(flags)?;
                    settings.rustflags.extend(flags.split_whitespace().map(str::to_owned));
                }
                _ => return None,
            }
        }
        Some(settings)
    }
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// The name of a toolchain, which becomes `cargo +NAME`.
fn toolchain(text: &str) -> Option<String> {
    let name = decoded(text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}

/// Why a text is not a lane spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LaneSpecError {
    /// A command without a name, or a name without a command.
    #[error("invalid lane spec `{0}`: expected NAME=COMMAND")]
    Incomplete(String),
    /// The command of a server does not say where it listens.
    #[error(
        "invalid lane spec `{0}`: the command must say where the server listens: expected `{{addr}}`, HOST:PORT, or \
         `{{port}}` in it, as in NAME=serve:./server --listen {{addr}}"
    )]
    Address(String),
    /// The executable of a benchmark.
    #[error(
        "invalid lane spec `{0}`: a benchmark executable takes its own times, and rtswap can only measure a program that \
         works when it is ordered to: make a lane of the function that it calls, in ten lines (docs/own-program.md)"
    )]
    Bench(String),
    /// A command has the name of a lane that ships.
    #[error("invalid lane spec `{spec}`: `{name}` is the name of another lane; choose a new name")]
    NameTaken {
        /// The spec.
        spec: String,
        /// The name.
        name: String,
    },
    /// The part after the question mark sets nothing that is known.
    #[error(
        "invalid lane spec `{0}`: expected NAME?delay_ns=N, nanoseconds, at most {DELAY_NS_MOST}, \
         NAME?cpu_clock=process, NAME@VERSION?toolchain=T or NAME@VERSION?rustflags=FLAGS"
    )]
    Settings(String),
    /// A lane that is not built has settings of a build.
    #[error(
        "invalid lane spec `{0}`: a toolchain and flags need a version to build: NAME@VERSION?toolchain=T"
    )]
    SettingsOfBuild(String),
    /// What follows the `@` is no version.
    #[error("invalid version in `{0}`: {error}", error = rtswap_build::InvalidVersion)]
    Version(String),
    /// The lane is not one of an adapter.
    #[error("`{0}` has no versions: only lanes of runtimes have, as `tokio@1.50.0`")]
    NoVersions(String),
    /// No lane has this name.
    #[error("no lane is called `{name}`{}; `rtswap list` shows all lanes", hint(.nearest.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// The lane with the most similar name, if there is any.
        nearest: Option<String>,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

impl<'a> LaneSpec<'a> {
    /// Parses a spec. The lanes that it may name are those of the registry.
    pub fn parse(registry: &'a Registry, text: &'a str) -> Result<Self, LaneSpecError> {
        // In `tokio?delay_ns=1` the first `=` does not follow a name.
        if let Some((name, command)) = text.split_once('=')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            if name.is_empty() || command.trim().is_empty() {
                return Err(LaneSpecError::Incomplete(text.to_owned()));
            }
            if name == CONTROL || registry.lane(name).is_some() {
                let (spec, name) = (text.to_owned(), name.to_owned());
                return Err(LaneSpecError::NameTaken { spec, name });
            }
            let program = match command.split_once(':') {
                Some(("serve", server)) if server::has_address(server) => Program::Server(server),
                Some(("serve", _)) => return Err(LaneSpecError::Address(text.to_owned())),
                Some(("bench", _)) => return Err(LaneSpecError::Bench(text.to_owned())),
                _ => Program::Command(command),
            };
            return Ok(Self { text, name, program });
        }
        let (base, settings) = match text.split_once('?') {
            None => (text, Some(Settings::default())),
            Some((base, settings)) => (base, Settings::parse(settings)),
        };
        let settings = settings.ok_or_else(|| LaneSpecError::Settings(text.to_owned()))?;
        if let Some((base, version)) = base.split_once('@') {
            let lane = registered(registry, base)?;
            let adapter =
                Adapter::of(lane).ok_or_else(|| LaneSpecError::NoVersions(base.to_owned()))?;
            let version = decoded(version).and_then(|it| it.parse().ok());
            let version = version.ok_or_else(|| LaneSpecError::Version(text.to_owned()))?;
            let program = Program::Versioned { lane, adapter, version, settings };
            return Ok(Self { text, name: text, program });
        }
        if settings.toolchain.is_some() || !settings.rustflags.is_empty() {
            return Err(LaneSpecError::SettingsOfBuild(text.to_owned()));
        }
        let lane = registered(registry, base)?;
        Ok(Self { text, name: text, program: Program::Registered { lane, settings } })
    }

    /// What has to be built before the lane can be started.
    pub fn to_build(&self) -> Option<ToBuild<'a>> {
        let Program::Versioned { lane, adapter, version, settings } = &self.program else {
            return None;
        };
        Some(ToBuild {
            lane: &lane.name,
            adapter,
            version: version.clone(),
            toolchain: settings.toolchain.clone(),
            rustflags: settings.rustflags.clone(),
        })
    }

    /// How to start the lane: this executable, which is the lane or becomes the command. A lane that has to be built
    /// fails until it [is](super::built::build).
    pub fn launch(&self) -> Launch {
        let default = Settings::default();
        let (arguments, settings) = match &self.program {
            Program::Registered { lane, settings } => (vec![lane.name.as_str()], settings),
            Program::Versioned { settings, .. } => {
                (vec!["--failed", "this command does not build lanes"], settings)
            }
            Program::Command(command) => (vec!["--exec", *command], &default),
            Program::Server(command) => (vec!["--serve", *command], &default),
        };
        let program = ["/proc/self/exe", "lane"];
        Launch {
            command: program.into_iter().chain(arguments).map(Into::into).collect(),
            delay_ns: settings.delay_ns,
            process_clock: settings.process_clock,
            one_address: false,
        }
    }

    /// The lane as part of a plan.
    pub fn to_planned(&self) -> PlannedLane {
        let (kind, families) = match &self.program {
            Program::Registered { lane, .. } | Program::Versioned { lane, .. } => {
                (lane.kind, lane.families)
            }
            Program::Command(_) => (Kind::Command, [].as_slice()),
            Program::Server(_) => (Kind::Command, server::FAMILIES),
        };
        let plan = LanePlan {
            name: self.name.to_owned(),
            spec: self.text.to_owned(),
            kind,
            families: families.iter().map(ToString::to_string).collect(),
            ..LanePlan::default()
        };
        PlannedLane { plan, launch: self.launch() }
    }
}

/// The lane of that name.
pub(super) fn registered<'a>(
    registry: &'a Registry,
    name: &str,
) -> Result<&'a Lane, LaneSpecError> {
    registry.lane(name).ok_or_else(|| unknown(registry, name))
}

/// The error for a name that no lane has.
pub(super) fn unknown(registry: &Registry, name: &str) -> LaneSpecError {
    let nearest = registry
        .lanes
        .iter()
        .map(|lane| (strsim::jaro_winkler(name, &lane.name), &lane.name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.clone());
    LaneSpecError::Unknown { name: name.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(spec: &str) -> PlannedLane {
        LaneSpec::parse(&Registry::standard(), spec).unwrap().to_planned()
    }

    fn error(spec: &str) -> LaneSpecError {
        LaneSpec::parse(&Registry::standard(), spec).unwrap_err()
    }

    #[test]
    fn parse_reads_name_delay_and_command() {
        let named = planned("floor-epoll");
        assert_eq!(named.launch.command, ["/proc/self/exe", "lane", "floor-epoll"]);
        assert_eq!((named.plan.kind, named.launch.delay_ns), (Kind::Floor, 0));
        assert!(named.plan.families.contains(&"tcp-echo".to_owned()));

        let delayed = planned("tokio?delay_ns=110");
        assert_eq!(delayed.plan.name, "tokio?delay_ns=110");
        assert_eq!(delayed.launch.command, ["/proc/self/exe", "lane", "tokio"]);
        assert_eq!((delayed.plan.kind, delayed.launch.delay_ns), (Kind::Runtime, 110));

        let by_ticks = planned("tokio?delay_ns=110&cpu_clock=process");
        assert_eq!((by_ticks.launch.delay_ns, by_ticks.launch.process_clock), (110, true));
        assert!(!delayed.launch.process_clock);

        let command = planned("mine=python3 lane.py --a=b?c");
        assert_eq!(command.plan.name, "mine");
        let expected = ["/proc/self/exe", "lane", "--exec", "python3 lane.py --a=b?c"];
        assert_eq!(command.launch.command, expected);
        assert_eq!((command.plan.kind, command.plan.families.len()), (Kind::Command, 0));
    }

    #[test]
    fn parse_reads_server_and_rejects_benchmark() {
        let server = planned("base=serve:./server --listen {addr}");
        assert_eq!(server.plan.name, "base");
        let expected = ["/proc/self/exe", "lane", "--serve", "./server --listen {addr}"];
        assert_eq!(server.launch.command, expected);
        assert_eq!((server.plan.kind, server.plan.families), (Kind::Command, server_families()));
        assert_eq!(planned("base=serve:./server -p {port}").plan.name, "base");
        for spec in ["base=serve:./server", "base=serve:", "base=serve:./server {host}"] {
            assert_eq!(error(spec), LaneSpecError::Address(spec.to_owned()));
        }
        let spec = "base=bench:target/release/deps/bench-1";
        assert_eq!(error(spec), LaneSpecError::Bench(spec.to_owned()));
        // A command of which that is a part is one as ever.
        assert_eq!(planned("mine=./serve:x").launch.command[2], "--exec");
    }

    fn server_families() -> Vec<String> {
        ["tcp-echo", "idle", "churn", "http"].map(str::to_owned).to_vec()
    }

    #[test]
    fn parse_of_recorded_spec_gives_same_lane() {
        for spec in
            ["smol", "tokio?delay_ns=110", "mine=sh -c 'exit 1'", "mine=serve:./server {addr}"]
        {
            let first = planned(spec);
            let again = planned(&first.plan.spec);
            assert_eq!(again.plan, first.plan);
            assert_eq!(again.launch.command, first.launch.command);
            assert_eq!(again.launch.delay_ns, first.launch.delay_ns);
        }
    }

    #[test]
    fn parse_rejects_invalid_specs() {
        for spec in ["mine=", "mine=  ", "=true"] {
            assert_eq!(error(spec), LaneSpecError::Incomplete(spec.to_owned()));
        }
        for name in ["control", "tokio", "uvloop"] {
            let spec = format!("{name}=true");
            let name = name.to_owned();
            assert_eq!(error(&spec), LaneSpecError::NameTaken { spec: spec.clone(), name });
        }
        let delays = ["delay_ns=-1", "delay_ns=1000000001", "delay_ns=1&"];
        for settings in delays.into_iter().chain(["speed=1", "", "cpu_clock=other"]) {
            let spec = format!("tokio?{settings}");
            assert_eq!(error(&spec), LaneSpecError::Settings(spec));
        }
        for spec in ["zzz?delay_ns=1", "zzz", ""] {
            assert!(matches!(error(spec), LaneSpecError::Unknown { nearest: None, .. }), "{spec}");
        }
    }

    #[test]
    fn parse_reads_versions_with_settings() {
        let registry = Registry::standard();
        let to_build = |spec| LaneSpec::parse(&registry, spec).unwrap().to_build();
        let built = to_build("tokio-local@1.50.0?delay_ns=9").unwrap();
        assert_eq!((built.lane, built.adapter.name().as_str()), ("tokio-local", "rtswap-tokio"));
        assert_eq!(built.spec(), "tokio@1.50.0");
        let flags = "smol@2.0.1?toolchain=1.94&rustflags=-Ctarget-cpu=native%20--cfg%20x";
        let built = to_build(flags).unwrap();
        assert_eq!(built.rustflags, ["-Ctarget-cpu=native", "--cfg", "x"]);
        assert_eq!(built.spec(), flags);
        let git = to_build("tokio@git:https://example.org/x#v1").unwrap().version;
        assert_eq!(git.to_string(), "git:https://example.org/x#v1");
        let path = to_build("ntex@path:/a%3Fb").unwrap();
        assert_eq!(
            (path.version.to_string().as_str(), path.adapter.package),
            ("path:/a?b", "ntex-rt")
        );
        assert!(to_build("tokio").is_none() && to_build("mine=a@1.50.0").is_none());
        let planned = planned("tokio-local@1.50.0?delay_ns=9");
        assert_eq!(planned.plan.name, "tokio-local@1.50.0?delay_ns=9");
        assert_eq!((planned.plan.kind, planned.launch.delay_ns), (Kind::Runtime, 9));
    }

    #[test]
    fn parse_rejects_invalid_versions() {
        for version in ["", "1.50", "latest", "git:", "path:", "path:%ff"] {
            let spec = format!("tokio@{version}");
            assert_eq!(error(&spec), LaneSpecError::Version(spec));
        }
        for lane in ["floor-epoll", "native-tokio", "poll-tokio", "uvloop"] {
            let lane = lane.to_owned();
            assert_eq!(error(&format!("{lane}@1.0.0")), LaneSpecError::NoVersions(lane));
        }
        for settings in ["toolchain=", "toolchain=%2Bx", "rustflags=%ff"] {
            let spec = format!("tokio@1.50.0?{settings}");
            assert_eq!(error(&spec), LaneSpecError::Settings(spec));
        }
        for spec in ["tokio?toolchain=1.94", "tokio?rustflags=-Cx"] {
            assert_eq!(error(spec), LaneSpecError::SettingsOfBuild(spec.to_owned()));
        }
        let unknown = error("tokoi@1.50.0").to_string();
        assert!(
            unknown.starts_with("no lane is called `tokoi` (did you mean `tokio`?)"),
            "{unknown}"
        );
        assert_eq!(
            error("tokio@1.50").to_string(),
            "invalid version in `tokio@1.50`: expected 1.50.0, git:REV, git:URL#REV or path:FOLDER"
        );
    }

    #[test]
    fn errors_name_spec_and_remedy() {
        let message = |spec| error(spec).to_string();
        assert_eq!(
            message("tokoi"),
            "no lane is called `tokoi` (did you mean `tokio`?); `rtswap list` shows all lanes"
        );
        assert_eq!(message("zzz"), "no lane is called `zzz`; `rtswap list` shows all lanes");
        assert!(message("mine=").contains("`mine=`: expected NAME=COMMAND"));
        assert!(message("tokio?x").contains("expected NAME?delay_ns=N"));
        assert!(message("smol=true").contains("`smol` is the name of another lane"));
    }
}
