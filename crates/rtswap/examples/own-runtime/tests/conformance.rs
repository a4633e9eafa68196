//! What the contract asks of every runtime, without the group `files`.

use own_runtime::LocalRuntime;
use rtswap_conformance::{Allow, Subject, conformance};

const ALLOW: Allow = Allow {
    // local-runtime keeps its reactor for as long as the thread lives.
    descriptors: &["anon_inode:[eventfd]", "anon_inode:[timerfd]"],
    // Streams do not leave their thread.
    confined: true,
    ..Allow::NOTHING
};

conformance!(one_thread, Subject::new(LocalRuntime, 1, ALLOW), [tasks, net]);
