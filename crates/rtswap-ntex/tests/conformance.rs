//! What the contract asks, asked of ntex's runtime on each of its drivers. It has no streams and no files.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_ntex::Ntex;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Subject::new(Ntex::default(), 1, ALLOW), [tasks]);
conformance!(epoll, Subject::new(Ntex::epoll(), 1, ALLOW), [tasks]);
