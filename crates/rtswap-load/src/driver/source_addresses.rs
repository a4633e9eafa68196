//! The local addresses that churned connections come from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// Connections made from one address: about a seventh of the ports in the default range.
const CONNS_PER_ADDRESS: u32 = 4096;

/// The first address: 127.1.0.0, far from the addresses that other programs listen on.
const FIRST_ADDRESS: u32 = 0x7f01_0000;

/// How many addresses are used before the first is used again: up to 127.254.255.255.
const ADDRESSES: u32 = 254 << 16;

/// How many addresses this process has used.
static USED: AtomicU32 = AtomicU32::new(0);

/// Source addresses for connections to a lane on the loopback.
///
/// The end that closes first, here the generator, keeps the connection in `TIME_WAIT` for a minute.
/// Until then its port is occupied for the same source address and destination. Linux assigns the
/// even half of `net.ipv4.ip_local_port_range` first, by default 14,116 ports, which one second of
/// churn may use up. After that, every `connect` tries all of them before it takes an odd port: a
/// connection then took 8 ms instead of 80 µs when measured. With all 28,232 ports occupied,
/// `connect` fails. The default `net.ipv4.tcp_tw_reuse=2` helps on the loopback only if the occupied
/// ports have been idle for a second, and the generator controls neither the rate nor the setting.
///
/// However, all of 127.0.0.0/8 is local. A connection bound to an unused address finds no occupied
/// port, and `connect` stays fast if the address is replaced early: the search for a port starts a
/// few ports after the last one, so it wraps around the range after about 3,000 connections, and
/// after [`CONNS_PER_ADDRESS`] it has to skip two ports in seven. With `IP_BIND_ADDRESS_NO_PORT`,
/// `connect` chooses the port, as it knows the destination. Choosing the port here would save that
/// system call, but measurements showed no gain, and it would block ports for programs that bind to
/// the wildcard address. `connect` leaves them the odd half.
///
/// `net.ipv4.tcp_max_tw_buckets` limits the sockets in `TIME_WAIT`. Beyond the limit the system
/// closes connections without that state, which does no harm on a loopback.
#[derive(Debug)]
pub(super) struct SourceAddresses {
    address: Ipv4Addr,
    /// Connections still to be made from the address.
    left: u32,
}

impl SourceAddresses {
    /// The addresses to connect to the lane from; `None` if the system is to choose.
    pub(super) fn towards(lane: &[SocketAddr]) -> Option<Self> {
        let is_loopback = |addr: &SocketAddr| match addr.ip() {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(_) => false,
        };
        lane.iter().all(is_loopback).then(Self::unused)
    }

    /// An address that no thread of this process has connected from.
    fn unused() -> Self {
        let index = USED.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
        Self { address: Ipv4Addr::from_bits(FIRST_ADDRESS + index), left: CONNS_PER_ADDRESS }
    }

    /// The address for the next connection.
    pub(super) fn next(&mut self) -> Ipv4Addr {
        if self.left == 0 {
            *self = Self::unused();
        }
        self.left -= 1;
        self.address
    }

    /// Makes no more connections from the present address.
    pub(super) fn abandon(&mut self) {
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SourceAddresses {
        SourceAddresses::towards(&["127.0.0.1:80".parse().unwrap()]).unwrap()
    }

    #[test]
    fn next_replaces_address_and_shares_none() {
        let (mut one, mut other) = (loopback(), loopback());
        let [first, others] = [one.next(), other.next()];
        for _ in 1..CONNS_PER_ADDRESS {
            assert_eq!(one.next(), first);
        }
        let second = one.next();
        one.abandon();
        let third = one.next();
        let mut seen = vec![first, others, second, third];
        assert!(seen.iter().all(Ipv4Addr::is_loopback));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        assert!(!seen.contains(&Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn towards_leaves_other_networks_to_system() {
        for lane in ["10.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(
                SourceAddresses::towards(&["127.0.0.1:80", lane].map(|it| it.parse().unwrap()))
                    .is_none()
            );
        }
    }
}
