//! Many connections. The test changes the limit of open files of its process, so it is alone in its
//! executable.

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
fn connect_exceeds_backlog_and_reports_descriptor_limit() {
    limit_files(None);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) as usize;
    // Both ends are in this process. If the limit allows it, 3000 exceed the backlog of the standard
    // library (128) and of a lane (1024).
    let conns = 3000.min(files / 2 - 100);
    let (addr, _) = support::epoll::serve(64, None);
    let generator = generator(2);
    let mut session = generator.connect(target(addr, 64, conns)).unwrap();
    generator.verify(&mut session, 2).unwrap();
    let window = Duration::from_millis(50);
    let slice = generator.slice(&mut session, window, window, || ());
    assert!(slice.unwrap().ops > 0);

    let churn = Target { addrs: [addr].into(), size: 64, conns: 4, traffic: Traffic::Churn };
    let mut churned = generator.connect(churn).unwrap();

    // The session has more descriptors than this, so no other can be opened.
    limit_files(Some(conns as u64));
    let error = generator.connect(target(addr, 64, conns)).unwrap_err();
    assert!(matches!(error, LoadError::Descriptors { opened: 0, .. }), "{error}");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    let error = generator.verify(&mut churned, 1).unwrap_err();
    assert!(matches!(error, LoadError::Descriptors { opened: 0, conns: 4, .. }), "{error}");
    generator.verify(&mut session, 2).unwrap();
    generator.close(session);
}
