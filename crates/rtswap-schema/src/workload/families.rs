//! The workloads that ship, by name and parameters.
//!
//! Names and parameters are stable: history is keyed by them. A parameter that a family gets later goes
//! last, has the default that was meant before, and is [`added_later`](Param::added_later).

use super::{Drive, Family, Param, Traffic, Uses};

/// Every family, in the order of listings.
pub const CATALOGUE: &[&Family] = &[
    &TCP_ECHO, &IDLE, &CHURN, &HTTP, &SLEEP, &SPAWN, &YIELD, &CHANNEL, &STARTUP, &FILE, &FETCH,
    &REDIS, &MYSQL, &POSTGRES,
];

/// Two lists of families in one, for the catalogue of a suite that adds its own to [`CATALOGUE`].
///
/// ```
/// use rtswap_schema::workload::families::{self, joined};
/// use rtswap_schema::workload::{Drive, Family};
///
/// static MUTEX: Family = Family::new("mutex", "one acquisition", "acquisition", Drive::Lane);
/// const OWN: &[&Family] = &[&MUTEX];
/// const ALL: &[&Family] =
///     &joined::<{ OWN.len() + families::CATALOGUE.len() }>(OWN, families::CATALOGUE);
/// assert_eq!((ALL[0].name, ALL[1].name), ("mutex", families::CATALOGUE[0].name));
/// ```
///
/// # Panics
/// If `N` is not the sum of the lengths, which fails the build where it is called in a constant.
pub const fn joined<const N: usize>(
    first: &[&'static Family],
    second: &[&'static Family],
) -> [&'static Family; N] {
    assert!(N == first.len() + second.len(), "N must be the sum of the lengths");
    // The first element stands in until the loops have filled the others.
    let mut all = [if first.is_empty() { second[0] } else { first[0] }; N];
    let (head, tail) = all.split_at_mut(first.len());
    head.copy_from_slice(first);
    tail.copy_from_slice(second);
    all
}

/// Workloads that a run measures by default.
pub const DEFAULT: &[&str] = &[
    "tcp-echo/size=1024/conns=32/rate=60%",
    "tcp-echo/size=1024/conns=1",
    "tcp-echo/size=102400/conns=32/rate=60%",
    "sleep/tasks=1000/ms=10",
    "spawn/tasks=1000",
    "yield/tasks=100",
    "channel/pairs=100",
];

/// Workloads that `--quick` measures.
pub const QUICK: &[&str] =
    &["tcp-echo/size=1024/conns=32/rate=60%", "spawn/tasks=1000", "channel/pairs=100"];

/// Bytes of a message where the family has no parameter `size`.
pub const SMALL_MESSAGE_BYTES: u64 = 64;

/// Connections of a database client by default: enough that lane and server work at the same time.
const DATABASE_CONNS: Param =
    Param::number("conns", "connections, a task for each", 8, &[1, 8], 64);

/// See `rtswap_workload::TcpEcho`.
pub static TCP_ECHO: Family = Family::new(
    "tcp-echo",
    "one message sent to the lane and back, its content compared",
    "message",
    Drive::Generator(Traffic::Echo),
)
.params(&[
    Param::number("size", "bytes of a message", 1024, &[1024, 10_240, 102_400], 16 << 20),
    Param::number(
        "conns",
        "connections, each with one message under way",
        32,
        &[1, 32, 256],
        10_000,
    ),
    Param::RATE,
    Param::ARRIVALS,
    Param::named(
        "buffer",
        "room: what the lane reads into is longer than a message; exact: as long as a message",
        &["room", "exact"],
        &[0],
    )
    .added_later(),
]);

/// See `rtswap_workload::TcpEcho`.
pub static IDLE: Family = Family::new(
    "idle",
    "one message of 64 bytes there and back, among many connections that are silent",
    "message",
    Drive::Generator(Traffic::Echo),
)
.params(&[
    Param::number("conns", "connections", 1000, &[100, 1000, 10_000], 100_000),
    Param::number(
        "active",
        "how many of them have a message under way; the others are silent",
        1,
        &[1],
        100_000,
    ),
    Param::named(
        "buffer",
        "held: a read holds a buffer while it waits; none: it is allocated once there is data",
        &["held", "none"],
        &[0],
    )
    .added_later(),
]);

/// See `rtswap_workload::TcpEcho`.
pub static CHURN: Family = Family::new(
    "churn",
    "connect, one message of 64 bytes there and back, close",
    "connection",
    Drive::Generator(Traffic::Churn),
)
.params(&[
    Param::number("conns", "connections at once, each replaced by the next", 32, &[1, 32], 10_000),
    Param::RATE,
    Param::ARRIVALS,
]);

/// See `rtswap_workload::Http`.
pub static HTTP: Family = Family::new(
    "http",
    "one HTTP/1.1 or HTTP/2 request, its answer parsed and compared",
    "request",
    Drive::Generator(Traffic::Http),
)
.params(&[
    Param::named(
        "body",
        "what is asked for: 13 bytes, 27 bytes serialised for each request, or 64 KiB",
        &["plaintext", "json", "64KiB"],
        &[0, 1, 2],
    ),
    Param::number("conns", "connections, all of them kept and active", 32, &[1, 32, 256], 10_000),
    Param::number(
        "pipeline",
        "requests sent at once on each connection; the next as many when all are answered",
        1,
        &[1, 16],
        256,
    ),
    Param::named(
        "h2",
        "HTTP/2 with prior knowledge, without TLS, instead of HTTP/1.1",
        &["false", "true"],
        &[0, 1],
    )
    .added_later(),
    Param::RATE,
    Param::ARRIVALS,
    // Last, because a path may be followed by nothing that looks like a parameter.
    Param::PATH,
    Param::REQUEST,
])
.uses(&[Uses::PollStreams])
.feature(APPS);

/// See `rtswap_workload::Sleep`.
pub static SLEEP: Family = Family::new(
    "sleep",
    "one of many concurrent sleeps finished, not early and in order",
    "sleep",
    Drive::Lane,
)
.params(&[
    Param::number("tasks", "sleeps at once", 1000, &[1000, 10_000], 1_000_000),
    Param::number(
        "ms",
        "the shortest sleep, in milliseconds; the longest is 4 more",
        10,
        &[1, 10],
        1000,
    ),
]);

/// See `rtswap_workload::Spawn`.
pub static SPAWN: Family =
    Family::new("spawn", "one task spawned and joined, its result checked", "task", Drive::Lane)
        .params(&[Param::number("tasks", "tasks alive at once", 1000, &[1, 1000], 1_000_000)]);

/// See `rtswap_workload::Yield`.
pub static YIELD: Family =
    Family::new("yield", "one switch from a ready task to the next", "switch", Drive::Lane)
        .params(&[Param::number("tasks", "tasks ready at once", 100, &[2, 100], 100_000)]);

/// See `rtswap_workload::Channel`.
pub static CHANNEL: Family = Family::new(
    "channel",
    "one message from a task to another and its answer back",
    "round trip",
    Drive::Lane,
)
.params(&[
    Param::number("pairs", "pairs of tasks", 10, &[1, 100], 10_000),
    Param::RATE,
    Param::ARRIVALS,
]);

/// See `rtswap_workload::Startup`.
pub static STARTUP: Family = Family::new(
    "startup",
    "one runtime built, a ready future run on it, and the runtime dropped",
    "start",
    Drive::Lane,
);

/// See `rtswap_workload::File`.
pub static FILE: Family = Family::new(
    "file",
    "one block of 4 KiB read at a random place, or one whole file written and synced",
    "operation",
    Drive::Lane,
)
.params(&[
    Param::named("mix", "what an operation is", &["read", "write"], &[0, 1]),
    Param::number("depth", "operations under way at once", 8, &[1, 8, 64], 1024),
    Param::number("size", "bytes of a file that is written", 65_536, &[65_536], 16 << 20),
    Param::named(
        "cache",
        "whether reads go through the page cache, or past it",
        &["warm", "direct"],
        &[0],
    ),
])
.uses(&[Uses::Files, Uses::Blocks, Uses::Folder]);

/// See `rtswap_workload::Fetch`.
pub static FETCH: Family = Family::new(
    "fetch",
    "one image downloaded over HTTPS and saved to a file, its length and content checked",
    "image",
    Drive::Lane,
)
.params(&[
    Param::number("images", "images of a batch", 64, &[64], 10_000),
    Param::number("size", "bytes of an image", 65_536, &[65_536, 1_048_576], 16 << 20),
    Param::number("concurrency", "connections, each with one image under way", 16, &[1, 16], 256),
    // Checked while connections are opened, which is not timed.
    Param::named(
        "verify_tls",
        "whether the server's certificate is checked",
        &["true", "false"],
        &[0],
    ),
])
.uses(&[Uses::PollStreams, Uses::Files, Uses::Folder, Uses::Origin])
.feature(APPS);

/// See `rtswap_workload::Redis`.
pub static REDIS: Family = Family::new(
    "redis",
    "one command to a Redis server, SET and GET in turn, with 64 bytes; \
        latencies are of whole pipelines",
    "command",
    Drive::Lane,
)
.params(&[
    Param::number("pipeline", "commands sent at once on a connection", 1, &[1, 16], 1024),
    DATABASE_CONNS,
    Param::RATE,
    Param::ARRIVALS,
])
.uses(&[Uses::PollStreams, Uses::Redis])
.feature(APPS);

const DATABASE_PARAMS: &[Param] = &[
    Param::named(
        "mix",
        "world: one row of 10,000, by its id; fortunes: all 12 rows of a table, then sorted",
        &["world", "fortunes"],
        &[0, 1],
    ),
    DATABASE_CONNS,
    Param::RATE,
    Param::ARRIVALS,
];

/// See `rtswap_workload::Mysql`.
pub static MYSQL: Family =
    Family::new("mysql", "one prepared query to a MySQL or MariaDB server", "query", Drive::Lane)
        .params(DATABASE_PARAMS)
        .uses(&[Uses::PollStreams, Uses::Mysql])
        .feature(APPS);

/// See `rtswap_workload::Postgres`.
pub static POSTGRES: Family =
    Family::new("postgres", "one prepared query to a PostgreSQL server", "query", Drive::Lane)
        .params(DATABASE_PARAMS)
        .uses(&[Uses::PollStreams, Uses::Postgres])
        .feature(APPS);

/// The cargo feature with the workloads that need hyper, rustls or a database client.
pub const APPS: &str = "apps";
