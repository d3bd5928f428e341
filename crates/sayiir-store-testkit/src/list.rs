//! The list of all cases, once: for [`run_all`] and for the tests that [`conformance!`](crate::conformance) makes.

use crate::bench::Factory;
use crate::durable::Home;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it is about.
    pub topic: &'static str,
    /// What it asserts.
    pub name: &'static str,
    /// Runs it; panics if the store does not do as it should.
    pub run: fn(Factory<'_>),
}

/// Hands the list of cases to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident [$($arguments:tt)*]) => {
        $crate::$callback! { [$($arguments)*]
            atomicity {
                a_start_is_stored_whole
                a_refused_transition_writes_nothing
                a_batch_answers_each_by_itself
                a_misused_batch_writes_nothing
                a_write_whose_reply_was_lost_is_found_accepted
                every_kind_of_write_is_found_accepted
                every_kind_of_write_leaves_its_row
                crashes_at_every_write_lose_and_repeat_nothing
            }
            refusals {
                a_moved_branch_refuses_every_kind_of_write
                a_lost_lease_is_named_before_a_moved_branch
                an_ended_run_is_named_before_a_lost_lease
                a_replaced_run_is_named_before_all
                guards_come_last
                an_accepted_write_is_found_whatever_came_after_it
                a_start_looks_at_the_nonce_then_the_definition_then_the_policy
            }
            fencing {
                a_claim_moves_the_revision
                a_renewal_keeps_the_revision
                a_lost_lease_is_refused
                a_replaced_run_is_refused
                a_deleted_run_is_refused
                an_ended_run_is_refused
                a_stale_revision_is_refused
                run_and_lease_numbers_are_never_used_again
            }
            claims {
                only_what_is_due_is_taken
                nobody_takes_what_another_holds
                an_expired_lease_is_taken_and_counted
                the_begin_of_an_attempt_is_stored
                priorities_are_kept_and_waiting_raises
                tags_and_definitions_are_respected
                the_limit_is_kept
                one_instance_can_be_claimed_alone
                a_dead_process_is_taken_over_at_once
                sessions_are_listed_while_they_hold_leases
                the_next_due_time_is_known
                renewal_says_what_is_held
                load_shows_only_what_is_held
                threads_share_the_work_without_overlap
            }
            leases {
                leases_given_by_a_commit_last_as_the_last_one_named
                an_owner_may_write_until_somebody_takes_over
                an_owner_that_claims_its_own_lapsed_branch_counts_a_crash
                a_lease_that_ends_during_a_pause_is_taken_and_handed_back
                a_branch_is_released_where_its_placement_says
                what_has_ended_is_held_by_nobody
                an_owner_finds_all_that_it_holds
                one_branch_can_be_claimed_alone
                a_batch_is_applied_in_order
            }
            timers {
                a_delay_is_due_at_its_end
                a_retry_waits_its_backoff
                a_branch_handed_back_keeps_its_time
                a_stored_time_survives_a_takeover
                going_on_clears_the_time
                what_waited_wakes_in_the_order_in_which_it_was_due
            }
            attempts {
                a_sub_step_leaves_the_branch_where_it_is
                a_task_finds_its_own_sub_steps_only
                branches_keep_their_sub_steps_apart
                sub_steps_outlast_attempts_and_owners
                a_sub_step_is_fenced_like_a_step
                progress_is_kept_while_the_attempt_lasts
                progress_that_is_too_large_is_refused
                a_definition_keeps_its_first_document
                a_trace_context_goes_with_every_branch
            }
            events {
                events_may_come_before_the_instance
                an_event_wakes_everyone_who_waits
                parking_is_refused_if_mail_came
                a_timeout_is_refused_if_mail_came
                an_event_is_used_once
                events_are_kept_in_order_by_name
                a_key_is_remembered_after_its_event_was_used
                a_finished_instance_takes_no_events
                an_event_for_a_leased_waiter_is_not_lost
                a_waiter_handed_back_still_hears
                an_event_can_be_taken_out
                an_event_is_stamped_when_it_arrives
                parking_again_can_keep_the_first_deadline
                a_waiter_without_a_time_is_never_due_by_itself
                an_event_that_races_with_its_timeout_is_heard_or_kept
                concurrent_senders_lose_nothing
            }
            control {
                a_pause_holds_what_is_free
                a_pause_moves_what_is_leased
                an_unpause_moves_what_is_leased
                an_unpause_derives_every_time_again
                what_forks_or_parks_during_a_pause_is_held
                requests_do_not_wake_a_failed_run
                an_event_during_a_pause_wakes_after_it
                a_paused_owner_may_store_and_finish
                a_cancel_ends_every_position
                a_cancel_ends_a_paused_run
                a_finished_run_refuses_control
                control_that_changes_nothing_says_so
                a_recorded_request_reaches_free_and_leased_branches
                a_recorded_cancel_reaches_a_paused_run
                a_cleared_request_is_forgotten
                owners_that_race_with_control_miss_none_of_it
                control_is_journaled
            }
            requests {
                a_recorded_request_makes_every_free_branch_due
                a_request_that_is_cleared_leaves_every_branch_as_it_stood
                what_was_applied_stays_applied_when_its_request_is_cleared
                the_last_request_of_each_kind_is_remembered
                a_recorded_request_is_applied_once_and_not_after_it_was_taken_back
                a_recorded_cancel_is_applied_before_a_pause
                every_state_is_paused_and_goes_on_as_it_stood
                a_cancel_reaches_a_recorded_pause_and_a_late_owner
            }
            fork_join {
                a_fork_makes_its_children
                the_last_child_readies_its_parent_for_its_owner
                a_child_that_ends_with_an_event_readies_its_parent
                children_in_one_batch_are_all_counted
                children_of_many_owners_are_counted_once
                a_join_under_a_pause_is_held
                children_of_a_second_fork_have_new_ids
                nested_forks_count_their_own
                a_failure_holds_every_branch
                nothing_is_accepted_behind_a_failure_or_a_cancel
                a_fork_in_a_cancelled_run_is_refused
                outputs_of_ended_branches_are_read_in_order
            }
            lifecycle {
                a_start_asked_again_is_the_same_run
                a_mismatch_comes_before_any_policy
                fail_refuses_what_is_known
                use_existing_tells_status_and_output
                terminate_existing_leaves_nothing_of_the_old_run
                one_of_many_concurrent_starts_is_fresh
                concurrent_terminations_leave_one_run
                prepare_run_keeps_its_contract
                prepare_run_asks_again_after_a_lost_reply
            }
            limits {
                large_payloads_are_refused_and_nothing_is_written
                bad_names_are_refused
            }
            queries {
                an_instance_is_read_whole
                the_journal_is_read_in_pages
                values_are_found_through_references
                instances_are_listed_in_pages
                the_status_of_several_branches
                running_instances_are_listed_by_their_status
                an_instance_is_deleted_with_all_it_has
                nothing_is_left_of_what_was_deleted
                rows_of_one_moment_keep_causes_before_effects
                an_output_may_be_another_rows_value
                a_snapshot_is_imported
                a_snapshot_does_not_undo_a_fork
                signals_and_snapshots_work_over_the_store
            }
            imports {
                an_import_puts_the_branch_where_it_says
                an_import_is_journaled_and_moves_the_revision
                an_import_that_expects_a_revision_is_refused_if_it_moved
                an_import_that_ends_a_fork_takes_its_branches
                an_imported_failure_is_retried_with_the_input_of_its_place
                an_import_is_checked_at_the_door
            }
            attributes {
                attributes_come_with_the_start_and_from_tasks
                setting_attributes_is_fenced
                attributes_go_with_their_run
                attributes_that_are_too_many_or_too_large_are_refused
                instances_are_found_by_attributes
                instances_are_found_by_age_and_error
                the_newest_come_first_in_pages
                lists_of_several_workflows_and_states_are_merged
            }
            operations {
                a_retried_run_goes_on_where_it_failed
                only_a_failed_run_is_retried
                a_retry_refuses_the_owners_of_the_failed_run
                a_retry_lets_every_branch_go_on_as_it_stood
                a_failed_wait_or_join_is_due_at_once_when_it_is_retried
                a_retry_forgets_what_was_asked_of_the_failed_run
                what_ended_long_ago_is_purged
                what_has_not_ended_is_never_purged
                nothing_is_left_of_what_was_purged
                what_was_sent_to_ids_that_never_began_is_purged_if_asked
            }
            rewinds {
                a_rewind_keeps_what_came_before
                a_rewind_to_a_fork_makes_its_branches_anew
                a_rewind_fences_the_old_run
                a_rewind_asked_again_is_the_same_run
                a_rewind_that_keeps_what_is_not_there_is_refused
                what_waits_for_an_instance_outlasts_a_rewind
                every_state_can_be_rewound
                a_rewound_branch_goes_where_its_placement_says
                a_timeline_is_the_journal_without_values
            }
            health {
                everything_is_counted
                what_may_be_wrong_is_told
                sessions_that_hold_nothing_are_forgotten
            }
            wakeups {
                what_becomes_due_is_announced
                owners_are_told_of_control
                who_waits_for_an_instance_is_told
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! case_list {
    ([] $($topic:ident { $($name:ident)* })*) => {
        /// Every case.
        pub const CASES: &[Case] = &[
            $($(Case { topic: stringify!($topic), name: stringify!($name), run: |make| $crate::cases::$topic::$name(make) },)*)*
        ];
    };
}

for_each_case! { case_list [] }

/// One case for stores that outlive their process.
#[derive(Clone, Copy)]
pub struct DurableCase {
    /// What it asserts.
    pub name: &'static str,
    /// Runs it; panics if the store does not do as it should.
    pub run: fn(Home<'_>),
}

/// Hands the list of durable cases to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_durable_case {
    ($callback:ident [$($arguments:tt)*]) => {
        $crate::$callback! { [$($arguments)*]
            everything_is_there_after_closing
            numbers_are_not_used_again_after_closing
            a_lease_outlives_its_process
            a_crash_at_every_write_leaves_whole_writes
            what_operators_did_is_there_after_closing
            a_crash_at_every_write_of_an_operator_leaves_whole_writes
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! durable_case_list {
    ([] $($name:ident)*) => {
        /// Every case for stores that outlive their process.
        pub const DURABLE_CASES: &[DurableCase] =
            &[$(DurableCase { name: stringify!($name), run: |home| $crate::cases::durability::$name(home) },)*];
    };
}

for_each_durable_case! { durable_case_list [] }

/// Makes a test of each case.
#[doc(hidden)]
#[macro_export]
macro_rules! case_tests {
    ([$make:expr] $($topic:ident { $($name:ident)* })*) => {
        $(mod $topic {
            use super::*;
            $(#[test]
            fn $name() {
                let make: $crate::Factory<'_> = &$make;
                $crate::cases::$topic::$name(make);
            })*
        })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! durable_case_tests {
    ([$home:expr] $($name:ident)*) => {
        mod durability {
            use super::*;
            $(#[test]
            fn $name() {
                let home: $crate::Home<'_> = &$home;
                $crate::cases::durability::$name(home);
            })*
        }
    };
}

/// Makes a test of each case of the suite, in a module by topic.
///
/// - The first argument is a function or closure from `Arc<TestClock>` to `Arc<dyn Store>`, which makes a fresh store.
/// - `durable: home` is for stores that outlive their process: `home()` makes a place for a store, and gives an
///   [`Opener`](crate::Opener), with which the cases of the topic `durability` open the store there as often as they like.
/// - `old: [name: open, ..]` is for stores that have had earlier versions: `open` (from `Arc<TestClock>` to
///   `Arc<dyn Store>`) opens a copy of what an old build kept of [`sample::write`](crate::sample::write), and
///   the topic `migrations` runs [`sample::check`](crate::sample::check) on it.
#[macro_export]
macro_rules! conformance {
    ($make:expr $(,)?) => {
        $crate::for_each_case! { case_tests [$make] }
    };
    ($make:expr, durable: $home:expr $(, old: [$($version:ident: $open:expr),* $(,)?])? $(,)?) => {
        $crate::for_each_case! { case_tests [$make] }
        $crate::for_each_durable_case! { durable_case_tests [$home] }
        $(mod migrations {
            use super::*;
            $(#[test]
            fn $version() {
                let clock = ::std::sync::Arc::new($crate::TestClock::new());
                $crate::sample::check(($open)(::std::sync::Arc::clone(&clock)), clock);
            })*
        })?
    };
}

/// Runs every case, each on fresh stores.
pub fn run_all(make: Factory<'_>) {
    for case in CASES {
        println!("{}: {}", case.topic, case.name);
        (case.run)(make);
    }
}

/// Runs every case for stores that outlive their process, each in places of its own.
pub fn run_all_durable(home: Home<'_>) {
    for case in DURABLE_CASES {
        println!("durability: {}", case.name);
        (case.run)(home);
    }
}
