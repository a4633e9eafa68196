//! Slices in which messages are sent when they are due.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_load::{LoadError, Slice, Target, Traffic};
use rtswap_schema::protocol::Pace;
use rtswap_schema::workload::Arrivals;
use support::{Fault, cpus, generator, impatient, serve, target};

const MS: Duration = Duration::from_millis(1);

fn pace(rate_per_s: f64, arrivals: Arrivals) -> Pace {
    Pace { rate_per_s, arrivals, seed: 7 }
}

fn paced(threads: usize, target: Target, pace: &Pace) -> Result<Slice<()>, LoadError> {
    let generator = generator(threads);
    let mut session = generator.connect(target)?;
    let slice = generator.paced_slice(&mut session, pace, 10 * MS, 100 * MS, || ())?;
    // The session is in order afterwards.
    generator.verify(&mut session, 3)?;
    Ok(slice)
}

#[test]
fn paced_slice_sends_each_message_of_the_window() {
    let server = serve(64, Fault::None);
    for threads in [1, 2] {
        for arrivals in [Arrivals::Constant, Arrivals::Burst(10)] {
            let pace = pace(2000.0, arrivals);
            let slice = paced(threads, target(server.addr, 64, 4), &pace).unwrap();
            let offered = slice.offered.unwrap();
            assert_eq!((offered.ops, slice.latency.len()), (200, 200), "{arrivals:?}");
            assert!(offered.late_p99_ns.is_some() && offered.late_max_ns.is_some());
            assert!(slice.elapsed >= 100 * MS);
        }
    }
}

#[test]
fn paced_slice_repeats_the_schedule_of_a_seed() {
    let server = serve(64, Fault::None);
    let offered = |seed| {
        let pace = Pace { seed, ..pace(2000.0, Arrivals::Poisson) };
        let slice = paced(1, target(server.addr, 64, 4), &pace).unwrap();
        assert_eq!(slice.latency.len(), slice.offered.unwrap().ops);
        slice.offered.unwrap().ops
    };
    let [first, again, others @ ..] = [1, 1, 2, 3, 4].map(offered);
    assert_eq!(first, again);
    assert!(others.iter().any(|other| *other != first), "{first} {others:?}");
}

#[test]
fn latency_counts_from_when_a_message_was_due() {
    static RELEASED: AtomicBool = AtomicBool::new(false);
    let server = serve(64, Fault::Hold { until: &RELEASED });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 64, 1)).unwrap();
    let held = 80 * MS;
    let begin = Instant::now();
    thread::spawn(move || {
        thread::sleep(held);
        RELEASED.store(true, Ordering::SeqCst);
    });
    let pace = pace(1000.0, Arrivals::Constant);
    let slice = generator.paced_slice(&mut session, &pace, Duration::ZERO, 40 * MS, || ()).unwrap();
    assert!(begin.elapsed() >= held);
    // One connection: the first message holds up the others, which were due 1 ms apart in the window of 40 ms.
    // Half of them have waited for at least half of the window more than the last.
    let offered = slice.offered.unwrap();
    assert_eq!((offered.ops, slice.latency.len()), (40, 40));
    assert!(offered.backlog_end > 0);
    let shortest = Duration::from_nanos(slice.latency.min());
    let median = Duration::from_nanos(slice.latency.value_at_quantile(0.5));
    assert!(median >= shortest + 15 * MS, "{median:?} {shortest:?}");
}

#[test]
fn overloaded_lane_has_a_backlog_and_an_end() {
    let server = serve(64, Fault::None);
    let slice = paced(1, target(server.addr, 64, 2), &pace(500e3, Arrivals::Constant)).unwrap();
    let offered = slice.offered.unwrap();
    assert!(offered.backlog_growth() > 0.5, "{offered:?}");
    assert!(slice.ops > 0 && slice.latency.len() < offered.ops);
}

#[test]
fn paced_slice_verifies_answers() {
    for (fault, conns) in
        [(Fault::Flip { message: 20, byte: 3 }, 2), (Fault::Stale { message: 9 }, 1)]
    {
        let server = serve(64, fault);
        let error = paced(1, target(server.addr, 64, conns), &pace(2000.0, Arrivals::Poisson));
        assert!(matches!(error, Err(LoadError::Wrong { .. })), "{error:?}");
    }
}

#[test]
fn silent_lane_is_stalled_and_a_low_rate_is_not() {
    let server = serve(64, Fault::None);
    let generator = impatient();
    let mut session = generator.connect(target(server.addr, 64, 1)).unwrap();
    let slow = pace(0.5, Arrivals::Constant);
    let slice = generator.paced_slice(&mut session, &slow, Duration::ZERO, 1200 * MS, || ());
    assert_eq!(slice.unwrap().latency.len(), 1);

    let server = serve(64, Fault::Mute { message: 5 });
    let mut session = generator.connect(target(server.addr, 64, 1)).unwrap();
    let pace = pace(1000.0, Arrivals::Constant);
    let error = generator.paced_slice(&mut session, &pace, Duration::ZERO, 50 * MS, || ());
    assert!(
        matches!(error, Err(LoadError::Stalled { .. } | LoadError::Overdue { .. })),
        "{error:?}"
    );
    assert!(!session.is_open());
}

#[test]
fn churned_connections_are_opened_when_due() {
    let server = support::churn::serve(64, support::churn::Fault::None, 0);
    let target = Target { traffic: Traffic::Churn, ..target(server.addr, 64, 8) };
    let slice = paced(1, target, &pace(500.0, Arrivals::Burst(5))).unwrap();
    assert_eq!((slice.offered.unwrap().ops, slice.latency.len()), (50, 50));
}

#[test]
fn trickle_sends_messages_unless_paused() {
    let server = serve(64, Fault::None);
    let trickle = rtswap_load::Trickle::start(cpus()[0], std::sync::Arc::default()).unwrap();
    let lane = trickle.add(target(server.addr, 64, 1), MS).unwrap();
    assert_eq!(lane.messages(), 0, "it is paused at first");
    lane.resume();
    while lane.messages() < 3 {
        thread::sleep(MS);
    }
    lane.pause();
    let so_far = lane.messages();
    thread::sleep(20 * MS);
    assert_eq!(lane.messages(), so_far);
    drop(lane);
    server.ended.recv().unwrap();
}

#[test]
fn trickle_leaves_a_lane_that_fails_to_others() {
    let [mute, server] = [Fault::Close { message: 2 }, Fault::None].map(|fault| serve(64, fault));
    let trickle = rtswap_load::Trickle::start(cpus()[0], std::sync::Arc::default()).unwrap();
    let [failing, sound] =
        [&mute, &server].map(|server| trickle.add(target(server.addr, 64, 1), MS).unwrap());
    failing.resume();
    sound.resume();
    while sound.messages() < 20 {
        thread::sleep(MS);
    }
    assert_eq!(failing.messages(), 1);
    failing.resume();
    thread::sleep(10 * MS);
    assert_eq!(failing.messages(), 1, "it is not asked again");
}
