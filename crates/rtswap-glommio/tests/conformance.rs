//! What the contract asks, asked of glommio.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_glommio::Glommio;

/// glommio 0.9 frees its tasks without their hold on the eventfd. Its pool for work that blocks has one thread
/// unless a program asks for more.
const ALLOW: Allow = Allow {
    confined: true,
    leaks: &["anon_inode:[eventfd]"],
    one_blocking_thread: true,
    ..Allow::NOTHING
};

conformance!(one_worker, Subject::new(Glommio, 1, ALLOW));
