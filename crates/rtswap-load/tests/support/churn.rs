//! An echo server that serves one connection after the other and misbehaves on request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How the server misbehaves on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Flips a bit of the last byte.
    Flip,
    /// Sends the last byte twice.
    Surplus,
    /// Sends one more byte after the generator has ended its stream.
    LateSurplus,
    /// Closes the connection instead of answering.
    Close,
    /// Closes the connection after half an answer.
    CloseHalfway,
    /// Resets the connection instead of answering.
    Reset,
    /// Resets the connection after the answer, instead of closing it.
    ResetAtEnd,
    /// Never answers.
    Mute,
    /// Answers, but never closes.
    NeverClose,
    /// Stops listening when the connection is closed.
    Vanish,
}

pub struct ChurnServer {
    pub addr: SocketAddr,
    /// Accepted connections.
    pub accepted: Arc<AtomicU64>,
    /// Connections that both ends closed in order.
    pub ended: Arc<AtomicU64>,
}

/// A server that behaves correctly before connection `from`, counted from 0, and misbehaves from then
/// on.
pub fn serve(size: usize, fault: Fault, from: u64) -> ChurnServer {
    let addr = "127.0.0.1:0".parse().unwrap();
    let listener = rtswap_runtime::socket::listen(addr, rtswap_runtime::socket::Share::No).unwrap();
    listener.set_nonblocking(false).unwrap();
    let addr = listener.local_addr().unwrap();
    let [accepted, ended] = [0; 2].map(|_| Arc::<AtomicU64>::default());
    let counters = (Arc::clone(&accepted), Arc::clone(&ended));
    thread::spawn(move || run(listener, size, fault, from, &counters));
    ChurnServer { addr, accepted, ended }
}

fn run(
    listener: TcpListener,
    size: usize,
    fault: Fault,
    from: u64,
    (accepted, ended): &(Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let mut listener = Some(listener);
    let mut kept = Vec::new();
    for number in 0.. {
        let Some(open) = &listener else { return };
        let mut stream = open.accept().unwrap().0;
        accepted.fetch_add(1, Ordering::SeqCst);
        let fault = if number < from { Fault::None } else { fault };
        // It fails if the generator closes the connection because of the fault.
        let done = serve_one(&mut stream, size, fault);
        if fault == Fault::Vanish {
            listener = None;
        }
        // Counted before the stream is dropped, and so before the generator sees the end.
        match fault {
            Fault::Mute | Fault::NeverClose => kept.push(stream),
            _ if matches!(done, Ok(true)) => {
                ended.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// Serves one connection. Returns whether the generator ended its stream in order.
fn serve_one(stream: &mut TcpStream, size: usize, fault: Fault) -> io::Result<bool> {
    if fault == Fault::Mute {
        return Ok(false);
    }
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes)?;
    let reset = |stream: &TcpStream| {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).map(|()| false)
    };
    match fault {
        Fault::Flip => bytes[size - 1] ^= 1,
        Fault::Surplus => bytes.push(bytes[size - 1]),
        Fault::Close => return Ok(false),
        Fault::CloseHalfway => bytes.truncate(size / 2),
        Fault::Reset => return reset(stream),
        _ => {}
    }
    stream.write_all(&bytes)?;
    if fault == Fault::CloseHalfway {
        return Ok(false);
    }
    let rest = stream.read(&mut bytes)?;
    match fault {
        Fault::LateSurplus => stream.write_all(b"x")?,
        Fault::ResetAtEnd => return reset(stream),
        _ => {}
    }
    Ok(rest == 0)
}
