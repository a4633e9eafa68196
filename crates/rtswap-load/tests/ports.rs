//! More churned connections than there are ports. The test counts the descriptors of its process, so
//! it is alone in its executable.

mod support;

use std::fs;
use std::time::Duration;

use rtswap_load::{Config, Generator, Target, Traffic};
use support::config;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn churn_uses_up_neither_ports_nor_descriptors() {
    let (addr, _) = support::epoll::serve(64, None);
    let patient = Config { verify: Duration::from_mins(10), ..config(2) };
    let generator = Generator::new(patient).unwrap();
    let target = Target { addrs: [addr].into(), size: 64, conns: 32, traffic: Traffic::Churn };
    let mut session = generator.connect(target).unwrap();
    let before = descriptors();
    generator.verify(&mut session, 2000).unwrap();
    assert_eq!(descriptors(), before, "both ends of each connection are closed");
    let window = Duration::from_millis(20);
    assert!(generator.slice(&mut session, window, window, || ()).unwrap().ops > 0);
    assert_eq!(descriptors(), before);
    drop(session);
    assert_eq!(descriptors(), before - 2, "the session had one epoll per thread");
}
