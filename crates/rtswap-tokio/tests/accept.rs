//! Servers outlive a lack of descriptors. The limit holds for a process: each server has one of its own.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rtswap_lane::Prepare;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Fewer than the clients that connect.
const DESCRIPTORS: u64 = 40;
const CLIENTS: usize = 60;
const LANE: &str = "RTSWAP_TEST_ACCEPT_LANE";
const MARK: &str = "listening on ";

#[test]
#[ignore = "the server's side of the other tests"]
fn serve() {
    let Ok(name) = env::var(LANE) else { return };
    let (name, workload) = name.split_once('=').expect("a lane and a workload");
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, limit).expect("a limit may be lowered");
    let lanes = rtswap_tokio::lanes();
    let lane = lanes.iter().find(|lane| lane.name == name).expect("a lane of tokio's");
    let order = Prepare { workload: workload.to_owned(), cpus: vec![0], ..Prepare::default() };
    let end = lane.serve(&order, |ready| {
        println!("{MARK}{}", ready.addr.expect("it is served"));
    });
    panic!("the server ended: {end:?}");
}

struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(lane: &str, workload: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "serve", "--ignored", "--nocapture"])
            .env(LANE, format!("{lane}={workload}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines.map_while(Result::ok).find_map(|line| {
            let (_, addr) = line.split_once(MARK)?;
            addr.parse().ok()
        });
        Self { child, addr: addr.expect("the server's address") }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More clients than descriptors: those that wait are served once the others have left.
fn outlives_exhaustion(lane: &str, workload: &str, request: &[u8], answer: &[u8]) {
    let server = Server::start(lane, workload);
    let mut first: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    let waiting = first.split_off(20);
    let serves = |mut stream: &TcpStream| {
        stream.write_all(request).unwrap();
        let mut begin = vec![0; answer.len()];
        stream.read_exact(&mut begin).unwrap_or_else(|error| panic!("{lane}: {error}"));
        assert_eq!(begin, answer, "{lane}");
    };
    first.iter().for_each(serves);
    drop(first);
    // Each that is served and dropped makes room for one.
    for stream in waiting {
        serves(&stream);
    }
    serves(&server.connect());
}

#[test]
fn echo_outlives_exhausted_descriptors() {
    for lane in ["tokio", "native-tokio", "poll-tokio"] {
        outlives_exhaustion(lane, "tcp-echo/conns=1", b"hello", b"hello");
    }
}

#[test]
fn idle_without_buffers_outlives_exhausted_descriptors() {
    outlives_exhaustion("tokio", "idle/conns=1/buffer=none", b"hello", b"hello");
}

#[test]
#[cfg(feature = "apps")]
fn http_outlives_exhausted_descriptors() {
    let request = b"GET /plaintext HTTP/1.1\r\nhost: test\r\n\r\n";
    outlives_exhaustion("tokio", "http", request, b"HTTP/1.1 200 OK");
}
