//! Each check in a process of its own: the test executable, started again for one test.

use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_runtime::Runtime;

use crate::Subject;

/// Holds the path of the one test that a child is to run itself.
const CHILD: &str = "RTSWAP_CONFORMANCE_CHILD";

/// Allows CI to skip tests of runtimes that are not available.
const ALLOW_UNAVAILABLE: &str = "RTSWAP_ALLOW_UNAVAILABLE";

/// Longer than any check takes on the slowest machine: what is not over by then hangs.
const LIMIT: Duration = Duration::from_mins(1);

enum Outcome {
    /// This process is the child, and the body has returned.
    InChild,
    Passed,
    /// What the child printed.
    Failed(String),
    Hung(String),
}

/// Runs `check` in a process of its own and panics with what it printed if it fails, or if it is not
/// over after a minute. `path` is `module_path!()` and the name of the calling test.
///
/// Where the runtime is not available, says so and passes. If the environment variable `CI` is set, it panics
/// instead, unless `RTSWAP_ALLOW_UNAVAILABLE` is set, too.
pub fn isolated<R: Runtime>(path: &str, subject: &Subject<R>, check: fn(&Subject<R>)) {
    if let Err(error) = subject.runtime.available() {
        assert!(
            !is_set("CI") || is_set(ALLOW_UNAVAILABLE),
            "{path}: the runtime is not available, and CI skips no test: {error}\n\
             Set {ALLOW_UNAVAILABLE}=1 to skip the tests of unavailable runtimes."
        );
        eprintln!("{path}: skipped: {error}");
        return;
    }
    match outcome(path, LIMIT, || check(subject)) {
        Outcome::InChild | Outcome::Passed => {}
        Outcome::Failed(printed) => panic!("{path} does not hold:\n{printed}"),
        Outcome::Hung(printed) => {
            panic!("{path} hangs: killed after {} s:\n{printed}", LIMIT.as_secs())
        }
    }
}

/// Whether an environment variable has a value, if only `0`.
fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The opposite of [`isolated`], to prove that a check can fail: panics unless `check` fails and
/// says `because`.
pub fn caught(path: &str, because: &str, check: impl FnOnce()) {
    match outcome(path, LIMIT, check) {
        Outcome::InChild => {}
        Outcome::Passed => panic!("{path}: the check does not notice"),
        Outcome::Failed(printed) | Outcome::Hung(printed) => {
            assert!(printed.contains(because), "{path}: no word of {because:?} in:\n{printed}");
        }
    }
}

fn outcome(path: &str, limit: Duration, body: impl FnOnce()) -> Outcome {
    if env::var(CHILD).is_ok_and(|child| child == path) {
        body();
        return Outcome::InChild;
    }
    // The harness names a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut child = Command::new(env::current_exe().expect("the path of the test executable"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test executable starts again");
    let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
    let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
    let passed = wait(&mut child, limit);
    let printed = stdout.join().expect("a reader") + &stderr.join().expect("a reader");
    match passed {
        // A name that matches no test passes, too.
        Some(true) if printed.contains("1 passed") => Outcome::Passed,
        Some(_) => Outcome::Failed(printed),
        None => Outcome::Hung(printed),
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe is readable");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Whether the child succeeded; `None` if it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Option<bool> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status.success());
        }
        if start.elapsed() > limit {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_killed_and_what_it_printed_is_kept() {
        let path = concat!(module_path!(), "::what_hangs_is_killed_and_what_it_printed_is_kept");
        let outcome = outcome(path, Duration::from_secs(2), || {
            println!("so far");
            thread::sleep(Duration::from_mins(10));
        });
        assert!(matches!(outcome, Outcome::Hung(printed) if printed.contains("so far")));
    }
}
