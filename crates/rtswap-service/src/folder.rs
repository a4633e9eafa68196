//! A folder for each lane, whose files are checked after each slice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::held::HeldFolder;
use crate::{CheckError, Service, ServiceError};
use rtswap_workload::{ParamValue, Resources, content};

/// Folders of lanes in the system's folder for temporary files.
///
/// A file that a lane leaves in its folder is named `SIZE-NUMBER` and holds [`content`] of these.
#[derive(Debug)]
pub(crate) struct LaneFolders {
    root: HeldFolder,
    by_lane: BTreeMap<String, PathBuf>,
    created: usize,
}

impl LaneFolders {
    pub fn start() -> Result<Self, ServiceError> {
        let root = HeldFolder::new("lanes").map_err(ServiceError::temporary("folder"))?;
        Ok(Self { root, by_lane: BTreeMap::new(), created: 0 })
    }
}

impl Service for LaneFolders {
    fn resources(&mut self, lane: &str) -> Result<Resources, ServiceError> {
        // A new folder for each process, so that no file of an earlier one is held against it.
        if let Some(old) = self.by_lane.remove(lane) {
            let _ = fs::remove_dir_all(old);
        }
        let path = self.root.path().join(self.created.to_string());
        self.created += 1;
        fs::create_dir(&path).map_err(ServiceError::temporary("folder"))?;
        self.by_lane.insert(lane.to_owned(), path.clone());
        Ok([("folder".to_owned(), ServiceError::utf8(&path)?.to_owned())].into())
    }

    fn check(
        &mut self,
        lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), CheckError> {
        // `file` is given a folder whether it writes or not.
        let reads = params.get("mix") == Some(&ParamValue::Name("read".to_owned()));
        let folder = self.by_lane.get(lane).ok_or(CheckError::NoFolder)?;
        let unlisted = |source| CheckError::Folder { path: folder.clone(), source };
        let mut seen = 0;
        for file in fs::read_dir(folder).map_err(unlisted)? {
            let path = file.map_err(unlisted)?.path();
            check_file(&path)?;
            fs::remove_file(&path).map_err(|source| CheckError::File {
                action: "remove",
                path,
                source,
            })?;
            seen += 1;
        }
        match (seen, ops) {
            (0, 1..) if !reads => Err(CheckError::NoFile { ops }),
            _ => Ok(()),
        }
    }
}

/// Checks that a file holds what its name says.
fn check_file(path: &Path) -> Result<(), CheckError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = name.split_once('-');
    let parsed = parts.and_then(|(size, number)| Some((size.parse().ok()?, number.parse().ok()?)));
    let Some((expected, number)) = parsed else {
        return Err(CheckError::Unfinished { name });
    };
    let bytes = fs::read(path).map_err(|source| {
        let path = path.to_owned();
        CheckError::File { action: "read", path, source }
    })?;
    if bytes.len() != expected {
        return Err(CheckError::Size { name, bytes: bytes.len(), expected });
    }
    if bytes != content(expected, number) {
        return Err(CheckError::Content { name });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_folder() -> (LaneFolders, PathBuf) {
        let mut folders = LaneFolders::start().unwrap();
        let resources = folders.resources("tokio").unwrap();
        let path = PathBuf::from(&resources["folder"]);
        (folders, path)
    }

    #[test]
    fn check_removes_correct_files() {
        let (mut folders, path) = with_folder();
        fs::write(path.join("100-7"), content(100, 7)).unwrap();
        folders.check("tokio", &BTreeMap::new(), 1).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn check_rejects_wrong_files() {
        for (name, bytes, message) in [
            ("100-7", content(99, 7), "the file `100-7` has 99 bytes instead of 100"),
            ("100-7", content(100, 8), "the file `100-7` has the wrong content"),
            ("100-7.part", content(100, 7), "unfinished file `100-7.part`"),
        ] {
            let (mut folders, path) = with_folder();
            fs::write(path.join(name), bytes).unwrap();
            let error = folders.check("tokio", &BTreeMap::new(), 1).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn check_rejects_operations_without_a_file() {
        let (mut folders, _) = with_folder();
        let error = folders.check("tokio", &BTreeMap::new(), 5).unwrap_err();
        assert!(matches!(error, CheckError::NoFile { ops: 5 }), "{error}");
        folders.check("tokio", &BTreeMap::new(), 0).unwrap();
    }

    #[test]
    fn check_expects_no_file_of_a_reading_mix() {
        let (mut folders, _) = with_folder();
        let mix = |name: &str| [("mix".to_owned(), ParamValue::Name(name.to_owned()))].into();
        folders.check("tokio", &mix("read"), 5).unwrap();
        folders.check("tokio", &mix("write"), 5).unwrap_err();
    }

    #[test]
    fn check_names_the_folder_that_a_lane_removed() {
        let (mut folders, path) = with_folder();
        fs::remove_dir(&path).unwrap();
        let error = folders.check("tokio", &BTreeMap::new(), 1).unwrap_err().with_causes();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains("No such file or directory"), "{error}");
    }

    #[test]
    fn resources_replace_the_folder_of_an_earlier_process() {
        let (mut folders, old) = with_folder();
        let new = folders.resources("tokio").unwrap();
        assert!(!old.exists() && Path::new(&new["folder"]).exists());
        drop(folders);
        assert!(!Path::new(&new["folder"]).exists());
    }
}
