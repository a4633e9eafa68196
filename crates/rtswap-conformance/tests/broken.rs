//! Checks that cannot fail prove nothing: here are runtimes that break one promise each, and the
//! check that has to notice.

mod faulty;

use std::env;
use std::process::Command;

use faulty::{Fault, Faulty};
use rtswap_conformance::{Allow, Subject, caught};

/// Declares a fault, and the test that the check of that name catches it.
macro_rules! catches {
    ($name:ident, { $($fault:tt)* }, $group:ident::$check:ident, $because:literal) => {
        #[test]
        fn $name() {
            struct Broken;
            impl Fault for Broken { $($fault)* }
            let path = concat!(module_path!(), "::", stringify!($name));
            caught(path, $because, || {
                let subject = Subject::new(Faulty::<Broken>::NEW, 1, Allow::NOTHING);
                rtswap_conformance::$group::$check(&subject);
            });
        }
    };
}

catches!(
    a_byte_changed_in_a_read_is_caught,
    {
        const CORRUPTS_READS: bool = true;
    },
    bytes::what_a_peer_sends_in_odd_pieces_arrives_intact,
    "is not what was sent"
);
catches!(
    a_byte_changed_in_a_write_is_caught,
    {
        const CORRUPTS_WRITES: bool = true;
    },
    bytes::what_is_written_arrives_intact_at_a_slow_peer,
    "is not what was sent"
);
catches!(
    a_length_that_is_not_set_is_caught,
    {
        const FORGETS_LENGTH: bool = true;
    },
    buffer::a_read_overwrites_from_the_start_and_sets_the_length,
    "the length of the buffer is the number of bytes read"
);
catches!(
    a_reset_taken_for_the_end_is_caught,
    {
        const RESET_IS_END: bool = true;
    },
    stream::a_reset_fails_a_read_that_waits,
    "a reset is an error"
);
catches!(
    a_socket_without_the_options_of_all_is_caught,
    {
        const JOINS_SMALL_WRITES: bool = true;
    },
    stream::a_connected_stream_has_the_options_of_all,
    "it has no TCP_NODELAY"
);
catches!(
    readable_before_data_is_caught,
    {
        const READABLE_AT_ONCE: bool = true;
    },
    stream::readable_waits_for_data_and_leaves_it_to_the_read,
    "nothing is there to be read"
);
catches!(
    accept_error_without_errno_is_caught,
    {
        const HIDES_ACCEPT_ERRNO: bool = true;
    },
    stream::accept_goes_on_after_descriptors_were_exhausted,
    "the listener is whole"
);
catches!(
    a_write_half_that_shuts_down_is_caught,
    {
        const HALF_SHUTS_DOWN: bool = true;
    },
    stream::a_dropped_write_half_leaves_its_direction_open,
    "no end of the stream"
);
catches!(
    a_handle_that_cancels_is_caught,
    {
        const CANCELS_ON_DROP: bool = true;
    },
    task::a_task_runs_to_its_end_when_its_handle_is_dropped,
    "0 of 2 detached tasks ended"
);
catches!(
    a_yield_that_does_not_is_caught,
    {
        const NEVER_YIELDS: bool = true;
    },
    task::yield_now_lets_another_ready_task_run,
    "the other task did not run"
);
catches!(
    a_sleep_that_ends_early_is_caught,
    {
        const SLEEPS_SHORT: bool = true;
    },
    time::a_sleep_never_ends_early,
    "ended after"
);
catches!(
    a_sleep_that_counts_from_the_call_is_caught,
    {
        const SLEEPS_FROM_CALL: bool = true;
    },
    time::a_sleep_counts_from_its_first_poll,
    "after its first poll"
);
catches!(
    a_thread_left_behind_is_caught,
    {
        const LEAVES_A_THREAD: bool = true;
    },
    shutdown::no_thread_and_no_descriptor_is_left_behind,
    "left behind by the first block_on: Snapshot { threads: [\"forgotten\"]"
);
catches!(
    a_descriptor_left_behind_is_caught,
    {
        const LEAVES_A_DESCRIPTOR: bool = true;
    },
    shutdown::no_thread_and_no_descriptor_is_left_behind,
    "descriptors: [\"socket\"]"
);
catches!(
    tasks_that_live_on_are_caught,
    {
        const KEEPS_TASKS: bool = true;
    },
    shutdown::pending_tasks_are_dropped_when_block_on_returns,
    "of 5 pending tasks"
);
catches!(
    workers_nobody_asked_for_are_caught,
    {
        const EXTRA_WORKERS: usize = 3;
    },
    threads::tasks_run_on_as_many_threads_as_asked,
    "threads run tasks, not 1"
);
catches!(
    a_short_write_taken_for_a_whole_is_caught,
    {
        const WRITES_SHORT: bool = true;
    },
    file::one_write_writes_all_of_8_mib,
    "not all of it was written"
);
catches!(
    a_write_of_the_whole_capacity_is_caught,
    {
        const WRITES_CAPACITY: bool = true;
    },
    file::a_write_takes_the_data_and_not_the_capacity,
    "what was written is the data"
);
catches!(
    an_offset_that_is_forgotten_is_caught,
    {
        const FORGETS_OFFSET: bool = true;
    },
    file::what_is_written_is_read_back_from_any_offset,
    "are not those that were written there"
);
catches!(
    a_file_left_open_is_caught,
    {
        const LEAKS_FILES: bool = true;
    },
    file::no_file_stays_open,
    "files are open that were closed or dropped"
);
catches!(
    a_file_that_keeps_its_old_bytes_is_caught,
    {
        const KEEPS_CONTENTS: bool = true;
    },
    file::create_empties_a_file,
    "the file is empty"
);

catches!(
    a_byte_changed_in_a_poll_is_caught,
    {
        const CORRUPTS_POLLS: bool = true;
    },
    poll::what_a_peer_sends_in_odd_pieces_is_polled_intact,
    "is not what was sent"
);
catches!(
    bytes_lost_with_a_read_that_was_given_up_are_caught,
    {
        const LOSES_WHAT_IS_GIVEN_UP: bool = true;
    },
    poll::a_read_that_is_given_up_loses_nothing,
    "is not what was sent"
);
catches!(
    a_flush_that_does_not_is_caught,
    {
        const NEVER_FLUSHES: bool = true;
    },
    poll::what_was_flushed_needs_no_more_polls,
    "what was flushed does not arrive"
);
catches!(
    a_stream_that_stays_open_is_caught,
    {
        const KEEPS_WHAT_WAITS_OPEN: bool = true;
    },
    poll::a_polled_stream_dropped_with_a_read_pending_is_closed,
    "does not end"
);

catches!(
    an_abort_that_detaches_is_caught,
    {
        const ABORT_DETACHES: bool = true;
    },
    abort::an_aborted_task_is_dropped_and_gives_nothing,
    "the task lives on after abort"
);
catches!(
    an_abort_that_misses_a_ready_task_is_caught,
    {
        const ABORT_MISSES_READY: bool = true;
    },
    abort::a_ready_task_that_was_not_polled_is_aborted,
    "after abort"
);
catches!(
    an_abort_that_loses_the_output_is_caught,
    {
        const ABORT_LOSES_OUTPUT: bool = true;
    },
    abort::abort_of_an_ended_task_gives_its_output,
    "the output of a task that had ended"
);
catches!(
    an_abort_that_swallows_a_panic_is_caught,
    {
        const ABORT_SWALLOWS_PANIC: bool = true;
    },
    abort::abort_of_a_task_that_panicked_resumes_the_panic,
    "abort resumes the panic"
);
catches!(
    an_abort_that_waits_for_its_poll_is_caught,
    {
        const ABORT_WAITS_FOR_POLL: bool = true;
    },
    abort::abort_starts_at_the_call,
    "the task ran on after abort"
);
catches!(
    an_aborted_task_that_lives_on_is_caught,
    {
        const KEEPS_TASKS: bool = true;
    },
    abort::an_aborted_task_is_dropped_when_block_on_returns,
    "lives on after block_on"
);
catches!(
    a_waiting_task_that_lives_on_is_caught,
    {
        const KEEPS_TASKS: bool = true;
    },
    shutdown::waiting_tasks_and_timers_are_dropped_when_block_on_returns,
    "of 2 pending tasks"
);
catches!(
    a_timeout_that_loses_the_output_is_caught,
    {
        const TIMEOUT_LOSES_OUTPUT: bool = true;
    },
    timeout::a_future_that_is_ready_in_time_gives_its_output,
    "a future that is ready at once"
);
catches!(
    a_timeout_that_ends_early_is_caught,
    {
        const TIMEOUT_ENDS_EARLY: bool = true;
    },
    timeout::a_future_that_is_late_is_dropped_and_gives_elapsed,
    "was over after"
);
catches!(
    a_timeout_that_keeps_its_future_is_caught,
    {
        const TIMEOUT_KEEPS_FUTURE: bool = true;
    },
    timeout::a_future_that_is_late_is_dropped_and_gives_elapsed,
    "is not dropped when its time is over"
);
catches!(
    a_timeout_that_counts_from_the_call_is_caught,
    {
        const TIMEOUT_FROM_CALL: bool = true;
    },
    timeout::a_timeout_counts_from_its_first_poll,
    "after its first poll"
);
catches!(
    blocking_work_on_the_thread_of_its_task_is_caught,
    {
        const BLOCKS_IN_PLACE: bool = true;
    },
    blocking::blocking_work_gives_its_output_from_another_thread,
    "runs on the thread that awaits it"
);
catches!(
    blocking_work_that_stops_the_tasks_is_caught,
    {
        const BLOCKS_IN_PLACE: bool = true;
    },
    blocking::tasks_go_on_while_work_blocks,
    "no task runs while work blocks"
);
catches!(
    a_lost_panic_of_blocking_work_is_caught,
    {
        const LOSES_BLOCKING_PANIC: bool = true;
    },
    blocking::a_panic_in_blocking_work_reaches_the_awaiter_with_its_payload,
    "the payload is the work's"
);
catches!(
    blocking_work_one_at_a_time_is_caught,
    {
        const BLOCKS_ONE_AT_A_TIME: bool = true;
    },
    blocking::two_pieces_of_blocking_work_wait_for_each_other,
    "at the same time"
);
catches!(
    a_drop_that_waits_for_blocking_work_is_caught,
    {
        const DROP_WAITS_FOR_WORK: bool = true;
    },
    blocking::blocking_work_runs_to_its_end_when_its_future_is_dropped,
    "does not wait for the work"
);

/// In CI, a test that is always skipped proves nothing.
#[test]
fn unavailable_runtime_is_skipped_but_fails_in_ci() {
    struct Unavailable;
    impl Fault for Unavailable {
        const IS_UNAVAILABLE: bool = true;
    }
    const NAME: &str = "unavailable_runtime_is_skipped_but_fails_in_ci";
    const CHILD: &str = "RTSWAP_TEST_UNAVAILABLE";
    if env::var_os(CHILD).is_some() {
        let subject = Subject::new(Faulty::<Unavailable>::NEW, 1, Allow::NOTHING);
        return rtswap_conformance::isolated(NAME, &subject, |_| panic!("it is not available"));
    }
    let run = |variables: &[(&str, &str)]| {
        let output = Command::new(env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env_remove("CI")
            .env_remove("RTSWAP_ALLOW_UNAVAILABLE")
            .env(CHILD, "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (passed, printed) = run(&[]);
    assert!(passed && printed.contains("skipped: not on this machine"), "{printed}");
    let (passed, printed) = run(&[("CI", "true")]);
    assert!(!passed && printed.contains("Set RTSWAP_ALLOW_UNAVAILABLE=1"), "{printed}");
    let (passed, printed) = run(&[("CI", "true"), ("RTSWAP_ALLOW_UNAVAILABLE", "1")]);
    assert!(passed && printed.contains("skipped: not on this machine"), "{printed}");
}

#[test]
fn what_breaks_nothing_passes() {
    struct Sound;
    impl Fault for Sound {}
    let subject = Subject::new(Faulty::<Sound>::NEW, 1, Allow::NOTHING);
    rtswap_conformance::isolated(
        concat!(module_path!(), "::what_breaks_nothing_passes"),
        &subject,
        |subject| {
            use rtswap_conformance::{
                abort, blocking, buffer, bytes, file, poll, shutdown, stream, task, time, timeout,
            };
            bytes::what_a_peer_sends_in_odd_pieces_arrives_intact(subject);
            bytes::what_is_written_arrives_intact_at_a_slow_peer(subject);
            buffer::a_read_overwrites_from_the_start_and_sets_the_length(subject);
            poll::a_read_that_is_given_up_loses_nothing(subject);
            poll::what_was_flushed_needs_no_more_polls(subject);
            poll::a_polled_stream_dropped_with_a_read_pending_is_closed(subject);
            stream::a_reset_fails_a_read_that_waits(subject);
            stream::a_connected_stream_has_the_options_of_all(subject);
            stream::a_dropped_write_half_leaves_its_direction_open(subject);
            task::a_task_runs_to_its_end_when_its_handle_is_dropped(subject);
            task::yield_now_lets_another_ready_task_run(subject);
            time::a_sleep_never_ends_early(subject);
            time::a_sleep_counts_from_its_first_poll(subject);
            shutdown::no_thread_and_no_descriptor_is_left_behind(subject);
            shutdown::pending_tasks_are_dropped_when_block_on_returns(subject);
            file::one_write_writes_all_of_8_mib(subject);
            file::a_write_takes_the_data_and_not_the_capacity(subject);
            file::what_is_written_is_read_back_from_any_offset(subject);
            file::no_file_stays_open(subject);
            file::create_empties_a_file(subject);
            abort::an_aborted_task_is_dropped_and_gives_nothing(subject);
            abort::a_ready_task_that_was_not_polled_is_aborted(subject);
            abort::abort_of_an_ended_task_gives_its_output(subject);
            abort::abort_of_a_task_that_panicked_resumes_the_panic(subject);
            abort::abort_starts_at_the_call(subject);
            abort::an_aborted_task_is_dropped_when_block_on_returns(subject);
            blocking::blocking_work_gives_its_output_from_another_thread(subject);
            blocking::a_panic_in_blocking_work_reaches_the_awaiter_with_its_payload(subject);
            blocking::tasks_go_on_while_work_blocks(subject);
            blocking::two_pieces_of_blocking_work_wait_for_each_other(subject);
            blocking::blocking_work_runs_to_its_end_when_its_future_is_dropped(subject);
            timeout::a_future_that_is_ready_in_time_gives_its_output(subject);
            timeout::a_future_that_is_late_is_dropped_and_gives_elapsed(subject);
            timeout::a_timeout_counts_from_its_first_poll(subject);
        },
    );
}

#[test]
fn a_test_that_does_not_exist_is_not_taken_for_a_success() {
    // No test has this name, so the child runs none and reports success.
    let result = std::panic::catch_unwind(|| {
        let subject = Subject::new(rtswap_tokio::Tokio::default(), 1, Allow::NOTHING);
        rtswap_conformance::isolated("broken::no_such_test", &subject, |_| {});
    });
    assert!(result.is_err());
}

#[test]
fn every_check_is_run() {
    let list = include_str!("../src/lib.rs");
    let sources = [
        include_str!("../src/abort.rs"),
        include_str!("../src/blocking.rs"),
        include_str!("../src/buffer.rs"),
        include_str!("../src/bytes.rs"),
        include_str!("../src/poll.rs"),
        include_str!("../src/file.rs"),
        include_str!("../src/shutdown.rs"),
        include_str!("../src/stream.rs"),
        include_str!("../src/task.rs"),
        include_str!("../src/threads.rs"),
        include_str!("../src/time.rs"),
        include_str!("../src/timeout.rs"),
    ];
    let checks = sources
        .iter()
        .flat_map(|source| source.split("\npub fn ").skip(1))
        .map(|rest| rest.split_once("<R: ").expect("a check is generic").0);
    let missing: Vec<_> = checks.filter(|check| !list.contains(&format!(" {check}"))).collect();
    assert!(missing.is_empty(), "not in the macro's list: {missing:?}");
}
