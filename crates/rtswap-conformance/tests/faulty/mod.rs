//! tokio behind a wrapper that can break each promise of the contract, one at a time.

use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rtswap_runtime::{
    About, Buffer, Config, Effective, Elapsed, File, Fs, JoinHandle, Net, Open, ReadOwned, Runtime,
    TcpListener, TcpStream, WriteOwned,
};
use rtswap_tokio::Tokio;

/// What to break. Nothing, unless said.
pub trait Fault: 'static {
    const CORRUPTS_READS: bool = false;
    const READABLE_AT_ONCE: bool = false;
    const HIDES_ACCEPT_ERRNO: bool = false;
    const CORRUPTS_WRITES: bool = false;
    const FORGETS_LENGTH: bool = false;
    const RESET_IS_END: bool = false;
    const JOINS_SMALL_WRITES: bool = false;
    const HALF_SHUTS_DOWN: bool = false;
    const CANCELS_ON_DROP: bool = false;
    const NEVER_YIELDS: bool = false;
    const SLEEPS_SHORT: bool = false;
    const SLEEPS_FROM_CALL: bool = false;
    const LEAVES_A_THREAD: bool = false;
    const LEAVES_A_DESCRIPTOR: bool = false;
    const KEEPS_TASKS: bool = false;
    const EXTRA_WORKERS: usize = 0;
    const CORRUPTS_POLLS: bool = false;
    const LOSES_WHAT_IS_GIVEN_UP: bool = false;
    const NEVER_FLUSHES: bool = false;
    const KEEPS_WHAT_WAITS_OPEN: bool = false;
    const WRITES_SHORT: bool = false;
    const WRITES_CAPACITY: bool = false;
    const FORGETS_OFFSET: bool = false;
    const LEAKS_FILES: bool = false;
    const KEEPS_CONTENTS: bool = false;
    const IS_UNAVAILABLE: bool = false;
    const ABORT_DETACHES: bool = false;
    const ABORT_MISSES_READY: bool = false;
    const ABORT_LOSES_OUTPUT: bool = false;
    const ABORT_SWALLOWS_PANIC: bool = false;
    const ABORT_WAITS_FOR_POLL: bool = false;
    const TIMEOUT_LOSES_OUTPUT: bool = false;
    const TIMEOUT_ENDS_EARLY: bool = false;
    const TIMEOUT_FROM_CALL: bool = false;
    const TIMEOUT_KEEPS_FUTURE: bool = false;
    const BLOCKS_IN_PLACE: bool = false;
    const BLOCKS_ONE_AT_A_TIME: bool = false;
    const LOSES_BLOCKING_PANIC: bool = false;
    const DROP_WAITS_FOR_WORK: bool = false;
}

mod polled;

use polled::Polled;

/// `fn` makes it `Send` and `Sync` whatever the fault is.
pub struct Faulty<F>(PhantomData<fn() -> F>);

impl<F> Faulty<F> {
    pub const NEW: Self = Self(PhantomData);
}

impl<F> Clone for Faulty<F> {
    fn clone(&self) -> Self {
        Self::NEW
    }
}

/// A stream, a half or a listener of tokio's. `fn` makes it `Send` whatever the fault is.
pub struct Wrapped<T, F>(T, PhantomData<fn() -> F>);

fn wrap<T, F>(inner: T) -> Wrapped<T, F> {
    Wrapped(inner, PhantomData)
}

impl<F: Fault> Runtime for Faulty<F> {
    type JoinHandle<T: Send + 'static> = Handle<T, F>;

    fn about(&self) -> About {
        Tokio::default().about()
    }

    fn block_on<M: Future>(&self, config: &Config, main: M) -> io::Result<M::Output> {
        if F::LEAVES_A_THREAD {
            std::thread::Builder::new()
                .name("forgotten".into())
                .spawn(|| std::thread::sleep(Duration::from_mins(1)))?;
        }
        if F::LEAVES_A_DESCRIPTOR {
            std::mem::forget(std::net::UdpSocket::bind("127.0.0.1:0")?);
        }
        Tokio::default().block_on(&Config::new(config.workers.get() + F::EXTRA_WORKERS), main)
    }

    fn spawn<T>(task: T) -> Handle<T::Output, F>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let cancel = Arc::new(Cancel::default());
        if F::KEEPS_TASKS {
            // Where no shut-down finds it.
            let task = Box::leak(Box::new(Box::pin(task)));
            let task = poll_fn(move |cx| task.as_mut().poll(cx));
            return Handle(Some(Tokio::spawn(cancel.clone().guard(task))), cancel, PhantomData);
        }
        Handle(Some(Tokio::spawn(cancel.clone().guard(task))), cancel, PhantomData)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        let called = Instant::now();
        async move {
            if F::SLEEPS_SHORT {
                return std::thread::sleep(duration * 9 / 10);
            }
            if F::SLEEPS_FROM_CALL {
                return Tokio::sleep(duration.saturating_sub(called.elapsed())).await;
            }
            Tokio::sleep(duration).await;
        }
    }

    async fn yield_now() {
        if !F::NEVER_YIELDS {
            Tokio::yield_now().await;
        }
    }

    async fn spawn_blocking<W, T>(work: W) -> T
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        if F::BLOCKS_IN_PLACE {
            return work();
        }
        let (ended, wait) = mpsc::channel::<()>();
        let _wait = F::DROP_WAITS_FOR_WORK.then(|| WaitsInDrop(wait));
        Tokio::spawn_blocking(move || {
            let _ended = ended;
            let _one = F::BLOCKS_ONE_AT_A_TIME.then(|| ONE_AT_A_TIME.lock());
            if F::LOSES_BLOCKING_PANIC {
                return catch_unwind(AssertUnwindSafe(work)).expect("the work panicked");
            }
            work()
        })
        .await
    }

    fn timeout<T>(
        duration: Duration,
        future: T,
    ) -> impl Future<Output = Result<T::Output, Elapsed>> + Send
    where
        T: Future + Send,
        T::Output: Send,
    {
        let called = Instant::now();
        async move {
            let duration = if F::TIMEOUT_ENDS_EARLY {
                duration * 9 / 10
            } else if F::TIMEOUT_FROM_CALL {
                duration.saturating_sub(called.elapsed())
            } else {
                duration
            };
            if F::TIMEOUT_KEEPS_FUTURE {
                let mut future = ManuallyDrop::new(Box::pin(future));
                return Tokio::timeout(duration, future.as_mut()).await;
            }
            let output = Tokio::timeout(duration, future).await;
            if F::TIMEOUT_LOSES_OUTPUT { Err(Elapsed) } else { output }
        }
    }

    fn available(&self) -> io::Result<()> {
        if F::IS_UNAVAILABLE { Err(io::Error::other("not on this machine")) } else { Ok(()) }
    }

    fn effective(&self, config: &Config) -> Effective {
        Tokio::default().effective(config)
    }
}

impl<F: Fault> Net for Faulty<F> {
    type TcpStream = Wrapped<<Tokio as Net>::TcpStream, F>;
    type TcpListener = Wrapped<<Tokio as Net>::TcpListener, F>;

    fn listen(socket: std::net::TcpListener) -> io::Result<Self::TcpListener> {
        Tokio::listen(socket).map(wrap)
    }

    async fn connect(addr: SocketAddr) -> io::Result<Self::TcpStream> {
        let stream = Tokio::connect(addr).await?;
        if F::JOINS_SMALL_WRITES {
            let sockets = rtswap_conformance::process::sockets_to(addr);
            sockets.iter().try_for_each(|socket| socket.set_tcp_nodelay(false))?;
        }
        Ok(wrap(stream))
    }
}

impl<F: Fault> Fs for Faulty<F> {
    type File = OpenFile<F>;

    async fn open(path: &Path, how: Open) -> io::Result<OpenFile<F>> {
        let how = match how {
            Open::Create if F::KEEPS_CONTENTS && path.exists() => Open::Read,
            how => how,
        };
        Ok(OpenFile(Some(Tokio::open(path, how).await?), PhantomData))
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        Tokio::rename(from, to)
    }
}

/// Waits until the sender is gone.
struct WaitsInDrop(mpsc::Receiver<()>);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

/// What a dropped handle leaves for its task.
#[derive(Default)]
struct Cancel(Mutex<(bool, Option<Waker>)>);

impl Cancel {
    /// `None` if it was cancelled.
    async fn guard<T>(self: Arc<Self>, task: impl Future<Output = T>) -> Option<T> {
        let mut task = pin!(task);
        poll_fn(|cx| {
            let mut cancel = self.0.lock().unwrap();
            if cancel.0 {
                return Poll::Ready(None);
            }
            cancel.1 = Some(cx.waker().clone());
            drop(cancel);
            task.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

pub struct Handle<T: Send + 'static, F: Fault>(
    /// Taken by `abort` only.
    Option<<Tokio as Runtime>::JoinHandle<Option<T>>>,
    Arc<Cancel>,
    PhantomData<fn() -> F>,
);

impl<T: Send + 'static, F: Fault> Handle<T, F> {
    fn task(&mut self) -> Pin<&mut <Tokio as Runtime>::JoinHandle<Option<T>>> {
        Pin::new(self.0.as_mut().expect("taken by abort only"))
    }
}

impl<T: Send + 'static, F: Fault> Future for Handle<T, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let output = self.task().poll(cx);
        output.map(|output| output.expect("cancelled by its drop only"))
    }
}

impl<T: Send + 'static, F: Fault> JoinHandle<T> for Handle<T, F> {
    fn abort(mut self) -> impl Future<Output = Option<T>> + Send {
        let task = self.0.take().expect("taken by abort only");
        let was_polled = self.1.0.lock().unwrap().1.is_some();
        let detaches = F::ABORT_DETACHES || F::ABORT_MISSES_READY && !was_polled;
        let (now, later) = match () {
            () if detaches => (None, None),
            () if F::ABORT_WAITS_FOR_POLL => (None, Some(task)),
            () => (Some(task.abort()), None),
        };
        async {
            let abort = async {
                match (now, later) {
                    (Some(now), _) => now.await.flatten(),
                    (None, Some(later)) => later.abort().await.flatten(),
                    (None, None) => None,
                }
            };
            let output = match AssertUnwindSafe(abort).catch_unwind().await {
                Ok(output) => output,
                Err(_) if F::ABORT_SWALLOWS_PANIC => None,
                Err(panic) => resume_unwind(panic),
            };
            output.filter(|_| !F::ABORT_LOSES_OUTPUT)
        }
    }
}

impl<T: Send + 'static, F: Fault> Drop for Handle<T, F> {
    fn drop(&mut self) {
        if F::CANCELS_ON_DROP {
            let mut cancel = self.1.0.lock().unwrap();
            cancel.0 = true;
            if let Some(waker) = cancel.1.take() {
                waker.wake();
            }
        }
    }
}

impl<T: TcpListener, F: Fault> TcpListener for Wrapped<T, F> {
    type Stream = Wrapped<T::Stream, F>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        match self.0.accept().await {
            Ok((stream, peer)) => Ok((wrap(stream), peer)),
            Err(error) if F::HIDES_ACCEPT_ERRNO => Err(io::Error::other(error)),
            Err(error) => Err(error),
        }
    }
}

impl<T: TcpStream, F: Fault> TcpStream for Wrapped<T, F> {
    type ReadHalf = Wrapped<T::ReadHalf, F>;
    type WriteHalf = WriteHalf<T::WriteHalf, F>;

    fn into_split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        let (read, write) = self.0.into_split();
        (wrap(read), WriteHalf(Some(wrap(write))))
    }

    type Poll = Polled<T::Poll, F>;

    fn into_poll(self) -> Self::Poll {
        Polled::new(self.0.into_poll())
    }

    const READABLE: bool = T::READABLE;

    async fn readable(&mut self) -> io::Result<()> {
        if F::READABLE_AT_ONCE { Ok(()) } else { self.0.readable().await }
    }
}

impl<T: ReadOwned + Send, F: Fault> ReadOwned for Wrapped<T, F> {
    async fn read(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let (mut result, mut buffer) = self.0.read(buffer).await;
        if F::RESET_IS_END && result.is_err() {
            result = Ok(0);
        }
        if F::FORGETS_LENGTH && !buffer.is_empty() {
            buffer.set_len(buffer.len() + 1);
        }
        (result, if F::CORRUPTS_READS { corrupt(buffer) } else { buffer })
    }

    async fn read_exact(&mut self, buffer: Buffer, len: usize) -> (io::Result<()>, Buffer) {
        self.0.read_exact(buffer, len).await
    }
}

impl<T: WriteOwned + Send, F: Fault> WriteOwned for Wrapped<T, F> {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        self.0.write_all(if F::CORRUPTS_WRITES { corrupt(buffer) } else { buffer }).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Changes the last bit of data.
fn corrupt(mut buffer: Buffer) -> Buffer {
    if let Some(last) = buffer.len().checked_sub(1) {
        buffer.storage_mut()[last] ^= 1;
    }
    buffer
}

pub struct WriteHalf<T: WriteOwned + Send + 'static, F: Fault>(Option<Wrapped<T, F>>);

impl<T: WriteOwned + Send, F: Fault> WriteOwned for WriteHalf<T, F> {
    async fn write_all(&mut self, buffer: Buffer) -> (io::Result<()>, Buffer) {
        self.0.as_mut().unwrap().write_all(buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.as_mut().unwrap().shutdown().await
    }
}

impl<T: WriteOwned + Send + 'static, F: Fault> Drop for WriteHalf<T, F> {
    fn drop(&mut self) {
        if F::HALF_SHUTS_DOWN {
            let mut half = self.0.take().unwrap();
            drop(Tokio::spawn(async move { half.shutdown().await }));
        }
    }
}

pub struct OpenFile<F: Fault>(Option<<Tokio as Fs>::File>, PhantomData<fn() -> F>);

impl<F: Fault> OpenFile<F> {
    fn inner(&self) -> &<Tokio as Fs>::File {
        self.0.as_ref().expect("taken at the end only")
    }
}

impl<F: Fault> File for OpenFile<F> {
    async fn read_at(&self, buffer: Buffer, offset: u64) -> (io::Result<usize>, Buffer) {
        let offset = if F::FORGETS_OFFSET { 0 } else { offset };
        self.inner().read_at(buffer, offset).await
    }

    async fn write_all_at(&self, mut buffer: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let len = buffer.len();
        if F::WRITES_SHORT {
            buffer.set_len(len.saturating_sub(1));
        }
        if F::WRITES_CAPACITY {
            buffer.set_len(buffer.capacity());
        }
        let (result, mut buffer) = self.inner().write_all_at(buffer, offset).await;
        buffer.set_len(len);
        (result, buffer)
    }

    async fn sync(&self) -> io::Result<()> {
        self.inner().sync().await
    }

    async fn close(mut self) -> io::Result<()> {
        self.0.take().expect("taken at the end only").close().await
    }
}

impl<F: Fault> Drop for OpenFile<F> {
    fn drop(&mut self) {
        if F::LEAKS_FILES {
            std::mem::forget(self.0.take());
        }
    }
}
