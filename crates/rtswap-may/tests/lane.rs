//! The lane does what it is ordered: it serves, counts its operations and refuses what it has not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rtswap_lane::host::{Program, Work};
use rtswap_lane::{Pace, Prepare, Refusal};
use rtswap_may::{FAMILIES, lanes};
use rtswap_schema::workload::Arrivals;

fn prepare(workload: &str) -> Result<Program, Refusal> {
    let order = Prepare { workload: workload.to_owned(), cpus: vec![0, 1], ..Prepare::default() };
    lanes().remove(0).prepare(&order)
}

#[test]
fn lane_names_its_version_and_its_workloads() {
    let lane = lanes().remove(0);
    assert!(lane.version.starts_with("0.3."), "{}", lane.version);
    for family in FAMILIES {
        prepare(family).unwrap();
    }
    let refusal = prepare("file").unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Unsupported(why) if why.contains("no `file`")),
        "{refusal:?}"
    );
}

#[test]
fn slices_do_work_that_is_checked() {
    for workload in ["spawn/tasks=100", "yield/tasks=10", "channel/pairs=10", "sleep/tasks=50/ms=1"]
    {
        let Work::Driven(mut slice) = prepare(workload).unwrap().work else {
            panic!("{workload} is driven")
        };
        // On a busy machine a slice may be over before its coroutine has had a turn.
        let slices = (0..500).map(|_| slice(Duration::from_millis(20), None).unwrap().ops);
        assert_eq!(slices.filter(|ops| *ops > 0).take(3).count(), 3, "{workload}");
    }
}

#[test]
fn slice_at_a_pace_is_refused() {
    let Work::Driven(mut slice) = prepare("yield").unwrap().work else { panic!("it is driven") };
    let pace = Pace { rate_per_s: 10.0, arrivals: Arrivals::default(), seed: 1 };
    assert!(matches!(slice(Duration::from_millis(1), Some(&pace)), Err(Refusal::Unsupported(_))));
}

#[test]
fn what_is_sent_comes_back_and_then_the_end() {
    let Work::Served(server) = prepare("tcp-echo/size=1024/conns=32").unwrap().work else {
        panic!("an echo is served")
    };
    let addr = server.addrs()[0];
    thread::scope(|scope| {
        for number in 0..32_u8 {
            scope.spawn(move || {
                let message: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8 ^ number).collect();
                let mut stream = TcpStream::connect(addr).unwrap();
                let mut reader = stream.try_clone().unwrap();
                let sent = message.clone();
                let writer = thread::spawn(move || {
                    stream.write_all(&sent).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                reader.read_to_end(&mut back).unwrap();
                writer.join().unwrap();
                assert!(back == message, "{} of {} bytes", back.len(), message.len());
            });
        }
    });
}
