#![warn(missing_docs)]
//! What every adapter must do, as one generic body of checks that is run for each.
//!
//! An adapter's `tests/conformance.rs` is a few lines:
//!
//! ```
//! use rtswap_conformance::{Allow, Subject, conformance};
//! use rtswap_tokio::Tokio;
//!
//! conformance!(one_worker, Subject::new(Tokio::default(), 1, Allow::NOTHING));
//! conformance!(two_workers, Subject::new(Tokio::default(), 2, Allow::NOTHING));
//! conformance!(local, Subject::new(Tokio::current_thread(), 1, Allow::NOTHING));
//! # fn main() {}
//! ```
//!
//! A runtime that has no files (no `Fs`), or no streams either (no `Net`), names the groups that it runs:
//!
//! ```
//! # use rtswap_conformance::{Allow, Subject, conformance};
//! # use rtswap_tokio::Tokio;
//! conformance!(without_files, Subject::new(Tokio::default(), 1, Allow::NOTHING), [tasks, net]);
//! # fn main() {}
//! ```
//!
//! Each check becomes a test of its own, so that a failure names what does not hold; and each test
//! runs in a process of its own, so that threads, descriptors and process-wide runtimes of one
//! check cannot disturb another, and a check that hangs is killed and reported by name.
//!
//! # Time
//! No check asserts that anything is fast: machines that run tests are shared. The only times that
//! are asserted are lower bounds that hold by contract (a sleep never ends early).
//!
//! # Unavailable runtimes
//! Where the machine does not let the runtime work (`Runtime::available` is an error), each test says so and
//! passes. If the environment variable `CI` is set, it fails instead, because a test that is always skipped
//! proves nothing. Set `RTSWAP_ALLOW_UNAVAILABLE` as well to skip such tests in CI: for containers that
//! forbid `io_uring`.

pub mod abort;
pub mod blocking;
pub mod buffer;
pub mod bytes;
pub mod file;
pub mod poll;
pub mod process;
pub mod shutdown;
pub mod stream;
pub mod task;
pub mod threads;
pub mod time;
pub mod timeout;

mod child;
mod guard;
mod peer;

use std::future::Future;

use rtswap_runtime::{Config, Runtime};

pub use child::{caught, isolated};

/// What is checked, and how.
#[derive(Clone, Debug)]
pub struct Subject<R> {
    /// The configuration of the runtime.
    pub runtime: R,
    /// What its `block_on` is given.
    pub config: Config,
    /// Where the runtime differs from the contract by its own design.
    pub allow: Allow,
}

impl<R: Runtime> Subject<R> {
    /// A runtime with `workers` threads that may differ from the contract as `allow` says.
    pub fn new(runtime: R, workers: usize, allow: Allow) -> Self {
        Self { runtime, config: Config::new(workers), allow }
    }

    /// Runs `task` as a task of the runtime (so on its workers) and gives its output.
    pub fn run<F>(&self, task: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.main(async { R::spawn(task).await })
    }

    /// Runs `main` on the calling thread.
    pub fn main<F: Future>(&self, main: F) -> F::Output {
        self.runtime.block_on(&self.config, main).expect("the runtime starts")
    }
}

/// What a runtime may leave undone: because its authors meant it so, or because its adapter cannot
/// help it. The adapter's README says why.
#[derive(Clone, Copy, Debug)]
pub struct Allow {
    /// Names of threads that stay in the process, as the kernel has them: the first 15 bytes.
    pub threads: &'static [&'static str],
    /// Descriptors that stay open, as `/proc/self/fd` shows them: `anon_inode:[eventpoll]`.
    pub descriptors: &'static [&'static str],
    /// Descriptors of which every `block_on` leaves one more, for ever: a leak, not a design.
    pub leaks: &'static [&'static str],
    /// Tasks that are pending when `block_on` returns live on.
    pub tasks_outlive: bool,
    /// Streams and listeners belong to one thread, and panic on any other.
    pub confined: bool,
    /// The pool for work that blocks has a single thread, so that a second piece of work waits for the first.
    pub one_blocking_thread: bool,
}

impl Allow {
    /// The whole contract.
    pub const NOTHING: Self = Self {
        threads: &[],
        descriptors: &[],
        leaks: &[],
        tasks_outlive: false,
        confined: false,
        one_blocking_thread: false,
    };

    /// For runtimes on async-io: its reactor belongs to the process.
    pub const ASYNC_IO: Self = Self {
        threads: &["async-io"],
        descriptors: &["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"],
        ..Self::NOTHING
    };
}

/// Makes a module `$module` with one `#[test]` for each check, run for `$subject`.
///
/// The groups are `tasks` (all that a [`Runtime`] has), `net` (what `Net` adds) and `files` (what `Fs` adds):
/// all three, unless the third argument names those that the runtime has.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $subject:expr) => {
        $crate::conformance!($module, $subject, [tasks, net, files]);
    };
    ($module:ident, $subject:expr, [$($group:ident),+]) => {
        mod $module {
            #[allow(unused_imports, reason = "the subject may be written without any")]
            use super::*;

            $($crate::__checks! { $group, $subject })+
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __checks {
    (tasks, $subject:expr) => {
        $crate::__tests! { $subject;
            abort:
                an_aborted_task_is_dropped_and_gives_nothing
                a_ready_task_that_was_not_polled_is_aborted
                abort_of_an_ended_task_gives_its_output
                abort_of_a_task_that_panicked_resumes_the_panic
                abort_starts_at_the_call
                an_aborted_task_is_dropped_when_block_on_returns;
            blocking:
                blocking_work_gives_its_output_from_another_thread
                a_panic_in_blocking_work_reaches_the_awaiter_with_its_payload
                tasks_go_on_while_work_blocks
                two_pieces_of_blocking_work_wait_for_each_other
                blocking_work_runs_to_its_end_when_its_future_is_dropped;
            shutdown:
                waiting_tasks_and_timers_are_dropped_when_block_on_returns;
            task:
                a_joined_task_gives_its_value
                a_task_runs_to_its_end_when_its_handle_is_dropped
                a_panic_reaches_the_joiner_with_its_payload
                a_panic_that_nobody_joins_harms_nobody
                yield_now_lets_another_ready_task_run
                a_task_is_woken_from_another_thread
                ten_thousand_tasks_are_joined;
            threads:
                what_is_in_force_is_what_was_asked
                main_is_polled_on_the_calling_thread
                tasks_run_on_as_many_threads_as_asked;
            time:
                a_sleep_never_ends_early
                a_sleep_counts_from_its_first_poll
                a_sleep_of_zero_ends
                sleeps_end_in_the_order_of_their_lengths
                ten_thousand_timers_run_at_once;
            timeout:
                a_future_that_is_ready_in_time_gives_its_output
                a_future_that_is_late_is_dropped_and_gives_elapsed
                a_timeout_counts_from_its_first_poll;
        }
    };
    (net, $subject:expr) => {
        $crate::__tests! { $subject;
            buffer:
                a_read_overwrites_from_the_start_and_sets_the_length
                a_read_may_use_all_of_the_capacity
                a_read_into_no_capacity_reads_nothing
                a_read_that_fails_gives_an_empty_buffer_back
                read_exact_takes_no_byte_too_many
                read_exact_beyond_the_capacity_is_invalid_input
                read_exact_beyond_the_end_is_unexpected_eof
                a_write_gives_the_buffer_back_as_it_was;
            bytes:
                what_is_written_arrives_intact_at_a_slow_peer
                what_a_peer_sends_in_odd_pieces_arrives_intact
                read_exact_gathers_odd_pieces
                both_directions_are_used_at_once_by_two_tasks
                a_thousand_connections_work_at_once;
            poll:
                what_a_peer_sends_in_odd_pieces_is_polled_intact
                what_is_polled_in_odd_pieces_arrives_intact
                what_is_polled_in_parts_arrives_in_order
                what_was_flushed_needs_no_more_polls
                two_tasks_poll_the_two_directions_at_once
                large_bodies_pass_each_other
                shutting_down_ends_what_the_peer_reads_and_reading_goes_on
                a_reset_fails_a_read_that_is_pending
                a_reset_fails_the_polled_writes_after_it
                a_read_that_is_given_up_loses_nothing
                a_write_that_is_given_up_has_written_a_beginning
                a_pending_read_goes_with_its_stream_to_another_task
                a_polled_stream_dropped_with_a_read_pending_is_closed
                a_polled_stream_dropped_with_a_write_pending_is_closed
                both_directions_are_pending_when_block_on_returns;
            shutdown:
                pending_tasks_are_dropped_when_block_on_returns
                a_thousand_pending_reads_are_dropped_when_block_on_returns
                no_thread_and_no_descriptor_is_left_behind
                block_on_may_be_called_again
                a_panic_in_main_is_passed_on_and_leaves_nothing_behind;
            stream:
                the_end_of_the_stream_reads_nothing
                after_shutdown_the_peer_reads_the_end_and_reading_goes_on
                a_peer_that_has_shut_down_can_still_be_written_to
                a_reset_fails_a_read_that_waits
                a_reset_fails_the_writes_after_it
                where_nobody_listens_connecting_is_refused
                a_connected_stream_has_the_options_of_all
                accept_names_the_peer
                a_dropped_stream_is_closed
                two_dropped_halves_are_closed
                a_dropped_write_half_leaves_its_direction_open
                a_stream_dropped_with_a_read_under_way_is_closed
                readable_waits_for_data_and_leaves_it_to_the_read
                accept_goes_on_after_descriptors_were_exhausted;
            threads:
                several_block_ons_run_side_by_side
                a_confined_stream_panics_on_another_thread
                a_confined_stream_panics_when_dropped_on_another_thread;
        }
    };
    (files, $subject:expr) => {
        $crate::__tests! { $subject;
            file:
                what_is_written_is_read_back_from_any_offset
                one_write_writes_all_of_8_mib
                a_write_takes_the_data_and_not_the_capacity
                create_empties_a_file
                a_rename_replaces
                what_cannot_be_opened_says_why
                reads_and_writes_that_fail_say_why
                many_reads_at_once_give_the_right_blocks
                a_dropped_read_leaves_the_file_usable
                no_file_stays_open
                direct_reads_give_the_same_or_are_unsupported;
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($subject:expr; $($group:ident: $($check:ident)+;)+) => {
        $($(
            #[test]
            fn $check() {
                $crate::isolated(
                    concat!(module_path!(), "::", stringify!($check)),
                    &$subject,
                    $crate::$group::$check,
                );
            }
        )+)+
    };
}
