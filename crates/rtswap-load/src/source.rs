//! Which local address a churned connection comes from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// Connections that are made from one address, about a seventh of the ports that one has by
/// default.
const PER_ADDRESS: u32 = 4096;

/// The first address that is given out: 127.1.0.0, well away from what others listen on.
const FIRST: u32 = 0x7f01_0000;

/// How many addresses are given out before they start over: up to 127.254.255.255.
const ADDRESSES: u32 = 254 << 16;

/// How many addresses this process has given out.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// Source addresses for connections to a lane on the loopback.
///
/// Who closes first keeps the connection in `TIME_WAIT` for a minute, and that is the generator. So
/// each connection leaves a port behind that is taken, as seen from one source address to one
/// destination. Linux gives connections the even half of `net.ipv4.ip_local_port_range` first, by
/// default 14,116 ports, which a second of churn may use up. From then on every connection tries
/// each of them before it gets an odd one: measured, it then takes 100 times as long, 8 ms in place
/// of 80 µs; with all 28,232 taken it fails. `net.ipv4.tcp_tw_reuse=2`, which is the default, helps
/// on the loopback as long as the ports in the way have been idle for a second, but neither the
/// rate nor the setting is the generator's to choose.
///
/// But all of 127.0.0.0/8 is local. A connection that is bound to an address nobody else uses meets
/// no port that is taken, and an address that is left early enough stays cheap to connect from: the
/// search starts a few ports on from where the last one ended, so it goes around the range after
/// some 3,000 connections, and after [`PER_ADDRESS`] has two ports in seven to step over. With
/// `IP_BIND_ADDRESS_NO_PORT` the port is chosen by `connect`, which knows the destination. To choose
/// it here would save that system call, but was not cheaper as measured, and would hold ports
/// against others who bind to the wildcard address; connecting leaves them the odd half.
///
/// What is left in `TIME_WAIT` is bounded by `net.ipv4.tcp_max_tw_buckets`: beyond that the system
/// closes connections without it, which hurts nobody on a loopback.
#[derive(Debug)]
pub(crate) struct Source {
    address: Ipv4Addr,
    left: u32,
}

impl Source {
    /// Where to connect to the lane from; `None` if that is for the system to choose.
    pub(crate) fn towards(lane: SocketAddr) -> Option<Self> {
        match lane.ip() {
            IpAddr::V4(address) if address.is_loopback() => Some(Self::fresh()),
            _ => None,
        }
    }

    /// An address that no thread of this process has connected from.
    fn fresh() -> Self {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
        Self { address: Ipv4Addr::from_bits(FIRST + given), left: PER_ADDRESS }
    }

    /// The address for the next connection.
    pub(crate) fn next(&mut self) -> Ipv4Addr {
        if self.left == 0 {
            *self = Self::fresh();
        }
        self.left -= 1;
        self.address
    }

    /// Leaves the present address for good.
    pub(crate) fn leave(&mut self) {
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Source {
        Source::towards("127.0.0.1:80".parse().unwrap()).unwrap()
    }

    #[test]
    fn an_address_is_left_in_time_and_is_nobody_elses() {
        let (mut one, mut other) = (loopback(), loopback());
        let [first, foreign] = [one.next(), other.next()];
        for _ in 1..PER_ADDRESS {
            assert_eq!(one.next(), first);
        }
        let second = one.next();
        one.leave();
        let third = one.next();
        let mut seen = vec![first, foreign, second, third];
        assert!(seen.iter().all(Ipv4Addr::is_loopback));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        assert!(!seen.contains(&Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn other_networks_are_left_to_the_system() {
        for lane in ["10.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(Source::towards(lane.parse().unwrap()).is_none());
        }
    }
}
