//! `tcp-echo`, `idle`, `churn`: a coroutine for each connection.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, IntoRawFd as _};

use may::go;
use may::net::{TcpListener, TcpStream};
use rtswap_lane::ReadySignal;
use rtswap_workload::TcpEcho;

use crate::driven::joined;

pub(crate) fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: &ReadySignal,
) -> io::Result<()> {
    // SAFETY: The descriptor is open, and given away by the listener that had it.
    let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
    ready.send();
    // The calling thread is none of may's: accepting there would block it in another way.
    joined(go!(move || accept(&listener, echo)))
}

fn accept(listener: &TcpListener, echo: TcpEcho) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        // Dropped, and so detached.
        drop(go!(move || {
            // It ends with its connection, in whatever way that ends.
            let _ = answer(&mut stream, echo.buffer_bytes());
        }));
    }
}

fn answer(stream: &mut TcpStream, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => stream.write_all(&buffer[..read])?,
        }
    }
}
