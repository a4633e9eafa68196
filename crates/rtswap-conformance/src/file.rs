//! Files: what is written is read back, errors come through, and nothing stays open.

use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rtswap_runtime::{Buffer, File, Fs, Open};
use tempfile::TempDir;

use crate::Subject;
use crate::peer::message;
use crate::process::{Snapshot, settle};

/// Blocks of the file that many tasks read at once.
const BLOCKS: usize = 64;
const BLOCK_BYTES: usize = 4096;

/// Runs `work` in a folder of its own.
fn in_folder<R: Fs, F>(subject: &Subject<R>, work: impl FnOnce(PathBuf) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = TempDir::new().expect("a folder for temporary files");
    subject.run(work(folder.path().to_owned()));
}

async fn written<R: Fs>(path: &Path, bytes: Vec<u8>) -> R::File {
    let file = R::open(path, Open::Create).await.expect("a file is made");
    file.write_all_at(Buffer::from(bytes), 0).await.0.expect("there is room");
    file
}

/// `bytes` of the pattern that depends on the place.
fn pattern(bytes: usize) -> Vec<u8> {
    message(bytes).into_vec()
}

/// What was written is read back from any offset: over the whole capacity or less, and nothing at and
/// beyond the end.
pub fn what_is_written_is_read_back_from_any_offset<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        const SIZE: usize = 100_000;
        let path = folder.join("file");
        written::<R>(&path, pattern(SIZE)).await.close().await.expect("it closes");
        let file = R::open(&path, Open::Read).await.expect("it was made");
        let whole = pattern(SIZE);
        let mut buffer = Buffer::from(vec![1; 5_000]);
        for offset in [0, 1, 4_095, 4_096, 50_000, SIZE - 5_000, SIZE - 1, SIZE, SIZE + 10_000] {
            let mut at = offset;
            let end = SIZE.min(offset + 5_000);
            loop {
                let (result, back) = file.read_at(buffer, at as u64).await;
                let bytes = result.expect("it is readable");
                assert_eq!(back.len(), bytes, "the length of the buffer is what was read");
                buffer = back;
                if bytes == 0 {
                    assert!(at >= end, "the end of the file at {at} of {SIZE}");
                    break;
                }
                let right = whole.get(at..at + bytes) == Some(&buffer[..]);
                assert!(right, "the {bytes} bytes at {at} are not those that were written there");
                at += bytes;
                if at >= end {
                    break;
                }
            }
        }
        let (result, back) = file.read_at(Buffer::default(), 0).await;
        assert_eq!((result.expect("nothing to read"), back.len()), (0, 0));
        file.close().await.expect("it closes");
    });
}

/// One write of 8 MiB is all there when it ends, and writes at offsets go where they should; the buffer
/// comes back as it was.
pub fn one_write_writes_all_of_8_mib<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        const SIZE: usize = 8 << 20;
        let path = folder.join("file");
        let file = R::open(&path, Open::Create).await.expect("a file is made");
        let (result, buffer) = file.write_all_at(message(SIZE), 0).await;
        result.expect("there is room");
        let whole = pattern(SIZE);
        assert!(buffer[..] == whole[..], "the buffer comes back as it was");
        assert!(fs::read(&path).expect("it is there") == whole, "not all of it was written");
        let (result, _) = file.write_all_at(Buffer::from(b"there".to_vec()), 5_000_000).await;
        result.expect("there is room");
        file.write_all_at(Buffer::default(), 3).await.0.expect("nothing is written");
        file.sync().await.expect("it is synced");
        file.close().await.expect("it closes");
        let now = fs::read(&path).expect("it is there");
        assert_eq!(now.len(), SIZE);
        let right = now[..5_000_000] == whole[..5_000_000]
            && &now[5_000_000..5_000_005] == b"there"
            && now[5_000_005..] == whole[5_000_005..];
        assert!(right, "what was written at an offset is somewhere else");
    });
}

/// A write takes the data of a buffer and not its capacity.
pub fn a_write_takes_the_data_and_not_the_capacity<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        let mut buffer = Buffer::from(b"short, and more".to_vec());
        buffer.set_len(5);
        let file = R::open(&path, Open::Create).await.expect("a file is made");
        let (result, back) = file.write_all_at(buffer, 0).await;
        result.expect("there is room");
        assert_eq!(&back[..], b"short");
        file.close().await.expect("it closes");
        let now = fs::read(&path).expect("it is there");
        assert_eq!(now, b"short", "what was written is the data");
    });
}

/// `Create` makes an empty file, also of one that was not.
pub fn create_empties_a_file<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        fs::write(&path, b"what was there").expect("a file");
        R::open(&path, Open::Create).await.expect("it is made").close().await.expect("it closes");
        assert_eq!(fs::read(&path).expect("it is there"), b"", "the file is empty");
        let file = R::open(&path, Open::Read).await.expect("it is there");
        let (result, buffer) = file.read_at(Buffer::from(vec![1; 10]), 0).await;
        assert_eq!((result.expect("it is readable"), buffer.len()), (0, 0));
    });
}

/// A rename replaces what has the new name; of a file that is missing, it fails.
pub fn a_rename_replaces<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let (part, name) = (folder.join("part"), folder.join("name"));
        fs::write(&part, b"new").expect("a file");
        fs::write(&name, b"old").expect("a file");
        R::rename(&part, &name).await.expect("it is renamed");
        assert_eq!(fs::read(&name).expect("it is there"), b"new");
        assert!(!part.exists(), "the old name is gone");
        let error = R::rename(&part, &name).await.expect_err("the file is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    });
}

/// What the kernel says of a path comes through.
pub fn what_cannot_be_opened_says_why<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let kind =
            async |path: &Path, how| R::open(path, how).await.map(drop).map_err(|e| e.kind());
        let missing = folder.join("missing");
        assert_eq!(kind(&missing, Open::Read).await, Err(io::ErrorKind::NotFound));
        let nowhere = folder.join("no").join("where");
        assert_eq!(kind(&nowhere, Open::Create).await, Err(io::ErrorKind::NotFound));
        assert_eq!(kind(&folder, Open::Create).await, Err(io::ErrorKind::IsADirectory));
    });
}

/// A read of a file that was opened to be written fails, with an empty buffer, and so does a write to one
/// that was opened to be read, with the buffer as it was. A full device is `StorageFull`.
pub fn reads_and_writes_that_fail_say_why<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        let file = written::<R>(&path, pattern(10)).await;
        let (result, buffer) = file.read_at(Buffer::from(vec![1; 10]), 0).await;
        result.expect_err("it was opened to be written");
        assert!(buffer.is_empty(), "an error leaves the buffer empty");
        let file = R::open(&path, Open::Read).await.expect("it is there");
        let (result, buffer) = file.write_all_at(message(10), 0).await;
        result.expect_err("it was opened to be read");
        assert_eq!(buffer.len(), 10);
        let full = R::open(Path::new("/dev/full"), Open::Create).await.expect("a device");
        let error = full.write_all_at(message(10), 0).await.0.expect_err("it is always full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    });
}

/// 64 tasks read one file at once, and each gets its own block.
pub fn many_reads_at_once_give_the_right_blocks<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        written::<R>(&path, pattern(BLOCKS * BLOCK_BYTES)).await.close().await.expect("it closes");
        let file = Arc::new(R::open(&path, Open::Read).await.expect("it is there"));
        let whole = Arc::new(pattern(BLOCKS * BLOCK_BYTES));
        let readers: Vec<_> = (0..BLOCKS)
            .map(|first| {
                let (file, whole) = (Arc::clone(&file), Arc::clone(&whole));
                R::spawn(async move {
                    let mut buffer = Buffer::with_capacity(BLOCK_BYTES);
                    for turn in 0..20 {
                        let at = (first + turn * 7) % BLOCKS * BLOCK_BYTES;
                        let (result, back) = file.read_at(buffer, at as u64).await;
                        assert_eq!(result.expect("it is readable"), BLOCK_BYTES);
                        assert!(back[..] == whole[at..at + BLOCK_BYTES], "not the block of {at}");
                        buffer = back;
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.await;
        }
    });
}

/// Reads that are dropped when they have begun leave the file and the runtime as they were.
pub fn a_dropped_read_leaves_the_file_usable<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        written::<R>(&path, pattern(1 << 20)).await.close().await.expect("it closes");
        let file = R::open(&path, Open::Read).await.expect("it is there");
        for _ in 0..100 {
            begin(file.read_at(Buffer::with_capacity(1 << 20), 0)).await;
        }
        let (result, buffer) = file.read_at(Buffer::with_capacity(1_000), 4_000).await;
        assert_eq!(result.expect("it is readable"), 1_000);
        assert_eq!(&buffer[..], &pattern(5_000)[4_000..], "the bytes at 4000");
        file.close().await.expect("it closes");
        R::sleep(Duration::from_millis(1)).await;
    });
}

/// Polls once, and drops.
async fn begin(operation: impl Future) {
    let mut operation = pin!(operation);
    poll_fn(|cx| {
        let _ = operation.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Files that were closed, that were dropped, that failed, that were dropped with a read under way, and
/// that were still open at the end: none of them stays open.
pub fn no_file_stays_open<R: Fs>(subject: &Subject<R>) {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("file");
    fs::write(&path, pattern(1 << 20)).expect("a file");
    let open_files = || {
        let root = folder.path().to_string_lossy().into_owned();
        let mut now = Snapshot::take();
        now.descriptors.retain(|descriptor| descriptor.starts_with(&root));
        now.descriptors
    };
    let root = folder.path().to_owned();
    in_folder::<R, _>(subject, {
        let path = path.clone();
        |_| async move {
            for number in 0..20 {
                R::open(&path, Open::Read)
                    .await
                    .expect("it is there")
                    .close()
                    .await
                    .expect("closes");
                drop(R::open(&path, Open::Read).await.expect("it is there"));
                let file = R::open(&path, Open::Read).await.expect("it is there");
                begin(file.read_at(Buffer::with_capacity(1 << 20), 0)).await;
                drop(file);
                drop(written::<R>(&root.join(number.to_string()), pattern(10)).await);
            }
            // Gives the runtime its turn; they may be closed a little later.
            let open = || {
                let of_root = |name: &&String| name.starts_with(&*root.to_string_lossy());
                Snapshot::take().descriptors.iter().filter(of_root).count()
            };
            for _ in 0..2_000 {
                if open() == 0 {
                    break;
                }
                R::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(open(), 0, "files are open that were closed or dropped");
            let held = R::open(&path, Open::Read).await.expect("it is there");
            let kept = Arc::new(held);
            drop(R::spawn(async move {
                begin(kept.read_at(Buffer::with_capacity(1 << 20), 0)).await;
                R::sleep(Duration::from_secs(1_000)).await;
                drop(kept);
            }));
            R::sleep(Duration::from_millis(5)).await;
        }
    });
    if !subject.allow.tasks_outlive {
        settle(|_| open_files().is_empty());
        let left = open_files();
        assert!(left.is_empty(), "open after block_on: {left:?}");
    }
}

/// Past the page cache the same is read; a runtime or a file system that cannot says `Unsupported`.
pub fn direct_reads_give_the_same_or_are_unsupported<R: Fs>(subject: &Subject<R>) {
    in_folder::<R, _>(subject, |folder| async move {
        let path = folder.join("file");
        let file = written::<R>(&path, pattern(BLOCKS * BLOCK_BYTES)).await;
        file.sync().await.expect("it is synced");
        file.close().await.expect("it closes");
        let file = match R::open(&path, Open::ReadDirect).await {
            Ok(file) => file,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
                eprintln!("SKIPPED: direct reads: {error}");
                return;
            }
        };
        let whole = pattern(BLOCKS * BLOCK_BYTES);
        for mut buffer in [Buffer::with_capacity(BLOCK_BYTES), Buffer::aligned(BLOCK_BYTES)] {
            for at in [5, 0, 63, 31].map(|block| block * BLOCK_BYTES) {
                let (result, back) = file.read_at(buffer, at as u64).await;
                assert_eq!(result.expect("it is readable"), BLOCK_BYTES);
                assert!(back[..] == whole[at..at + BLOCK_BYTES], "not the block of {at}");
                buffer = back;
            }
            let (result, buffer) = file.read_at(buffer, whole.len() as u64).await;
            assert_eq!((result.expect("the end"), buffer.len()), (0, 0));
        }
        file.close().await.expect("it closes");
    });
}
