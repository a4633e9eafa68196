//! The `rtswap` program: the command line over the lanes and workloads that ship.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtswap::cli::main(&rtswap::Registry::standard())
}
