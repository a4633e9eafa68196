//! An echo client in C, compiled at the start: a closed loop, or a rate.

use std::fs;

use rtswap_report::format::one_line;
use serde::Deserialize;

use super::{BOTH, Count, Foreign, Probe, Program, Task};

const SOURCE: &str = include_str!("../echo.c");

/// The line that it prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    messages: u64,
    seconds: f64,
    p50_ns: f64,
    p90_ns: f64,
    p99_ns: f64,
    p999_ns: f64,
}

pub(super) fn find(probe: &Probe<'_>) -> Result<Program, String> {
    let (source, program) = (probe.folder.join("echo.c"), probe.folder.join("echo"));
    let cannot = |error| format!("cannot write {}: {error}", source.display());
    fs::write(&source, SOURCE).map_err(cannot)?;
    let (source, path) = (source.display().to_string(), program.display().to_string());
    let printed = probe
        .printed(&["cc", "-O2", "-o", &path, &source])
        .ok_or("install a C compiler: `apt install gcc libc6-dev`")?;
    if !program.exists() {
        let printed: String = one_line(&printed).chars().take(300).collect();
        return Err(format!("`cc` fails; `apt install gcc libc6-dev` may help: {printed}"));
    }
    if !probe.printed(&[&path]).is_some_and(|usage| usage.starts_with("usage: echo ")) {
        return Err(format!("{path} cannot be run: set TMPDIR to a folder of executables"));
    }
    let version = probe.printed(&["cc", "--version"]).unwrap_or_default();
    let version = version.lines().next().unwrap_or_default();
    let version = format!("echo.c, compiled by {version}");
    Ok(Program { client: Foreign::Echo, path, version, loads: BOTH })
}

pub(super) fn command(path: &str, task: &Task<'_>) -> Vec<String> {
    vec![
        path.to_owned(),
        task.addr.ip().to_string(),
        task.addr.port().to_string(),
        task.conns.to_string(),
        task.size.to_string(),
        task.seconds.to_string(),
        task.rate_per_s.unwrap_or_default().to_string(),
    ]
}

pub(super) fn parse(printed: &str) -> Result<Count, String> {
    let printed: Printed = serde_json::from_str(printed)
        .map_err(|error| format!("its output is not the expected JSON ({error})"))?;
    Ok(Count {
        ops: printed.messages,
        ops_per_s: printed.messages as f64 / printed.seconds,
        p50_ns: Some(printed.p50_ns),
        p90_ns: Some(printed.p90_ns),
        p99_ns: Some(printed.p99_ns),
        p999_ns: Some(printed.p999_ns),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};
    use std::thread;

    use super::super::tests::task;
    use super::*;

    /// The compiled program; `None`, with a line, without a compiler.
    fn compiled(folder: &Path) -> Option<PathBuf> {
        let (source, program) = (folder.join("echo.c"), folder.join("echo"));
        fs::write(&source, SOURCE).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(&source);
        let Ok(done) = cc.output() else {
            assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
            note!("SKIPPED: the echo client: no cc: apt install gcc libc6-dev");
            return None;
        };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(program)
    }

    /// A server that answers with what `answer` makes of the bytes it reads, on any number of connections.
    fn server(answer: fn(&mut Vec<u8>)) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(n @ 1..) = stream.read(&mut buffer) {
                        let mut bytes = buffer[..n].to_vec();
                        answer(&mut bytes);
                        if stream.write_all(&bytes).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        addr
    }

    fn run(program: &Path, addr: SocketAddr, size: u64, rate: Option<f64>) -> Output {
        let task = Task { addr, size, conns: 4, seconds: 1, ..task(rate) };
        let words = command(program.to_str().unwrap(), &task);
        Command::new(&words[0]).args(&words[1..]).output().unwrap()
    }

    #[test]
    fn echo_counts_messages_of_closed_loop_and_rate() {
        let folder = tempfile::tempdir().unwrap();
        let Some(program) = compiled(folder.path()) else { return };
        let addr = server(|_| {});
        for size in [1, 1024, 300_000] {
            let done = run(&program, addr, size, None);
            let count = parse(std::str::from_utf8(&done.stdout).unwrap()).unwrap();
            assert!(count.ops >= 4 && count.p50_ns <= count.p999_ns, "{done:?}");
        }
        let done = run(&program, addr, 1024, Some(500.0));
        let count = parse(std::str::from_utf8(&done.stdout).unwrap()).unwrap();
        assert_eq!(count.ops, 500, "{done:?}");
    }

    #[test]
    fn echo_rejects_other_bytes_more_bytes_and_closed_connection() {
        type Case = (fn(&mut Vec<u8>), &'static str);
        let folder = tempfile::tempdir().unwrap();
        let Some(program) = compiled(folder.path()) else { return };
        let cases: [Case; 2] = [
            (|bytes| *bytes.last_mut().unwrap() ^= 1, "other bytes than were sent"),
            (|bytes| bytes.push(0), "more bytes than were sent"),
        ];
        for (answer, expected) in cases {
            let done = run(&program, server(answer), 1024, None);
            assert_eq!(done.status.code(), Some(3), "{done:?}");
            assert!(String::from_utf8_lossy(&done.stderr).contains(expected), "{done:?}");
        }
        let closing = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = closing.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in closing.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
            }
        });
        let done = run(&program, addr, 1024, None);
        assert!(!done.status.success() && done.stdout.is_empty(), "{done:?}");
    }

    #[test]
    fn parse_reads_recorded_output() {
        let printed = "{\"messages\":40000,\"seconds\":2.000036,\"p50_ns\":86016,\"p90_ns\":109568,\
                       \"p99_ns\":177152,\"p999_ns\":1228800}\n";
        let count = parse(printed).unwrap();
        assert_eq!((count.ops, count.p99_ns), (40_000, Some(177_152.0)));
        assert!((count.ops_per_s - 19_999.64).abs() < 0.01);
        assert!(parse("").is_err() && parse("{\"messages\":1}").is_err());
    }

    #[test]
    fn command_has_rate_zero_for_closed_loop() {
        let line = |rate| command("echo", &task(rate)).join(" ");
        assert_eq!(line(None), "echo 127.0.0.1 7000 32 1024 2 0");
        assert_eq!(line(Some(20_000.0)), "echo 127.0.0.1 7000 32 1024 2 20000");
    }
}
