//! Checks that cannot fail prove nothing: here are runtimes that break one promise each, and the
//! check that has to notice.

mod faulty;

use faulty::{Fault, Faulty};
use rtswap_conformance::{Allow, Subject, caught};
use rtswap_runtime::Runtime;

/// Declares a fault, and the test that the check of that name catches it.
macro_rules! catches {
    ($name:ident, { $($fault:tt)* }, $group:ident::$check:ident, $because:literal) => {
        #[test]
        fn $name() {
            struct Broken;
            impl Fault for Broken { $($fault)* }
            let path = concat!(module_path!(), "::", stringify!($name));
            caught(path, $because, || {
                let subject = Subject::new(1, Allow::NOTHING);
                rtswap_conformance::$group::$check::<Faulty<Broken>>(&subject);
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

#[test]
fn a_runtime_without_files_is_skipped() {
    struct Without;
    impl Fault for Without {
        const HAS_NO_FILES: bool = true;
    }
    let subject = Subject::new(1, Allow::NOTHING);
    rtswap_conformance::isolated::<Faulty<Without>>(
        concat!(module_path!(), "::a_runtime_without_files_is_skipped"),
        &subject,
        rtswap_conformance::file::a_rename_replaces::<Faulty<Without>>,
    );
}

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

#[test]
fn what_breaks_nothing_passes() {
    struct Sound;
    impl Fault for Sound {}
    let subject = Subject::new(1, Allow::NOTHING);
    rtswap_conformance::isolated::<Faulty<Sound>>(
        concat!(module_path!(), "::what_breaks_nothing_passes"),
        &subject,
        |subject| {
            use rtswap_conformance::{buffer, bytes, file, poll, shutdown, stream, task, time};
            type R = Faulty<Sound>;
            assert!(R::available().is_ok());
            bytes::what_a_peer_sends_in_odd_pieces_arrives_intact::<R>(subject);
            bytes::what_is_written_arrives_intact_at_a_slow_peer::<R>(subject);
            buffer::a_read_overwrites_from_the_start_and_sets_the_length::<R>(subject);
            poll::a_read_that_is_given_up_loses_nothing::<R>(subject);
            poll::what_was_flushed_needs_no_more_polls::<R>(subject);
            poll::a_polled_stream_dropped_with_a_read_pending_is_closed::<R>(subject);
            stream::a_reset_fails_a_read_that_waits::<R>(subject);
            stream::a_connected_stream_has_the_options_of_all::<R>(subject);
            stream::a_dropped_write_half_leaves_its_direction_open::<R>(subject);
            task::a_task_runs_to_its_end_when_its_handle_is_dropped::<R>(subject);
            task::yield_now_lets_another_ready_task_run::<R>(subject);
            time::a_sleep_never_ends_early::<R>(subject);
            time::a_sleep_counts_from_its_first_poll::<R>(subject);
            shutdown::no_thread_and_no_descriptor_is_left_behind::<R>(subject);
            shutdown::pending_tasks_are_dropped_when_block_on_returns::<R>(subject);
            file::one_write_writes_all_of_8_mib::<R>(subject);
            file::a_write_takes_the_data_and_not_the_capacity::<R>(subject);
            file::what_is_written_is_read_back_from_any_offset::<R>(subject);
            file::no_file_stays_open::<R>(subject);
            file::create_empties_a_file::<R>(subject);
        },
    );
}

#[test]
fn a_test_that_does_not_exist_is_not_taken_for_a_success() {
    // No test has this name, so the child runs none and reports success.
    let result = std::panic::catch_unwind(|| {
        let subject = Subject::new(1, Allow::NOTHING);
        rtswap_conformance::isolated::<rtswap_tokio::Tokio>(
            "broken::no_such_test",
            &subject,
            |_| {},
        );
    });
    assert!(result.is_err());
}

#[test]
fn every_check_is_run() {
    let list = include_str!("../src/lib.rs");
    let sources = [
        include_str!("../src/buffer.rs"),
        include_str!("../src/bytes.rs"),
        include_str!("../src/poll.rs"),
        include_str!("../src/file.rs"),
        include_str!("../src/shutdown.rs"),
        include_str!("../src/stream.rs"),
        include_str!("../src/task.rs"),
        include_str!("../src/threads.rs"),
        include_str!("../src/time.rs"),
    ];
    let checks = sources
        .iter()
        .flat_map(|source| source.split("\npub fn ").skip(1))
        .map(|rest| rest.split_once("<R: Runtime>").expect("a check is generic").0);
    let missing: Vec<_> = checks.filter(|check| !list.contains(&format!(" {check}"))).collect();
    assert!(missing.is_empty(), "not in the macro's list: {missing:?}");
}
