//! Accepting, and what to do when the process has no descriptor left.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// How long to leave the listener alone when descriptors are exhausted and none of ours is closed
/// meanwhile: another shard, or another process, may have freed some.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// What came of accepting.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection.
    One(OwnedFd),
    /// None is waiting, or the one that was has gone.
    None,
    /// There is no descriptor or memory for it. It goes on waiting, and the listener stays readable:
    /// to ask again at once would spin.
    Exhausted,
}

/// For connections that must not block their thread.
pub(crate) const DONT_BLOCK: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Accepts one connection.
pub(crate) fn accept(listener: &TcpListener, flags: SocketFlags) -> io::Result<Accepted> {
    match accept_with(listener, flags) {
        Ok(socket) => Ok(Accepted::One(socket)),
        Err(errno) => failed(errno).map_err(Into::into),
    }
}

/// Whether the listener outlives the error.
pub(crate) fn failed(errno: Errno) -> Result<Accepted, Errno> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Ok(Accepted::Exhausted),
        // What cannot get better.
        Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT => Err(errno),
        // accept(2) also reports errors of the connection that it was about to give.
        _ => Ok(Accepted::None),
    }
}
