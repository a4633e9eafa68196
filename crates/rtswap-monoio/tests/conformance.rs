//! What the contract asks, asked of monoio in each of its configurations.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_monoio::Monoio;

const ALLOW: Allow = Allow { confined: true, ..Allow::NOTHING };

conformance!(io_uring, Subject::new(Monoio::default(), 1, ALLOW));
conformance!(bridge, Subject::new(Monoio::bridge(), 1, ALLOW), [net]);
conformance!(defer, Subject::new(Monoio::defer(), 1, ALLOW));
conformance!(coop, Subject::new(Monoio::coop(), 1, ALLOW));
conformance!(epoll, Subject::new(Monoio::epoll(), 1, ALLOW));
