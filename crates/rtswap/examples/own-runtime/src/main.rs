//! The command line of rtswap with one lane more.

use std::process::ExitCode;

use rtswap::Registry;
use rtswap::workload::Standard;

fn main() -> ExitCode {
    rtswap::cli::main(&Registry::standard().with(own_runtime::lane::<Standard>()))
}
