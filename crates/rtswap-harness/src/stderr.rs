//! The standard error of a lane: read as it comes, of which the end is kept.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionbio;

/// How much of its end is kept, bytes.
const KEPT_BYTES: usize = 400;
/// One read, bytes: what a pipe holds.
const READ_BYTES: usize = 64 << 10;
/// The pause after a read that has filled the buffer. A lane that writes without end waits meanwhile, as its pipe is
/// full, and leaves the CPU to the others.
const PAUSE: Duration = Duration::from_millis(1);

/// The read end of the pipe that a lane has as its standard error.
///
/// A thread reads it, so that a lane never waits for the harness, and ends with the last process that can write to it.
/// A file would grow as long as a lane writes.
#[derive(Clone, Debug)]
pub(crate) struct LaneStderr(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pipe: PipeReader,
    /// At most [`KEPT_BYTES`]. Locked during a read, so that bytes stay in order.
    end: Mutex<Vec<u8>>,
}

impl LaneStderr {
    /// A pipe that is read, and its other end.
    ///
    /// # Errors
    /// If the process or the machine has no descriptor or no thread left.
    pub fn open() -> io::Result<(Self, PipeWriter)> {
        let (pipe, writer) = io::pipe()?;
        ioctl_fionbio(&pipe, true)?;
        let stderr = Self(Arc::new(Inner { pipe, end: Mutex::default() }));
        let of_thread = stderr.clone();
        thread::Builder::new().name("lane-stderr".to_owned()).spawn(move || of_thread.run())?;
        Ok((stderr, writer))
    }

    /// The last bytes that were written, up to 400.
    pub fn end(&self) -> Vec<u8> {
        let mut buffer = vec![0; READ_BYTES];
        // What the pipe holds now. A lane that goes on writing is not waited for.
        let _ = self.read(&mut buffer);
        self.0.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn run(&self) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut pipe = [PollFd::new(&self.0.pipe, PollFlags::IN)];
            // An interruption is an empty read.
            let _ = poll(&mut pipe, None);
            match self.read(&mut buffer) {
                Ok(0) => return,
                Ok(READ_BYTES) => thread::sleep(PAUSE),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return,
                },
            }
        }
    }

    /// Reads once. Returns how many bytes came; 0 at the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut end = self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
        let count = (&self.0.pipe).read(buffer)?;
        end.extend_from_slice(&buffer[count.saturating_sub(KEPT_BYTES)..count]);
        let surplus = end.len().saturating_sub(KEPT_BYTES);
        end.drain(..surplus);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn end_has_last_bytes_at_once() {
        let (stderr, mut writer) = LaneStderr::open().unwrap();
        assert_eq!(stderr.end(), b"");
        writer.write_all(b"one\n").unwrap();
        writer.write_all(b"two").unwrap();
        assert_eq!(stderr.end(), b"one\ntwo");
        drop(writer);
        assert_eq!(stderr.end(), b"one\ntwo");
    }

    #[test]
    fn writer_is_not_blocked_and_end_stays_short() {
        let (stderr, mut writer) = LaneStderr::open().unwrap();
        // Far more than a pipe holds.
        for line in 0..100_000 {
            writeln!(writer, "line {line}").unwrap();
        }
        let end = stderr.end();
        assert_eq!(end.len(), KEPT_BYTES);
        assert!(end.ends_with(b"line 99998\nline 99999\n"));
        drop(writer);
        while Arc::strong_count(&stderr.0) > 1 {
            // The thread ends with the last writer.
            thread::yield_now();
        }
    }
}
