//! The executable behind every target of `cargo bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtswap_benches::main()
}
