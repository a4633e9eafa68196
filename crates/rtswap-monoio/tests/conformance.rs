//! What the contract asks, asked of monoio on each of its drivers.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_monoio::Monoio;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Subject::new(Monoio::default(), 1, ALLOW));
conformance!(epoll, Subject::new(Monoio::epoll(), 1, ALLOW));
