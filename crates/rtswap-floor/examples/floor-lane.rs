//! A floor as a lane of its own: `rtswap run --lane 'mine=floor-lane floor-epoll'`.

use std::env;
use std::io::{stdin, stdout};
use std::process::ExitCode;

use rtswap_floor::FLOORS;
use rtswap_lane::host;

fn main() -> ExitCode {
    let name = env::args().nth(1).unwrap_or_default();
    let Some(floor) = FLOORS.iter().find(|floor| floor.name == name) else {
        let names: Vec<_> = FLOORS.iter().map(|floor| floor.name).collect();
        eprintln!("usage: floor-lane FLOOR, one of {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    host::run(env!("CARGO_PKG_VERSION"), stdin().lock(), stdout(), floor.prepare)
}
