//! A folder for each lane, whose files are checked after each slice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rtswap_workload::{ParamValue, Resources, content};
use tempfile::TempDir;

use crate::{Missing, Service};

/// Folders in the system's folder for temporary files.
///
/// Whatever a lane leaves in its own is named `SIZE-NUMBER` and holds [`content`] of that.
#[derive(Debug)]
pub(crate) struct Folder {
    root: TempDir,
    of: BTreeMap<String, PathBuf>,
    made: usize,
}

impl Folder {
    pub fn start() -> Result<Self, Missing> {
        let root = tempfile::Builder::new().prefix("rtswap-").tempdir();
        let root = root.map_err(|error| Missing::Failed(cannot("folder", &error)))?;
        Ok(Self { root, of: BTreeMap::new(), made: 0 })
    }
}

/// Why something cannot be kept where temporary files are.
pub(crate) fn cannot(what: &str, error: &std::io::Error) -> String {
    let folder = std::env::temp_dir();
    format!(
        "cannot make a {what} in {}: {error}; set TMPDIR to a folder that can",
        folder.display()
    )
}

impl Service for Folder {
    fn resources(&mut self, lane: &str) -> Result<Resources, String> {
        // A new one for each process: what the one before left open or half done is not its affair.
        if let Some(old) = self.of.remove(lane) {
            let _ = fs::remove_dir_all(old);
        }
        let path = self.root.path().join(self.made.to_string());
        self.made += 1;
        fs::create_dir(&path).map_err(|error| cannot("folder", &error))?;
        self.of.insert(lane.to_owned(), path.clone());
        let text =
            path.to_str().ok_or("the folder for temporary files has a name that is no text")?;
        Ok([("folder".to_owned(), text.to_owned())].into())
    }

    fn check(
        &mut self,
        lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), String> {
        // `file` is given a folder whether it writes or not.
        let reads = params.get("mix") == Some(&ParamValue::Name("read".to_owned()));
        let folder = self.of.get(lane).ok_or("the lane was given no folder")?;
        let files = fs::read_dir(folder).map_err(|error| format!("its folder is gone: {error}"))?;
        let mut seen = 0;
        for file in files {
            let path = file.map_err(|error| error.to_string())?.path();
            check(&path)?;
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            seen += 1;
        }
        match (seen, ops) {
            (0, 1..) if !reads => Err(format!("it claims {ops} operations and left no file")),
            _ => Ok(()),
        }
    }
}

/// That a file holds what its name says.
fn check(path: &Path) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.split_once('-');
    let known = parts.and_then(|(size, number)| Some((size.parse().ok()?, number.parse().ok()?)));
    let Some((size, number)) = known else {
        return Err(format!("it left a file `{name}`, which is no name of a finished one"));
    };
    let bytes = fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.len() != size {
        return Err(format!("{name} has {} bytes", bytes.len()));
    }
    if bytes != content(size, number) {
        return Err(format!("{name} does not hold what it should"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> (Folder, PathBuf) {
        let mut folder = Folder::start().unwrap();
        let given = folder.resources("tokio").unwrap();
        let path = PathBuf::from(&given["folder"]);
        (folder, path)
    }

    #[test]
    fn files_that_are_right_are_cleared_away() {
        let (mut folder, path) = given();
        fs::write(path.join("100-7"), content(100, 7)).unwrap();
        folder.check("tokio", &BTreeMap::new(), 1).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, bytes, told) in [
            ("100-7", content(99, 7), "has 99 bytes"),
            ("100-7", content(100, 8), "does not hold"),
            ("100-7.part", content(100, 7), "no name of a finished one"),
        ] {
            let (mut folder, path) = given();
            fs::write(path.join(name), bytes).unwrap();
            let error = folder.check("tokio", &BTreeMap::new(), 1).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn work_that_left_nothing_was_not_done() {
        let (mut folder, _) = given();
        assert!(folder.check("tokio", &BTreeMap::new(), 5).unwrap_err().contains("no file"));
        folder.check("tokio", &BTreeMap::new(), 0).unwrap();
    }

    #[test]
    fn who_only_reads_leaves_nothing() {
        let (mut folder, _) = given();
        let mix = |name: &str| [("mix".to_owned(), ParamValue::Name(name.to_owned()))].into();
        folder.check("tokio", &mix("read"), 5).unwrap();
        folder.check("tokio", &mix("write"), 5).unwrap_err();
    }

    #[test]
    fn every_process_has_a_new_folder_and_the_old_one_is_removed() {
        let (mut folder, old) = given();
        let new = folder.resources("tokio").unwrap();
        assert!(!old.exists() && Path::new(&new["folder"]).exists());
        drop(folder);
        assert!(!Path::new(&new["folder"]).exists());
    }
}
