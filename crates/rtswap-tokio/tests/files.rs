//! Whose files a lane of `tokio::fs` has, and that lane info says so.

use std::io;
use std::path::Path;

use rtswap_lane::{FILES, Prepare};
use rtswap_runtime::{Files, Handle, Open, Runtime, WithHandles};
use rtswap_tokio::Tokio;

/// Whether tokio's files have a ring in this build.
const RING: bool = cfg!(all(tokio_unstable, feature = "tokio-unstable"));

#[test]
fn lanes_have_either_tokio_fs_or_tokio_fs_uring() {
    let lanes = rtswap_tokio::lanes();
    let lane = |name| lanes.iter().find(|lane| lane.name == name).unwrap();
    let (threads, uring) = (lane("tokio-fs"), lane("tokio-fs-uring"));
    let (built, other) = if RING { (uring, threads) } else { (threads, uring) };
    assert_eq!(built.missing_feature, None);
    assert_eq!(built.families, ["file", "fetch"]);
    assert_eq!(other.families, built.families);
    let feature = if RING { "tokio" } else { "tokio-unstable" };
    assert_eq!(other.missing_feature, Some(feature));
    let reason = other.available().unwrap_err().to_string();
    assert!(reason.starts_with("not built in: ") && reason.contains("tokio-unstable"), "{reason}");
    assert!(other.prepare(&Prepare::default()).is_err());
}

#[test]
fn lane_info_says_who_does_file_io() {
    let files = |name: &str| {
        let lanes = rtswap_tokio::lanes();
        let lane = lanes.iter().find(|lane| lane.name == name).unwrap();
        let order = Prepare {
            workload: "file/mix=write".to_owned(),
            cpus: vec![0],
            resources: [("folder".to_owned(), "/nowhere".to_owned())].into(),
            ..Prepare::default()
        };
        lane.prepare(&order).ok().map(|program| program.info.notes[FILES].clone())
    };
    let threads = Some("threads".to_owned());
    let ring = Some("ring: open, read, rename; threads: seek, write, sync".to_owned());
    assert_eq!(files("tokio"), threads);
    assert_eq!(files("tokio-fs"), threads.filter(|_| !RING));
    assert_eq!(files("tokio-fs-uring"), ring.filter(|_| RING));
}

/// Files that this machine does not have.
struct Nowhere;

impl Handle for Nowhere {
    const FILES: Files = Files::Ring;

    fn available() -> io::Result<()> {
        Err(io::Error::other("nowhere"))
    }

    async fn open(_: &Path, _: Open) -> io::Result<Self> {
        Ok(Self)
    }

    async fn read(&mut self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    async fn write_all(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn rename(_: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn with_handles_is_what_its_handles_are() {
    let runtime = WithHandles::<_, Nowhere>::new(Tokio::default());
    assert_eq!(runtime.about().files, Files::Ring);
    assert_eq!(runtime.available().unwrap_err().to_string(), "nowhere");
}
