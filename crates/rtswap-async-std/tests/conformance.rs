//! What the contract asks, asked of async-std.

use rtswap_async_std::AsyncStd;
use rtswap_conformance::{Allow, Subject, conformance};

/// The executor belongs to the process, and its tasks with it.
const ALLOW: Allow =
    Allow { threads: &["async-std/runti", "async-io"], tasks_outlive: true, ..Allow::ASYNC_IO };

conformance!(one_worker, Subject::new(AsyncStd, 1, ALLOW));
conformance!(two_workers, Subject::new(AsyncStd, 2, ALLOW));
