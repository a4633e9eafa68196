//! `tokio::fs`, as a program writes it.

use std::io::{self, SeekFrom};
use std::path::Path;

use rtswap_runtime::{Files, Handle, Open};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::unstable;

/// `tokio::fs::File`.
#[derive(Debug)]
pub struct FsHandle(File);

impl Handle for FsHandle {
    const FILES: Files = unstable::FILES;

    fn available() -> io::Result<()> {
        unstable::available()
    }

    async fn open(path: &Path, how: Open) -> io::Result<Self> {
        match how {
            Open::Create => File::create(path).await.map(Self),
            _ => File::open(path).await.map(Self),
        }
    }

    async fn read(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.seek(SeekFrom::Start(offset)).await?;
        self.0.read(bytes).await
    }

    async fn write_all(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset)).await?;
        self.0.write_all(bytes).await?;
        // The last write may be under way, and its error unknown.
        self.0.flush().await
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all().await
    }

    async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).await
    }
}
