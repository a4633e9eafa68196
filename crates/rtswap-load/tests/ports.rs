//! What holds after more connections than there are ports. Descriptors are counted, so this is one
//! test, in an executable of its own.

mod support;

use std::fs;
use std::time::Duration;

use rtswap_load::{Config, Generator, Target, Traffic};
use support::config;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn connections_without_end_need_neither_more_ports_nor_more_descriptors() {
    let (addr, _) = support::epoll::serve(64, None);
    let patient = Config { verify: Duration::from_mins(10), ..config(2) };
    let generator = Generator::new(patient).unwrap();
    let target = Target { addr, size: 64, conns: 32, traffic: Traffic::Churn };
    let mut session = generator.connect(target).unwrap();
    let before = descriptors();
    generator.verify(&mut session, 2000).unwrap();
    assert_eq!(descriptors(), before, "both ends are in this process");
    let window = Duration::from_millis(20);
    assert!(generator.slice(&mut session, window, window, || ()).unwrap().ops > 0);
    assert_eq!(descriptors(), before);
    drop(session);
    assert_eq!(descriptors(), before - 2, "an epoll for each thread was all that it had");
}
