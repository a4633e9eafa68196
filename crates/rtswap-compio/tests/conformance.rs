//! What the contract asks, asked of compio.

use rtswap_compio::{Compio, CompioDefer, CompioPoll};
use rtswap_conformance::{Allow, Subject, conformance};

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Compio, Subject::new(1, ALLOW));
conformance!(io_uring_deferred, CompioDefer, Subject::new(1, ALLOW));
conformance!(poll, CompioPoll, Subject::new(1, ALLOW));
