//! A floor in a process of its own, so that its descriptors and its memory are its own.
#![allow(dead_code, reason = "no test uses all of it")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_floor::{FLOORS, Floor};
use rtswap_lane::Prepare;
use rtswap_lane::host::Work;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Long enough for any machine; reached only by a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

const NAME: &str = "FLOOR_NAME";
const WORKLOAD: &str = "FLOOR_WORKLOAD";
const CPUS: &str = "FLOOR_CPUS";
const FILES: &str = "FLOOR_FILES";

/// What the process does that [`Serving::start`] starts. Every test binary has a test that calls it.
pub fn serve() {
    let told = |name| env::var(name).expect("started by a test");
    if let Ok(files) = env::var(FILES) {
        let limit = Some(files.parse().unwrap());
        setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    }
    let floor = floor(&told(NAME));
    let cpus = (0..told(CPUS).parse().unwrap()).collect();
    let order = Prepare { workload: told(WORKLOAD), cpus, ..Prepare::default() };
    let program = (floor.prepare)(&order).unwrap();
    let Work::Served(server) = &program.work else { panic!("a floor is served") };
    let addrs: Vec<_> = server.addrs().iter().map(ToString::to_string).collect();
    println!("\nlistening {} {}", addrs.join(","), program.info.shards);
    // Until the test has ended, in whatever way.
    let _ = stdin().read(&mut [0]);
    process::exit(0);
}

pub fn floor(name: &str) -> &'static Floor {
    FLOORS.iter().find(|floor| floor.name == name).unwrap()
}

/// A floor that serves.
pub struct Serving {
    child: Child,
    addrs: Vec<SocketAddr>,
    /// Connections opened so far.
    opened: AtomicUsize,
    pub shards: usize,
}

impl Serving {
    pub fn start(floor: &Floor, workload: &str, cpus: usize, files: Option<u64>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "serve_as_told", "--nocapture"]);
        command.env(NAME, floor.name).env(WORKLOAD, workload).env(CPUS, cpus.to_string());
        command.envs(files.map(|files| (FILES, files.to_string())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let line =
            lines.find_map(|line| Some(line.unwrap().strip_prefix("listening ")?.to_owned()));
        let line = line.unwrap_or_else(|| panic!("{} does not start", floor.name));
        let (addrs, shards) = line.split_once(' ').unwrap();
        let addrs = addrs.split(',').map(|addr| addr.parse().unwrap()).collect();
        let (shards, opened) = (shards.parse().unwrap(), AtomicUsize::new(0));
        Self { child, addrs, opened, shards }
    }

    /// Connects to each address in turn.
    pub fn connect(&self) -> TcpStream {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        let stream = TcpStream::connect(self.addrs[turn % self.addrs.len()]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// A figure of `/proc/PID/status`: `VmRSS`, in KiB, or `Threads`.
    pub fn status(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Whether a thread of it runs, or would if it had a CPU. Time used would say less on a busy
    /// machine, where also a thread that spins gets little.
    pub fn runs(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stats =
            threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
        stats.into_iter().any(|stat| stat.rsplit(") ").next().is_some_and(|it| it.starts_with('R')))
    }

    /// Waits until it has no more descriptors than that.
    pub fn settles_at(&self, most: usize) {
        let start = Instant::now();
        while self.descriptors() > most {
            assert!(start.elapsed() < PATIENCE, "{} descriptors, not {most}", self.descriptors());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Calls it for every floor that this machine allows.
pub fn for_each(test: impl Fn(&'static Floor)) {
    for floor in FLOORS {
        match (floor.available)() {
            Ok(()) => {
                println!("{}", floor.name);
                test(floor);
            }
            Err(error) => println!("{} skipped: {error}", floor.name),
        }
    }
}

/// Bytes that tell their place and their message apart.
pub fn content(len: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed as u64 | 1);
        bytes.extend_from_slice(&(state ^ state >> 32).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Sends a message while another thread reads it back and compares.
pub fn round_trip(stream: &mut TcpStream, message: &[u8]) {
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut back = vec![0; message.len()];
            reader.read_exact(&mut back).unwrap();
            assert!(back == message, "{} bytes came back different", message.len());
        });
        stream.write_all(message).unwrap();
    });
}

/// Tests open many connections.
pub fn raise_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
