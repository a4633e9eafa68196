//! The poll face: what `into_poll` gives does what `AsyncRead` and `AsyncWrite` promise.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_lite::future;
use rtswap_runtime::{Net, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf, split};

use crate::Subject;
use crate::peer::{self, ODD_PIECES, finished, meet, pattern, reset, serve, small_window, verify};
use crate::process::Snapshot;
use crate::shutdown::left_by;

/// More than the sockets hold: 8 MiB.
const LARGE: usize = 8 << 20;

/// More than any pair of sockets takes while nobody reads: 16 MiB. No peer of these has a small window,
/// which fills at once, and which the kernel then only tries again every 200 ms: what is left in the
/// socket of a stream that was dropped, up to 4 MiB, would take most of a minute.
const ENDLESS: usize = 16 << 20;

/// What is under way when it is given up.
const MOMENT: Duration = Duration::from_millis(20);

/// Up to 8 MiB that a peer sends slowly and in odd pieces are read intact, in other odd pieces.
pub fn what_a_peer_sends_in_odd_pieces_is_polled_intact<R: Net>(subject: &Subject<R>) {
    for size in [1, 1_000, 65_537, LARGE] {
        let peer = move |mut stream: StdStream| peer::send(&mut stream, size);
        let ((), received) = meet::<R, _, _, _>(subject, peer, |stream| async move {
            let mut stream = stream.into_poll();
            let mut buffer = vec![0; 65_537];
            let mut received = 0;
            for &piece in ODD_PIECES.iter().rev().cycle() {
                let read = stream.read(&mut buffer[..piece]).await.expect("the peer sends");
                if read == 0 {
                    break;
                }
                verify(received, &buffer[..read]);
                received += read;
            }
            assert_eq!(stream.read(&mut buffer).await.expect("the end again"), 0);
            received
        });
        assert_eq!(received, size);
    }
}

/// Up to 8 MiB that are written in odd pieces, and then flushed, arrive intact at a slow peer.
pub fn what_is_polled_in_odd_pieces_arrives_intact<R: Net>(subject: &Subject<R>) {
    for size in [1, 1_000, 65_537, LARGE] {
        let peer = |mut stream: StdStream| {
            small_window(&stream);
            peer::receive(&mut stream)
        };
        let (received, ()) = meet::<R, _, _, _>(subject, peer, move |stream| async move {
            let mut stream = stream.into_poll();
            let mut rest = &pattern(0, size)[..];
            for &piece in ODD_PIECES.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let written = stream.write(&rest[..piece.min(rest.len())]).await;
                rest = &rest[written.expect("the peer reads")..];
            }
            stream.flush().await.expect("the peer reads");
            stream.shutdown().await.expect("the peer is there");
        });
        assert_eq!(received, size);
    }
}

/// Parts that are written as one arrive in their order.
pub fn what_is_polled_in_parts_arrives_in_order<R: Net>(subject: &Subject<R>) {
    const PARTS: usize = 20;
    let peer = |mut stream: StdStream| peer::receive(&mut stream);
    let (received, written) = meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        let bytes = pattern(0, PARTS * 5_000);
        let mut written = 0;
        while written < bytes.len() {
            let parts: Vec<_> = bytes[written..].chunks(4_999).map(std::io::IoSlice::new).collect();
            written += stream.write_vectored(&parts).await.expect("the peer reads");
        }
        stream.shutdown().await.expect("the peer is there");
        written
    });
    assert_eq!(received, written);
}

/// What was flushed goes out while nobody touches the stream, and nothing more is written.
pub fn what_was_flushed_needs_no_more_polls<R: Net>(subject: &Subject<R>) {
    const LEN: usize = 50_000;
    let (heard, hears) = mpsc::channel();
    let peer = move |mut stream: StdStream| {
        let mut bytes = vec![0; LEN];
        let read = stream.read_exact(&mut bytes);
        heard.send(read.map(|()| bytes)).expect("the runtime waits");
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        stream.write_all(&pattern(0, LEN)).await.expect("the peer reads");
        stream.flush().await.expect("the peer reads");
        let bytes = loop {
            match hears.try_recv() {
                Ok(heard) => break heard,
                Err(mpsc::TryRecvError::Empty) => R::sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("the peer is gone: {error}"),
            }
        };
        verify(0, &bytes.expect("what was flushed does not arrive"));
        drop(stream);
    });
}

/// The two halves that `tokio::io::split` makes are polled by two tasks at once: one writes 8 MiB, the
/// other reads the echo of it. Neither gets on without the other.
pub fn two_tasks_poll_the_two_directions_at_once<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: StdStream| {
        small_window(&stream);
        let mut writer = stream.try_clone().expect("a second descriptor");
        std::io::copy(&mut stream, &mut writer).expect("the runtime reads and writes");
        writer.shutdown(std::net::Shutdown::Write).expect("the runtime is there");
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let (mut reader, mut writer) = split(stream.into_poll());
        let writing = R::spawn(async move {
            writer.write_all(&pattern(0, LARGE)).await.expect("the peer reads");
            writer.flush().await.expect("the peer reads");
            writer.shutdown().await.expect("the peer is there");
        });
        let reading = R::spawn(async move {
            let mut bytes = Vec::with_capacity(LARGE);
            reader.read_to_end(&mut bytes).await.expect("the peer writes");
            assert_eq!(bytes.len(), LARGE);
            verify(0, &bytes);
        });
        writing.await;
        reading.await;
    });
}

/// 8 MiB each way, of which neither is an answer to the other.
pub fn large_bodies_pass_each_other<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: StdStream| {
        small_window(&stream);
        let mut writer = stream.try_clone().expect("a second descriptor");
        let sending = thread::spawn(move || peer::send(&mut writer, LARGE));
        let received = peer::receive(&mut stream);
        sending.join().expect("the runtime reads");
        received
    };
    let (received, ()) = meet::<R, _, _, _>(subject, peer, |stream| async move {
        let (mut reader, mut writer) = split(stream.into_poll());
        let writing = R::spawn(async move {
            writer.write_all(&pattern(0, LARGE)).await.expect("the peer reads");
            writer.flush().await.expect("the peer reads");
            writer.shutdown().await.expect("the peer is there");
        });
        let mut bytes = vec![0; LARGE];
        reader.read_exact(&mut bytes).await.expect("the peer writes");
        verify(0, &bytes);
        writing.await;
    });
    assert_eq!(received, LARGE);
}

/// After `poll_shutdown` the peer reads the end, and what the peer sends then is still read.
pub fn shutting_down_ends_what_the_peer_reads_and_reading_goes_on<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: StdStream| {
        // Not flushed by hand: shutting down does it.
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the end");
        verify(0, &bytes);
        stream.write_all(&pattern(0, 40)).expect("the runtime still reads");
        bytes.len()
    };
    let (received, ()) = meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        stream.write_all(&pattern(0, 70_000)).await.expect("the peer reads");
        stream.shutdown().await.expect("the peer is there");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the peer writes");
        assert_eq!(bytes.len(), 40);
        verify(0, &bytes);
    });
    assert_eq!(received, 70_000);
}

/// A reset by the peer fails a read that is pending: it does not hang and is no end of the stream.
pub fn a_reset_fails_a_read_that_is_pending<R: Net>(subject: &Subject<R>) {
    let peer = |stream| {
        // Time for the runtime to wait in its read; if it is too short, the check is still valid.
        thread::sleep(MOMENT);
        reset(stream);
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        stream.write_all(&[peer::byte_at(0)]).await.expect("the peer reads");
        stream.flush().await.expect("the peer reads");
        let read = stream.read(&mut [0; 64]).await;
        assert_eq!(read.expect_err("a reset is an error").kind(), ErrorKind::ConnectionReset);
    });
}

/// Writing to a peer that has reset the connection fails before long, in a write or a flush.
pub fn a_reset_fails_the_polled_writes_after_it<R: Net>(subject: &Subject<R>) {
    meet::<R, _, _, _>(subject, reset, |stream| async move {
        let mut stream = stream.into_poll();
        let bytes = pattern(0, 64 << 10);
        // The first ones may be sent before the reset arrives.
        for _ in 0..10_000 {
            let written = match stream.write_all(&bytes).await {
                Ok(()) => stream.flush().await,
                error => error,
            };
            if let Err(error) = written {
                let expected = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                assert!(expected.contains(&error.kind()), "{error}");
                return;
            }
        }
        panic!("the connection was reset and takes bytes without end");
    });
}

/// A read that is given up while it waits loses no byte: what arrives later is the next one's.
pub fn a_read_that_is_given_up_loses_nothing<R: Net>(subject: &Subject<R>) {
    const PIECES: usize = 10;
    let (ask, asked) = mpsc::channel::<()>();
    let peer = move |mut stream: StdStream| {
        stream.set_nodelay(true).expect("no delay, or pieces would be joined");
        for n in 0..PIECES {
            asked.recv().expect("the runtime asks");
            stream.write_all(&pattern(n * 100, 100)).expect("the runtime reads");
        }
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        for n in 0..PIECES {
            let mut given_up = vec![0; 100];
            let read = async { Some(stream.read(&mut given_up).await) };
            let timeout = async {
                R::sleep(Duration::from_millis(5)).await;
                None
            };
            assert!(future::or(read, timeout).await.is_none(), "nothing was sent");
            ask.send(()).expect("the peer waits");
            // Time for the bytes to arrive while nobody reads.
            R::sleep(Duration::from_millis(n as u64)).await;
            let mut bytes = [0; 100];
            let mut read = 0;
            while read < bytes.len() {
                let more = stream.read(&mut bytes[read..]).await.expect("the peer writes");
                assert!(more > 0, "the end came too early");
                // At once: a read for what was lost would wait without end.
                verify(n * 100 + read, &bytes[read..read + more]);
                read += more;
            }
        }
    });
}

/// A write that is given up has written the beginning of what it was given, and nothing twice.
pub fn a_write_that_is_given_up_has_written_a_beginning<R: Net>(subject: &Subject<R>) {
    let (go_on, wait) = mpsc::channel::<()>();
    let peer = move |mut stream: StdStream| {
        wait.recv().expect("the runtime gives up");
        peer::receive(&mut stream)
    };
    let (received, ()) = meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        let bytes = pattern(0, ENDLESS);
        let write = async { stream.write_all(&bytes).await.expect("the peer is there") };
        future::or(write, R::sleep(MOMENT)).await;
        go_on.send(()).expect("the peer waits");
        stream.shutdown().await.expect("the peer is there");
    });
    assert!(received > 0, "nothing was written");
}

/// A stream whose read one task waits for is handed to another, which is woken then.
pub fn a_pending_read_goes_with_its_stream_to_another_task<R: Net>(subject: &Subject<R>) {
    let (ask, asked) = mpsc::channel::<()>();
    let peer = move |mut stream: StdStream| {
        asked.recv().expect("the runtime asks");
        thread::sleep(MOMENT);
        stream.write_all(&pattern(0, 100)).expect("the runtime reads");
    };
    meet::<R, _, _, _>(subject, peer, |stream| async move {
        let mut stream = stream.into_poll();
        poll_fn(|cx| {
            let mut room = [0; 8];
            let read = tokio::io::AsyncRead::poll_read(
                Pin::new(&mut stream),
                cx,
                &mut ReadBuf::new(&mut room),
            );
            assert!(read.is_pending(), "nothing was sent");
            Poll::Ready(())
        })
        .await;
        let other = R::spawn(async move {
            ask.send(()).expect("the peer waits");
            let mut bytes = [0; 100];
            stream.read_exact(&mut bytes).await.expect("the peer writes");
            verify(0, &bytes);
        });
        other.await;
    });
}

/// A stream that is dropped while a read is pending is closed, though the peer is silent, and its
/// descriptor is gone.
pub fn a_polled_stream_dropped_with_a_read_pending_is_closed<R: Net>(subject: &Subject<R>) {
    dropped::<R>(subject, |stream| Box::pin(read_for_ever::<R>(stream)));
}

/// A stream that is dropped while a write is pending, because the peer does not read, is closed, and
/// its descriptor is gone.
pub fn a_polled_stream_dropped_with_a_write_pending_is_closed<R: Net>(subject: &Subject<R>) {
    dropped::<R>(subject, |stream| Box::pin(write_for_ever::<R>(stream)));
}

/// The same where both are pending, in two tasks that are dropped with the runtime.
pub fn both_directions_are_pending_when_block_on_returns<R: Net>(subject: &Subject<R>) {
    let once = || {
        let (dropped, wait) = mpsc::channel::<()>();
        let (addr, peer) = serve(move |stream| {
            // The sender is dropped, which is all that there is to hear.
            let _ = wait.recv();
            ends(stream);
        });
        subject.main(async {
            let stream = R::connect(addr).await.expect("the peer listens");
            let (mut reader, mut writer) = split(stream.into_poll());
            let reading = R::spawn(async move { drop(reader.read(&mut [0; 64]).await) });
            let writing = R::spawn(async move {
                drop(writer.write_all(&vec![0; ENDLESS]).await);
            });
            R::sleep(MOMENT).await;
            drop((reading, writing));
        });
        drop(dropped);
        if !subject.allow.tasks_outlive {
            peer.join().expect("the peer is content");
        }
    };
    if subject.allow.tasks_outlive {
        // So do their sockets; all there is to ask is that `block_on` returns.
        return once();
    }
    assert_nothing_left(&left_by(subject, once));
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

async fn read_for_ever<R: Net>(stream: &mut <R::TcpStream as TcpStream>::Poll) {
    drop(stream.read(&mut [0; 64]).await);
}

async fn write_for_ever<R: Net>(stream: &mut <R::TcpStream as TcpStream>::Poll) {
    drop(stream.write_all(&vec![0; ENDLESS]).await);
}

/// Drops a stream while `pending` waits, several times, and looks at what is left.
fn dropped<R: Net>(
    subject: &Subject<R>,
    pending: fn(&mut <R::TcpStream as TcpStream>::Poll) -> Boxed<'_>,
) {
    let once = || {
        let (dropped, wait) = mpsc::channel::<()>();
        let (addr, peer) = serve(move |stream| {
            wait.recv().expect("the runtime drops the stream");
            ends(stream);
        });
        subject.run(async move {
            let stream = R::connect(addr).await.expect("the peer listens");
            let mut stream = stream.into_poll();
            future::or(pending(&mut stream), R::sleep(MOMENT)).await;
            drop(stream);
            dropped.send(()).expect("the peer waits");
            // The runtime is kept until the peer has seen it, so that its end is not what closes.
            finished::<R, _>(peer).await;
        });
    };
    assert_nothing_left(&left_by(subject, once));
}

/// Reads to the end, or to a reset. A peer that waits in vain panics.
fn ends(mut stream: StdStream) {
    // Not verified: megabytes in each of six turns take longer without optimisation than all the rest.
    let mut bytes = vec![0; 64 << 10];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the stream was dropped and does not end: {error}"),
        }
    }
}

fn assert_nothing_left(left: &Snapshot) {
    assert!(left.is_empty(), "left behind by dropped streams: {left:?}");
}
