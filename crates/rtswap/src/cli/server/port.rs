//! Free ports of the loopback.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

/// Ports are drawn from here if the kernel gives none of them to connections.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_767;
/// How many ports are tried before the kernel chooses.
const ATTEMPTS: u32 = 100;

/// A port that was free when it was chosen, and that no other lane of this kind is given while this exists.
#[derive(Debug)]
pub(super) struct Port {
    pub addr: SocketAddr,
    /// Bound to a name made of the port. Nothing connects to it, and it ends with the process.
    _reserved: Option<UnixListener>,
}

impl Port {
    /// A free port of 127.0.0.1.
    ///
    /// The kernel takes the ports of outgoing connections from a range, of which the load generator uses many, so a
    /// port of that range may be taken before the server binds it.
    ///
    /// # Errors
    /// If the machine has no port left.
    pub fn choose() -> io::Result<Self> {
        let last = LAST.min(first_of_connections().saturating_sub(1));
        if last > FIRST {
            for _ in 0..ATTEMPTS {
                let addr =
                    SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(FIRST..=last)));
                let Ok(reserved) = reserve(addr.port()) else { continue };
                if is_free(addr) {
                    return Ok(Self { addr, _reserved: Some(reserved) });
                }
            }
        }
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(Self { addr, _reserved: reserve(addr.port()).ok() })
    }

    /// The port that was asked for.
    pub fn given(addr: SocketAddr) -> Self {
        Self { addr, _reserved: None }
    }
}

/// Whether a server could listen there now.
pub(super) fn is_free(addr: SocketAddr) -> bool {
    TcpListener::bind(addr).is_ok()
}

fn reserve(port: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&UnixAddr::from_abstract_name(format!("rtswap-port-{port}"))?)
}

/// The first port that the kernel gives to connections.
fn first_of_connections() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choose_gives_each_port_once() {
        let ports: Vec<_> = (0..50).map(|_| Port::choose().unwrap()).collect();
        let mut distinct: Vec<_> = ports.iter().map(|port| port.addr.port()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| is_free(port.addr)));
        assert!(reserve(ports[0].addr.port()).is_err());
    }

    #[test]
    fn is_free_sees_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(listener.local_addr().unwrap()));
    }
}
