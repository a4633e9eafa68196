//! An echo server with a thread per connection that misbehaves on request.

// Each test executable uses a part of it.
#![allow(dead_code)]

pub mod churn;
pub mod epoll;
pub mod http2;
pub mod requests;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rtswap_load::{Config, Generator, Target};
use rustix::thread::sched_getaffinity;

/// How a server misbehaves on each connection. Messages are numbered from 0, and message 0 is
/// exchanged while the session is opened.
#[derive(Clone, Copy)]
pub enum Fault {
    None,
    /// Flips a bit of the given byte of a message.
    Flip {
        message: u64,
        byte: usize,
    },
    /// Omits the last byte of a message.
    Truncate {
        message: u64,
    },
    /// Answers a message with the one before.
    Stale {
        message: u64,
    },
    /// Omits the first byte of a message, and continues with the bytes after it.
    Shift {
        message: u64,
    },
    /// Sends the last byte twice.
    Surplus {
        message: u64,
    },
    /// Closes the connection instead of answering.
    Close {
        message: u64,
    },
    /// Closes the connection after half an answer.
    CloseHalfway {
        message: u64,
    },
    /// Resets the connection instead of answering.
    Reset {
        message: u64,
    },
    /// Reads from then on, but does not answer.
    Mute {
        message: u64,
    },
    /// From message 1 on, echoes one byte at a time, so slowly that no message is completed.
    Trickle,
    /// From message 1 on, answers when the flag is set.
    Hold {
        until: &'static AtomicBool,
    },
    /// Reads and writes pieces smaller than a message.
    Pieces {
        bytes: usize,
    },
}

pub struct Server {
    pub addr: SocketAddr,
    /// Receives one value for each connection that has ended.
    pub ended: Receiver<()>,
}

/// Starts a server on a free port. Its threads end with their connections, and the accepting thread
/// with the process.
pub fn serve(size: usize, fault: Fault) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (end, ended) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let end = end.clone();
            thread::spawn(move || {
                // The generator closes the connection, which the server sees as EOF or an error.
                let _ = echo(stream, size, fault);
                let _ = end.send(());
            });
        }
    });
    Server { addr, ended }
}

fn echo(mut stream: TcpStream, size: usize, fault: Fault) -> io::Result<()> {
    if let Fault::Pieces { bytes } = fault {
        return forward(&mut stream, bytes, Duration::ZERO);
    }
    if let Fault::Trickle = fault {
        let mut first = vec![0; size];
        stream.read_exact(&mut first)?;
        stream.write_all(&first)?;
        return forward(&mut stream, 1, Duration::from_millis(20));
    }
    let mut last = vec![0; size];
    let mut bytes = vec![0; size];
    for index in 0.. {
        last.copy_from_slice(&bytes);
        stream.read_exact(&mut bytes)?;
        match fault {
            Fault::Flip { message, byte } if message == index => {
                bytes[byte] ^= 1;
                stream.write_all(&bytes)?;
            }
            Fault::Truncate { message } if message == index => {
                stream.write_all(&bytes[..size - 1])?;
            }
            Fault::Stale { message } if message == index => stream.write_all(&last)?,
            Fault::Shift { message } if message == index => stream.write_all(&bytes[1..])?,
            Fault::Surplus { message } if message == index => {
                bytes.push(bytes[size - 1]);
                stream.write_all(&bytes)?;
                bytes.truncate(size);
            }
            Fault::Close { message } if message == index => return Ok(()),
            Fault::CloseHalfway { message } if message == index => {
                stream.write_all(&bytes[..size / 2])?;
                return stream.shutdown(Shutdown::Both);
            }
            Fault::Reset { message } if message == index => {
                return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            Fault::Mute { message } if message <= index => {}
            Fault::Hold { until } if index > 0 => {
                while !until.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                stream.write_all(&bytes)?;
            }
            _ => stream.write_all(&bytes)?,
        }
    }
    Ok(())
}

fn forward(stream: &mut TcpStream, piece_bytes: usize, pause: Duration) -> io::Result<()> {
    let mut piece = vec![0; piece_bytes];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&piece[..count])?;
        thread::sleep(pause);
    }
}

/// A server that accepts two connections and, from message `from` on, answers each with the message
/// of the other.
pub fn serve_swapped(size: usize, from: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut streams = [0; 2].map(|_| listener.accept().unwrap().0);
        let mut bytes = [vec![0; size], vec![0; size]];
        for index in 0_u64.. {
            for (stream, bytes) in streams.iter_mut().zip(&mut bytes) {
                if stream.read_exact(bytes).is_err() {
                    return;
                }
            }
            if index >= from {
                bytes.swap(0, 1);
            }
            for (stream, bytes) in streams.iter_mut().zip(&bytes) {
                if stream.write_all(bytes).is_err() {
                    return;
                }
            }
        }
    });
    addr
}

/// The CPUs that the tests may run on.
pub fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap();
    (0..1024).filter(|&cpu| allowed.is_set(cpu)).collect()
}

/// The default limits, which a correct exchange does not reach on a busy machine either.
pub fn config(threads: usize) -> Config {
    // Threads share CPUs if there are fewer CPUs.
    Config::new(cpus().into_iter().cycle().take(threads).collect::<Vec<_>>())
}

pub fn generator(threads: usize) -> Generator {
    Generator::new(config(threads)).unwrap()
}

/// A generator with a short limit for lanes that hang.
pub fn impatient() -> Generator {
    let limit = Duration::from_secs(1);
    Generator::new(Config { stall: limit, ..config(1) }).unwrap()
}

pub fn target(addr: SocketAddr, size: usize, conns: usize) -> Target {
    Target::echo(addr, size, conns)
}
