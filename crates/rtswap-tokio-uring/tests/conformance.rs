//! What the contract asks, asked of tokio-uring in each of its configurations.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_tokio_uring::TokioUring;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(one_worker, Subject::new(TokioUring::default(), 1, ALLOW));
conformance!(bridge, Subject::new(TokioUring::bridge(), 1, ALLOW), [net]);
conformance!(net, Subject::new(TokioUring::net(), 1, ALLOW), [net]);
conformance!(coop, Subject::new(TokioUring::coop(), 1, ALLOW));
