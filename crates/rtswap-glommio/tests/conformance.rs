//! What the contract asks, asked of glommio.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_glommio::Glommio;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(one_worker, Glommio, Subject::new(1, ALLOW));
