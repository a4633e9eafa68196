//! The contract of the buffer: who sets what, and how it comes back.

use std::io::{ErrorKind, Write};
use std::sync::mpsc;

use rtswap_runtime::{Buffer, Net, ReadOwned, TcpStream, WriteOwned};

use crate::Subject;
use crate::peer::{meet, message, pattern, reset, verify};

/// Reads until `len` bytes have come, and verifies them. A read may give fewer at a time.
async fn read_all(stream: &mut impl TcpStream, mut buffer: Buffer, len: usize) -> Buffer {
    let mut received = 0;
    while received < len {
        let (result, back) = stream.read(buffer).await;
        let n = result.expect("the peer sends");
        assert!(n > 0, "the stream ends after {received} of {len} bytes");
        assert_eq!(back.len(), n, "the length of the buffer is the number of bytes read");
        verify(received, &back);
        received += n;
        buffer = back;
    }
    buffer
}

/// A read overwrites what is in the buffer from its start, sets the length to the number of bytes
/// that it gives, and keeps the capacity.
pub fn a_read_overwrites_from_the_start_and_sets_the_length<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: std::net::TcpStream| stream.write_all(&pattern(0, 5)).unwrap();
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let buffer = Buffer::from(vec![0xEE; 100]);
        let capacity = buffer.capacity();
        let buffer = read_all(&mut stream, buffer, 5).await;
        assert_eq!(buffer.capacity(), capacity);
        let (result, buffer) = stream.read(buffer).await;
        assert_eq!((result.unwrap(), buffer.len()), (0, 0), "at the end the buffer is empty");
    });
}

/// A read may fill all of the capacity, initialised before or not, and what was read can be written
/// again without its being copied.
pub fn a_read_may_use_all_of_the_capacity<R: Net>(subject: &Subject<R>) {
    const LEN: usize = 4096;
    let peer = |mut stream: std::net::TcpStream| stream.write_all(&pattern(0, 2 * LEN)).unwrap();
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let mut storage = Vec::with_capacity(LEN);
        storage.extend([1, 2, 3]);
        let (result, buffer) = stream.read_exact(storage.into(), LEN).await;
        result.expect("the capacity suffices");
        verify(0, &buffer);
        let (result, buffer) = stream.read_exact(Buffer::from(buffer.into_vec()), LEN).await;
        result.expect("the capacity suffices");
        verify(LEN, &buffer);
    });
}

/// A read into a buffer without capacity gives `Ok(0)`: at once, although nothing was sent.
pub fn a_read_into_no_capacity_reads_nothing<R: Net>(subject: &Subject<R>) {
    let (done, wait) = mpsc::channel::<()>();
    let peer = move |_stream| wait.recv().expect_err("the other end is dropped, nothing sent");
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let (result, buffer) = stream.read(Buffer::default()).await;
        assert_eq!((result.unwrap(), buffer.len(), buffer.capacity()), (0, 0, 0));
        let (result, buffer) = stream.read_exact(Buffer::default(), 0).await;
        assert_eq!((result.unwrap(), buffer.len()), ((), 0));
        drop(done);
    });
}

/// After an error the buffer comes back empty, with its capacity.
pub fn a_read_that_fails_gives_an_empty_buffer_back<R: Net>(subject: &Subject<R>) {
    meet::<R, _, _, _>(subject, reset, |mut stream| async move {
        stream.write_all(message(1)).await.0.expect("the peer reads");
        let buffer = message(64);
        let capacity = buffer.capacity();
        let (result, buffer) = stream.read(buffer).await;
        result.expect_err("the connection was reset");
        assert_eq!((buffer.len(), buffer.capacity()), (0, capacity));
    });
}

/// `read_exact` takes as many bytes as it is asked for and leaves the next one for the next read.
pub fn read_exact_takes_no_byte_too_many<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: std::net::TcpStream| stream.write_all(&pattern(0, 100)).unwrap();
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let mut buffer = Buffer::from(vec![0xEE; 64]);
        for start in (0..100).step_by(10) {
            let (result, back) = stream.read_exact(buffer, 10).await;
            result.expect("the peer has sent it");
            assert_eq!(back.len(), 10);
            verify(start, &back);
            buffer = back;
        }
        let (result, _) = stream.read(buffer).await;
        assert_eq!(result.unwrap(), 0);
    });
}

/// `read_exact` of more bytes than the capacity is `InvalidInput`; the stream is as it was.
pub fn read_exact_beyond_the_capacity_is_invalid_input<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: std::net::TcpStream| stream.write_all(&pattern(0, 17)).unwrap();
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let buffer = message(16);
        let too_long = buffer.capacity() + 1;
        let (result, buffer) = stream.read_exact(buffer, too_long).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((buffer.len(), buffer.capacity()), (0, too_long - 1));
        let (result, buffer) = stream.read_exact(Buffer::with_capacity(17), 17).await;
        result.expect("nothing was taken from the stream");
        verify(0, &buffer);
    });
}

/// `read_exact` beyond the end of the stream is `UnexpectedEof`, and the buffer comes back empty.
pub fn read_exact_beyond_the_end_is_unexpected_eof<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: std::net::TcpStream| stream.write_all(&pattern(0, 9)).unwrap();
    meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        let (result, buffer) = stream.read_exact(message(64), 10).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 64));
    });
}

/// `write_all` writes the data and nothing beyond the length, and gives the buffer back as it was:
/// an empty one, too.
pub fn a_write_gives_the_buffer_back_as_it_was<R: Net>(subject: &Subject<R>) {
    let peer = |mut stream: std::net::TcpStream| crate::peer::receive(&mut stream);
    let (received, ()) = meet::<R, _, _, _>(subject, peer, |mut stream| async move {
        for empty in [Buffer::default(), Buffer::with_capacity(8)] {
            let capacity = empty.capacity();
            let (result, empty) = stream.write_all(empty).await;
            result.expect("nothing is written");
            assert_eq!((empty.len(), empty.capacity()), (0, capacity));
        }
        let mut buffer = message(1000);
        buffer.set_len(700);
        let (result, buffer) = stream.write_all(buffer).await;
        result.expect("the peer reads");
        assert_eq!((buffer.len(), buffer.capacity()), (700, 1000));
        verify(0, &buffer);
    });
    assert_eq!(received, 700);
}
