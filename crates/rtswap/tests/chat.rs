//! The example, unchanged, under every runtime.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rtswap::Registry;

/// Those that the example knows: a new one need not be among them.
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

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn example() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_rtswap")).with_file_name("examples").join("chat");
    assert!(path.exists(), "{} is missing: `cargo build --examples`", path.display());
    path
}

fn join(addr: &str) -> (TcpStream, impl FnMut() -> String + use<>) {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let next = move || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    (stream, next)
}

/// Starts the example; half of the times the runtime is named by the variable.
fn chat(runtime: &str, by_variable: bool) -> Server {
    let mut command = Command::new(example());
    let command = if by_variable {
        // An empty first argument would be a name; the variable counts only without any.
        command.env("CHAT_RUNTIME", runtime).env("CHAT_ADDR", "127.0.0.1:0")
    } else {
        command.args([runtime, "127.0.0.1:0"])
    };
    Server(command.stdout(Stdio::piped()).spawn().unwrap())
}

#[test]
fn two_guests_chat_whatever_the_runtime() {
    let registry = Registry::standard();
    let known = RUNTIMES.iter().map(|name| registry.lane(name).unwrap());
    for (lane, by_variable) in known.zip([true, false].iter().cycle()) {
        if let Err(why) = (lane.available)() {
            eprintln!("{} cannot run here: {why}", lane.name);
            continue;
        }
        let mut server = chat(&lane.name, *by_variable);
        let mut said = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let addr = said.trim().strip_prefix("chatting on ").unwrap();

        let (mut ann, mut ann_hears) = join(addr);
        assert!(ann_hears().ends_with("comes"), "{}", lane.name);
        let (bob, mut bob_hears) = join(addr);
        assert!(ann_hears().ends_with("comes") && bob_hears().ends_with("comes"));
        // In two pieces, and two lines in one: the server cuts lines, not reads.
        ann.write_all(b"hel").unwrap();
        ann.write_all(b"lo\nagain\n").unwrap();
        for line in ["hello", "again"] {
            let expected = format!("{}: {line}", ann.local_addr().unwrap());
            assert_eq!((ann_hears(), bob_hears()), (expected.clone(), expected), "{}", lane.name);
        }
        let left = format!("* {} goes", bob.local_addr().unwrap());
        drop((bob, bob_hears));
        assert_eq!(ann_hears(), left, "{}", lane.name);
    }
}
