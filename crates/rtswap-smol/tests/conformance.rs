//! What the contract asks, asked of smol.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_smol::{Smol, SmolLocal};

conformance!(one_worker, Smol, Subject::new(1, Allow::ASYNC_IO));
conformance!(two_workers, Smol, Subject::new(2, Allow::ASYNC_IO));
conformance!(local, SmolLocal, Subject::new(1, Allow::ASYNC_IO));
