//! A thread that accepts, and one for each connection.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtswap_runtime::socket::{self, Share};
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::SockRef;

use super::connection::{Site, serve};
use super::{Options, because};

/// TLS and HTTP need some tens of KiB; most of a default stack would never be touched.
const STACK_BYTES: usize = 512 << 10;

/// The accepting thread. Dropping it ends it and all connections, and waits for that.
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
    pub fn start(options: &Options, site: Site) -> io::Result<Self> {
        let listener = socket::listen(options.addr, Share::No)?;
        listener.set_nonblocking(false)?;
        let addr = listener.local_addr()?;
        let (listener, stop) = (Arc::new(listener), Arc::new(AtomicBool::new(false)));
        let (ours, ended) = (Arc::clone(&listener), Arc::clone(&stop));
        let (pinned, begun) = std::sync::mpsc::sync_channel(1);
        let (cpus, most) = (options.cpus.clone(), options.connections);
        let thread = thread::Builder::new().name("origin".to_owned()).spawn(move || {
            // The threads of connections inherit it.
            if pinned.send(confine(&cpus)).is_ok() {
                accept(&ours, &ended, most, &Arc::new(site));
            }
        })?;
        let accept = Self { listener, addr, stop, thread: Some(thread) };
        match begun.recv() {
            Ok(pinned) => pinned.map_err(because("cannot confine it to its CPUs"))?,
            Err(_) => return Err(io::Error::other("its thread has ended")),
        }
        Ok(accept)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Accept {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes a thread that accepts, on Linux.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn confine(cpus: &[usize]) -> io::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

fn accept(listener: &TcpListener, stop: &AtomicBool, most: usize, site: &Arc<Site>) {
    let mut connections: Vec<Connection> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let accepted = listener.accept();
        for ended in connections.extract_if(.., |connection| connection.thread.is_finished()) {
            let _ = ended.thread.join();
        }
        match accepted {
            Ok((socket, _)) if connections.len() < most => {
                // Without a thread for it, it is closed.
                connections.extend(start(socket, site));
            }
            Ok(_) => {}
            // Out of descriptors, say. Whoever waits is accepted when there are some again.
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

fn start(socket: TcpStream, site: &Arc<Site>) -> io::Result<Connection> {
    let socket = Arc::new(socket);
    let (ours, site) = (Arc::clone(&socket), Arc::clone(site));
    let thread = thread::Builder::new().name("origin".to_owned()).stack_size(STACK_BYTES).spawn(
        move || {
            // A client that leaves, or speaks something else, is no error of the origin's.
            let _ = serve(&ours, &site);
            // The accepting thread may keep its share of the socket for a while.
            let _ = ours.shutdown(Shutdown::Both);
        },
    )?;
    Ok(Connection { socket, thread })
}
