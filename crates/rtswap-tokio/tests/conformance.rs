//! What the contract asks, asked of tokio.

use rtswap_conformance::{Allow, Subject, conformance};
use rtswap_runtime::WithHandles;
use rtswap_tokio::{FsHandle, Tokio};

conformance!(one_worker, Subject::new(Tokio::default(), 1, Allow::NOTHING));
conformance!(two_workers, Subject::new(Tokio::default(), 2, Allow::NOTHING));
conformance!(events_8, Subject::new(Tokio::default().event_interval(8), 1, Allow::NOTHING));
conformance!(local, Subject::new(Tokio::current_thread(), 1, Allow::NOTHING));
conformance!(fs, Subject::new(with_fs(), 2, Allow::NOTHING), [files]);

fn with_fs() -> WithHandles<Tokio, FsHandle> {
    WithHandles::new(Tokio::default())
}
