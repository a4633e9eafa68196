//! The cost of the thread check: [`Confined`] and `send_wrapper::SendWrapper`, nanoseconds per use.
//!
//! `cargo run --release -p rtswap-runtime --example confined`

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rtswap_runtime::Confined;
use send_wrapper::SendWrapper;

const USES: u64 = 20_000_000;
const REPEATS: usize = 9;

/// The fastest of several repeats: what else runs on the machine only adds time.
fn measure(name: &str, mut used: impl FnMut(u64) -> u64) {
    let mut best_ns = f64::INFINITY;
    for _ in 0..REPEATS {
        let begin = Instant::now();
        for number in 0..USES {
            black_box(used(black_box(number)));
        }
        best_ns = best_ns.min(begin.elapsed().as_nanos() as f64 / USES as f64);
    }
    println!("{name:<24} {best_ns:>6.2} ns");
}

fn main() {
    let (confined, wrapper) = (Confined::new(1_u64), SendWrapper::new(1_u64));
    measure("nothing", |number| number + 1);
    measure("Confined, used", |number| number + ***black_box(&&confined));
    measure("SendWrapper, used", |number| number + ***black_box(&&wrapper));
    measure("Confined, made", |number| Confined::new(number).take());
    let mut context = Context::from_waker(Waker::noop());
    let mut confined = pin!(Confined::new(poll_fn(|_| Poll::<u64>::Pending)));
    measure("Confined, polled", |number| {
        number + u64::from(confined.as_mut().poll(&mut context).is_pending())
    });
    measure("SendWrapper, made", |number| SendWrapper::new(number).take());
}
