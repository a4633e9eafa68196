//! What the contract asks, asked of monoio on each of its drivers.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_monoio::{Monoio, MonoioEpoll};

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Monoio, Subject::new(1, ALLOW));
conformance!(epoll, MonoioEpoll, Subject::new(1, ALLOW));
