//! What holds with many connections, in a process whose limit of open files is changed: so this is
//! one test, in an executable of its own.

mod support;

use std::time::Duration;

use rtswap_load::{LoadError, Target, Traffic};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{generator, target};

fn limit_files(soft: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = soft.or(maximum);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn connections_beyond_the_backlog_are_opened_and_running_out_of_files_is_told() {
    limit_files(None);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) as usize;
    // Both ends are in this process. More than the 128 that the standard library listens with, and
    // than the 1024 of a lane, where the machine allows it.
    let conns = 3000.min(files / 2 - 100);
    let (addr, _) = support::epoll::serve(64, None);
    let generator = generator(2);
    let mut session = generator.connect(target(addr, 64, conns)).unwrap();
    generator.verify(&mut session, 2).unwrap();
    let window = Duration::from_millis(50);
    let slice = generator.slice(&mut session, window, window, || ());
    assert!(slice.unwrap().ops > 0);

    let churn = Target { addr, size: 64, conns: 4, traffic: Traffic::Churn };
    let mut churned = generator.connect(churn).unwrap();

    // The session has taken more than this, so not one more file can be opened.
    limit_files(Some(conns as u64));
    let error = generator.connect(target(addr, 64, conns)).unwrap_err();
    assert!(matches!(error, LoadError::Descriptors { opened: 0, .. }), "{error}");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    let error = generator.verify(&mut churned, 1).unwrap_err();
    assert!(matches!(error, LoadError::Descriptors { opened: 0, conns: 4, .. }), "{error}");
    generator.verify(&mut session, 2).unwrap();
    generator.close(session);
}
