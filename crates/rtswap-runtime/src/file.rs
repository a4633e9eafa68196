//! Files for runtimes that do their I/O on threads that may block, and for those that have none.

use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Buffer, File, Open};

/// A runtime's pool of threads that may block.
pub trait Blocking: Send + Sync + 'static {
    /// Runs `work` on one of them. It runs to its end even if the future is dropped.
    fn run<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// A file whose operations are each one visit to the pool `B`: what the file types of tokio, async-std
/// and smol do inside, but with the caller's buffer instead of a copy in one of their own, and at an
/// offset, which they have no call for.
pub struct ThreadFile<B> {
    file: Arc<fs::File>,
    pool: PhantomData<fn() -> B>,
}

impl<B: Blocking> ThreadFile<B> {
    /// Opens a file on the pool.
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` for [`Open::ReadDirect`].
    pub async fn open(path: &Path, how: Open) -> io::Result<Self> {
        let path = path.to_owned();
        let file = B::run(move || open(&path, how)).await?;
        Ok(Self { file: Arc::new(file), pool: PhantomData })
    }
}

/// Renames a file on a pool.
///
/// # Errors
/// What the kernel says.
pub async fn rename<B: Blocking>(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to): (PathBuf, PathBuf) = (from.to_owned(), to.to_owned());
    B::run(move || fs::rename(from, to)).await
}

fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    match how {
        Open::Read => fs::File::open(path),
        Open::ReadDirect => Err(no_direct()),
        Open::Create => fs::File::create(path),
    }
}

/// The error of a runtime whose file API has no direct I/O.
pub fn no_direct() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "its file API has no direct I/O")
}

impl<B: Blocking> File for ThreadFile<B> {
    async fn read_at(&self, mut buffer: Buffer, offset: u64) -> (io::Result<usize>, Buffer) {
        let file = Arc::clone(&self.file);
        B::run(move || {
            let result = file.read_at(buffer.storage_mut(), offset);
            buffer.set_len(*result.as_ref().unwrap_or(&0));
            (result, buffer)
        })
        .await
    }

    async fn write_all_at(&self, buffer: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let file = Arc::clone(&self.file);
        B::run(move || (file.write_all_at(&buffer, offset), buffer)).await
    }

    async fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        B::run(move || file.sync_all()).await
    }

    async fn close(self) -> io::Result<()> {
        // Closing may block, too.
        B::run(move || drop(self.file)).await;
        Ok(())
    }
}

impl<B> fmt::Debug for ThreadFile<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// The files of a runtime that has none: nothing makes one.
#[derive(Debug)]
pub enum NoFile {}

impl NoFile {
    /// The error of a runtime that has no files.
    pub fn error() -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, "the runtime has no files")
    }
}

impl File for NoFile {
    async fn read_at(&self, _buffer: Buffer, _offset: u64) -> (io::Result<usize>, Buffer) {
        match *self {}
    }

    async fn write_all_at(&self, _buffer: Buffer, _offset: u64) -> (io::Result<()>, Buffer) {
        match *self {}
    }

    async fn sync(&self) -> io::Result<()> {
        match *self {}
    }

    async fn close(self) -> io::Result<()> {
        match self {}
    }
}
