//! The number of threads belongs to the process: alone in a file, so in a process, of its own.

use rtswap_async_std::AsyncStd;
use rtswap_runtime::{Config, Runtime};

#[test]
fn a_second_number_of_workers_is_an_error_that_says_so() {
    AsyncStd.block_on(&Config::new(1), async {}).unwrap();
    let error = AsyncStd.block_on(&Config::new(2), async {}).unwrap_err();
    assert!(error.to_string().contains("runs on 1 threads"), "{error}");
    AsyncStd.block_on(&Config::new(1), async {}).unwrap();
}
