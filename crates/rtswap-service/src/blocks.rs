//! The file that lanes read from.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use rtswap_workload::{BLOCK_BYTES, BLOCKS, Resources, content};
use tempfile::NamedTempFile;

use crate::folder::cannot;
use crate::{Missing, Service};

/// One file for all lanes, of [`BLOCKS`] blocks, each of which holds [`content`] of its number.
///
/// Lanes read it from the page cache. It has just been written, so it should be there; it is read once all
/// the same, which proves what it holds and brings back what the kernel may have dropped.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: NamedTempFile,
}

impl Blocks {
    pub fn start() -> Result<Self, Missing> {
        let written = || {
            let file = tempfile::Builder::new().prefix("rtswap-blocks-").tempfile()?;
            let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
            for number in 0..BLOCKS {
                out.write_all(content(BLOCK_BYTES, number))?;
            }
            out.flush()?;
            drop(out);
            // On the disk before anything is measured, not in the midst of it.
            file.as_file().sync_all()?;
            warm(file.as_file())?;
            Ok(file)
        };
        let file = written().map_err(|error| {
            let mib = (BLOCKS as usize * BLOCK_BYTES) >> 20;
            Missing::Failed(cannot(&format!("file of {mib} MiB"), &error))
        })?;
        Ok(Self { file })
    }
}

impl Service for Blocks {
    fn resources(&mut self, _lane: &str) -> Result<Resources, String> {
        let path = self.file.path().to_str();
        let path = path.ok_or("the folder for temporary files has a name that is no text")?;
        Ok([("blocks".to_owned(), path.to_owned())].into())
    }
}

/// Reads all of it.
fn warm(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    let mut piece = vec![0; BLOCK_BYTES];
    for number in 0..BLOCKS {
        file.read_exact(&mut piece)?;
        if piece != content(BLOCK_BYTES, number) {
            return Err(io::Error::other(format!("block {number} is not what was written")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn each_block_holds_what_its_number_says() {
        let mut blocks = Blocks::start().unwrap();
        let given = blocks.resources("tokio").unwrap();
        let file = File::open(&given["blocks"]).unwrap();
        assert_eq!(file.metadata().unwrap().len(), BLOCKS * BLOCK_BYTES as u64);
        let mut block = vec![0; BLOCK_BYTES];
        for number in [0, 1, BLOCKS / 2, BLOCKS - 1] {
            file.read_exact_at(&mut block, number * BLOCK_BYTES as u64).unwrap();
            assert_eq!(block, content(BLOCK_BYTES, number), "block {number}");
        }
        assert_eq!(blocks.resources("smol").unwrap(), given, "one file for all");
        // What differs in one byte is found.
        let writable = File::options().write(true).open(&given["blocks"]).unwrap();
        writable.write_all_at(&[!block[0]], (BLOCKS - 1) * BLOCK_BYTES as u64).unwrap();
        let error = warm(blocks.file.as_file()).unwrap_err().to_string();
        assert!(error.contains(&format!("block {}", BLOCKS - 1)), "{error}");
        drop(blocks);
        assert!(File::open(&given["blocks"]).is_err(), "it is removed");
    }
}
