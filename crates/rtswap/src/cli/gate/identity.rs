//! Whether two sides of a gate load the same code, so that nothing has to be measured.

use rtswap_harness::lane::Launch;

/// Whether two lanes run the same program with the same arguments.
pub(super) fn is_identical(base: &Launch, head: &Launch) -> bool {
    let settings = |launch: &Launch| (launch.delay_ns, launch.process_clock);
    settings(base) == settings(head) && base.command == head.command
}
