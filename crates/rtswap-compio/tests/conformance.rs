//! What the contract asks, asked of compio.

use rtswap_compio::Compio;
use rtswap_conformance::{Allow, Subject, conformance};

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Subject::new(Compio::default(), 1, ALLOW));
conformance!(io_uring_deferred, Subject::new(Compio::defer(), 1, ALLOW));
conformance!(io_uring_cooperative, Subject::new(Compio::coop(), 1, ALLOW), [net]);
conformance!(poll, Subject::new(Compio::poll(), 1, ALLOW));
conformance!(io_uring_poll_fd, Subject::new(Compio::default().over_poll_fd(), 1, ALLOW), [net]);
conformance!(poll_poll_fd, Subject::new(Compio::poll().over_poll_fd(), 1, ALLOW), [net]);
