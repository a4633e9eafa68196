//! One thread's share of a session: a driver and the protocol that it speaks.

use std::sync::Arc;

use crate::control::ExchangeControl;
use crate::control::paced::PacedWindow;
use crate::control::watchdog::Limits;
use crate::driver::churn::ChurnLoops;
use crate::driver::kept::KeptConnections;
use crate::driver::share::{ShareConfig, read_bytes};
use crate::io::epoll::{READ_BYTES_MAX, Scratch};
use crate::protocol::echo::EchoConnection;
use crate::protocol::http::http1::{self, Http1Connection};
use crate::protocol::http::http2::{self, Http2Connection};
use crate::{LoadError, Traffic};

pub(super) enum ThreadShare {
    Echo(KeptConnections<EchoConnection>),
    Http1(KeptConnections<Http1Connection>),
    Http2(KeptConnections<Http2Connection>),
    Churn(ChurnLoops),
}

impl ThreadShare {
    /// Opens the connections and exchanges one message on each. With churn, completes one operation
    /// on each loop.
    pub(super) fn open(
        config: ShareConfig,
        scratch: &mut Scratch,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let target = config.target.clone();
        match target.traffic {
            Traffic::Kept { active } => {
                let is_active = |conn| target.is_active(active, conn);
                let (pattern, read) = (Arc::clone(&config.pattern), read_bytes(&target));
                KeptConnections::open(config, pattern, read, is_active, scratch, limits)
                    .map(Self::Echo)
            }
            // The length of responses is not known in advance, so a read uses the whole buffer.
            Traffic::Http(http) if http.h2 => {
                let requests = http2::requests::Requests::new(target.first_addr(), http);
                KeptConnections::open(config, requests, READ_BYTES_MAX, |_| true, scratch, limits)
                    .map(Self::Http2)
            }
            Traffic::Own { ref exchange, pipeline } => {
                let addr = target.first_addr();
                let requests = http1::Requests::own(addr, Arc::clone(exchange), pipeline);
                KeptConnections::open(config, requests, READ_BYTES_MAX, |_| true, scratch, limits)
                    .map(Self::Http1)
            }
            Traffic::Http(http) => {
                let requests = http1::Requests::new(target.first_addr(), http);
                KeptConnections::open(config, requests, READ_BYTES_MAX, |_| true, scratch, limits)
                    .map(Self::Http1)
            }
            Traffic::Churn => ChurnLoops::open(config, scratch, limits).map(Self::Churn),
        }
    }

    /// Exchanges messages for as long as `control` says, then completes the messages in flight.
    pub(super) fn exchange(
        &mut self,
        scratch: &mut Scratch,
        control: &mut impl ExchangeControl,
    ) -> Result<(), LoadError> {
        match self {
            Self::Echo(kept) => kept.exchange(scratch, control),
            Self::Http1(kept) => kept.exchange(scratch, control),
            Self::Http2(kept) => kept.exchange(scratch, control),
            Self::Churn(churn) => churn.exchange(scratch, control),
        }
    }

    /// Exchanges messages as they become due, until the window of `control` is over.
    pub(super) fn exchange_paced(
        &mut self,
        scratch: &mut Scratch,
        control: &mut PacedWindow<'_>,
    ) -> Result<(), LoadError> {
        match self {
            Self::Echo(kept) => kept.exchange_paced(scratch, control),
            Self::Http1(kept) => kept.exchange_paced(scratch, control),
            Self::Http2(kept) => kept.exchange_paced(scratch, control),
            Self::Churn(churn) => churn.exchange_paced(scratch, control),
        }
    }
}
