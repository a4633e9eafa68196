//! What the contract asks, asked of smol.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_runtime::WithHandles;
use rtswap_smol::{FsHandle, Smol};

conformance!(one_worker, Subject::new(Smol::default(), 1, Allow::ASYNC_IO));
conformance!(two_workers, Subject::new(Smol::default(), 2, Allow::ASYNC_IO));
conformance!(local, Subject::new(Smol::local(), 1, Allow::ASYNC_IO));
conformance!(fs, Subject::new(with_fs(), 2, Allow::ASYNC_IO), [files]);

fn with_fs() -> WithHandles<Smol, FsHandle> {
    WithHandles::new(Smol::default())
}
