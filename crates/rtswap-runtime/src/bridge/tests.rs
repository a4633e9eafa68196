//! The bridge over a stream whose operations are completed by hand.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};

use super::*;

/// One direction of the mock. One operation at a time: a second one panics.
#[derive(Default)]
struct Side {
    in_flight: bool,
    begun: usize,
    dropped: usize,
    answer: Option<io::Result<Vec<u8>>>,
    waker: Option<Waker>,
    /// Where the buffer of the last operation is, and how large.
    memory: (usize, usize),
    /// Whether the last buffer had initialised bytes beyond its length, of which it has none unless
    /// it was filled.
    filled: usize,
    /// What was written by operations that have ended well, and how often the stream was shut down.
    written: Vec<u8>,
    shut: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Half(Arc<Mutex<Side>>);

/// Marks an operation as dropped unless it has ended.
struct UnderWay(Half);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut side = self.0.side();
        if std::mem::take(&mut side.in_flight) {
            side.dropped += 1;
        }
    }
}

impl Half {
    fn side(&self) -> MutexGuard<'_, Side> {
        self.0.lock().unwrap()
    }

    /// Completes the operation that is in flight, or the next.
    fn answer(&self, answer: io::Result<&[u8]>) {
        let mut side = self.side();
        assert!(side.answer.is_none(), "answered twice");
        side.answer = Some(answer.map(<[u8]>::to_vec));
        if let Some(waker) = side.waker.take() {
            drop(side);
            waker.wake();
        }
    }

    async fn operate(&self, buffer: Option<&Buffer>) -> io::Result<Vec<u8>> {
        {
            let mut side = self.side();
            assert!(!side.in_flight, "two operations in one direction");
            side.in_flight = true;
            side.begun += 1;
            if let Some(buffer) = buffer {
                side.memory = (buffer.as_ptr() as usize, buffer.capacity());
            }
        }
        let under_way = UnderWay(self.clone());
        let answer = poll_fn(|cx| {
            let mut side = self.side();
            let answer = side.answer.take();
            if answer.is_none() {
                side.waker = Some(cx.waker().clone());
            }
            answer.map_or(Poll::Pending, Poll::Ready)
        });
        let answer = answer.await;
        self.side().in_flight = false;
        drop(under_way);
        answer
    }
}

impl ReadOwned for Half {
    async fn read(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let answer = self.operate(Some(&buffer)).await;
        let (storage, _) = buffer.into_parts();
        self.side().filled = storage.len();
        let mut buffer = Buffer::from_parts(storage, 0);
        let result = answer.map(|bytes| {
            buffer.storage_mut()[..bytes.len()].copy_from_slice(&bytes);
            buffer.set_len(bytes.len());
            bytes.len()
        });
        (result, buffer)
    }

    async fn read_exact(&mut self, _: Buffer, _: usize) -> (io::Result<()>, Buffer) {
        unreachable!("the bridge reads what there is")
    }
}

impl WriteOwned for Half {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        let result = self.operate(Some(&buffer)).await.map(drop);
        if result.is_ok() {
            self.side().written.extend_from_slice(&buffer);
        }
        (result, buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.operate(None).await?;
        self.side().shut += 1;
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(crate) struct Mock {
    read: Half,
    write: Half,
}

impl Mock {
    pub(crate) fn answer_read(&self, bytes: &[u8]) {
        self.read.answer(Ok(bytes));
    }

    pub(crate) fn answer_write(&self) {
        self.write.answer(Ok(b""));
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.write.side().written.clone()
    }

    pub(crate) fn shut_downs(&self) -> usize {
        self.write.side().shut
    }
}

impl ReadOwned for Mock {
    async fn read(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        self.read.read(buffer).await
    }

    async fn read_exact(&mut self, buffer: Buffer, len: usize) -> (io::Result<()>, Buffer) {
        self.read.read_exact(buffer, len).await
    }
}

impl WriteOwned for Mock {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        self.write.write_all(buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.write.shutdown().await
    }
}

impl TcpStream for Mock {
    type ReadHalf = Half;
    type WriteHalf = Half;
    type Poll = Bridge<Self>;

    fn into_split(self) -> (Half, Half) {
        (self.read, self.write)
    }

    fn into_poll(self) -> Bridge<Self> {
        Bridge::new(self)
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The bridge, the mock behind it, and a task that polls it.
struct Case {
    bridge: Bridge<Mock>,
    mock: Mock,
    task: Arc<Count>,
}

impl Case {
    fn new() -> Self {
        let mock = Mock::default();
        Self { bridge: mock.clone().into_poll(), mock, task: Arc::default() }
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut Bridge<Mock>>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = Waker::from(self.task.clone());
        poll(Pin::new(&mut self.bridge), &mut Context::from_waker(&waker))
    }

    /// What a read with room for so many bytes gives.
    fn read(&mut self, room: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut room = vec![0; room];
        let mut into = ReadBuf::new(&mut room);
        let read = self.poll(|bridge, cx| bridge.poll_read(cx, &mut into));
        read.map_ok(|()| into.filled().to_vec())
    }

    fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|bridge, cx| bridge.poll_write(cx, bytes))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        self.poll(AsyncWrite::poll_flush)
    }

    fn shutdown(&mut self) -> Poll<io::Result<()>> {
        self.poll(AsyncWrite::poll_shutdown)
    }

    /// Another task from now on.
    fn switch(&mut self) -> Arc<Count> {
        std::mem::take(&mut self.task)
    }

    fn woken(&self) -> usize {
        self.task.0.load(Ordering::SeqCst)
    }
}

fn ready<T>(poll: Poll<io::Result<T>>) -> T {
    match poll {
        Poll::Ready(result) => result.expect("no error"),
        Poll::Pending => panic!("pending"),
    }
}

fn error<T: fmt::Debug>(poll: Poll<io::Result<T>>) -> io::ErrorKind {
    match poll {
        Poll::Ready(result) => result.expect_err("an error").kind(),
        Poll::Pending => panic!("pending"),
    }
}

fn broken() -> io::Result<&'static [u8]> {
    Err(io::ErrorKind::BrokenPipe.into())
}

#[test]
fn what_a_read_brought_is_handed_on_piece_by_piece_without_another() {
    let mut case = Case::new();
    assert!(case.read(3).is_pending());
    assert_eq!(case.woken(), 0);
    case.mock.read.answer(Ok(b"abcdefg"));
    assert_eq!(case.woken(), 1);
    assert_eq!(ready(case.read(3)), b"abc");
    assert_eq!(ready(case.read(3)), b"def");
    assert_eq!(ready(case.read(3)), b"g");
    assert_eq!(case.mock.read.side().begun, 1);
    assert!(case.read(3).is_pending());
    assert_eq!(case.mock.read.side().begun, 2);
}

#[test]
fn a_read_without_room_begins_nothing() {
    let mut case = Case::new();
    assert_eq!(ready(case.read(0)), b"");
    assert_eq!(case.mock.read.side().begun, 0);
}

#[test]
fn a_read_appends_to_what_the_caller_has() {
    let mut case = Case::new();
    case.mock.read.answer(Ok(b"cd"));
    let mut room = [0; 3];
    let mut into = ReadBuf::new(&mut room);
    into.put_slice(b"ab");
    ready(case.poll(|bridge, cx| bridge.poll_read(cx, &mut into)));
    assert_eq!(into.filled(), b"abc");
    assert_eq!(ready(case.read(8)), b"d");
}

#[test]
fn a_read_that_was_given_up_goes_on_for_the_next_who_asks() {
    let mut case = Case::new();
    assert!(case.read(8).is_pending());
    let gone = case.switch();
    assert!(case.read(8).is_pending());
    assert_eq!(case.mock.read.side().begun, 1, "the same operation");
    case.mock.read.answer(Ok(b"kept"));
    assert_eq!((gone.0.load(Ordering::SeqCst), case.woken()), (0, 1), "the last waker counts");
    assert_eq!(ready(case.read(8)), b"kept");
}

#[test]
fn the_end_is_read_again_and_again_and_so_is_an_error() {
    let mut case = Case::new();
    for _ in 0..2 {
        case.mock.read.answer(Ok(b""));
        assert_eq!(ready(case.read(8)), b"");
    }
    for _ in 0..2 {
        case.mock.read.answer(Err(io::ErrorKind::ConnectionReset.into()));
        assert_eq!(error(case.read(8)), io::ErrorKind::ConnectionReset);
    }
    case.mock.read.answer(Ok(b"after all"));
    assert_eq!(ready(case.read(16)), b"after all");
}

#[test]
fn reads_use_the_same_memory_and_do_not_fill_it() {
    let mut case = Case::new();
    let mut memory = Vec::new();
    for _ in 0..3 {
        case.mock.read.answer(Ok(b"abc"));
        ready(case.read(8));
        memory.push(case.mock.read.side().memory);
    }
    assert_eq!(memory[0].1, READ_LEAST);
    assert!(memory.iter().all(|it| *it == memory[0]), "{memory:?}");
    let mut fresh = Case::new();
    fresh.mock.read.answer(Ok(b"abc"));
    ready(fresh.read(8));
    assert_eq!(fresh.mock.read.side().filled, 0);
}

#[test]
fn room_grows_while_reads_fill_it_and_shrinks_when_they_use_little() {
    let mut case = Case::new();
    let mut rooms = Vec::new();
    for fills in [1, 1, 1, 1, 1, 2, 5, 5, 5, 5] {
        let room = case.bridge.reading.room;
        case.mock.read.answer(Ok(&vec![7; room / fills]));
        let mut read = 0;
        while read < room / fills {
            read += ready(case.read(10_000)).len();
        }
        rooms.push(case.mock.read.side().memory.1 >> 10);
    }
    assert_eq!(rooms, [8, 16, 32, 64, 64, 64, 64, 32, 16, 8]);
}

#[test]
fn a_write_is_accepted_at_once_and_the_next_waits_for_it() {
    let mut case = Case::new();
    assert_eq!(ready(case.write(b"one")), 3);
    assert!(case.write(b"two").is_pending());
    assert!(case.flush().is_pending());
    assert_eq!(case.mock.write.side().begun, 1);
    case.mock.write.answer(Ok(b""));
    assert_eq!(ready(case.write(b"two")), 3);
    assert!(case.flush().is_pending(), "flushing waits for what was accepted");
    case.mock.write.answer(Ok(b""));
    ready(case.flush());
    ready(case.flush());
    let side = case.mock.write.side();
    assert_eq!((&side.written[..], side.begun), (&b"onetwo"[..], 2));
}

#[test]
fn nothing_written_begins_nothing() {
    let mut case = Case::new();
    assert_eq!(ready(case.write(b"")), 0);
    ready(case.flush());
    assert_eq!(case.mock.write.side().begun, 0);
}

#[test]
fn the_error_of_an_accepted_write_is_told_once_by_whatever_comes_next() {
    let next: [fn(&mut Case) -> io::ErrorKind; 3] = [
        |case| error(case.write(b"more")),
        |case| error(case.flush()),
        |case| error(case.shutdown()),
    ];
    for at_once in [true, false] {
        for next in next {
            let mut case = Case::new();
            if at_once {
                case.mock.write.answer(broken());
            }
            assert_eq!(ready(case.write(b"lost")), 4);
            if !at_once {
                case.mock.write.answer(broken());
            }
            assert_eq!(next(&mut case), io::ErrorKind::BrokenPipe);
            ready(case.flush());
        }
    }
}

#[test]
fn shutting_down_waits_for_the_write_and_happens_once() {
    let mut case = Case::new();
    assert_eq!(ready(case.write(b"last")), 4);
    assert!(case.shutdown().is_pending());
    assert_eq!(case.mock.write.side().begun, 1, "the write is still under way");
    case.mock.write.answer(Ok(b""));
    assert!(case.shutdown().is_pending());
    case.mock.write.answer(Ok(b""));
    ready(case.shutdown());
    ready(case.shutdown());
    ready(case.flush());
    let side = case.mock.write.side();
    assert_eq!((&side.written[..], side.begun, side.shut), (&b"last"[..], 2, 1));
}

#[test]
fn a_shutdown_that_fails_says_so_and_may_be_tried_again() {
    let mut case = Case::new();
    case.mock.write.answer(Err(io::ErrorKind::NotConnected.into()));
    assert_eq!(error(case.shutdown()), io::ErrorKind::NotConnected);
    case.mock.write.answer(Ok(b""));
    ready(case.shutdown());
    assert_eq!(case.mock.write.side().shut, 1);
}

#[test]
fn parts_are_written_as_one() {
    let mut case = Case::new();
    assert!(case.bridge.is_write_vectored());
    case.mock.write.answer(Ok(b""));
    let parts = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(ready(case.poll(|bridge, cx| bridge.poll_write_vectored(cx, &parts))), 8);
    let side = case.mock.write.side();
    assert_eq!((&side.written[..], side.begun), (&b"headbody"[..], 1));
}

#[test]
fn a_write_takes_no_more_than_its_most_also_in_parts() {
    let mut case = Case::new();
    let large = vec![7; WRITE_MOST - 1];
    case.mock.write.answer(Ok(b""));
    let parts = [IoSlice::new(&large), IoSlice::new(b"xyz")];
    assert_eq!(ready(case.poll(|bridge, cx| bridge.poll_write_vectored(cx, &parts))), WRITE_MOST);
    assert!(case.mock.write.side().written.ends_with(b"\x07x"));
}

#[test]
fn an_answer_of_64_kib_with_its_head_is_one_write() {
    let mut case = Case::new();
    let body = vec![7; 64 << 10];
    let parts = [IoSlice::new(&[b'h'; 200]), IoSlice::new(&body)];
    let written = case.poll(|bridge, cx| bridge.poll_write_vectored(cx, &parts));
    assert_eq!(ready(written), 200 + body.len());
}

#[test]
fn writes_use_the_same_memory_and_idle_connections_have_none() {
    let (mut case, mut other) = (Case::new(), Case::new());
    let memory = |case: &mut Case, len: usize| {
        case.mock.write.answer(Ok(b""));
        assert_eq!(ready(case.write(&vec![7; len])), len);
        ready(case.flush());
        case.mock.write.side().memory
    };
    let first = memory(&mut case, WRITE_MOST);
    assert_eq!(first.1, WRITE_MOST);
    for len in [10, WRITE_MOST] {
        assert_eq!((memory(&mut case, len), memory(&mut other, len)), (first, first));
    }
}

#[test]
fn a_task_that_reads_without_having_flushed_keeps_its_write_going() {
    let mut case = Case::new();
    ready(case.write(b"question"));
    let writer = case.switch();
    assert!(case.read(8).is_pending());
    case.mock.write.answer(Ok(b""));
    assert_eq!((writer.0.load(Ordering::SeqCst), case.woken()), (0, 1));
    assert!(case.read(8).is_pending());
    assert_eq!(case.mock.write.side().written, b"question");
}

#[test]
fn a_task_that_reads_leaves_the_waker_of_one_that_flushes() {
    let mut case = Case::new();
    ready(case.write(b"question"));
    assert!(case.flush().is_pending());
    let writer = case.switch();
    assert!(case.read(8).is_pending());
    case.mock.write.answer(Ok(b""));
    assert_eq!((writer.0.load(Ordering::SeqCst), case.woken()), (1, 1));
}

#[test]
fn a_flush_that_was_given_up_does_not_stop_the_write() {
    for another in [false, true] {
        let mut case = Case::new();
        ready(case.write(b"question"));
        assert!(case.flush().is_pending());
        if another {
            case.switch();
        }
        // From here on, the bridge is read and nothing else.
        assert!(case.read(8).is_pending());
        case.mock.write.answer(Ok(b""));
        assert_eq!(case.woken(), 1);
        assert!(case.read(8).is_pending());
        let written = case.mock.write.side().written.clone();
        assert_eq!(written, b"question", "another task reads: {another}");
    }
}

#[test]
fn the_error_that_a_reader_has_met_is_kept_for_the_writer() {
    let mut case = Case::new();
    ready(case.write(b"question"));
    case.mock.write.answer(broken());
    assert!(case.read(8).is_pending());
    assert_eq!(error(case.flush()), io::ErrorKind::BrokenPipe);
}

#[test]
fn dropping_the_bridge_drops_what_is_under_way() {
    let mut case = Case::new();
    assert!(case.read(8).is_pending());
    ready(case.write(b"never sent"));
    let Case { bridge, mock, .. } = case;
    assert_eq!(format!("{bridge:?}"), "Bridge { reads: true, writes: true, .. }");
    drop(bridge);
    assert_eq!((mock.read.side().dropped, mock.write.side().dropped), (1, 1));
    assert_eq!(Arc::strong_count(&mock.read.0), 1, "the halves are gone");
    assert_eq!(Arc::strong_count(&mock.write.0), 1);
}
