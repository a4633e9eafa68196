//! What one thread is to connect, and what it means if that fails.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::io::epoll::READ_BYTES_MAX;
use crate::protocol::echo::pattern::Pattern;
use crate::{LoadError, Target};

/// One thread's share of the connections of a session.
pub(crate) struct ShareConfig {
    pub(crate) target: Target,
    /// The numbers of its connections within the session.
    pub(crate) conns: Range<usize>,
    /// How many of its new connections may wait for their first answer at once.
    pub(crate) pending_max: usize,
    pub(crate) pattern: Arc<Pattern>,
}

/// How much of the buffer a read uses for echoed messages: one byte more than a message.
pub(crate) fn read_bytes(target: &Target) -> usize {
    READ_BYTES_MAX.min(target.size + 1)
}

/// Why connecting to `addr` failed. This thread had opened `opened` connections before, of which `open` were
/// still open.
#[cold]
pub(crate) fn connect_error(
    target: &Target,
    addr: SocketAddr,
    opened: usize,
    open: usize,
    source: io::Error,
) -> LoadError {
    let conns = target.conns;
    match Errno::from_io_error(&source) {
        Some(Errno::CONNREFUSED) => LoadError::Refused { addr, opened },
        Some(Errno::MFILE | Errno::NFILE) => {
            let limit = getrlimit(Resource::Nofile).current;
            let limit = limit.map_or_else(|| "unlimited".into(), |limit| limit.to_string());
            LoadError::Descriptors { addr, opened: open, conns, limit }
        }
        Some(Errno::ADDRNOTAVAIL) => LoadError::Ports { addr, opened, conns },
        _ => LoadError::Connect { addr, opened, source },
    }
}
