//! The file that lanes read from.

use std::io::{BufWriter, Write};

use rtswap_workload::{BLOCK_BYTES, BLOCKS, Resources, content};
use tempfile::NamedTempFile;

use crate::folder::cannot;
use crate::{Missing, Service};

/// One file for all lanes, of [`BLOCKS`] blocks, each of which holds [`content`] of its number. It was
/// just written, so it is in the page cache.
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
