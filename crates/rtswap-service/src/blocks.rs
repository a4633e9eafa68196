//! The file that lanes read from.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use rtswap_workload::{BLOCK_BYTES, BLOCKS, Resources, content};

use crate::held::HeldFolder;
use crate::{Service, ServiceError};

/// The name of the file in its folder.
const NAME: &str = "blocks";

/// One file for all lanes, of [`BLOCKS`] blocks, each of which holds [`content`] of its number.
///
/// Lanes read the file from the page cache. The file is read once after it was written, which verifies its
/// content and brings back pages that the kernel dropped.
#[derive(Debug)]
pub(crate) struct BlockFile {
    folder: HeldFolder,
}

impl BlockFile {
    pub fn start() -> Result<Self, ServiceError> {
        let mib = (BLOCKS as usize * BLOCK_BYTES) >> 20;
        let folder = create().map_err(ServiceError::temporary(format!("file of {mib} MiB")))?;
        Ok(Self { folder })
    }
}

impl BlockFile {
    fn path(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }
}

impl Service for BlockFile {
    fn resources(&mut self, _lane: &str) -> Result<Resources, ServiceError> {
        let path = self.path();
        Ok([("blocks".to_owned(), ServiceError::utf8(&path)?.to_owned())].into())
    }
}

fn create() -> io::Result<HeldFolder> {
    let folder = HeldFolder::new("blocks")?;
    let file =
        File::options().read(true).write(true).create_new(true).open(folder.path().join(NAME))?;
    let mut out = BufWriter::with_capacity(1 << 20, &file);
    for number in 0..BLOCKS {
        out.write_all(content(BLOCK_BYTES, number))?;
    }
    out.flush()?;
    drop(out);
    // Written back now, so that the kernel does not do so during a slice.
    file.sync_all()?;
    verify(&file)?;
    Ok(folder)
}

/// Reads the whole file into the page cache and compares it.
fn verify(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    let mut block = vec![0; BLOCK_BYTES];
    for number in 0..BLOCKS {
        file.read_exact(&mut block)?;
        if block != content(BLOCK_BYTES, number) {
            return Err(io::Error::other(format!("block {number} differs from what was written")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn block_file_holds_the_content_of_each_block_until_dropped() {
        let mut blocks = BlockFile::start().unwrap();
        let resources = blocks.resources("tokio").unwrap();
        let file = File::open(&resources["blocks"]).unwrap();
        assert_eq!(file.metadata().unwrap().len(), BLOCKS * BLOCK_BYTES as u64);
        let mut block = vec![0; BLOCK_BYTES];
        for number in [0, 1, BLOCKS / 2, BLOCKS - 1] {
            file.read_exact_at(&mut block, number * BLOCK_BYTES as u64).unwrap();
            assert_eq!(block, content(BLOCK_BYTES, number), "block {number}");
        }
        assert_eq!(blocks.resources("smol").unwrap(), resources, "one file for all lanes");
        // `verify` finds a single wrong byte.
        let writable = File::options().write(true).open(&resources["blocks"]).unwrap();
        writable.write_all_at(&[!block[0]], (BLOCKS - 1) * BLOCK_BYTES as u64).unwrap();
        let error = verify(&file).unwrap_err().to_string();
        assert!(error.contains(&format!("block {}", BLOCKS - 1)), "{error}");
        drop(blocks);
        assert!(File::open(&resources["blocks"]).is_err(), "the file is removed");
    }
}
