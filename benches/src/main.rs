//! The executable behind every target of `cargo bench`, and every lane that it measures.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtswap_benches::main()
}
