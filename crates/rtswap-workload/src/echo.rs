use std::io;

use rtswap_runtime::{Buffer, ReadOwned, Runtime, TcpListener, TcpStream, WriteOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Drive, Family, Param, Served, Spec, Spin, Traffic};

/// `tcp-echo`, `idle`, `churn`: what comes in goes out.
///
/// One server under three kinds of load: connections that all send, connections that mostly are
/// silent, and connections for one message each.
///
/// The smallest server there is, so that what differs between lanes is the runtime: wake a task, read,
/// write, wait. 1,024, 10,240 and 102,400 bytes are the sizes of uvloop's own benchmark.
#[derive(Clone, Copy, Debug)]
pub struct TcpEcho {
    buffer_bytes: usize,
}

pub(crate) static TCP_ECHO: Family = Family {
    name: "tcp-echo",
    operation: "one message sent to the lane and back, its content compared",
    unit: "message",
    params: &[
        Param {
            name: "size",
            about: "bytes of a message",
            default: 1024,
            values: &[1024, 10_240, 102_400],
            max: 16 << 20,
            names: &[],
            later: false,
        },
        Param {
            name: "conns",
            about: "connections, each with one message under way",
            default: 32,
            values: &[1, 32, 256],
            max: 10_000,
            names: &[],
            later: false,
        },
    ],
    drive: Drive::Generator(Traffic::Echo),
    uses: &[],
};

/// Bytes of a message where it has no `size`.
pub const SMALL_MESSAGE_BYTES: u64 = 64;

pub(crate) static IDLE: Family = Family {
    name: "idle",
    operation: "one message of 64 bytes there and back, among many connections that are silent",
    unit: "message",
    params: &[
        Param {
            name: "conns",
            about: "connections",
            default: 1000,
            values: &[100, 1000, 10_000],
            max: 100_000,
            names: &[],
            later: false,
        },
        Param {
            name: "active",
            about: "how many of them have a message under way; the others are silent",
            default: 1,
            values: &[1],
            max: 100_000,
            names: &[],
            later: false,
        },
    ],
    drive: Drive::Generator(Traffic::Echo),
    uses: &[],
};

pub(crate) static CHURN: Family = Family {
    name: "churn",
    operation: "connect, one message of 64 bytes there and back, close",
    unit: "connection",
    params: &[Param {
        name: "conns",
        about: "connections at once, each replaced by the next",
        default: 32,
        values: &[1, 32],
        max: 10_000,
        names: &[],
        later: false,
    }],
    drive: Drive::Generator(Traffic::Churn),
    uses: &[],
};

impl TcpEcho {
    /// Of its parameters the server needs only the size, if there is one.
    pub fn new(spec: &Spec) -> Self {
        let size = spec.number("size").unwrap_or(SMALL_MESSAGE_BYTES);
        // More than one message, because a runtime that waits for readiness learns from a read that
        // fills its buffer only in part that there is no more, and otherwise has to ask again: with a
        // buffer of just one message tokio makes 3 system calls instead of 2. 64 KiB is as much as
        // loopback carries at once.
        let buffer_bytes = (size as usize + 1).next_power_of_two();
        Self { buffer_bytes: buffer_bytes.clamp(4 << 10, 64 << 10) }
    }

    /// The size of a connection's buffer, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }
}

impl Served for TcpEcho {
    async fn serve<R: Runtime>(&self, mut listener: R::TcpListener, spin: Spin) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            // Dropped, and so detached: the connection ends by itself.
            drop(R::spawn(echo::<R>(stream, self.buffer_bytes, spin)));
        }
    }
}

/// [`TcpEcho`] over the poll face, as a library that exists on tokio's traits would have it. In no suite:
/// it answers the same load, and shows what the poll face costs.
#[derive(Clone, Copy, Debug)]
pub struct PolledEcho(TcpEcho);

impl PolledEcho {
    /// The same server.
    pub fn new(echo: TcpEcho) -> Self {
        Self(echo)
    }
}

impl Served for PolledEcho {
    async fn serve<R: Runtime>(&self, mut listener: R::TcpListener, spin: Spin) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            drop(R::spawn(polled_echo::<R>(stream, self.0.buffer_bytes, spin)));
        }
    }
}

async fn polled_echo<R: Runtime>(stream: R::TcpStream, buffer_bytes: usize, spin: Spin) {
    let mut stream = stream.into_poll();
    let mut buffer = vec![0; buffer_bytes];
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
        spin.burn();
        if stream.write_all(&buffer[..read]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn echo<R: Runtime>(mut stream: R::TcpStream, buffer_bytes: usize, spin: Spin) {
    let mut buffer = Buffer::with_capacity(buffer_bytes);
    loop {
        let (read, full) = stream.read(buffer).await;
        // A client that leaves, in whatever way, is no error of the server's.
        let Ok(1..) = read else { return };
        spin.burn();
        let (written, empty) = stream.write_all(full).await;
        if written.is_err() {
            return;
        }
        buffer = empty;
    }
}
