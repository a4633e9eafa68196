//! What cargo prints: the executables that it has built, and why it failed.

use std::path::PathBuf;
use std::process::ExitStatus;

use rtswap_schema::one_line;
use serde::Deserialize;

use crate::BuildError;

/// Lines that an error quotes.
const QUOTED_LINES: usize = 4;
/// The longest quotation, characters.
const QUOTED_CHARS: usize = 600;

/// One message of `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The path of the executable that is called `name`.
pub(super) fn executable(lines: &[String], name: &str) -> Option<PathBuf> {
    let messages = lines.iter().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut named = messages.filter(|it| it.target.as_ref().is_some_and(|it| it.name == name));
    named.find_map(|message| message.executable)
}

/// How cargo failed.
pub(super) struct Failure<'a> {
    pub status: ExitStatus,
    /// Its last lines on standard error.
    pub lines: &'a [String],
    /// Whether the environment forbids the network.
    pub offline: bool,
}

/// Parts of messages that mean that something cannot be reached.
const UNREACHABLE: [&str; 7] = [
    "download of config.json failed",
    "failed to download",
    "failed to fetch",
    "network failure seems to have happened",
    "failed to query replaced source",
    "Could not resolve host",
    "Could not connect to server",
];

impl From<Failure<'_>> for BuildError {
    fn from(failure: Failure<'_>) -> Self {
        let has = |part: &str| failure.lines.iter().any(|line| line.contains(part));
        if let Some(error) = no_version(failure.lines) {
            return error;
        }
        let last = last_lines(failure.lines);
        // A compiler that fails has nothing to do with the network.
        let is_resolving = !has("could not compile");
        if has("No space left on device") {
            Self::NoSpace { last }
        } else if is_resolving && (failure.offline || has("--offline")) {
            Self::Offline { last }
        } else if is_resolving && UNREACHABLE.iter().any(|part| has(part)) {
            Self::NoNetwork { last }
        } else {
            Self::Cargo { status: failure.status, last }
        }
    }
}

/// The error for a version that is not published: cargo names the requirement, and versions that do not match.
fn no_version(lines: &[String]) -> Option<BuildError> {
    let after = |part: &str| lines.iter().find_map(|line| Some(line.split_once(part)?.1));
    let requirement = after("failed to select a version for the requirement `")?;
    let (package, rest) = requirement.split_once(" = \"=")?;
    let (version, _) = rest.split_once('"')?;
    let candidates = after("candidate versions found which didn't match: ");
    let candidates = candidates.unwrap_or_default().split(", ").filter(|it| !it.is_empty());
    Some(BuildError::NoVersion {
        package: package.to_owned(),
        version: version.to_owned(),
        candidates: candidates.map(one_line).collect(),
    })
}

/// The lines that say why, on one line: errors, if there are any, and otherwise the last.
fn last_lines(lines: &[String]) -> String {
    let shown = |line: &&String| !line.trim().is_empty();
    let is_error = |line: &&String| line.starts_with("error");
    let errors: Vec<_> = lines.iter().filter(is_error).collect();
    let chosen: Vec<_> = if errors.is_empty() {
        let all: Vec<_> = lines.iter().filter(shown).collect();
        all[all.len().saturating_sub(QUOTED_LINES)..].to_vec()
    } else if errors.len() == 1 {
        // What follows the one error are its causes.
        let begin = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
        lines[begin..].iter().filter(shown).take(2 * QUOTED_LINES).collect()
    } else {
        // The first of the compiler's errors, and that it could not compile.
        let (first, last) = errors.split_at(errors.len() - 1);
        first.iter().take(QUOTED_LINES - 1).chain(last).copied().collect()
    };
    let chosen: Vec<_> = chosen.into_iter().map(|line| one_line(line)).collect();
    let text = chosen.join(" | ");
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn failure(text: &str, offline: bool) -> BuildError {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Failure { status: ExitStatus::from_raw(101 << 8), lines: &lines, offline }.into()
    }

    #[test]
    fn failure_names_version_that_does_not_exist() {
        let text = "    Updating crates.io index\n\
            error: failed to select a version for the requirement `tokio = \"=1.99.0\"`\n\
            candidate versions found which didn't match: 1.54.1, 1.53.3, ...\n\
            location searched: crates.io index";
        let error = failure(text, false);
        assert!(error.is_of_lane());
        assert_eq!(error.to_string(), "there is no tokio 1.99.0; there are 1.54.1, 1.53.3, ...");
    }

    #[test]
    fn failure_tells_network_from_offline_and_compiler() {
        let unreachable = "error: failed to get `rustix` as a dependency of package `x`\n\nCaused by:\n  \
            download of config.json failed";
        let error = failure(unreachable, false);
        assert!(matches!(error, BuildError::NoNetwork { .. }), "{error}");
        let error = failure("error: failed to select a version for `tokio`.", true).to_string();
        assert!(error.starts_with("cargo is offline") && error.contains("CARGO_NET_OFFLINE"));
        let compiler = "error[E0432]: unresolved import `tokio::x`\n --> src/lib.rs:1:5\n  |\n\
            error[E0433]: y\nerror: could not compile `rtswap-tokio` (lib) due to 2 previous errors";
        let error = failure(compiler, true).to_string();
        assert_eq!(
            error,
            "cargo failed (exit status: 101): error[E0432]: unresolved import `tokio::x` | error[E0433]: y | error: \
             could not compile `rtswap-tokio` (lib) due to 2 previous errors"
        );
    }

    #[test]
    fn failure_names_full_disk_with_remedy() {
        let text =
            "error: failed to write `/x/y`\n\nCaused by:\n  No space left on device (os error 28)";
        let error = failure(text, false).to_string();
        assert!(error.contains("rtswap lanes clean --all") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn last_lines_are_short_and_without_control_characters() {
        let lines: Vec<_> = (0..9).map(|n| format!("line {n}\u{1b}")).collect();
        assert_eq!(last_lines(&lines), "line 5 | line 6 | line 7 | line 8");
        assert_eq!(last_lines(&["x".repeat(2000)]).chars().count(), QUOTED_CHARS + 1);
        assert_eq!(last_lines(&[]), "");
    }

    #[test]
    fn executable_is_that_of_the_name() {
        let lines = [
            r#"{"reason":"compiler-artifact","target":{"name":"tokio"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"lane"},"executable":"/t/lane"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ];
        let lines = lines.map(str::to_owned);
        assert_eq!(executable(&lines, "lane"), Some("/t/lane".into()));
        assert_eq!(executable(&lines, "tokio"), None);
    }
}
