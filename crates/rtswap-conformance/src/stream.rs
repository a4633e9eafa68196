//! How connections begin and end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::mpsc;
use std::time::Duration;

use futures_lite::future;
use rtswap_runtime::socket::{self, Share};
use rtswap_runtime::{Buffer, Net, ReadOwned, TcpListener, TcpStream, WriteOwned, accept};
use socket2::{Domain, Socket, Type};

use crate::peer::{finished, meet, message, patient, reset, serve, verify};
use crate::{Subject, process};

fn buffer() -> Buffer {
    Buffer::with_capacity(64)
}

/// A read at the end of the stream gives `Ok(0)`, and does so again.
pub fn the_end_of_the_stream_reads_nothing<R: Net>(subject: &Subject<R>) {
    meet::<R, _, _, _>(subject, drop, |mut stream| async move {
        for _ in 0..3 {
            let (result, buffer) = stream.read(buffer()).await;
            assert_eq!((result.expect("no error"), buffer.len()), (0, 0));
        }
    });
}

/// After `shutdown` the peer reads the end, and what the peer sends then is still read.
pub fn after_shutdown_the_peer_reads_the_end_and_reading_goes_on<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: StdStream| {
        assert_eq!(stream.read(&mut [0; 8]).expect("the end"), 0);
        stream.write_all(&message(40)).expect("the runtime still reads");
    };
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        stream.shutdown().await.expect("the peer is there");
        let (result, buffer) = stream.read_exact(buffer(), 40).await;
        result.expect("the peer writes");
        verify(0, &buffer);
    });
}

/// A peer that has ended its own direction can still be written to.
pub fn a_peer_that_has_shut_down_can_still_be_written_to<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: StdStream| {
        stream.shutdown(Shutdown::Write).expect("the runtime is there");
        crate::peer::receive(&mut stream)
    };
    let (received, ()) = meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let (result, _) = stream.read(buffer()).await;
        assert_eq!(result.expect("the end"), 0);
        stream.write_all(message(100_000)).await.0.expect("the peer reads");
    });
    assert_eq!(received, 100_000);
}

/// A reset by the peer fails a read that waits: it does not hang and is no end of the stream.
pub fn a_reset_fails_a_read_that_waits<R: Net>(subject: &Subject<R>) {
    let peer = |stream| {
        // Time for the runtime to wait in its read; if it is too short, the check is still valid.
        std::thread::sleep(Duration::from_millis(20));
        reset(stream);
    };
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        stream.write_all(message(1)).await.0.expect("the peer reads");
        let (result, _) = stream.read(buffer()).await;
        assert_eq!(result.expect_err("a reset is an error").kind(), ErrorKind::ConnectionReset);
    });
}

/// Writing to a peer that has reset the connection fails before long.
pub fn a_reset_fails_the_writes_after_it<R: Net>(subject: &Subject<R>) {
    meet::<R, _, _, _>(subject, reset, |mut stream| async move {
        stream.write_all(message(1)).await.0.expect("the peer reads");
        let mut buffer = message(64 << 10);
        // The first ones may be sent before the reset arrives.
        for _ in 0..10_000 {
            let (result, back) = stream.write_all(buffer).await;
            assert_eq!(back.len(), 64 << 10, "the buffer comes back as it was");
            buffer = back;
            if let Err(error) = result {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                return;
            }
        }
        panic!("the connection was reset and takes bytes without end");
    });
}

/// Where nobody listens, `connect` is `ConnectionRefused`.
pub fn where_nobody_listens_connecting_is_refused<R: Net>(subject: &Subject<R>) {
    let listener = StdListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("its address");
    drop(listener);
    let kind = subject.run(async move { R::connect(addr).await.err().map(|e| e.kind()) });
    assert_eq!(kind, Some(ErrorKind::ConnectionRefused));
}

/// A stream that was connected has the options that all sockets of all lanes have.
pub fn a_connected_stream_has_the_options_of_all<R: Net>(subject: &Subject<R>) {
    let (addr, peer) = serve(|mut stream| stream.read_to_end(&mut Vec::new()));
    let sockets = subject.run(async move {
        let stream = R::connect(addr).await.expect("the peer listens");
        let sockets = process::sockets_to(addr);
        drop(stream);
        sockets
    });
    let expected = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket::tune(&expected).expect("its options can be set");
    assert!(!sockets.is_empty(), "the stream is a socket of this process");
    for socket in &sockets {
        assert!(socket.tcp_nodelay().expect("an option"), "it has no TCP_NODELAY");
        let congestion = [socket, &expected].map(|it| it.tcp_congestion().expect("an option"));
        assert_eq!(congestion[0], congestion[1], "its congestion control is another one");
    }
    drop(sockets);
    peer.join().expect("the peer is content").expect("the stream is closed in order");
}

/// `accept` gives the address that the peer has, and a stream that leads to it.
pub fn accept_names_the_peer<R: Net>(subject: &Subject<R>) {
    let socket = socket::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Share::No).unwrap();
    let addr = socket.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut stream = patient(StdStream::connect(addr).expect("the runtime listens"));
        stream.write_all(&message(10)).expect("the runtime reads");
        let mut end = Vec::new();
        stream.read_to_end(&mut end).expect("the runtime closes");
        stream.local_addr().expect("an address")
    });
    let peer = subject.run(async move {
        let mut listener = R::listen(socket).expect("the runtime takes the socket over");
        let (mut stream, peer) = listener.accept().await.expect("a connection");
        let (result, buffer) = stream.read_exact(buffer(), 10).await;
        result.expect("the client writes");
        verify(0, &buffer);
        peer
    });
    assert_eq!(peer, client.join().expect("the client is content"));
}

/// A stream that is dropped is closed: the peer reads the end.
pub fn a_dropped_stream_is_closed<R: Net>(subject: &Subject<R>) {
    closed_by::<R>(subject, drop);
}

/// Two halves that are dropped close their stream, whichever goes first.
pub fn two_dropped_halves_are_closed<R: Net>(subject: &Subject<R>) {
    closed_by::<R>(subject, |stream| {
        let (reader, writer) = stream.into_split();
        drop(reader);
        drop(writer);
    });
    closed_by::<R>(subject, |stream| {
        let (reader, writer) = stream.into_split();
        drop(writer);
        drop(reader);
    });
}

fn closed_by<R: Net>(subject: &Subject<R>, close: fn(R::TcpStream)) {
    let (addr, peer) = serve(|mut stream| stream.read(&mut [0; 8]).expect("no reset"));
    let read = subject.main(async {
        let stream = R::connect(addr).await.expect("the peer listens");
        close(stream);
        // The runtime is kept until the peer has seen it, so that its end is not what closes.
        finished::<R, _>(peer).await
    });
    assert_eq!(read, 0, "the peer reads the end");
}

/// Dropping the write half alone does not end the stream for the peer.
pub fn a_dropped_write_half_leaves_its_direction_open<R: Net>(subject: &Subject<R>) {
    let (dropped, wait) = mpsc::channel::<()>();
    let peer = move |mut stream: StdStream| {
        wait.recv().expect("the runtime drops the half");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let error = stream.read(&mut [0; 8]).expect_err("no end of the stream, but a timeout");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        stream.write_all(&message(10)).expect("the runtime reads");
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let (mut reader, writer) = stream.into_split();
        drop(writer);
        dropped.send(()).expect("the peer waits");
        let (result, _) = reader.read_exact(buffer(), 10).await;
        result.expect("the peer writes");
    });
}

/// A stream whose read was given up (a timeout is the usual cause) is closed by dropping it, though
/// the peer is silent.
pub fn a_stream_dropped_with_a_read_under_way_is_closed<R: Net>(subject: &Subject<R>) {
    let (addr, peer) = serve(|mut stream| stream.read(&mut [0; 8]).expect("no reset"));
    let read = subject.main(async {
        let mut stream = R::connect(addr).await.expect("the peer listens");
        let reading = async { drop(stream.read(buffer()).await) };
        let timeout = R::sleep(Duration::from_millis(20));
        future::or(reading, timeout).await;
        drop(stream);
        finished::<R, _>(peer).await
    });
    assert_eq!(read, 0, "the peer reads the end");
}

/// `readable` waits for data and loses none of it, also when it is given up first; at the end it does not wait.
pub fn readable_waits_for_data_and_leaves_it_to_the_read<R: Net>(subject: &Subject<R>) {
    if !R::TcpStream::READABLE {
        return;
    }
    let (waited, wait) = mpsc::channel::<()>();
    let peer = move |mut stream: StdStream| {
        wait.recv().expect("the runtime gives a wait up");
        stream.write_all(&message(40)).expect("the runtime reads");
    };
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let given_up = async {
            R::sleep(Duration::from_millis(20)).await;
            false
        };
        let readable = async { stream.readable().await.is_ok() };
        assert!(!future::or(readable, given_up).await, "nothing is there to be read");
        waited.send(()).expect("the peer waits");
        stream.readable().await.expect("the peer writes");
        let (result, buffer) = stream.read_exact(buffer(), 40).await;
        result.expect("the peer has written");
        verify(0, &buffer);
        stream.readable().await.expect("the end is readable");
        assert_eq!(stream.read(buffer).await.0.expect("the end"), 0);
    });
}

/// Without descriptors `accept` gives an error that a server outlives, and works again once there are some.
pub fn accept_goes_on_after_descriptors_were_exhausted<R: Net>(subject: &Subject<R>) {
    let socket = socket::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Share::No).unwrap();
    let addr = socket.local_addr().unwrap();
    subject.run(async move {
        let mut listener = R::listen(socket).expect("the runtime takes the socket over");
        // The runtime has what it needs from here on.
        let client = StdStream::connect(addr).expect("the runtime listens");
        // It stays open: a ring may close it only with the next operation, which would give a descriptor back.
        let _first = listener.accept().await.expect("a connection");
        let _held = client;
        let client = StdStream::connect(addr).expect("the runtime listens");
        let taken = process::exhaust_descriptors();
        let error = listener.accept().await.err().expect("no descriptor is left");
        assert_eq!(accept::pause_after(error).expect("the listener is whole"), accept::PAUSE);
        drop(taken);
        let (_, peer) = listener.accept().await.expect("the connection that waits");
        assert_eq!(peer, client.local_addr().expect("an address"));
    });
}
