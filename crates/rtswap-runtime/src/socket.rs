//! Sockets are made here and nowhere else, because runtimes differ in their defaults.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted. Above the 128 of std and the 1,024 of tokio's `bind`
/// alike, every lane gets this one.
pub const BACKLOG: i32 = 1024;

/// The congestion control of every socket. Loopback has no congestion, but a machine's default may be
/// one that paces what it sends (BBR), by a timer for each message; Reno does not, and every kernel
/// has it.
pub const CONGESTION: &[u8] = b"reno";

/// Whether several sockets may listen on one address, for one shard per CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// This socket alone.
    No,
    /// `SO_REUSEPORT`: the kernel spreads connections over the sockets.
    Port,
}

/// A listening socket: non-blocking, backlog [`BACKLOG`], `SO_REUSEADDR`, and the options of [`tune`],
/// which the sockets that it accepts inherit on Linux, at no system call each.
///
/// # Errors
/// Whatever the kernel says: `AddrInUse` when the port is taken, `PermissionDenied` below 1024.
pub fn listen(addr: SocketAddr, share: Share) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share == Share::Port)?;
    tune(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What a connected socket needs: `TCP_NODELAY`, and [`CONGESTION`] where the kernel allows it.
/// Adapters call it in `connect`.
///
/// # Errors
/// Whatever `setsockopt` says of `TCP_NODELAY`.
pub fn tune(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // A container may allow another one only; the machine's default serves then.
    let _ = socket.set_tcp_congestion(CONGESTION);
    socket.set_tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let listener = listen(ANY.parse().unwrap(), Share::No).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        let congestion = SockRef::from(&accepted).tcp_congestion().unwrap();
        assert!(congestion.starts_with(CONGESTION), "{congestion:?}");
    }

    #[test]
    fn a_taken_port_is_an_error_unless_it_is_shared() {
        let first = listen(ANY.parse().unwrap(), Share::No).unwrap();
        let addr = first.local_addr().unwrap();
        assert_eq!(listen(addr, Share::No).unwrap_err().kind(), io::ErrorKind::AddrInUse);

        let first = listen(ANY.parse().unwrap(), Share::Port).unwrap();
        assert!(listen(first.local_addr().unwrap(), Share::Port).is_ok());
    }
}
