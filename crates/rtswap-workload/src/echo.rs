use std::io;

use rtswap_runtime::{Buffer, Net, ReadOwned, TcpStream, WriteOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::accept::accept;
use crate::{SMALL_MESSAGE_BYTES, Served, Spec, Spin};

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
    holds_buffer: bool,
    is_exact: bool,
}

impl TcpEcho {
    /// Of its parameters the server needs only the size and the buffer, if there are any.
    pub fn new(spec: &Spec) -> Self {
        let size = spec.number("size").unwrap_or(SMALL_MESSAGE_BYTES) as usize;
        let is = |family, buffer| spec.family().name == family && spec.name_of("buffer") == buffer;
        let is_exact = is("tcp-echo", "exact");
        // More than one message, because a runtime that waits for readiness learns from a read that
        // fills its buffer only in part that there is no more, and otherwise has to ask again: with a
        // buffer of just one message (`buffer=exact`) tokio makes 3 system calls instead of 2. 64 KiB is
        // as much as loopback carries at once.
        let roomy = (size + 1).next_power_of_two().clamp(4 << 10, 64 << 10);
        let buffer_bytes = if is_exact { size } else { roomy };
        Self { buffer_bytes, holds_buffer: !is("idle", "none"), is_exact }
    }

    /// The size of a connection's buffer, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Whether the buffer has no room beyond a message.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether a connection may hold a buffer while it is silent.
    pub fn holds_buffer(&self) -> bool {
        self.holds_buffer
    }
}

impl Served for TcpEcho {
    fn check<R: Net>(&self) -> io::Result<()> {
        if self.holds_buffer || R::TcpStream::READABLE {
            return Ok(());
        }
        let message = "buffer=none: the runtime has no wait for data that holds no buffer";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    async fn serve<R: Net>(&self, mut listener: R::TcpListener, spin: Spin) -> io::Result<()> {
        loop {
            let stream = accept::<R>(&mut listener).await?;
            // Dropped, and so detached: the connection ends by itself.
            if self.holds_buffer {
                drop(R::spawn(echo::<R>(stream, self.buffer_bytes, spin)));
            } else {
                drop(R::spawn(echo_without_buffer::<R>(stream, self.buffer_bytes, spin)));
            }
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
    async fn serve<R: Net>(&self, mut listener: R::TcpListener, spin: Spin) -> io::Result<()> {
        loop {
            let stream = accept::<R>(&mut listener).await?;
            drop(R::spawn(polled_echo::<R>(stream, self.0.buffer_bytes, spin)));
        }
    }
}

async fn polled_echo<R: Net>(stream: R::TcpStream, buffer_bytes: usize, spin: Spin) {
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

async fn echo<R: Net>(mut stream: R::TcpStream, buffer_bytes: usize, spin: Spin) {
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

/// As [`echo`], with a buffer from the arrival of data to the end of its answer alone.
async fn echo_without_buffer<R: Net>(mut stream: R::TcpStream, buffer_bytes: usize, spin: Spin) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        let (Ok(1..), full) = stream.read(Buffer::with_capacity(buffer_bytes)).await else {
            return;
        };
        spin.burn();
        if stream.write_all(full).await.0.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Standard, Suite};

    fn echo(workload: &str) -> TcpEcho {
        TcpEcho::new(&Spec::parse(workload, Standard::CATALOGUE).unwrap())
    }

    #[test]
    fn a_buffer_has_room_for_more_than_a_message_unless_told() {
        for (workload, bytes) in [
            ("tcp-echo/size=1024/conns=1", 4 << 10),
            ("tcp-echo/size=4096/conns=1", 8 << 10),
            ("tcp-echo/size=102400/conns=1", 64 << 10),
            ("tcp-echo/size=1024/conns=1/buffer=exact", 1024),
            ("tcp-echo/size=102400/conns=1/buffer=exact", 102_400),
            ("idle", 4 << 10),
        ] {
            assert_eq!(echo(workload).buffer_bytes(), bytes, "{workload}");
        }
    }
}
