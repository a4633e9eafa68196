//! The lanes do what they are ordered: they serve, do slices and refuse what they have not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rtswap_lane::host::{Program, Work};
use rtswap_lane::{Lane, Prepare, Refusal};
use rtswap_ntex::lanes;

fn prepare(lane: &Lane, workload: &str) -> Result<Program, Refusal> {
    let order = Prepare { workload: workload.to_owned(), cpus: vec![0], ..Prepare::default() };
    lane.prepare(&order)
}

/// The lanes that this machine allows.
fn available() -> impl Iterator<Item = Lane> {
    lanes().into_iter().filter(|lane| lane.available().is_ok())
}

#[test]
fn lanes_name_their_versions_drivers_and_workloads() {
    let lanes = lanes();
    assert_eq!(lanes.len(), 2);
    for lane in &lanes {
        assert!(lane.version.starts_with("3."), "{}", lane.version);
        assert!(!lane.in_default);
        assert!(lane.families.contains(&"startup") && !lane.families.contains(&"http"));
    }
    assert_eq!((lanes[0].driver, lanes[1].driver), ("io_uring", "epoll"));
}

#[test]
fn info_has_the_driver_and_its_package() {
    for lane in available() {
        for family in lane.families {
            let info = prepare(&lane, family).unwrap().info;
            assert_eq!((info.runtime.as_str(), info.driver.as_str()), ("ntex-rt", lane.driver));
            assert!(info.notes["driver_package"].starts_with("ntex-net 3."), "{:?}", info.notes);
        }
    }
}

#[test]
fn workloads_without_a_program_are_unsupported() {
    for lane in available() {
        for workload in ["file", "idle/buffer=none", "tcp-echo/buffer=exact"] {
            let refusal = prepare(&lane, workload).unwrap_err();
            assert!(matches!(refusal, Refusal::Unsupported(_)), "{workload}: {refusal:?}");
        }
    }
}

#[test]
fn slices_do_work_that_is_checked() {
    for lane in available() {
        let workloads =
            ["spawn/tasks=100", "yield/tasks=10", "channel/pairs=10", "sleep/tasks=50/ms=1"];
        for workload in workloads.into_iter().chain(["startup"]) {
            let Work::Driven(mut slice) = prepare(&lane, workload).unwrap().work else {
                panic!("{workload} is driven")
            };
            // On a busy machine a slice may be over before its task has had a turn.
            let slices = (0..500).map(|_| slice(Duration::from_millis(20), None).unwrap().ops);
            assert_eq!(slices.filter(|ops| *ops > 0).take(3).count(), 3, "{workload}");
        }
    }
}

#[test]
fn what_is_sent_comes_back() {
    for lane in available() {
        let Work::Served(server) = prepare(&lane, "tcp-echo/size=1024/conns=32").unwrap().work
        else {
            panic!("an echo is served")
        };
        let addr = server.addrs()[0];
        thread::scope(|scope| {
            for number in 0..32_u8 {
                scope.spawn(move || {
                    let sent: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8 ^ number).collect();
                    let mut stream = TcpStream::connect(addr).unwrap();
                    let mut reader = stream.try_clone().unwrap();
                    let mut back = vec![0; sent.len()];
                    thread::scope(|scope| {
                        scope.spawn(|| stream.write_all(&sent).unwrap());
                        reader.read_exact(&mut back).unwrap();
                    });
                    assert!(back == sent);
                });
            }
        });
    }
}
