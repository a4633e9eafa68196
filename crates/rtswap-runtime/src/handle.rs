//! Files with a cursor, as most runtimes have them: a lane of the runtime's own `fs` module.

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{About, Buffer, Config, Effective, Elapsed, File, Files, Fs, Net, Open, Runtime};

/// An open file of a runtime's own `fs` module, which has a cursor: `tokio::fs::File` and its like.
pub trait Handle: Sized + Send + 'static {
    /// Who does its I/O.
    const FILES: Files = Files::Threads;

    /// Whether this machine lets it do its I/O as [`FILES`](Self::FILES) says.
    ///
    /// # Errors
    /// Why not.
    fn available() -> io::Result<()> {
        Ok(())
    }

    /// Opens a file, to be read or to be made. `ReadDirect` never gets here.
    ///
    /// # Errors
    /// What the kernel says.
    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self>> + Send;

    /// Seeks, and reads some bytes.
    ///
    /// # Errors
    /// What the kernel says.
    fn read(
        &mut self,
        bytes: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Seeks, writes all bytes, and flushes.
    ///
    /// # Errors
    /// What the kernel says.
    fn write_all(
        &mut self,
        bytes: &[u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// What the kernel says.
    fn sync(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Renames a file.
    ///
    /// # Errors
    /// What the kernel says.
    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;
}

/// A file that is read and written through [`Handle`]s.
///
/// A handle does one operation at a time, so a program whose tasks read one file at once opens it in each of them:
/// operations take a handle that is idle, and a read that finds none opens another.
pub struct HandleFile<H> {
    path: PathBuf,
    how: Open,
    idle: Mutex<Vec<H>>,
}

impl<H: Handle> HandleFile<H> {
    async fn open(path: &Path, how: Open) -> io::Result<Self> {
        if how == Open::ReadDirect {
            return Err(crate::file::no_direct());
        }
        let handle = H::open(path, how).await?;
        Ok(Self { path: path.to_owned(), how, idle: Mutex::new(vec![handle]) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<H>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self) -> io::Result<H> {
        let idle = self.idle().pop();
        match idle {
            Some(handle) => Ok(handle),
            None if self.how == Open::Read => H::open(&self.path, self.how).await,
            // To open it again would empty it.
            None => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another write is under way")),
        }
    }

    fn give_back(&self, handle: H) {
        self.idle().push(handle);
    }
}

impl<H: Handle> File for HandleFile<H> {
    async fn read_at(&self, mut buffer: Buffer, offset: u64) -> (io::Result<usize>, Buffer) {
        buffer.clear();
        let mut handle = match self.take().await {
            Ok(handle) => handle,
            Err(error) => return (Err(error), buffer),
        };
        let result = handle.read(buffer.storage_mut(), offset).await;
        self.give_back(handle);
        buffer.set_len(*result.as_ref().unwrap_or(&0));
        (result, buffer)
    }

    async fn write_all_at(&self, buffer: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let mut handle = match self.take().await {
            Ok(handle) => handle,
            Err(error) => return (Err(error), buffer),
        };
        let result = handle.write_all(&buffer, offset).await;
        self.give_back(handle);
        (result, buffer)
    }

    async fn sync(&self) -> io::Result<()> {
        let mut handle = self.take().await?;
        let result = handle.sync().await;
        self.give_back(handle);
        result
    }

    async fn close(self) -> io::Result<()> {
        // Such files are closed by dropping them.
        Ok(())
    }
}

impl<H> fmt::Debug for HandleFile<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A runtime with the files of [`Handle`]s instead of its own adapter's; all else is the runtime's.
pub struct WithHandles<R, H> {
    runtime: R,
    handles: PhantomData<fn() -> H>,
}

impl<R, H> WithHandles<R, H> {
    /// The runtime with other files.
    pub fn new(runtime: R) -> Self {
        Self { runtime, handles: PhantomData }
    }
}

impl<R: Clone, H> Clone for WithHandles<R, H> {
    fn clone(&self) -> Self {
        Self::new(self.runtime.clone())
    }
}

impl<R: fmt::Debug, H> fmt::Debug for WithHandles<R, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithHandles").field(&self.runtime).finish()
    }
}

impl<R: Runtime, H: Handle> Runtime for WithHandles<R, H> {
    type JoinHandle<T: Send + 'static> = R::JoinHandle<T>;

    fn about(&self) -> About {
        About { files: H::FILES, ..self.runtime.about() }
    }

    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output> {
        self.runtime.block_on(config, main)
    }

    fn spawn<F>(task: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        R::spawn(task)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        R::spawn_blocking(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        R::sleep(duration)
    }

    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        R::timeout(duration, future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        R::yield_now()
    }

    fn available(&self) -> io::Result<()> {
        self.runtime.available()?;
        H::available()
    }

    fn effective(&self, config: &Config) -> Effective {
        self.runtime.effective(config)
    }
}

impl<R: Net, H: Handle> Net for WithHandles<R, H> {
    type TcpStream = R::TcpStream;
    type TcpListener = R::TcpListener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Self::TcpListener> {
        R::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send {
        R::connect(addr)
    }
}

impl<R: Runtime, H: Handle> Fs for WithHandles<R, H> {
    type File = HandleFile<H>;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send {
        HandleFile::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        H::rename(from, to)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_lite::future::{block_on, poll_once, yield_now, zip};

    use super::*;

    thread_local! {
        /// How many files this thread has opened, and how many of them are open.
        static OPENED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }

    /// A file whose byte at N is N. Each operation takes two polls. At 999 it fails.
    struct Mock;

    impl Drop for Mock {
        fn drop(&mut self) {
            let (ever, now) = OPENED.get();
            OPENED.set((ever, now - 1));
        }
    }

    impl Handle for Mock {
        async fn open(_: &Path, _: Open) -> io::Result<Self> {
            let (ever, now) = OPENED.get();
            OPENED.set((ever + 1, now + 1));
            Ok(Self)
        }

        async fn read(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
            yield_now().await;
            if offset == 999 {
                return Err(io::ErrorKind::Other.into());
            }
            let some = bytes.len().min(4);
            bytes[..some].fill(offset as u8);
            Ok(some)
        }

        async fn write_all(&mut self, _: &[u8], offset: u64) -> io::Result<()> {
            yield_now().await;
            if offset == 999 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }

        async fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn rename(_: &Path, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }

    fn open(how: Open) -> HandleFile<Mock> {
        block_on(HandleFile::open(Path::new("file"), how)).unwrap()
    }

    fn buffer() -> Buffer {
        Buffer::with_capacity(8)
    }

    #[test]
    fn read_at_opens_another_handle_only_if_none_is_idle() {
        let file = open(Open::Read);
        for _ in 0..3 {
            block_on(file.read_at(buffer(), 1)).0.unwrap();
        }
        assert_eq!(OPENED.get(), (1, 1), "one after the other");
        for _ in 0..3 {
            let both = zip(file.read_at(buffer(), 2), file.read_at(buffer(), 3));
            let ((first, two), (second, three)) = block_on(both);
            assert_eq!((first.unwrap(), second.unwrap()), (4, 4));
            assert_eq!((&two[..], &three[..]), (&[2; 4][..], &[3; 4][..]));
        }
        assert_eq!(OPENED.get(), (2, 2), "two at a time");
        drop(file);
        assert_eq!(OPENED.get(), (2, 0));
    }

    #[test]
    fn read_at_that_is_dropped_leaves_the_file_usable() {
        let file = open(Open::Read);
        block_on(async { assert!(poll_once(file.read_at(buffer(), 1)).await.is_none()) });
        assert_eq!(OPENED.get(), (1, 0), "its handle is closed");
        block_on(file.read_at(buffer(), 1)).0.unwrap();
        assert_eq!(OPENED.get(), (2, 1));
    }

    #[test]
    fn operation_that_fails_gives_its_handle_back() {
        let file = open(Open::Read);
        let (result, empty) = block_on(file.read_at(buffer(), 999));
        assert!(result.is_err() && empty.is_empty());
        block_on(file.read_at(buffer(), 1)).0.unwrap();
        let file = open(Open::Create);
        assert!(block_on(file.write_all_at(buffer(), 999)).0.is_err());
        block_on(file.write_all_at(buffer(), 1)).0.unwrap();
        block_on(file.sync()).unwrap();
        assert_eq!(OPENED.get().0, 2, "each file was opened once");
    }

    #[test]
    fn second_write_at_once_is_refused_and_opens_nothing() {
        let file = open(Open::Create);
        let both = zip(file.write_all_at(buffer(), 1), file.write_all_at(buffer(), 2));
        let ((first, _), (second, _)) = block_on(both);
        first.unwrap();
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(OPENED.get(), (1, 1), "a second open would empty the file");
        block_on(file.write_all_at(buffer(), 2)).0.unwrap();
    }

    #[test]
    fn direct_reads_are_unsupported_and_open_nothing() {
        let opened = block_on(HandleFile::<Mock>::open(Path::new("file"), Open::ReadDirect));
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(OPENED.get(), (0, 0));
    }
}
