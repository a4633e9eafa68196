//! `compio::fs`, on the ring or, on epoll, on compio's threads: thread-confined, so inside `Confined`, which checks.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::fs;
use compio::io::{AsyncReadAt, AsyncWriteAtExt};
use rtswap_runtime::file::{Aligned, O_DIRECT, explain_direct};
use rtswap_runtime::{Buffer, Confined, Open};

/// `compio::fs::File`.
pub struct File(Confined<Inner>);

struct Inner {
    file: fs::File,
    /// For one that is read past the page cache.
    direct: Option<Aligned>,
}

pub(crate) fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
    Confined::new(async move {
        let (file, direct) = match how {
            Open::Read => (fs::File::open(path).await?, None),
            Open::ReadDirect => {
                let mut options = fs::OpenOptions::new();
                options.read(true);
                options.custom_flags(O_DIRECT);
                (options.open(path).await.map_err(explain_direct)?, Some(Aligned::default()))
            }
            Open::Create => (fs::File::create(path).await?, None),
        };
        Ok(File(Confined::new(Inner { file, direct })))
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
    // `AsRef<Path>` by value, for `&Path` would have to live as long as the operation.
    let (from, to): (PathBuf, PathBuf) = (from.to_owned(), to.to_owned());
    Confined::new(async move { fs::rename(from, to).await })
}

impl rtswap_runtime::File for File {
    fn read_at(
        &self,
        buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async move {
            let Inner { file, direct } = &*self.0;
            if let Some(aligned) = direct {
                let read = |storage: Vec<u8>, range| async move {
                    let BufResult(result, slice) = file.read_at(storage.slice(range), offset).await;
                    (result, slice.into_inner())
                };
                return aligned.read(buffer, read).await;
            }
            let (storage, _) = buffer.into_parts();
            let BufResult(result, storage) = file.read_at(storage, offset).await;
            let len = *result.as_ref().unwrap_or(&0);
            (result, Buffer::from_parts(storage, len))
        })
    }

    fn write_all_at(
        &self,
        buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move {
            let (storage, len) = buffer.into_parts();
            let BufResult(result, slice) =
                (&self.0.file).write_all_at(storage.slice(..len), offset).await;
            (result, Buffer::from_parts(slice.into_inner(), len))
        })
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.file.sync_all().await })
    }

    fn close(self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async { self.0.take().file.close().await })
    }
}
