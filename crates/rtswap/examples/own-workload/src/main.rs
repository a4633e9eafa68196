//! The command line of rtswap with the workloads of [`own_workload::Mine`].

use std::process::ExitCode;

use rtswap::Registry;

fn main() -> ExitCode {
    rtswap::cli::main(&Registry::of::<own_workload::Mine>())
}
