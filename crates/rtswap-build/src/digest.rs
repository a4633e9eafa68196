//! Digests of content: what was built is kept under the digest of all that it was built from.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// SHA-256 over parts, whose lengths count as well, so that no two lists of parts are the same text.
#[derive(Default)]
pub(crate) struct Digester(Sha256);

impl Digester {
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.part(text.as_bytes());
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of a file's content, in hexadecimal.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Folders that hold no source of a crate's library or executable.
const SKIPPED: [&str; 6] = [".git", "target", "tests", "examples", "benches", "fuzz"];

/// SHA-256 of the files of a crate, with their paths in it.
pub(crate) fn of_source(folder: &Path) -> io::Result<String> {
    let mut digest = Digester::default();
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        digest.part(name.as_os_str().as_encoded_bytes());
        digest.text(&of_file(&path)?);
    }
    Ok(digest.finish())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A link is followed to a file, and not to a folder, which may be its own parent.
        let kind = entry.file_type()?;
        let is_skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && !is_skipped {
            collect(&entry.path(), files)?;
        } else if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_source_follows_content_and_names_but_no_target() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let digest = || of_source(folder.path()).unwrap();
        write("src/lib.rs", "a");
        let first = digest();
        write("target/x", "built");
        write("tests/t.rs", "test");
        assert_eq!(digest(), first);
        write("src/lib.rs", "b");
        let changed = digest();
        assert_ne!(changed, first);
        fs::rename(folder.path().join("src/lib.rs"), folder.path().join("src/bil.rs")).unwrap();
        assert_ne!(digest(), changed);
    }

    #[test]
    fn parts_keep_their_borders() {
        let digest = |parts: &[&str]| {
            let mut digest = Digester::default();
            for part in parts {
                digest.text(part);
            }
            digest.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["ab"]).len(), 64);
    }
}
