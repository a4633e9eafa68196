//! The load generator: one, the same for all lanes, with no async runtime in it.
//!
//! It drives closed loops of echoed messages over a number of connections to one lane: a message is
//! sent, read back whole, compared byte by byte, and the next one is sent. The connections are kept,
//! and all of them are active (`tcp-echo`) or only some (`idle`); or there is a new one for each
//! message (`churn`). Or the messages are requests, each answer to which is parsed and compared with
//! what was expected (`http`): see [`Traffic`]. The generator runs in the harness, on threads of its own that
//! are pinned to the load CPUs.
//!
//! ```no_run
//! use std::time::Duration;
//! use rtswap_load::{Config, Generator, Target};
//!
//! let generator = Generator::new(Config::new([1]))?;
//! let addr = "127.0.0.1:7000".parse()?;
//! let mut session = generator.connect(Target::echo(addr, 1024, 32))?;
//! let (warmup, window) = (Duration::from_millis(5), Duration::from_millis(45));
//! let slice = generator.slice(&mut session, warmup, window, || ())?;
//! println!("{} operations in {:?}", slice.ops, slice.elapsed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it costs
//!
//! A generator that costs more than the lane measures itself. Per message on a kept connection there
//! is one write, one read, one comparison of slices, one reading of the clock and one histogram entry; one wait for
//! events serves all connections that have become ready meanwhile. Nothing is allocated. This
//! rests on three things:
//!
//! - Messages are slices of one pattern that is made beforehand, so that nothing is filled in, and
//!   yet every message differs from the one before and from those of other connections.
//! - A read asks for one byte more than is due. If it returns less than it was asked for, the
//!   socket is empty, and no second read is needed to find that out; if it returns all, the answer
//!   was too long.
//! - The epoll is edge-triggered, and writability is watched only on connections that have needed
//!   it.
//!
//! Silent connections cost nothing. A churned one takes twelve system calls of its own, each of them
//! once: `socket`; `setsockopt` for congestion control, for `TCP_NODELAY` and for leaving the port to
//! `connect`; `bind` to a source address of the loopback, so that ports never run out; `connect`,
//! `send`, and `epoll_ctl`; `recv` for the answer; `shutdown`, `recv` for the end of the lane's
//! stream, and `close`. That is more than a lane has to do, so churn is for the lane's cost per
//! operation; how many operations there are in a second may well be the generator's limit.
//!
//! Requests are sent in one write of P, ready-made, and the next P when all are answered. Refilling by
//! halves would keep a lane busier where there are few connections, but then no batch would be one
//! write and mostly one read on either side, which is what pipelining is about, and what `wrk` does.
//! A read takes whatever has come, and the answers in it share one reading of the clock. An answer is
//! parsed with httparse, unless its head equals that of the last right one, byte for byte: then it is as
//! right as that was. They differ once a second, by their date. Parsed or not, bodies are compared.
//!
//! Requests of HTTP/2 are ready-made but for the numbers of their streams, and a batch of them is one write,
//! too. Lanes may send 2 GiB before the window is widened again, so that next to nothing is sent but
//! requests. They are allowed no dynamic table for their headers: then a block of headers that equals the last
//! right one says the same on every connection, and is not decoded. Only what is new is, once a second, and that
//! is slow; a lane whose headers differ in each answer would measure the generator.
//!
//! To see what that costs beside `wrk`, whose threads do the same but for the comparing, serve on one CPU
//! and load from another, first with one and then with the other, and again:
//!
//! ```text
//! rtswap serve --lane tokio --workload http --cpus 0 --addr 127.0.0.1:7000 &
//! perf stat -e task-clock taskset -c 1 wrk -t1 -c32 -d5s http://127.0.0.1:7000/plaintext
//! cargo run --release -p rtswap-load --example http -- 127.0.0.1:7000 1 5 32 1
//! ```
//!
//! wrk's cost is `task-clock` by its number of requests; the example prints this generator's. On a 2-core
//! virtual machine with nothing else to do, six such pairs on tokio, slices of 4 s: 9.0 to 10.2 µs a request here,
//! 10.2 to 12.1 µs in wrk; ratios within the pairs 0.80 to 0.94. Compare the
//! two only on such a machine: whoever is quicker waits more often, and waiting
//! costs, too. System calls tell more: 2.5 for each request here, and 4.1 in wrk, which tells the
//! epoll twice with each request what it waits for. For HTTP/2 there is `h2load`: serve
//! `http/h2=true`, put `h2load -t1 -c32 -D5` in place of wrk, and `h2` at the end of the example's line.
//!
//! # What it does not do
//!
//! A closed loop says how much a lane can do, not how it behaves at a given rate: a lane that
//! pauses is sent nothing meanwhile, so the latencies leave out what would have waited.

mod churn;
mod connection;
mod error;
mod generator;
mod http;
mod http2;
mod kept;
mod pace;
mod pattern;
mod poll;
mod share;
mod source;
mod target;
mod wire;
mod worker;

pub use error::LoadError;
pub use generator::{Config, Generator, Session, Slice};
/// The type of [`Slice::latency`] comes from this crate.
pub use hdrhistogram;
pub use target::{Http, Target, Traffic};
