//! The file that lanes read from.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use rtswap_workload::{BLOCK_BYTES, BLOCKS, Resources, content};
use tempfile::NamedTempFile;

use crate::{Service, ServiceError};

/// One file for all lanes, of [`BLOCKS`] blocks, each of which holds [`content`] of its number.
///
/// Lanes read the file from the page cache. The file is read once after it was written, which verifies its
/// content and brings back pages that the kernel dropped.
#[derive(Debug)]
pub(crate) struct BlockFile {
    file: NamedTempFile,
}

impl BlockFile {
    pub fn start() -> Result<Self, ServiceError> {
        let mib = (BLOCKS as usize * BLOCK_BYTES) >> 20;
        let file = create().map_err(ServiceError::temporary(format!("file of {mib} MiB")))?;
        Ok(Self { file })
    }
}

impl Service for BlockFile {
    fn resources(&mut self, _lane: &str) -> Result<Resources, ServiceError> {
        let path = ServiceError::utf8(self.file.path())?;
        Ok([("blocks".to_owned(), path.to_owned())].into())
    }
}

fn create() -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix("rtswap-blocks-").tempfile()?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
    for number in 0..BLOCKS {
        out.write_all(content(BLOCK_BYTES, number))?;
    }
    out.flush()?;
    drop(out);
    // Written back now, so that the kernel does not do so during a slice.
    file.as_file().sync_all()?;
    verify(file.as_file())?;
    Ok(file)
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
        let error = verify(blocks.file.as_file()).unwrap_err().to_string();
        assert!(error.contains(&format!("block {}", BLOCKS - 1)), "{error}");
        drop(blocks);
        assert!(File::open(&resources["blocks"]).is_err(), "the file is removed");
    }
}
