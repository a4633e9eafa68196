//! The load generator: the same for every lane, and without an async runtime.
//!
//! It drives a closed loop on each of a number of connections to one lane: it sends a message, reads
//! the whole answer, compares it byte by byte, and sends the next message. Connections are kept open,
//! and all of them (`tcp-echo`) or some of them (`idle`) are active, or each message has a new
//! connection (`churn`). Messages can also be HTTP requests, whose responses are parsed and compared
//! with the expected response (`http`). See [`Traffic`]. The generator runs in the harness, on its own
//! threads, which are pinned to the load CPUs.
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
//! # Overhead
//!
//! A generator that uses more CPU time than the lane measures itself. Each message on a kept connection
//! takes one write, one read, one comparison of slices, one reading of the clock and one histogram
//! entry. One wait for events serves all connections that have become ready. Nothing is allocated.
//! Three techniques make this possible:
//!
//! - Messages are slices of one prepared pattern. No message is filled in before it is sent, yet it
//!   differs from the one before and from those of other connections.
//! - A read asks for one byte more than is due. If it returns less than it asked for, the socket is
//!   empty, and no second read is needed. If it returns all, the answer was too long.
//! - The epoll is edge-triggered, and only connections that have needed it are watched for
//!   writability.
//!
//! Silent connections use no CPU time. A churned connection takes twelve system calls: `socket`;
//! `setsockopt` for congestion control, for `TCP_NODELAY` and for `IP_BIND_ADDRESS_NO_PORT`; `bind` to
//! a source address of the loopback, so that ports do not run out; `connect`, `send` and `epoll_ctl`;
//! `recv` for the answer; `shutdown`, `recv` for the end of the lane's stream, and `close`. A lane
//! needs fewer. Use churn for the lane's CPU time per operation: the generator may limit the number of
//! operations per second.
//!
//! A batch of P prepared requests is sent in one write, and the next batch when all responses have
//! come. Refilling half a batch would keep a lane busier where there are few connections. However, a
//! batch would then no longer be one write and usually one read on either side, which is the purpose
//! of pipelining, and which `wrk` does. A read takes all available bytes, and the responses in it
//! share one reading of the clock. A response is parsed with httparse, unless its head equals the last
//! verified head byte for byte. Heads change once a second, with their date. Every body is compared.
//!
//! HTTP/2 requests are prepared, too, except for the numbers of their streams, and a batch of them is
//! also one write. The flow-control window is 2 GiB, so the generator sends hardly anything except
//! requests. It allows lanes no dynamic table for headers. The meaning of a header block then does not
//! depend on the connection, and a block that equals the last verified one is not decoded. Decoding is
//! slow, but happens once a second. A lane whose headers differ in each response would measure the
//! generator.
//!
//! The threads of `wrk` do the same work without the comparison. To compare the overhead of both,
//! serve on one CPU and load from another, alternately with each:
//!
//! ```text
//! rtswap serve --lane tokio --workload http --cpus 0 --addr 127.0.0.1:7000 &
//! perf stat -e task-clock taskset -c 1 wrk -t1 -c32 -d5s http://127.0.0.1:7000/plaintext
//! cargo run --release -p rtswap-load --example http -- 127.0.0.1:7000 1 5 32 1
//! ```
//!
//! The CPU time per request of wrk is `task-clock` divided by its number of requests; the example
//! prints that of this generator. Six such pairs with tokio on an idle 2-core virtual machine, in
//! slices of 4 s, gave 9.0 to 10.2 µs a request here and 10.2 to 12.1 µs in wrk, with ratios of 0.80 to
//! 0.94 within pairs. Compare the two on an idle machine only: the faster generator waits more often,
//! and waiting uses CPU time, too. System calls are a more stable measure: 2.5 per request here and 4.1
//! in wrk, which changes its epoll registration twice per request. For HTTP/2, serve `http/h2=true`,
//! run `h2load -t1 -c32 -D5` instead of wrk, and append `h2` to the arguments of the example.
//!
//! # Limitations
//!
//! A closed loop shows how much a lane can do, not how it behaves at a given rate. A lane that pauses
//! receives no messages during the pause, so latencies do not include the messages that would have
//! waited (coordinated omission).
//!
//! # Structure
//!
//! Modules depend on those below them only:
//!
//! | module | task |
//! |---|---|
//! | `generator` | sessions, and the threads that work on them |
//! | `driver` | opens connections, waits for events, closes connections |
//! | `control` | decides when an exchange goes on, ends or is given up; counts |
//! | `protocol` | sends messages on one connection and checks the answers |
//! | `io` | sockets and epoll |
//! | `target`, `error` | what to load, and what can fail |

mod control;
mod driver;
mod error;
mod exchange;
mod generator;
mod io;
mod protocol;
mod target;

pub use error::LoadError;
pub use error::response::ResponseError;
pub use exchange::{Exchange, FirstAnswer, first_answers};
pub use generator::{Config, Generator, Session, Slice, Trickle, TrickleLane, Waiting};
/// [`Slice::latency`] is a type of this crate.
pub use hdrhistogram;
pub use target::{Http, Target, Traffic};
