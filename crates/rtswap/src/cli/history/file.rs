//! A history in a file: lines are added, and never changed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::store::Read;

/// All entries; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Read>> {
    let Some(text) = text(path)? else { return Ok(None) };
    let mut read = Read::default();
    read.push_lines(&text, &path.display().to_string());
    Ok(Some(read))
}

fn text(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Adds lines that are not there yet, and returns how many those are.
///
/// The file is replaced as a whole, so that a full disk or a kill leaves the old one, and the folder is locked
/// meanwhile, so that two additions at once lose nothing.
pub(super) fn add(path: &Path, lines: &[String]) -> Result<usize> {
    let cannot = || format!("cannot write {}", path.display());
    // The file itself and not a link to it is replaced.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => path.to_owned(),
    };
    let folder = folder(&path);
    let lock = File::open(&folder).with_context(cannot)?;
    lock.lock().with_context(cannot)?;
    let mut text = text(&path)?.unwrap_or_default();
    let mut known: HashSet<&str> = text.lines().collect();
    let new: Vec<&String> = lines.iter().filter(|line| known.insert(line)).collect();
    let (count, new) =
        (new.len(), new.into_iter().map(|line| format!("{line}\n")).collect::<Vec<_>>());
    if count == 0 {
        return Ok(0);
    }
    // A last line that was cut off must not swallow the first new one.
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.extend(new);
    replace(&path, &folder, &text).with_context(cannot)?;
    Ok(count)
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_or(0o666, |found| found.permissions().mode());
    let mut file = tempfile::Builder::new()
        .prefix(".rtswap-history")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
