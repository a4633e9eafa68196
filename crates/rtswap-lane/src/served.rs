use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rtswap_runtime::{Runtime, socket};
use rtswap_workload::{Served, Spin};

use crate::Refusal;
use crate::host::guarded;
use crate::place::{Place, pin};

/// The threads that serve a workload.
pub(crate) struct Server {
    addr: SocketAddr,
    ended: Receiver<Result<(), Refusal>>,
}

impl Server {
    /// Returns when every shard accepts.
    pub fn start<R: Runtime, W: Served>(
        workload: &W,
        place: &Place,
        addr: Option<SocketAddr>,
        spin: Spin,
    ) -> Result<Self, Refusal> {
        let share = if place.shards.len() > 1 { socket::Share::Port } else { socket::Share::No };
        let (report, ended) = channel();
        let mut addr = addr.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let refuse = |addr, error| Refusal::Failed(format!("cannot listen on {addr}: {error}"));
        if share == socket::Share::Port && addr.port() != 0 {
            // Shards share their port with each other, not with whoever has it already.
            drop(socket::listen(addr, socket::Share::No).map_err(|error| refuse(addr, error))?);
        }
        for &cpu in &place.shards {
            let listener = socket::listen(addr, share)
                .and_then(|listener| Ok((listener.local_addr()?, listener)))
                .map_err(|error| refuse(addr, error));
            let (bound, listener) = listener?;
            // The first shard finds a free port, the others share it.
            addr = bound;
            let (workload, config, report) =
                (workload.clone(), place.config.clone(), report.clone());
            thread::spawn(move || {
                pin(cpu);
                let main = shard::<R, W>(workload, listener, spin, report.clone());
                let end = guarded(|| {
                    R::block_on(&config, main).map_err(|error| {
                        Refusal::Failed(format!("cannot start the runtime: {error}"))
                    })?
                });
                // The harness sees a server that is gone as connections that fail; why, it reads here.
                if let Err(refusal) = &end {
                    eprintln!("{refusal}");
                }
                let _ = report.send(end);
            });
        }
        drop(report);
        for _ in &place.shards {
            ended.recv().unwrap_or_else(|_| Err(ended_early()))?;
        }
        Ok(Self { addr, ended })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for the first shard that ends, which none should.
    pub fn wait(self) -> Refusal {
        match self.ended.recv() {
            Ok(Err(refusal)) => refusal,
            Ok(Ok(())) | Err(_) => ended_early(),
        }
    }
}

/// One shard: reports once when it accepts, and ends only with an error.
async fn shard<R: Runtime, W: Served>(
    workload: W,
    listener: TcpListener,
    spin: Spin,
    report: Sender<Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let listener = R::listen(listener)
        .map_err(|error| Refusal::Failed(format!("the runtime refuses the socket: {error}")))?;
    let _ = report.send(Ok(()));
    // As a task and not in main: on a multi-threaded runtime main is on none of the workers.
    R::spawn(async move { workload.serve::<R>(listener, spin).await })
        .await
        .map_err(|error| Refusal::Failed(format!("cannot accept: {error}")))
}

fn ended_early() -> Refusal {
    Refusal::Failed("the server ended".to_owned())
}
