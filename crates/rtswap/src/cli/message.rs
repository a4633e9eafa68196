//! Messages on standard error. `eprintln!` panics where that is closed, as by `rtswap run 2>&1 | head -1`.

/// Like `eprintln!`, without a panic: a message that nothing can read is dropped.
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

/// Prints text that ends with a newline.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
