//! Files for runtimes that do file I/O on threads that may block, and what direct I/O asks of buffers.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::buffer::ALIGNED;
use crate::{Buffer, File, Open, Runtime};

/// A file whose operations are each one [`Runtime::spawn_blocking`] of `R`: what the file types of tokio, async-std
/// and smol do inside, but with the caller's buffer instead of a copy in one of their own, and at an
/// offset, which they have no call for.
pub struct ThreadFile<R> {
    file: Arc<fs::File>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> ThreadFile<R> {
    /// Opens a file on a thread that may block.
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` for [`Open::ReadDirect`].
    pub async fn open(path: &Path, how: Open) -> io::Result<Self> {
        let path = path.to_owned();
        let file = R::spawn_blocking(move || open(&path, how)).await?;
        Ok(Self { file: Arc::new(file), runtime: PhantomData })
    }
}

/// Renames a file on a thread that may block.
///
/// # Errors
/// What the kernel says.
pub async fn rename<R: Runtime>(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to): (PathBuf, PathBuf) = (from.to_owned(), to.to_owned());
    R::spawn_blocking(move || fs::rename(from, to)).await
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

impl<R: Runtime> File for ThreadFile<R> {
    async fn read_at(&self, mut buffer: Buffer, offset: u64) -> (io::Result<usize>, Buffer) {
        let file = Arc::clone(&self.file);
        R::spawn_blocking(move || {
            let result = file.read_at(buffer.storage_mut(), offset);
            buffer.set_len(*result.as_ref().unwrap_or(&0));
            (result, buffer)
        })
        .await
    }

    async fn write_all_at(&self, buffer: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let file = Arc::clone(&self.file);
        R::spawn_blocking(move || (file.write_all_at(&buffer, offset), buffer)).await
    }

    async fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        R::spawn_blocking(move || file.sync_all()).await
    }

    async fn close(self) -> io::Result<()> {
        // Closing may block, too.
        R::spawn_blocking(move || drop(self.file)).await;
        Ok(())
    }
}

impl<R> fmt::Debug for ThreadFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// The flag of `open(2)` for direct I/O, for a runtime's `custom_flags`.
pub const O_DIRECT: i32 = OFlags::DIRECT.bits().cast_signed();

/// The error of opening a file for direct I/O. `EINVAL`, the answer of a file system without direct I/O, becomes
/// `Unsupported`.
pub fn explain_direct(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
        let text = format!("the file system has no direct I/O (O_DIRECT): {error}");
        return io::Error::new(io::ErrorKind::Unsupported, text);
    }
    error
}

/// Direct I/O for runtimes that read into any vector. It wants memory that begins at a multiple of 4096: a read goes
/// straight to a [`Buffer::aligned`], and for any other buffer to the aligned part of a vector that is kept here, from
/// which it is copied.
#[derive(Debug, Default)]
pub struct Aligned(RefCell<Vec<Vec<u8>>>);

impl Aligned {
    /// Has `read` read into that part of a vector, as much as the buffer can take, and gives what was read
    /// in the buffer.
    pub async fn read<F: Future<Output = (io::Result<usize>, Vec<u8>)>>(
        &self,
        mut buffer: Buffer,
        read: impl FnOnce(Vec<u8>, Range<usize>) -> F,
    ) -> (io::Result<usize>, Buffer) {
        buffer = match buffer.into_aligned() {
            Ok((storage, range)) => {
                let begin = range.start;
                let (result, storage) = read(storage, range).await;
                let len = *result.as_ref().unwrap_or(&0);
                return (result, Buffer::from_aligned(storage, begin, len));
            }
            Err(buffer) => buffer,
        };
        let len = buffer.capacity();
        buffer.clear();
        let mut storage = self.0.borrow_mut().pop().unwrap_or_default();
        storage.resize(len + ALIGNED, 0);
        let begin = storage.as_ptr().align_offset(ALIGNED);
        let (result, storage) = read(storage, begin..begin + len).await;
        if let Ok(bytes) = result {
            buffer.storage_mut()[..bytes].copy_from_slice(&storage[begin..begin + bytes]);
            buffer.set_len(bytes);
        }
        self.0.borrow_mut().push(storage);
        (result, buffer)
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn direct_reads_go_to_aligned_memory_whatever_the_allocator_gave() {
        let aligned = Aligned::default();
        for len in [4096, 8192, 4096] {
            let read = |mut storage: Vec<u8>, range: Range<usize>| async move {
                let part = &mut storage[range];
                assert_eq!((part.len(), part.as_ptr().align_offset(4096)), (len, 0));
                part.fill(7);
                (Ok(100), storage)
            };
            let (result, buffer) = block_on(aligned.read(Buffer::from(vec![1; len]), read));
            assert_eq!((result.unwrap(), &buffer[..]), (100, &[7; 100][..]));
        }
    }

    #[test]
    fn direct_read_into_an_aligned_buffer_is_not_copied() {
        let aligned = Aligned::default();
        let mut buffer = Buffer::aligned(8192);
        let place = buffer.storage_mut().as_ptr();
        let read = |mut storage: Vec<u8>, range: Range<usize>| async move {
            storage[range.clone()].fill(7);
            (Ok(range.len()), storage)
        };
        let (result, buffer) = block_on(aligned.read(buffer, read));
        assert_eq!((result.unwrap(), &buffer[..]), (8192, &[7; 8192][..]));
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, 8192));
        assert!(aligned.0.borrow().is_empty(), "no memory of its own is used");
    }

    #[test]
    fn a_direct_read_that_fails_gives_an_empty_buffer_back() {
        let fail = |storage, _| async { (Err(io::ErrorKind::Other.into()), storage) };
        let aligned = Aligned::default();
        let (result, buffer) = block_on(aligned.read(Buffer::from(vec![1; 4096]), fail));
        assert!(result.is_err() && buffer.is_empty());
    }

    #[test]
    fn a_file_system_without_direct_io_is_told_from_a_path_that_leads_nowhere() {
        let refused = explain_direct(Errno::INVAL.into());
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        let nowhere = explain_direct(Errno::NOENT.into());
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }
}
