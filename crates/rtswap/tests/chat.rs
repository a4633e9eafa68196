//! The example `chat` under every runtime.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use procfs::process::{FDTarget, Process};
use rtswap::Registry;
use support::{eventually, program};

/// The runtimes that the example names. A new runtime need not be among them.
const RUNTIMES: &[&str] = &[
    "tokio",
    "tokio-local",
    "async-std",
    "smol",
    "smol-local",
    "tokio-uring",
    "monoio",
    "monoio-epoll",
    "compio",
    "compio-poll",
    "glommio",
];

/// How the runtime is named to the example.
#[derive(Clone, Copy)]
enum Named {
    ByArgument,
    ByVariable,
}

const BOTH: [Named; 2] = [Named::ByArgument, Named::ByVariable];

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts the example. Returns its address as well.
    fn start(runtime: &str, named: Named) -> (Self, String) {
        let mut server = Self(chat(runtime, named).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("chatting on ").unwrap().to_owned();
        (server, addr)
    }

    /// Whether the process has an `io_uring` instance.
    fn has_ring(&self) -> bool {
        let process = Process::new(self.0.id().cast_signed()).unwrap();
        process.fd().unwrap().flatten().any(|fd| match fd.target {
            FDTarget::AnonInode(name) => name.contains("io_uring"),
            _ => false,
        })
    }
}

fn chat(runtime: &str, named: Named) -> Command {
    let path = program().with_file_name("examples").join("chat");
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    let mut command = Command::new(path);
    command.env_remove("CHAT_RUNTIME").env_remove("CHAT_ADDR");
    match named {
        Named::ByArgument => command.args([runtime, "127.0.0.1:0"]),
        Named::ByVariable => command.env("CHAT_RUNTIME", runtime).env("CHAT_ADDR", "127.0.0.1:0"),
    };
    command
}

/// A guest of the chat.
struct Guest {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
    name: String,
}

impl Guest {
    fn join(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let name = stream.local_addr().unwrap().to_string();
        Self { stream, lines, name }
    }

    /// The next line, except for the count of guests that the server sends every 10 s.
    fn next_line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            if !line.ends_with(" here\n") {
                return line.trim_end().to_owned();
            }
        }
    }
}

#[test]
fn chat_sends_every_line_to_every_guest_on_each_runtime() {
    let registry = Registry::standard();
    for (&name, &named) in RUNTIMES.iter().zip(BOTH.iter().cycle()) {
        let lane = registry.lane(name).unwrap();
        if let Err(why) = lane.available() {
            // The kernel may forbid io_uring. Every machine has epoll.
            assert_eq!(lane.driver, "io_uring", "{name}: {why}");
            eprintln!("SKIPPED: {name}: {why}");
            continue;
        }
        let (server, addr) = Server::start(name, named);
        let mut ann = Guest::join(&addr);
        assert_eq!(ann.next_line(), format!("* {} comes", ann.name), "{name}");
        let mut bob = Guest::join(&addr);
        let expected = format!("* {} comes", bob.name);
        assert_eq!(ann.next_line(), expected, "{name}");
        assert_eq!(bob.next_line(), expected, "{name}");
        // Two lines in two writes that are split elsewhere: the server splits lines, not reads.
        ann.stream.write_all(b"hel").unwrap();
        ann.stream.write_all(b"lo\nagain\n").unwrap();
        for line in ["hello", "again"] {
            let expected = format!("{}: {line}", ann.name);
            assert_eq!(ann.next_line(), expected, "{name}");
            assert_eq!(bob.next_line(), expected, "{name}");
        }
        assert_eq!(server.has_ring(), lane.driver == "io_uring", "{name} is not in use");
        let expected = format!("* {} goes", bob.name);
        drop(bob);
        assert_eq!(ann.next_line(), expected, "{name}");
    }
}

#[test]
fn chat_rejects_an_unknown_runtime() {
    for named in BOTH {
        let mut chat =
            Server(chat("no-such-runtime", named).stderr(Stdio::piped()).spawn().unwrap());
        // A server that starts in spite of the name would never exit.
        let status = eventually(|| chat.0.try_wait().unwrap()).expect("chat serves");
        let stderr = std::io::read_to_string(chat.0.stderr.take().unwrap()).unwrap();
        assert!(!status.success(), "{stderr}");
        assert!(stderr.contains("unknown runtime `no-such-runtime`"), "{stderr}");
    }
}
