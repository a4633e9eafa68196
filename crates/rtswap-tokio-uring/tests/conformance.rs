//! What the contract asks, asked of tokio-uring.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_tokio_uring::TokioUring;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(one_worker, Subject::new(TokioUring, 1, ALLOW));
