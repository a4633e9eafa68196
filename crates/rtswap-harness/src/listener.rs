//! Whether a lane listens itself at the addresses that it names.
//!
//! Otherwise a lane could have any server of the machine or of the network loaded, and be measured without doing
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use procfs::process::all_processes;

use crate::descendants::{self, Tag};

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    addr: SocketAddr,
    inode: u64,
}

/// Why a lane is not loaded at the addresses that it names.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The address is not one of the loopback.
    #[error(
        "it names {0} as its address, which is not one of the loopback: listen on 127.0.0.1 or [::1]; a container needs \
         the network of the host (docker run --network host)"
    )]
    NotLoopback(SocketAddr),
    /// No process listens there.
    #[error(
        "it names {0} as its address, but no process listens there: listen before the ready response, in the network \
         namespace of rtswap"
    )]
    NotListening(SocketAddr),
    /// A process that is not the lane's listens there.
    #[error(
        "it names {addr} as its address, but {owner} listens there, which rtswap did not start: the process that rtswap \
         starts, or a child of it, has to serve; `docker run` and `ssh` only start one elsewhere"
    )]
    Foreign {
        /// The address.
        addr: SocketAddr,
        /// The name and the id of the process, if they can be seen.
        owner: String,
    },
    /// It cannot be seen whether the lane listens there.
    #[error(
        "cannot see whether it listens on {addr}, because its process {pid} runs as another user: run rtswap as root or \
         as that user"
    )]
    Hidden {
        /// The address.
        addr: SocketAddr,
        /// The process of the lane.
        pid: i32,
    },
    /// `/proc` cannot be read.
    #[error("cannot read which sockets listen: {0}; mount /proc")]
    Proc(#[from] io::Error),
}

/// Checks that the sockets that listen at `addrs` belong to the lane with process id `pid`, or to a process that it
/// has started.
///
/// # Errors
/// [`ListenerError`] if an address is none of the loopback, or another process listens there.
pub fn check(addrs: &[SocketAddr], pid: u32, tag: &Tag) -> Result<(), ListenerError> {
    let is_loopback = |addr: &&SocketAddr| addr.ip().to_canonical().is_loopback();
    if let Some(addr) = addrs.iter().find(|addr| !is_loopback(addr)) {
        return Err(ListenerError::NotLoopback(*addr));
    }
    let listeners = listeners()?;
    let mut unowned = BTreeMap::new();
    for &addr in addrs {
        let serving = serving(&listeners, addr);
        if serving.is_empty() {
            return Err(ListenerError::NotListening(addr));
        }
        unowned.extend(serving.into_iter().map(|inode| (inode, addr)));
    }
    let pid = pid.cast_signed();
    let mut hidden = None;
    // Most lanes are one process, and to look at all processes of a machine takes longer.
    let children = iter::once_with(|| descendants::of_lane(pid, tag)).flatten();
    for pid in iter::once(pid).chain(children) {
        match sockets(pid) {
            Ok(inodes) => unowned.retain(|inode, _| !inodes.contains(inode)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden = Some(pid),
            // It has ended.
            Err(_) => {}
        }
        if unowned.is_empty() {
            break;
        }
    }
    match (unowned.pop_first(), hidden) {
        (None, _) => Ok(()),
        (Some((_, addr)), Some(pid)) => Err(ListenerError::Hidden { addr, pid }),
        (Some((inode, addr)), None) => Err(ListenerError::Foreign { addr, owner: owner(inode) }),
    }
}

/// The addresses at which a process listens, or one that it has started.
pub fn addresses_of(pid: u32, tag: &Tag) -> BTreeSet<SocketAddr> {
    let pid = pid.cast_signed();
    let pids = iter::once(pid).chain(descendants::of_lane(pid, tag));
    let owned: BTreeSet<_> = pids.flat_map(|pid| sockets(pid).unwrap_or_default()).collect();
    let all = listeners().unwrap_or_default().into_iter();
    all.filter(|listener| owned.contains(&listener.inode)).map(|listener| listener.addr).collect()
}

/// The inodes of the sockets that get a connection to `addr`: several share one address with `SO_REUSEPORT`.
fn serving(listeners: &[Listener], addr: SocketAddr) -> Vec<u64> {
    // As the kernel prefers them: one for this address alone, then one for any of its family.
    let rank =
        |listener: &Listener| match (listener.addr.ip().to_canonical(), addr.ip().to_canonical()) {
            _ if listener.addr.port() != addr.port() => None,
            (found, wanted) if found == wanted => Some(2),
            (IpAddr::V4(found), IpAddr::V4(_)) if found.is_unspecified() => Some(1),
            (IpAddr::V6(found), _) if found.is_unspecified() => Some(0),
            _ => None,
        };
    let best = listeners.iter().filter_map(rank).max();
    let of_best = listeners.iter().filter(|it| best.is_some() && rank(it) == best);
    of_best.map(|listener| listener.inode).collect()
}

/// All sockets of this network namespace that listen.
fn listeners() -> io::Result<Vec<Listener>> {
    let mut all = Vec::new();
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let file = match File::open(path) {
            Ok(file) => file,
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.ends_with('6') => {
                continue;
            }
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).lines().skip(1) {
            // The kernel lists them before all others, of which churn leaves ten thousands.
            let Some(listener) = parse(&line?) else { break };
            all.push(listener);
        }
    }
    Ok(all)
}

/// A line of `/proc/net/tcp`, if its socket listens.
fn parse(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<_> = line.split_whitespace().collect();
    let &[_, local, _, LISTEN, _, _, _, _, _, inode, ..] = &fields[..] else { return None };
    let (ip, port) = local.split_once(':')?;
    // Words of 32 bits, each in the byte order of the machine.
    let words = ip.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let words: Vec<[u8; 4]> = words.collect::<Option<_>>()?;
    let ip = match words.as_flattened() {
        bytes if bytes.len() == 4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        bytes => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Listener { addr: SocketAddr::new(ip, port), inode: inode.parse().ok()? })
}

/// The inodes of the sockets that a process has open.
fn sockets(pid: i32) -> io::Result<Vec<u64>> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?
        .map(|entry| Ok(fs::read_link(entry?.path())?.to_string_lossy().into_owned()));
    let inode = |link: String| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    // A descriptor may be closed meanwhile.
    Ok(links.filter_map(|link: io::Result<String>| inode(link.ok()?)).collect())
}

/// The process that has the socket open.
fn owner(inode: u64) -> String {
    let mut pids = all_processes().into_iter().flatten().flatten().map(|process| process.pid());
    let owns = |pid: &i32| sockets(*pid).is_ok_and(|inodes| inodes.contains(&inode));
    let Some(pid) = pids.find(owns) else { return "a process that cannot be seen".to_owned() };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (process {pid})", rtswap_schema::one_line(&name))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::{self, Command, Stdio};

    use super::*;

    fn listen(addr: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    #[test]
    fn check_accepts_own_sockets_alone() {
        let (_v4, first) = listen("127.0.0.1:0");
        let (_any, any) = listen("0.0.0.0:0");
        let second = SocketAddr::from((Ipv4Addr::LOCALHOST, any.port()));
        let tag = Tag::new();
        check(&[first, second], process::id(), &tag).unwrap();
        let _connection = TcpStream::connect(first).unwrap();
        check(&[first], process::id(), &tag).unwrap();
        // A process that does not listen, and that this one has started.
        let mut other = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let error = check(&[first], other.id(), &tag).unwrap_err();
        let own = format!("(process {})", process::id());
        assert!(matches!(error, ListenerError::Foreign { addr, .. } if addr == first), "{error}");
        assert!(error.to_string().contains(&own), "{error}");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn check_accepts_loopback_alone() {
        let (_any, any) = listen("0.0.0.0:0");
        for foreign in ["0.0.0.0:80", "10.0.0.1:80", "[2001:db8::1]:80", "[::]:80"] {
            let mut foreign: SocketAddr = foreign.parse().unwrap();
            foreign.set_port(any.port());
            let error = check(&[foreign], process::id(), &Tag::new()).unwrap_err();
            assert!(matches!(error, ListenerError::NotLoopback(_)), "{error}");
        }
        let (closed, addr) = listen("127.0.0.1:0");
        drop(closed);
        let error = check(&[addr], process::id(), &Tag::new()).unwrap_err();
        assert!(matches!(error, ListenerError::NotListening(_)), "{error}");
    }

    #[test]
    fn parse_reads_listening_sockets() {
        let line = |local: &str, state: &str| {
            parse(&format!("  0: {local} 00000000:0000 {state} 0:0 00:0 0 0 0 4711 1 0"))
        };
        let found = |addr: &str| Some(Listener { addr: addr.parse().unwrap(), inode: 4711 });
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let local = word([127, 0, 0, 1]);
        assert_eq!(line(&format!("{local}:1F90"), "0A"), found("127.0.0.1:8080"));
        assert_eq!(line(&format!("{local}:1F90"), "01"), None);
        let v6 = [[0; 4], [0; 4], [0; 4], [0, 0, 0, 1]].map(word).concat();
        assert_eq!(line(&format!("{v6}:0050"), "0A"), found("[::1]:80"));
        assert_eq!(parse("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn serving_prefers_what_the_kernel_prefers() {
        let serving = |listening: &[&str], addr: &str| {
            let listeners = listening.iter().zip(0..);
            let listeners: Vec<_> = listeners
                .map(|(addr, inode)| Listener { addr: addr.parse().unwrap(), inode })
                .collect();
            serving(&listeners, addr.parse().unwrap())
        };
        let all = ["[::]:1", "0.0.0.0:1", "127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"];
        assert_eq!(serving(&all, "127.0.0.1:1"), [2, 3]);
        assert_eq!(serving(&all, "127.0.0.2:1"), [1]);
        assert_eq!(serving(&all, "[::1]:1"), [0]);
        assert_eq!(serving(&["[::]:1"], "127.0.0.1:1"), [0]);
        assert_eq!(serving(&["[::ffff:127.0.0.1]:1"], "127.0.0.1:1"), [0]);
        assert!(serving(&["[::1]:1"], "127.0.0.1:1").is_empty());
    }
}
