//! The opponent of churn: an echo server that takes one connection after the other, to its end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the server does to a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    None,
    /// Flips a bit of the last byte.
    Flip,
    /// Sends the last byte twice.
    Surplus,
    /// Sends a byte more after the generator has ended its stream.
    LateSurplus,
    /// Closes in place of answering.
    Close,
    /// Closes after half an answer.
    CloseHalfway,
    /// Resets in place of answering.
    Reset,
    /// Resets after the answer, in place of closing.
    ResetAtEnd,
    /// Never answers.
    Mute,
    /// Answers, but never closes.
    NeverClose,
    /// Listens no more once the connection is closed.
    Vanish,
}

pub struct Churned {
    pub addr: SocketAddr,
    /// Connections taken.
    pub taken: Arc<AtomicU64>,
    /// Connections that came to an orderly end.
    pub ended: Arc<AtomicU64>,
}

/// A server whose connections are sound up to the one of the given number, counted from 0, and odd
/// from there on.
pub fn serve(size: usize, oddity: Oddity, from: u64) -> Churned {
    let addr = "127.0.0.1:0".parse().unwrap();
    let listener = rtswap_runtime::socket::listen(addr, rtswap_runtime::socket::Share::No).unwrap();
    listener.set_nonblocking(false).unwrap();
    let addr = listener.local_addr().unwrap();
    let [taken, ended] = [0; 2].map(|_| Arc::<AtomicU64>::default());
    let counters = (Arc::clone(&taken), Arc::clone(&ended));
    thread::spawn(move || run(listener, size, oddity, from, &counters));
    Churned { addr, taken, ended }
}

fn run(
    listener: TcpListener,
    size: usize,
    oddity: Oddity,
    from: u64,
    (taken, ended): &(Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let mut listener = Some(listener);
    let mut kept = Vec::new();
    for number in 0.. {
        let Some(open) = &listener else { return };
        let mut stream = open.accept().unwrap().0;
        taken.fetch_add(1, Ordering::SeqCst);
        let oddity = if number < from { Oddity::None } else { oddity };
        // It fails as the generator closes upon an oddity.
        let done = one(&mut stream, size, oddity);
        if oddity == Oddity::Vanish {
            listener = None;
        }
        // Counted before the stream is dropped, so before the generator can know.
        match oddity {
            Oddity::Mute | Oddity::NeverClose => kept.push(stream),
            _ if matches!(done, Ok(true)) => {
                ended.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// Serves one connection. Returns whether it came to its end.
fn one(stream: &mut TcpStream, size: usize, oddity: Oddity) -> io::Result<bool> {
    if oddity == Oddity::Mute {
        return Ok(false);
    }
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes)?;
    let reset = |stream: &TcpStream| {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).map(|()| false)
    };
    match oddity {
        Oddity::Flip => bytes[size - 1] ^= 1,
        Oddity::Surplus => bytes.push(bytes[size - 1]),
        Oddity::Close => return Ok(false),
        Oddity::CloseHalfway => bytes.truncate(size / 2),
        Oddity::Reset => return reset(stream),
        _ => {}
    }
    stream.write_all(&bytes)?;
    if oddity == Oddity::CloseHalfway {
        return Ok(false);
    }
    let rest = stream.read(&mut bytes)?;
    match oddity {
        Oddity::LateSurplus => stream.write_all(b"x")?,
        Oddity::ResetAtEnd => return reset(stream),
        _ => {}
    }
    Ok(rest == 0)
}
