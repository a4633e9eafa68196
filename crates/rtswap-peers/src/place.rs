//! Where what runs the peers is kept.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that names the peers' folder.
pub const FOLDER: &str = "RTSWAP_PEERS";

/// The sources of all peers, by their path.
const SOURCES: &[(&str, &str)] = &[
    ("python/lane.py", include_str!("../lanes/python/lane.py")),
    ("python/on_asyncio.py", include_str!("../lanes/python/on_asyncio.py")),
    ("python/asgi.py", include_str!("../lanes/python/asgi.py")),
    ("python/on_gevent.py", include_str!("../lanes/python/on_gevent.py")),
    ("node/lane.mjs", include_str!("../lanes/node/lane.mjs")),
    ("go/go.mod", include_str!("../lanes/go/go.mod")),
    ("go/main.go", include_str!("../lanes/go/main.go")),
];

/// The peers' folder, and where programs are looked for.
///
/// It holds `venv`, Python's virtual environment; `go-HASH`, Go's lane; and `src-HASH`, the sources. They
/// stay there: a lane *becomes* its interpreter, so that its counters can be read by its process id, and
/// nobody is left to remove a temporary folder after it. What is called by the hash of its content can
/// stay, and two versions of rtswap do not disturb each other.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    path: OsString,
}

impl Place {
    /// The user's: `$RTSWAP_PEERS`, or `rtswap/peers` in the folder for caches.
    ///
    /// # Errors
    /// If the environment names none.
    pub fn of_user() -> Result<Self, String> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let own = env::var_os(FOLDER).filter(|name| !name.is_empty());
        let own = own.map(|name| std::path::absolute(&name).unwrap_or_else(|_| name.into()));
        let cache = || {
            let cache = absolute("XDG_CACHE_HOME");
            cache.or_else(|| Some(absolute("HOME")?.join(".cache")))
        };
        let folder = own.or_else(|| Some(cache()?.join("rtswap").join("peers")));
        let path = env::var_os("PATH").unwrap_or_default();
        match folder {
            Some(folder) => Ok(Self { folder, path }),
            None => Err(format!("there is no HOME to keep peers in; set {FOLDER} to a folder")),
        }
    }

    /// Another folder, and a `PATH`.
    pub fn new(folder: impl Into<PathBuf>, path: impl Into<OsString>) -> Self {
        Self { folder: folder.into(), path: path.into() }
    }

    /// The peers' folder. It need not exist.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program that can be run, by one of its names.
    pub(crate) fn program(&self, names: &[&str]) -> Option<PathBuf> {
        let folders: Vec<_> = env::split_paths(&self.path).filter(|it| it.is_absolute()).collect();
        let all = names.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
        all.into_iter().find(|path| is_executable(path))
    }

    pub(crate) fn path(&self) -> &OsStr {
        &self.path
    }

    /// Python's virtual environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.folder.join("venv")
    }

    /// The folder of Go's lane.
    pub(crate) fn go(&self) -> PathBuf {
        let go = SOURCES.iter().filter(|(name, _)| name.starts_with("go/"));
        self.folder.join(format!("go-{:016x}", hash(go)))
    }

    /// Go's lane.
    pub(crate) fn go_lane(&self) -> PathBuf {
        self.go().join("lane")
    }

    /// The folder of the sources, which is written if it is not there.
    pub(crate) fn sources(&self) -> Result<PathBuf, String> {
        let folder = self.folder.join(format!("src-{:016x}", hash(SOURCES.iter())));
        if folder.is_dir() {
            return Ok(folder);
        }
        self.write(&folder).map_err(|error| self.cannot("write to", &error))?;
        Ok(folder)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Beside it, and renamed when it is whole: many lanes begin at once.
        let aside = tempfile::Builder::new().prefix("src-new-").tempdir_in(&self.folder)?;
        for (name, text) in SOURCES {
            let path = aside.path().join(name);
            fs::create_dir_all(path.parent().expect("it is in a folder"))?;
            fs::write(path, text)?;
        }
        match fs::rename(aside.path(), folder) {
            // Another lane was quicker: a folder takes the place of an empty one only.
            Err(_) if folder.is_dir() => Ok(()),
            renamed => renamed,
        }
    }

    /// What went wrong with the folder.
    pub(crate) fn cannot(&self, what: &str, error: &io::Error) -> String {
        let folder = self.folder.display();
        format!("cannot {what} {folder}: {error}; {FOLDER} names another folder")
    }
}

fn is_executable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// FNV-1a over names and contents: any hash that stays the same will do. Two machines may share a folder,
/// and not be able to run each other's programs.
fn hash<'a>(sources: impl Iterator<Item = &'a (&'a str, &'a str)>) -> u64 {
    let texts = sources.flat_map(|(name, text)| [*name, "\0", *text, "\0"]);
    let bytes = texts.chain([env::consts::ARCH]).flat_map(str::bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn sources_are_written_once_and_whole_though_many_lanes_begin_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().join("deep/er"), "");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let sources = place.sources().unwrap();
                    for (name, text) in SOURCES {
                        assert_eq!(fs::read_to_string(sources.join(name)).unwrap(), *text);
                    }
                });
            }
        });
        let all = fs::read_dir(place.folder()).unwrap();
        assert_eq!(all.count(), 1, "nothing half done is left");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = Place::new(file.path(), "").sources().unwrap_err();
        assert!(told.contains("cannot write to") && told.contains(FOLDER), "{told}");
    }
}
