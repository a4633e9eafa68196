//! The lanes of this crate as an executable of their own.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtswap_lane::process::main(&rtswap_ntex::lanes())
}
