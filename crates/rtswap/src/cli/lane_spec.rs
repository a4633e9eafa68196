//! Lane specs: how a lane is asked for on the command line, and kept in the plan of a record.

use rtswap_harness::lane::{Launch, PlannedLane};
use rtswap_harness::record::{Kind, LanePlan};

use crate::Registry;
use rtswap_lane::Lane;

/// The name of the control lane.
pub(super) const CONTROL: &str = "control";

/// The longest delay of an operation, nanoseconds.
const DELAY_NS_MOST: u64 = 1_000_000_000;

/// One lane as it is asked for: a name (`tokio`), a name with a delay (`tokio?delay_ns=110`), or a command
/// (`mine=COMMAND`).
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
    /// A command, which the shell reads.
    Command(&'a str),
}

/// What the part of a spec after the question mark sets: `delay_ns=110&cpu_clock=process`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settings {
    /// CPU time to burn in each operation, nanoseconds.
    delay_ns: u64,
    /// Whether CPU time is read from the clock of the process although perf is allowed.
    process_clock: bool,
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
                _ => return None,
            }
        }
        Some(settings)
    }
}

/// Why a text is not a lane spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LaneSpecError {
    /// A command without a name, or a name without a command.
    #[error("invalid lane spec `{0}`: expected NAME=COMMAND")]
    Incomplete(String),
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
        "invalid lane spec `{0}`: expected NAME?delay_ns=N, nanoseconds, at most {DELAY_NS_MOST}, or \
         NAME?cpu_clock=process"
    )]
    Settings(String),
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
            return Ok(Self { text, name, program: Program::Command(command) });
        }
        let (base, settings) = match text.split_once('?') {
            None => (text, Some(Settings::default())),
            Some((base, settings)) => (base, Settings::parse(settings)),
        };
        let settings = settings.ok_or_else(|| LaneSpecError::Settings(text.to_owned()))?;
        let lane = registered(registry, base)?;
        Ok(Self { text, name: text, program: Program::Registered { lane, settings } })
    }

    /// How to start the lane: this executable, which is the lane or becomes the command.
    pub fn launch(&self) -> Launch {
        let (arguments, settings) = match self.program {
            Program::Registered { lane, settings } => (vec![lane.name.as_str()], settings),
            Program::Command(command) => (vec!["--exec", command], Settings::default()),
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
        let (kind, families) = match self.program {
            Program::Registered { lane, .. } => (lane.kind, lane.families),
            Program::Command(_) => (Kind::Command, &[][..]),
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
    fn parse_of_recorded_spec_gives_same_lane() {
        for spec in ["smol", "tokio?delay_ns=110", "mine=sh -c 'exit 1'"] {
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
