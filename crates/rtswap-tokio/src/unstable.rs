//! `tokio::fs` on `io_uring`, where tokio is built with it.
//!
//! A runtime has no switch for it: every `tokio::fs` of such a build tries the ring first, so a program has the lane
//! `tokio-fs` or `tokio-fs-uring`, and never both.

use std::io;

use rtswap_runtime::Files;

/// How to get it.
pub(crate) const WITH: &str =
    "build rtswap with `RUSTFLAGS=\"--cfg tokio_unstable\"` and `--features tokio-unstable`";

/// How to be rid of it.
pub(crate) const WITHOUT: &str =
    "tokio-fs-uring is in its place; build rtswap without `--features tokio-unstable`";

/// Whether tokio is built with it. Without the flag for rustc, tokio ignores its feature.
pub(crate) const RING: bool = cfg!(all(tokio_unstable, feature = "tokio-unstable"));

/// Who does the I/O of `tokio::fs::File`, by tokio 1.54.
pub(crate) const FILES: Files = if RING {
    Files::Mixed("ring: open, read, rename; threads: seek, write, sync")
} else {
    Files::Threads
};

/// Without the operations, tokio would use threads and say nothing.
#[cfg(all(tokio_unstable, feature = "tokio-unstable"))]
pub(crate) fn available() -> io::Result<()> {
    use io_uring::{IoUring, Probe, opcode};
    use rtswap_runtime::ring;

    let probe = || {
        // tokio's size.
        let ring = IoUring::new(256)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::OpenAt::CODE, opcode::Read::CODE, opcode::RenameAt::CODE];
        if needed.iter().all(|code| probe.is_supported(*code)) {
            Ok(())
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    };
    probe().map_err(|error| ring::explain(&error, "5.11"))
}

/// Threads need nothing.
#[cfg(not(all(tokio_unstable, feature = "tokio-unstable")))]
#[expect(clippy::unnecessary_wraps, reason = "the ring may be forbidden")]
pub(crate) fn available() -> io::Result<()> {
    Ok(())
}
