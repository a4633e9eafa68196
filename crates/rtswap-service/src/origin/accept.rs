//! A thread that accepts connections, and a thread for each connection.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtswap_runtime::socket::{self, Share};
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::SockRef;

use super::Options;
use super::connection::{Shared, serve};
use crate::ServiceError;

/// TLS and HTTP need some tens of KiB: a default stack of 2 MiB for each connection would be wasted.
const STACK_BYTES: usize = 512 << 10;

/// The accepting thread. Dropping it ends the thread and all connections, and waits for them.
#[derive(Debug)]
pub(super) struct Accept {
    listener: Arc<TcpListener>,
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Connection {
    socket: Arc<TcpStream>,
    thread: JoinHandle<()>,
}

impl Accept {
    pub fn start(options: &Options, shared: Shared) -> Result<Self, ServiceError> {
        let (listener, addr) = listen(options.addr)
            .map_err(|source| ServiceError::Listen { addr: options.addr, source })?;
        let (listener, stop) = (Arc::new(listener), Arc::new(AtomicBool::new(false)));
        let (accepting, stopped) = (Arc::clone(&listener), Arc::clone(&stop));
        let (sender, pinned) = std::sync::mpsc::sync_channel(1);
        let (cpus, most) = (options.cpus.clone(), options.connections);
        let run = move || {
            // The threads of connections inherit the affinity.
            if sender.send(pin(&cpus)).is_ok() {
                accept(&accepting, &stopped, most, &Arc::new(shared));
            }
        };
        let thread = thread::Builder::new().name("origin".to_owned()).spawn(run);
        let thread = Some(thread.map_err(|source| ServiceError::Thread { source })?);
        let accept = Self { listener, addr, stop, thread };
        let pinned = pinned.recv().expect("the thread sends before it ends");
        let cpus = || options.cpus.clone();
        pinned.map_err(|source| ServiceError::Pin { cpus: cpus(), source })?;
        Ok(accept)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Accept {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // On Linux, this wakes a thread that waits in `accept`.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = socket::listen(addr, Share::No)?;
    listener.set_nonblocking(false)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

fn pin(cpus: &[usize]) -> io::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

fn accept(listener: &TcpListener, stop: &AtomicBool, most: usize, shared: &Arc<Shared>) {
    let mut connections: Vec<Connection> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let accepted = listener.accept();
        for ended in connections.extract_if(.., |connection| connection.thread.is_finished()) {
            let _ = ended.thread.join();
        }
        match accepted {
            Ok((socket, _)) if connections.len() < most => {
                // If no thread can be started, the connection is closed.
                connections.extend(start(socket, shared));
            }
            Ok(_) => {}
            // For example out of descriptors: clients in the backlog wait until some are free again.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    for connection in &connections {
        let _ = connection.socket.shutdown(Shutdown::Both);
    }
    for connection in connections {
        let _ = connection.thread.join();
    }
}

fn start(socket: TcpStream, shared: &Arc<Shared>) -> io::Result<Connection> {
    let socket = Arc::new(socket);
    let (served, shared) = (Arc::clone(&socket), Arc::clone(shared));
    let thread = thread::Builder::new().name("origin".to_owned()).stack_size(STACK_BYTES).spawn(
        move || {
            // A client that leaves or speaks another protocol is not an error of the origin.
            let _ = serve(&served, &shared);
            // The accepting thread may hold the socket for a while, which keeps it open.
            let _ = served.shutdown(Shutdown::Both);
        },
    )?;
    Ok(Connection { socket, thread })
}
