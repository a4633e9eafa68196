//! What a server does about an error of `accept`.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

/// How long a server leaves its listener alone when it has no descriptor or no memory for the next
/// connection. That connection goes on waiting and the listener stays readable, so that a server that
/// asks again at once would spin.
pub const PAUSE: Duration = Duration::from_millis(10);

/// How long to wait before the next `accept`, by the runtime's own sleep: zero after an error of one
/// connection, [`PAUSE`] where descriptors or memory are exhausted.
///
/// # Errors
/// The error itself, where the listener does not outlive it.
///
/// ```
/// use std::io;
/// use rtswap_runtime::accept;
/// let aborted = io::Error::from_raw_os_error(103);
/// assert!(accept::pause_after(aborted).unwrap().is_zero());
/// assert!(accept::pause_after(io::ErrorKind::InvalidInput.into()).is_err());
/// ```
pub fn pause_after(error: io::Error) -> io::Result<Duration> {
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Ok(PAUSE),
        // accept(2) reports errors of the connection that it was about to give; EPERM is a firewall's.
        Some(
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::INTR
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::NOTCONN
            | Errno::PERM
            | Errno::PROTO
            | Errno::TIMEDOUT,
        ) => Ok(Duration::ZERO),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(errno: Errno) -> io::Result<Duration> {
        pause_after(errno.into())
    }

    #[test]
    fn errors_of_one_connection_need_no_pause() {
        assert!(after(Errno::CONNABORTED).unwrap().is_zero());
        assert!(after(Errno::PROTO).unwrap().is_zero());
    }

    #[test]
    fn exhaustion_pauses() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(after(errno).unwrap(), PAUSE);
        }
    }

    #[test]
    fn errors_of_the_listener_end_the_server() {
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(after(errno).unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
        }
        assert!(pause_after(io::ErrorKind::Other.into()).is_err());
    }
}
