//! Files: random reads of blocks, or files written whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rtswap_runtime::{Buffer, File as _, Fs, Net, Open};

use crate::{
    BLOCK_BYTES, BLOCKS, Batch, Fault, Resources, Spec, SpecError, Spin, WithFiles, content,
};

/// `file`: `depth` tasks that each read blocks at random places of one file, or each write one file after
/// the other.
#[derive(Clone, Debug)]
pub struct File {
    depth: u64,
    work: Work,
    numbers: Arc<Numbers>,
}

/// What no two tasks of a lane may have in common, in whichever shard they are.
#[derive(Debug, Default)]
struct Numbers {
    /// Tasks, each of which reads in an order of its own.
    tasks: AtomicU64,
    /// Files that are written.
    files: AtomicU64,
}

#[derive(Clone, Debug)]
enum Work {
    Read {
        blocks: PathBuf,
        how: Open,
    },
    Write {
        folder: PathBuf,
        size: usize,
    },
    /// What the parameters say together cannot be.
    Refused(&'static str),
}

/// Reads of a batch, shared by its tasks: a few milliseconds.
const READS: u64 = 1024;

/// Reads of a task in one batch at the least: so many that starting it is no part of what they take.
const LEAST_READS: u64 = 16;

/// Files of a task in one batch.
const FILES: usize = 4;

impl File {
    /// Its parameters are `mix`, `depth`, `size` and `cache`.
    ///
    /// # Errors
    /// If the order names no `blocks`, or no `folder`.
    pub fn new(spec: &Spec, given: &Resources) -> Result<Self, SpecError> {
        let path = |resource| {
            let missing =
                || SpecError::Missing { workload: spec.family().name.to_owned(), resource };
            given.get(resource).map(PathBuf::from).ok_or_else(missing)
        };
        let work = match (spec.name_of("mix"), spec.name_of("cache")) {
            ("write", "direct") => Work::Refused("cache=direct is for mix=read only"),
            ("write", _) => {
                Work::Write { folder: path("folder")?, size: spec.get("size") as usize }
            }
            (_, "direct") => Work::Read { blocks: path("blocks")?, how: Open::ReadDirect },
            _ => Work::Read { blocks: path("blocks")?, how: Open::Read },
        };
        Ok(Self { depth: spec.get("depth"), work, numbers: Arc::default() })
    }
}

impl File {
    /// What one operation reads into or writes from, as direct I/O wants it where there is any.
    fn buffer(&self, bytes: usize) -> Buffer {
        match self.work {
            Work::Read { how: Open::ReadDirect, .. } => Buffer::aligned(bytes),
            _ => Buffer::with_capacity(bytes),
        }
    }
}

/// What stays open from batch to batch.
pub struct Held<R: Fs> {
    /// Of each task.
    hands: Vec<Hand>,
    file: Option<Arc<R::File>>,
}

/// What a task takes with it and brings back, so that nothing is allocated twice.
struct Hand {
    random: Random,
    buffer: Buffer,
    latencies_ns: Vec<u64>,
}

impl WithFiles for File {
    type Open<R: Net + Fs> = Held<R>;

    async fn open<R: Net + Fs>(&self) -> Result<Held<R>, Fault> {
        // Made here, so that the first operations do not wait for it.
        let (file, bytes) = match &self.work {
            Work::Read { blocks, how } => {
                content(BLOCK_BYTES, 0);
                (Some(Arc::new(R::open(blocks, *how).await?)), BLOCK_BYTES)
            }
            Work::Write { size, .. } => {
                content(*size, 0);
                (None, *size)
            }
            Work::Refused(why) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, *why).into());
            }
        };
        let hands = (0..self.depth)
            .map(|_| Hand {
                random: Random::of(self.numbers.tasks.fetch_add(1, Ordering::Relaxed)),
                buffer: self.buffer(bytes),
                latencies_ns: Vec::new(),
            })
            .collect();
        Ok(Held { hands, file })
    }

    async fn batch<R: Net + Fs>(&self, open: &mut Held<R>, spin: Spin) -> Result<Batch, Fault> {
        let reads = (READS / self.depth).max(LEAST_READS) as usize;
        let tasks: Vec<_> = open
            .hands
            .drain(..)
            .map(|hand| {
                let (work, file) = (self.work.clone(), open.file.clone());
                let numbers = Arc::clone(&self.numbers);
                R::spawn(async move {
                    match (work, file) {
                        (Work::Write { folder, size }, _) => {
                            write::<R>(hand, &folder, size, &numbers.files, spin).await
                        }
                        (_, Some(file)) => read::<R>(hand, &file, reads, spin).await,
                        (_, None) => unreachable!("opened before the first batch"),
                    }
                })
            })
            .collect();
        let mut batch = Batch::default();
        for task in tasks {
            let mut hand = task.await?;
            batch.latencies_ns.append(&mut hand.latencies_ns);
            open.hands.push(hand);
        }
        batch.ops = batch.latencies_ns.len() as u64;
        Ok(batch)
    }
}

async fn read<R: Fs>(
    mut hand: Hand,
    file: &R::File,
    reads: usize,
    spin: Spin,
) -> Result<Hand, Fault> {
    hand.latencies_ns.reserve(reads);
    let mut begin = Instant::now();
    for _ in 0..reads {
        let number = hand.random.block();
        let (result, buffer) = file.read_at(hand.buffer, number * BLOCK_BYTES as u64).await;
        hand.buffer = buffer;
        result?;
        if hand.buffer[..] != *content(BLOCK_BYTES, number) {
            return Err(wrong(number, &hand.buffer));
        }
        spin.burn();
        begin = hand.done(begin);
    }
    Ok(hand)
}

fn wrong(number: u64, read: &[u8]) -> Fault {
    Fault::Wrong(match read.len() {
        BLOCK_BYTES => format!("what was read is not block {number}"),
        bytes => format!("{bytes} bytes were read of block {number}, and not {BLOCK_BYTES}"),
    })
}

async fn write<R: Fs>(
    mut hand: Hand,
    folder: &Path,
    size: usize,
    next: &AtomicU64,
    spin: Spin,
) -> Result<Hand, Fault> {
    let mut begin = Instant::now();
    for _ in 0..FILES {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let name = folder.join(format!("{size}-{number}"));
        let part = name.with_extension("part");
        hand.buffer.storage_mut()[..size].copy_from_slice(content(size, number));
        hand.buffer.set_len(size);
        let file = R::open(&part, Open::Create).await?;
        let (result, buffer) = file.write_all_at(hand.buffer, 0).await;
        hand.buffer = buffer;
        result?;
        file.sync().await?;
        file.close().await?;
        R::rename(&part, &name).await?;
        spin.burn();
        begin = hand.done(begin);
    }
    Ok(hand)
}

impl Hand {
    /// Notes an operation that began at `begin`; the next one begins now.
    fn done(&mut self, begin: Instant) -> Instant {
        let now = Instant::now();
        self.latencies_ns.push((now - begin).as_nanos() as u64);
        now
    }
}

/// Xorshift, 64 bits: what it costs is nothing against a read.
struct Random(u64);

impl Random {
    /// Another sequence for each task, and the same in each run.
    fn of(task: u64) -> Self {
        // Odd, so that no two tasks get the same, and none gets zero.
        Self((task + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn block(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % BLOCKS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Standard, Suite};

    fn given() -> Resources {
        ["blocks", "folder"].map(|name| (name.to_owned(), "/nowhere".to_owned())).into()
    }

    fn file(name: &str) -> File {
        File::new(&Spec::parse(name, Standard::CATALOGUE).unwrap(), &given()).unwrap()
    }

    #[test]
    fn no_two_tasks_read_the_same_blocks_in_the_same_order() {
        let sequences: HashSet<_> = (0..1024)
            .map(|task| {
                let mut random = Random::of(task);
                [(); 4].map(|()| random.block())
            })
            .collect();
        assert_eq!(sequences.len(), 1024);
    }

    #[test]
    fn random_blocks_cover_the_file() {
        let mut random = Random::of(0);
        let seen: HashSet<_> = (0..BLOCKS * 4).map(|_| random.block()).collect();
        assert!(seen.iter().all(|&block| block < BLOCKS));
        assert!(seen.len() as u64 > BLOCKS * 9 / 10, "{} of {BLOCKS}", seen.len());
    }

    #[test]
    fn direct_is_for_reads_only() {
        assert!(matches!(file("file/mix=write/cache=direct").work, Work::Refused(_)));
        let read = file("file/cache=direct").work;
        assert!(matches!(read, Work::Read { how: Open::ReadDirect, .. }));
    }

    #[test]
    fn without_a_place_it_says_what_is_missing() {
        let spec = Spec::parse("file/mix=write", Standard::CATALOGUE).unwrap();
        let error = File::new(&spec, &Resources::new()).unwrap_err();
        assert!(error.to_string().contains("where its `folder` is"), "{error}");
    }

    #[test]
    fn a_wrong_block_and_a_short_one_are_told_apart() {
        assert!(wrong(7, &[0; 100]).to_string().contains("100 bytes were read of block 7"));
        assert!(wrong(7, &[0; BLOCK_BYTES]).to_string().contains("not block 7"));
    }
}
