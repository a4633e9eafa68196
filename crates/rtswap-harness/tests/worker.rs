//! A lane whose work is done by another process than the one that was started.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rtswap_harness::descendants::{self, Tag};
use rtswap_harness::lane::{Lane, LaneError, Launch};
use rtswap_harness::machine;

/// A lane that names the process `pid`, of which `$!` is a child that computes.
fn start(pid: &str, process_clock: bool) -> Lane {
    descendants::adopt().unwrap();
    let script = format!(
        r#"
        read order
        (while :; do :; done) &
        info='{{"runtime":"sh","version":"1","driver":"none","workers":1}}'
        echo "{{\"answer\":\"ready\",\"pid\":{pid},\"info\":$info}}"
        read stop
        "#
    );
    let launch = Launch {
        command: vec!["sh".into(), "-c".into(), script.into()],
        delay_ns: 0,
        process_clock,
        one_address: false,
    };
    Lane::start(&launch, &Tag::new(), "spawn/tasks=1", BTreeMap::new(), &machine::cpus(), 0)
        .unwrap()
}

/// CPU time grows, which only the child uses.
#[test]
fn cpu_time_is_that_of_the_named_process() {
    for process_clock in [false, true] {
        let mut lane = start("$!", process_clock);
        let first = lane.pid();
        let ready = lane.ready(&AtomicBool::new(false)).unwrap();
        assert_ne!(lane.pid(), first);
        assert_eq!(ready.pid, Some(lane.pid()));
        let clock = lane.cpu_clock().unwrap();
        let (begin, start) = (Instant::now(), clock.now().unwrap());
        while clock.now().unwrap() < start + Duration::from_millis(30) {
            assert!(begin.elapsed() < Duration::from_secs(10), "{process_clock}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn ready_rejects_process_of_another() {
    for foreign in ["1", &std::process::id().to_string(), "4194305"] {
        let mut lane = start(foreign, false);
        let error = lane.ready(&AtomicBool::new(false)).unwrap_err();
        let LaneError::Failure(_, reason) = error else { panic!("{error}") };
        assert_eq!(
            reason,
            format!("its ready response names process {foreign}, which it has not started")
        );
    }
}
