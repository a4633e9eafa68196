//! glommio's own files: thread-confined, so inside `Confined`, which checks.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::Path;

use glommio::io::{BufferedFile, DmaFile};
use rtswap_runtime::{Buffer, Confined, Open};

/// `glommio::io::BufferedFile`, or `DmaFile` for direct I/O.
pub struct File(Confined<Option<Kind>>);

enum Kind {
    Buffered(BufferedFile),
    Direct(DmaFile),
}

thread_local! {
    /// Whether a file was dropped, and so left to the ring to close.
    static DROPPED: Cell<bool> = const { Cell::new(false) };
}

impl Drop for File {
    fn drop(&mut self) {
        if Option::take(&mut self.0).is_some() {
            DROPPED.set(true);
        }
    }
}

/// Waits until dropped files are closed. glommio only queues that, and what is in the queue when its executor
/// ends is never submitted; an operation that is queued after it is waited for.
pub(crate) async fn close_dropped() {
    if DROPPED.take()
        && let Ok(file) = BufferedFile::open("/dev/null").await
    {
        let _ = file.close().await;
    }
}

impl File {
    fn kind(&self) -> &Kind {
        self.0.as_ref().expect("taken at the end only")
    }
}

pub(crate) fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
    Confined::new(async move {
        let kind = match how {
            Open::Read => Kind::Buffered(BufferedFile::open(path).await?),
            Open::ReadDirect => Kind::Direct(DmaFile::open(path).await?),
            Open::Create => Kind::Buffered(BufferedFile::create(path).await?),
        };
        Ok(File(Confined::new(Some(kind))))
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
    Confined::new(async move { Ok(glommio::io::rename(from, to).await?) })
}

impl rtswap_runtime::File for File {
    fn read_at(
        &self,
        mut buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send {
        Confined::new(async move {
            buffer.clear();
            let size = buffer.capacity();
            if size == 0 {
                return (Ok(0), buffer);
            }
            let read = match self.kind() {
                Kind::Buffered(file) => file.read_at(offset, size).await,
                Kind::Direct(file) => file.read_at_aligned(offset, size).await,
            };
            match read {
                Ok(read) => {
                    // The memory is glommio's own.
                    buffer.storage_mut()[..read.len()].copy_from_slice(&read);
                    buffer.set_len(read.len());
                    (Ok(read.len()), buffer)
                }
                Err(error) => (Err(error.into()), buffer),
            }
        })
    }

    fn write_all_at(
        &self,
        buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send {
        Confined::new(async move {
            let Kind::Buffered(file) = self.kind() else {
                return (Err(io::ErrorKind::PermissionDenied.into()), buffer);
            };
            let mut done = 0;
            while done < buffer.len() {
                // glommio keeps the vector that it is given, and may write less.
                match file.write_at(buffer[done..].to_vec(), offset + done as u64).await {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                    Ok(bytes) => done += bytes,
                    Err(error) => return (Err(error.into()), buffer),
                }
            }
            (Ok(()), buffer)
        })
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async {
            // It has no `fsync`.
            let synced = match self.kind() {
                Kind::Buffered(file) => file.fdatasync().await,
                Kind::Direct(file) => file.fdatasync().await,
            };
            Ok(synced?)
        })
    }

    fn close(mut self) -> impl Future<Output = io::Result<()>> + Send {
        Confined::new(async move {
            let kind = Option::take(&mut self.0).expect("taken at the end only");
            let closed = match kind {
                Kind::Buffered(file) => file.close().await,
                Kind::Direct(file) => file.close().await,
            };
            Ok(closed?)
        })
    }
}
