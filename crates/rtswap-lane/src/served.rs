use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rtswap_runtime::socket;

use crate::Refusal;
use crate::host::guarded;
use crate::place::{Place, pin};

/// The threads that serve a workload.
#[derive(Debug)]
pub struct Server {
    addrs: Vec<SocketAddr>,
    ended: Receiver<Result<(), Refusal>>,
}

/// How a shard reports that it accepts connections.
#[derive(Clone, Debug)]
pub struct ReadySignal(Sender<Result<(), Refusal>>);

impl ReadySignal {
    /// Reports it. To be called once.
    pub fn send(&self) {
        let _ = self.0.send(Ok(()));
    }
}

impl Server {
    /// Runs `shard` on a thread for each shard of the place, each with a listening socket of its own, and returns
    /// when every shard accepts.
    ///
    /// Without `addr`, each shard has a free port of 127.0.0.1 of its own, so that a client can give all of them the
    /// same number of connections. With `addr`, they share it (`SO_REUSEPORT`), and the kernel distributes connections
    /// by a hash: of 32 connections, the busiest of 4 shards then has 1.37 times its share on average, the busiest
    /// of 8 has 1.77 times.
    ///
    /// # Errors
    /// If the address is taken, or a shard cannot start.
    pub fn start(
        place: &Place,
        addr: Option<SocketAddr>,
        shard: impl Fn(TcpListener, &ReadySignal) -> Result<(), Refusal> + Clone + Send + 'static,
    ) -> Result<Self, Refusal> {
        let is_shared = addr.is_some() && place.shards.len() > 1;
        let share = if is_shared { socket::Share::Port } else { socket::Share::No };
        let (report, ended) = channel();
        let mut addr = addr.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let mut addrs = Vec::new();
        let refuse = |addr, error| Refusal::Failed(format!("cannot listen on {addr}: {error}"));
        if is_shared && addr.port() != 0 {
            // Shards share their port with each other, not with another process that has it already.
            drop(socket::listen(addr, socket::Share::No).map_err(|error| refuse(addr, error))?);
        }
        for &cpu in &place.shards {
            let listener = socket::listen(addr, share)
                .and_then(|listener| Ok((listener.local_addr()?, listener)))
                .map_err(|error| refuse(addr, error));
            let (bound, listener) = listener?;
            if is_shared {
                // The first shard finds a free port.
                addr = bound;
            }
            addrs.push(bound);
            let (shard, ready) = (shard.clone(), ReadySignal(report.clone()));
            thread::spawn(move || {
                pin(cpu);
                let end = guarded(|| shard(listener, &ready));
                // To the harness, a server that is gone is connections that fail; the reason is here.
                if let Err(refusal) = &end {
                    eprintln!("{refusal}");
                }
                let _ = ready.0.send(end);
            });
        }
        drop(report);
        for _ in &place.shards {
            ended.recv().unwrap_or_else(|_| Err(ended_early()))?;
        }
        addrs.dedup();
        Ok(Self { addrs, ended })
    }

    /// Where it listens: the address that its shards share, or one for each.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Waits for the first shard that ends, which none should.
    pub fn wait(self) -> Refusal {
        match self.ended.recv() {
            Ok(Err(refusal)) => refusal,
            Ok(Ok(())) | Err(_) => ended_early(),
        }
    }
}

fn ended_early() -> Refusal {
    Refusal::Failed("the server ended".to_owned())
}
