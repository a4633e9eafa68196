//! One thread's share of a session.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::churn::Churn;
use crate::connection::Connection;
use crate::http::{self, Requests};
use crate::http2::{self, Script};
use crate::kept::Kept;
use crate::pace::{Pace, Watch};
use crate::pattern::Pattern;
use crate::poll::{LONGEST_READ, Scratch};
use crate::{LoadError, Target, Traffic};

/// What to connect.
pub(crate) struct Opening {
    pub(crate) target: Target,
    /// The numbers, within the session, of the connections of this share.
    pub(crate) numbers: Range<usize>,
    /// How many connections of this share may be without an answer at once.
    pub(crate) wave: usize,
    pub(crate) pattern: Arc<Pattern>,
}

pub(crate) enum Share {
    Kept(Kept<Connection>),
    Http(Kept<http::Connection>),
    Http2(Kept<http2::Connection>),
    Churn(Churn),
}

impl Share {
    /// Opens what is kept, and exchanges one message on each connection.
    pub(crate) fn open(
        opening: Opening,
        scratch: &mut Scratch,
        watch: &Watch,
    ) -> Result<Self, LoadError> {
        let target = opening.target;
        match target.traffic {
            Traffic::Kept { active } => {
                let is_active = |number| target.is_active(active, number);
                let (pattern, size) = (Arc::clone(&opening.pattern), read_size(&target));
                Kept::open(opening, pattern, size, is_active, scratch, watch).map(Self::Kept)
            }
            Traffic::Http(traffic) if traffic.h2 => {
                let script = Script::new(target.addr, traffic);
                Kept::open(opening, script, LONGEST_READ, |_| true, scratch, watch).map(Self::Http2)
            }
            Traffic::Http(traffic) => {
                let script = Requests::new(target.addr, traffic);
                // What comes at once is known no better: so what a read can be given.
                Kept::open(opening, script, LONGEST_READ, |_| true, scratch, watch).map(Self::Http)
            }
            Traffic::Churn => Churn::open(opening, scratch, watch).map(Self::Churn),
        }
    }

    /// Exchanges messages for as long as the pace says, then takes in what is still in flight.
    pub(crate) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        pace: &mut impl Pace,
    ) -> Result<(), LoadError> {
        match self {
            Self::Kept(kept) => kept.exchange(scratch, pace),
            Self::Http(kept) => kept.exchange(scratch, pace),
            Self::Http2(kept) => kept.exchange(scratch, pace),
            Self::Churn(churn) => churn.exchange(scratch, pace),
        }
    }
}

/// How much of the buffer a read is given: one more than a message.
pub(crate) fn read_size(target: &Target) -> usize {
    LONGEST_READ.min(target.size + 1)
}

/// What it means that connecting failed. This thread had opened `opened` connections before, of
/// which `open` were still open.
#[cold]
pub(crate) fn connect_error(
    target: &Target,
    opened: usize,
    open: usize,
    source: io::Error,
) -> LoadError {
    let Target { addr, conns, .. } = *target;
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => LoadError::Refused { addr, opened },
        Some(Errno::MFILE | Errno::NFILE) => LoadError::Descriptors {
            addr,
            opened: open,
            conns,
            limit: (getrlimit(Resource::Nofile).current)
                .map_or_else(|| "unlimited".into(), |limit| limit.to_string()),
        },
        Some(Errno::ADDRNOTAVAIL) => LoadError::Ports { addr, opened, conns },
        _ => LoadError::Connect { addr, opened, source },
    }
}
