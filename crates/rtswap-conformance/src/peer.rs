//! The other end of a connection: a std thread, so that one runtime at a time is under test.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtswap_runtime::{Buffer, Net, Runtime};

use crate::Subject;

/// A peer that waits longer than this has found a failure. Shorter than the limit of a check, so
/// that the message is the peer's.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sizes that fit nothing: one byte, primes, just over a page and over 64 KiB.
pub const ODD_PIECES: [usize; 8] = [1, 7, 4_099, 3, 65_537, 13, 1_009, 16_381];

/// The byte at `position` of every stream, so that lost, doubled, moved and changed bytes show.
pub fn byte_at(position: usize) -> u8 {
    ((position as u32).wrapping_mul(2_654_435_761) >> 24) as u8
}

/// The bytes of a stream from `start` on.
pub fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(byte_at).collect()
}

/// A buffer with the first `len` bytes of the pattern.
pub fn message(len: usize) -> Buffer {
    Buffer::from(pattern(0, len))
}

/// Panics unless `bytes` are those of a stream from `start` on.
pub fn verify(start: usize, bytes: &[u8]) {
    for (offset, &byte) in bytes.iter().enumerate() {
        let position = start + offset;
        assert_eq!(byte, byte_at(position), "the byte at {position} is not what was sent");
    }
}

/// Listens on a port of the loopback interface and gives the one connection to `serve`, on a thread.
pub fn serve<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("its address");
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the runtime connects");
        serve(patient(stream))
    });
    (addr, thread)
}

/// Makes waiting too long an error.
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
    stream
}

/// Runs `body` with a stream of the runtime's whose other end `peer` has. Gives what both give.
pub fn meet<R: Net, P, T, F>(
    subject: &Subject<R>,
    peer: impl FnOnce(TcpStream) -> P + Send + 'static,
    body: impl FnOnce(R::TcpStream) -> F + Send + 'static,
) -> (P, T)
where
    P: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (addr, peer) = serve(peer);
    let output = subject.run(async move {
        let stream = R::connect(addr).await.expect("the peer listens");
        body(stream).await
    });
    (peer.join().expect("the peer is content"), output)
}

/// Sends `len` bytes of the pattern in odd pieces, with pauses.
pub fn send(stream: &mut TcpStream, len: usize) {
    stream.set_nodelay(true).expect("no delay, or pieces would be joined");
    let mut sent = 0;
    for (n, piece) in ODD_PIECES.iter().cycle().enumerate() {
        if sent == len {
            break;
        }
        let piece = (*piece).min(len - sent);
        stream.write_all(&pattern(sent, piece)).expect("the runtime reads");
        sent += piece;
        if n % 16 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Reads to the end of the stream in odd pieces, with pauses, and verifies; gives the number of bytes.
pub fn receive(stream: &mut TcpStream) -> usize {
    let mut received = 0;
    let mut buffer = vec![0; ODD_PIECES.into_iter().max().unwrap_or(1)];
    for (n, &piece) in ODD_PIECES.iter().cycle().enumerate() {
        let len = stream.read(&mut buffer[..piece]).expect("the runtime writes");
        if len == 0 {
            break;
        }
        verify(received, &buffer[..len]);
        received += len;
        if n % 16 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    received
}

/// Takes one byte, which shows that the runtime has its stream, and closes rudely: with a reset.
pub fn reset(mut stream: TcpStream) {
    stream.read_exact(&mut [0]).expect("the runtime writes a byte");
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).expect("to linger for no time");
}

/// So that a writer really has to wait for its peer.
pub fn small_window(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_recv_buffer_size(16 << 10).expect("a receive buffer");
}

/// Waits for a std thread without blocking the runtime.
pub async fn finished<R: Runtime, T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        R::sleep(Duration::from_millis(1)).await;
    }
    thread.join().expect("the peer is content")
}
