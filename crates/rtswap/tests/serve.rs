//! `rtswap serve`: any client may use any lane.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use procfs::process::Process;
use rustix::process::Signal;
use serde_json::Value;
use support::{Case, Running, assert_one_line, eventually, json, rtswap};

/// Lanes that work on this machine and echo.
fn lanes() -> Vec<String> {
    let echoes = |lane: &&Value| {
        let families = lane["families"].as_array();
        families.is_none_or(|families| families.iter().any(|family| family == "tcp-echo"))
    };
    let listing = json(&rtswap().args(["list", "--format", "json"]).unwrap().stdout);
    let lanes = listing["lanes"].as_array().unwrap();
    let usable = lanes.iter().filter(|lane| lane["available"] == true).filter(echoes);
    usable.map(|lane| lane["name"].as_str().unwrap().to_owned()).collect()
}

/// Serves on a free port, which is printed.
fn serve(case: &Case, lane: &str, more: &[&str]) -> (Running, SocketAddr) {
    serve_workload(case, lane, "tcp-echo", more)
}

fn serve_workload(case: &Case, lane: &str, workload: &str, more: &[&str]) -> (Running, SocketAddr) {
    let args = ["serve", "--lane", lane, "--workload", workload, "--addr", "127.0.0.1:0"];
    let mut server = case.spawn(&[&args, more].concat());
    let mut line = String::new();
    BufReader::new(server.stdout()).read_line(&mut line).unwrap();
    let addr = line.split_whitespace().last().and_then(|addr| addr.parse().ok());
    (server, addr.unwrap_or_else(|| panic!("no address in {line:?}")))
}

fn echoes(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

#[test]
fn every_lane_echoes_to_python_client() {
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/echo_client.py");
    let lanes = lanes();
    assert!(lanes.len() >= 5, "few lanes work here: {lanes:?}");
    for lane in lanes {
        let case = Case::new();
        let (_server, addr) = serve(&case, &lane, &[]);
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let done = Command::new("python3").args([client, &host, &port]).output();
        let done = done.expect("this test needs python3 on the PATH: apt-get install python3");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{lane}: {stderr}");
        assert_eq!(done.stdout, b"56 messages came back\n", "{lane}");
    }
}

#[test]
fn signal_ends_server_and_frees_port() {
    // One with workers, one with shards, and one that has a ring.
    for (lane, signal) in
        [("tokio", Signal::INT), ("smol-local", Signal::TERM), ("tokio-uring", Signal::INT)]
    {
        if !lanes().iter().any(|usable| usable == lane) {
            continue;
        }
        let case = Case::new();
        let (server, addr) = serve(&case, lane, &[]);
        echoes(addr);
        server.signal(signal);
        let (status, stderr) = server.wait();
        let ended = status.signal() == Some(signal.as_raw()) || status.code() == Some(130);
        assert!(ended, "{lane}: {status}");
        assert_eq!(stderr, "");
        // The kernel takes a ring down a moment after its process.
        let free = eventually(|| TcpListener::bind(addr).ok());
        assert!(free.is_some(), "{lane} has left {addr} taken");
        case.assert_nothing_left();
    }
}

#[test]
fn port_in_use_is_rejected() {
    let case = Case::new();
    let ours = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_server, theirs) = serve(&case, "tokio-local", &[]);
    for addr in [ours.local_addr().unwrap(), theirs] {
        for lane in ["tokio", "tokio-local", "smol-local"] {
            let args = ["serve", "--lane", lane, "--addr", &addr.to_string()];
            let done = case.rtswap().args(args).assert().code(1);
            let output = done.get_output();
            assert!(output.stdout.is_empty());
            let stderr = String::from_utf8(output.stderr.clone()).unwrap();
            let error = assert_one_line(&stderr);
            let addr = addr.to_string();
            assert!(error.contains(&addr) && error.contains("Address already in use"), "{error}");
        }
    }
    echoes(theirs);
}

#[test]
fn server_threads_stay_on_given_cpus() {
    let case = Case::new();
    let cpu = allowed(&Process::myself().unwrap()).first().unwrap().to_string();
    for lane in ["tokio", "smol", "tokio-local"] {
        let (server, addr) = serve(&case, lane, &["--cpus", &cpu]);
        echoes(addr);
        let process = Process::new(server.id()).unwrap();
        let found = allowed(&process);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [cpu.parse::<u32>().unwrap()], "{lane}");
    }
}

/// CPUs that any thread of a process may use.
fn allowed(process: &Process) -> BTreeSet<u32> {
    let threads = process.tasks().unwrap().flatten();
    let lists = threads.filter_map(|thread| thread.status().ok()?.cpus_allowed_list);
    lists.flatten().flat_map(|(first, last)| first..=last).collect()
}

#[test]
fn server_survives_closed_stdout() {
    let case = Case::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = ["serve", "--lane", "tokio-local", "--addr", &free.to_string()];
    let mut server = case.spawn(&args);
    drop(server.stdout());
    eventually(|| TcpStream::connect(free).ok()).expect("it serves");
    echoes(free);
}

#[test]
fn http_is_served_by_runtimes_only() {
    let case = Case::new();
    for lane in ["tokio", "smol-local"] {
        let (_server, addr) = serve_workload(&case, lane, "http/body=json", &[]);
        let mut stream = TcpStream::connect(addr).unwrap();
        let request = "GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{lane}: {answer}");
        assert!(answer.ends_with("\r\n\r\n{\"message\":\"Hello, World!\"}"), "{lane}: {answer}");
    }
    for lane in ["floor-epoll", "native-tokio"] {
        let args = ["serve", "--lane", lane, "--workload", "http"];
        let done = case.rtswap().args(args).assert().code(1);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert!(assert_one_line(&stderr).contains("`http`"), "{stderr}");
    }
}
