//! What the contract asks, asked of tokio.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_tokio::{Tokio, TokioEvents8, TokioLocal};

conformance!(one_worker, Tokio, Subject::new(1, Allow::NOTHING));
conformance!(two_workers, Tokio, Subject::new(2, Allow::NOTHING));
conformance!(events_8, TokioEvents8, Subject::new(1, Allow::NOTHING));
conformance!(local, TokioLocal, Subject::new(1, Allow::NOTHING));
