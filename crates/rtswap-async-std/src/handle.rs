//! `async_std::fs`, as a program writes it.

use std::io::{self, SeekFrom};
use std::path::Path;

use async_std::fs::{self, File};
use async_std::io::prelude::{ReadExt, SeekExt, WriteExt};
use rtswap_runtime::{Handle, Open};

/// `async_std::fs::File`.
#[derive(Debug)]
pub struct FsHandle(File);

impl Handle for FsHandle {
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
        // What was written is in a buffer of the file's.
        self.0.flush().await
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all().await
    }

    async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).await
    }
}
