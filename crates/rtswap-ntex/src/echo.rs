//! `tcp-echo`, `idle`, `churn` by hand: ntex's own server.

use std::io;
use std::net::TcpListener;

use ntex_codec::BytesCodec;
use ntex_io::Io;
use ntex_rt::System;
use ntex_server::net::ServerBuilder;
use ntex_service::fn_service;
use ntex_util::future::Either;
use rtswap_lane::host::{Program, Work};
use rtswap_lane::{LaneInfo, Place, Prepare, ReadySignal, Refusal, Server};
use rtswap_runtime::Runtime as _;
use rtswap_workload::{Spec, TcpEcho};

use crate::Ntex;
use crate::driver::Setup;

/// The workloads with connections, by family.
pub(crate) const FAMILIES: &[&str] = &["tcp-echo", "idle", "churn"];

/// Prepares one of [`FAMILIES`].
///
/// # Errors
/// [`Refusal`] if the machine does not let the driver work, the server cannot start, or the order asks for what it has
/// not.
pub(crate) fn prepare(runtime: Ntex, order: &Prepare, spec: &Spec) -> Result<Program, Refusal> {
    runtime.available().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    if order.delay_ns > 0 {
        return Err(Refusal::Unsupported("a server by hand cannot be slowed down".to_owned()));
    }
    let echo = TcpEcho::new(spec);
    if !echo.holds_buffer() || echo.is_exact() {
        let message = "buffer=none, buffer=exact: ntex's Io has buffers of its own";
        return Err(Refusal::Unsupported(message.to_owned()));
    }
    let place = Place::whole(&order.cpus);
    let workers = place.config.workers.get();
    let server = Server::start(&place, order.addr, move |listener, ready| {
        serve(runtime.setup, workers, listener, ready.clone())
            .map_err(|error| Refusal::Failed(format!("the server ended: {error}")))
    })?;
    Ok(Program { info: info(runtime.setup, workers), work: Work::Served(server) })
}

fn info(setup: Setup, workers: usize) -> LaneInfo {
    let mut notes = setup.notes();
    let version = rtswap_lane::version_of("ntex-server").unwrap_or_default();
    notes.insert("accept".to_owned(), format!("a thread of its own, by ntex-server {version}"));
    LaneInfo {
        runtime: "ntex-rt".to_owned(),
        version: String::new(),
        driver: setup.driver().name().to_owned(),
        workers,
        shards: 1,
        notes,
    }
}

/// Serves until the server ends, which it does not.
fn serve(
    setup: Setup,
    workers: usize,
    listener: TcpListener,
    ready: ReadySignal,
) -> io::Result<()> {
    System::build().name("ntex").build(setup).block_on(async move {
        let server = ServerBuilder::default()
            .workers(workers)
            // The harness ends the process.
            .disable_signals()
            .listen("echo", listener, async |_| fn_service(answer))?
            .run();
        ready.send();
        server.await
    })
}

/// As in ntex's examples of servers.
async fn answer(io: Io) -> io::Result<()> {
    while let Some(bytes) = io.recv(&BytesCodec).await.map_err(Either::into_inner)? {
        io.send(bytes, &BytesCodec).await.map_err(Either::into_inner)?;
    }
    Ok(())
}
