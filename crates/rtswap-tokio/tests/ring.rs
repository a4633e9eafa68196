//! Which files have a ring. Descriptors are those of the process, so this is a test alone.

use std::fs;
use std::path::Path;

use rtswap_runtime::{Buffer, Config, File, Fs, Open, WithHandles};
use rtswap_tokio::{FsHandle, Tokio};

/// Whether this process has a ring.
fn has_ring() -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.into_iter().any(|target| target.to_string_lossy().contains("io_uring"))
}

/// Reads this package's manifest, and looks for a ring meanwhile.
fn reads_through_ring<R: Fs>(runtime: &R) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let read = async {
        let file = R::open(&path, Open::Read).await.unwrap();
        let (result, buffer) = file.read_at(Buffer::with_capacity(9), 0).await;
        assert_eq!((result.unwrap(), &buffer[..]), (9, &b"[package]"[..]));
        has_ring()
    };
    runtime.block_on(&Config::default(), read).unwrap()
}

#[test]
fn tokio_fs_has_a_ring_only_where_it_is_built_with_it() {
    assert!(!reads_through_ring(&Tokio::default()), "files of std");
    assert_eq!(
        reads_through_ring(&WithHandles::<_, FsHandle>::new(Tokio::default())),
        cfg!(all(tokio_unstable, feature = "tokio-unstable"))
    );
}
