//! Bytes arrive as they were sent, whatever their number and however slow the peer.

use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rtswap_runtime::socket::{self, Share};
use rtswap_runtime::{Buffer, Net, ReadOwned, TcpListener, TcpStream, WriteOwned};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::Subject;
use crate::peer::{self, meet, message, small_window, verify};

/// From one byte to more than the sockets hold: 8 MiB.
const SIZES: [usize; 6] = [1, 2, 1_000, 65_537, 1 << 20, 8 << 20];

/// One `write_all` of up to 8 MiB arrives intact at a peer that reads slowly and in odd pieces.
pub fn what_is_written_arrives_intact_at_a_slow_peer<R: Net>(subject: &Subject<R>) {
    for size in SIZES {
        let peer = |mut stream: StdStream| {
            small_window(&stream);
            peer::receive(&mut stream)
        };
        let (received, ()) = meet::<R, _, _, _>(subject, peer, move |mut stream| async move {
            let (result, buffer) = stream.write_all(message(size)).await;
            result.expect("the peer reads");
            assert_eq!(buffer.len(), size);
            stream.shutdown().await.expect("the peer is there");
        });
        assert_eq!(received, size);
    }
}

/// Up to 8 MiB sent slowly and in odd pieces arrive intact through reads into a small buffer.
pub fn what_a_peer_sends_in_odd_pieces_arrives_intact<R: Net>(subject: &Subject<R>) {
    for size in SIZES {
        let peer = move |mut stream: StdStream| peer::send(&mut stream, size);
        let ((), received) = meet::<R, _, _, _>(subject, peer, |mut stream| async move {
            let mut buffer = Buffer::with_capacity(10_007);
            let mut received = 0;
            loop {
                let (result, back) = stream.read(buffer).await;
                match result.expect("the peer sends") {
                    0 => return received,
                    n => assert_eq!(back.len(), n),
                }
                verify(received, &back);
                received += back.len();
                buffer = back;
            }
        });
        assert_eq!(received, size);
    }
}

/// `read_exact` of up to 8 MiB waits until all of the pieces are there.
pub fn read_exact_gathers_odd_pieces<R: Net>(subject: &Subject<R>) {
    for size in SIZES {
        let peer = move |mut stream: StdStream| peer::send(&mut stream, size);
        meet::<R, _, _, _>(subject, peer, move |mut stream| async move {
            let (result, buffer) = stream.read_exact(Buffer::with_capacity(size), size).await;
            result.expect("the peer sends");
            assert_eq!(buffer.len(), size);
            verify(0, &buffer);
        });
    }
}

/// Two tasks have a half each: one writes 8 MiB while the other reads the echo of it. The sockets
/// cannot hold as much, so neither gets on without the other.
pub fn both_directions_are_used_at_once_by_two_tasks<R: Net>(subject: &Subject<R>) {
    const LEN: usize = 8 << 20;
    let peer = |mut stream: StdStream| {
        small_window(&stream);
        let mut writer = stream.try_clone().expect("a second descriptor");
        std::io::copy(&mut stream, &mut writer).expect("the runtime reads and writes");
        writer.shutdown(std::net::Shutdown::Write).expect("the runtime is there");
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let (mut reader, mut writer) = stream.into_split();
        let writing = R::spawn(async move {
            let (result, _) = writer.write_all(message(LEN)).await;
            result.expect("the peer reads");
            writer.shutdown().await.expect("the peer is there");
        });
        let reading = R::spawn(async move {
            let (result, buffer) = reader.read_exact(Buffer::with_capacity(LEN), LEN).await;
            result.expect("the peer writes");
            verify(0, &buffer);
            let (result, _) = reader.read(buffer).await;
            assert_eq!(result.expect("the end"), 0);
        });
        writing.await;
        reading.await;
    });
}

/// A thousand connections are open at once, accepted and made by the runtime, and each is served.
pub fn a_thousand_connections_work_at_once<R: Net>(subject: &Subject<R>) {
    const CONNECTIONS: usize = 1_000;
    // Both ends are in this process.
    allow_descriptors(2 * CONNECTIONS as u64 + 100);
    subject.run(async {
        let socket = socket::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Share::No).unwrap();
        let addr = socket.local_addr().unwrap();
        let mut listener = R::listen(socket).expect("the runtime takes the socket over");
        let server = R::spawn(async move {
            let mut tasks = Vec::new();
            for _ in 0..CONNECTIONS {
                let (stream, _) = listener.accept().await.expect("a connection");
                tasks.push(R::spawn(echo(stream)));
            }
            for task in tasks {
                task.await;
            }
        });
        let connected = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let connected = connected.clone();
                R::spawn(async move {
                    let stream = R::connect(addr).await.expect("the listener is there");
                    connected.fetch_add(1, Ordering::SeqCst);
                    while connected.load(Ordering::SeqCst) < CONNECTIONS {
                        // Rarely: hundreds of tasks that wake up every millisecond keep a slow machine busy, and
                        // tokio-uring submits operations when it has nothing else to do.
                        R::sleep(std::time::Duration::from_millis(100)).await;
                    }
                    ask(stream).await;
                })
            })
            .collect();
        for client in clients {
            client.await;
        }
        server.await;
    });
}

async fn echo(mut stream: impl TcpStream) {
    let mut buffer = Buffer::with_capacity(4096);
    loop {
        let (result, back) = stream.read(buffer).await;
        if result.expect("the client writes") == 0 {
            return;
        }
        let (result, back) = stream.write_all(back).await;
        result.expect("the client reads");
        buffer = back;
    }
}

async fn ask(mut stream: impl TcpStream) {
    let mut buffer = message(1024);
    for _ in 0..3 {
        let (result, back) = stream.write_all(buffer).await;
        result.expect("the server reads");
        let (result, back) = stream.read_exact(back, 1024).await;
        result.expect("the server answers");
        verify(0, &back);
        buffer = back;
    }
}

/// Raises the soft limit of open files as far as needed.
fn allow_descriptors(needed: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = Some(needed);
        setrlimit(Resource::Nofile, limit)
            .unwrap_or_else(|error| panic!("{needed} open files (`ulimit -Hn`): {error}"));
    }
}
