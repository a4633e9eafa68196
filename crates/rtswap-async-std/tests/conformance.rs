//! What the contract asks, asked of async-std.

use rtswap_async_std::{AsyncStd, FsHandle};
use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_runtime::WithHandles;

/// The executor belongs to the process, and its tasks with it.
const ALLOW: Allow =
    Allow { threads: &["async-std/runti", "async-io"], tasks_outlive: true, ..Allow::ASYNC_IO };

conformance!(one_worker, Subject::new(AsyncStd, 1, ALLOW));
conformance!(two_workers, Subject::new(AsyncStd, 2, ALLOW));
conformance!(fs, Subject::new(with_fs(), 2, ALLOW), [files]);

fn with_fs() -> WithHandles<AsyncStd, FsHandle> {
    WithHandles::new(AsyncStd)
}
