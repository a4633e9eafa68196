// What each target is: the start of `rtswap-benches` under the target's name. All targets share that one
// executable, so that criterion and the load generator are linked once.

fn main() {
    use std::os::unix::process::CommandExt;
    // Returns only if it fails. Criterion and exit codes are as if this were that program.
    let error = std::process::Command::new(env!("CARGO_BIN_EXE_rtswap-benches"))
        .arg0(env!("CARGO_CRATE_NAME"))
        .args(std::env::args_os().skip(1))
        .exec();
    panic!("cannot start {}: {error}", env!("CARGO_BIN_EXE_rtswap-benches"));
}
