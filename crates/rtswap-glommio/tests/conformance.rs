//! What the contract asks, asked of glommio.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_glommio::Glommio;

/// glommio 0.9 frees its tasks without their hold on the eventfd.
const ALLOW: Allow = Allow { confined: true, leaks: &["anon_inode:[eventfd]"], ..Allow::NOTHING };

conformance!(one_worker, Glommio, Subject::new(1, ALLOW));
