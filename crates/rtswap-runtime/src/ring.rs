//! What adapters on `io_uring` have in common.

use std::io;

/// Adds to a refusal of the kernel's what to do about it. `since` is the first Linux that has what the
/// runtime needs: `5.11`. The kind stays; the errno is in the text.
pub fn explain(error: &io::Error, since: &str) -> io::Error {
    let remedy = match error.raw_os_error() {
        Some(1) => {
            "allow it: `sysctl kernel.io_uring_disabled=0`, or a seccomp profile that permits it"
                .to_owned()
        }
        Some(12) => {
            "raise the limit of locked memory: `ulimit -l`, or LimitMEMLOCK= in a systemd unit"
                .to_owned()
        }
        Some(24) => "raise the limit of descriptors: `ulimit -n`".to_owned(),
        Some(38) | None => format!("needs Linux {since} or a seccomp profile that permits it"),
        _ => "see io_uring_setup(2)".to_owned(),
    };
    io::Error::new(error.kind(), format!("no io_uring here: {error}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_errno_and_its_remedy() {
        for (errno, remedy) in [
            (1, "kernel.io_uring_disabled"),
            (12, "ulimit -l"),
            (24, "ulimit -n"),
            (38, "Linux 5.11"),
            (22, "io_uring_setup(2)"),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            let told = explain(&error, "5.11");
            assert_eq!(told.kind(), error.kind());
            let text = told.to_string();
            assert!(text.contains(&format!("os error {errno}")) && text.contains(remedy), "{text}");
        }
    }
}
