//! What adapters on `io_uring` have in common.

use std::io;

use rustix::io::Errno;

/// Adds to a refusal of the kernel's what to do about it. `since` is the first Linux that has what the
/// runtime needs: `5.11`. The kind stays; the errno is in the text.
pub fn explain(error: &io::Error, since: &str) -> io::Error {
    let remedy = match Errno::from_io_error(error) {
        Some(Errno::PERM) => {
            "allow it: `sysctl kernel.io_uring_disabled=0`, or a seccomp profile that permits it"
                .to_owned()
        }
        Some(Errno::NOMEM) => {
            "raise the limit of locked memory: `ulimit -l`, or LimitMEMLOCK= in a systemd unit"
                .to_owned()
        }
        Some(Errno::MFILE) => "raise the limit of descriptors: `ulimit -n`".to_owned(),
        // Flags that the kernel does not know, among other things.
        Some(Errno::INVAL) => format!("needs Linux {since}; see io_uring_setup(2)"),
        Some(Errno::NOSYS) | None => {
            format!("needs Linux {since} or a seccomp profile that permits it")
        }
        _ => "see io_uring_setup(2)".to_owned(),
    };
    io::Error::new(error.kind(), format!("no io_uring here: {error}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_names_errno_and_remedy() {
        for (errno, remedy) in [
            (Errno::PERM, "kernel.io_uring_disabled"),
            (Errno::NOMEM, "ulimit -l"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NOSYS, "Linux 5.11"),
            (Errno::INVAL, "Linux 5.11"),
            (Errno::BUSY, "io_uring_setup(2)"),
        ] {
            let error = io::Error::from(errno);
            let told = explain(&error, "5.11");
            assert_eq!(told.kind(), error.kind());
            let text = told.to_string();
            assert!(
                text.contains(&format!("os error {}", errno.raw_os_error()))
                    && text.contains(remedy),
                "{text}"
            );
        }
    }
}
