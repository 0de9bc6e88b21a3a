//! Logs that misbehave, one test for each way in which they do: the real binary goes on, tries again, reports what is
//! misbehaviour with its evidence and nothing that is not, and finds every certificate of ours before, in and behind
//! the fault.
//!
//! What a log may do to its monitor, and the test that shows what the monitor makes of it (module: test; files outside
//! of this folder by their name). First the faults, one by one:
//!
//! - bad STH signature:
//!   heads: a_head_that_the_key_did_not_sign_is_kept_as_evidence_and_the_reading_goes_on,
//!   a_log_whose_heads_are_never_signed_is_read
//! - other key:
//!   heads: a_log_whose_key_is_another_than_the_list_says_is_read
//! - fork at the same size:
//!   heads: two_heads_of_one_size_are_a_fork_and_both_are_kept
//! - fork at a larger size:
//!   heads: a_fork_at_a_larger_size_is_reported_and_the_reading_goes_on
//! - fork at a smaller size:
//!   heads: a_fork_at_a_smaller_size_is_found_in_the_history
//! - rollback:
//!   heads: a_smaller_tree_is_tolerated_for_a_while; reach:
//!   a_tree_that_stays_smaller_for_longer_than_a_lag_is_a_rollback
//! - frozen head:
//!   heads: a_head_that_stands_still_beyond_the_mmd_is_reported
//! - head from the future:
//!   heads: a_head_from_the_future_is_reported_and_does_not_count,
//!   a_log_whose_heads_are_all_from_the_future_is_read
//! - corrupt entry served once:
//!   heads: an_entry_that_was_corrupt_once_is_read_again_in_its_right_form,
//!   a_hit_that_was_corrupt_once_is_found_in_its_right_form
//! - corrupt entry for ever:
//!   heads: an_entry_that_stays_corrupt_is_evidence_and_hides_nothing_behind_it; reach:
//!   an_entry_that_is_repaired_later_is_read_again_without_a_restart_and_its_case_says_so
//! - short page, aligned page, empty page, more than asked, page size that changes:
//!   noise: pages_of_any_length_are_taken_as_they_come
//! - a page that is never served:
//!   content: a_page_that_is_lost_is_reported_and_passed_over,
//!   what_is_new_is_proven_behind_entries_that_are_lost_and_all_of_it_when_they_are_served_again,
//!   a_log_that_is_down_altogether_has_lost_nothing,
//!   single_entries_that_are_lost_cost_no_other_entry_and_few_requests
//! - 429 with and without Retry-After:
//!   noise: a_host_that_asks_for_less_is_left_alone_and_no_other
//! - 5xx, cut body, gzip bomb, wrong Content-Encoding:
//!   noise: statuses_and_broken_bodies_are_asked_for_again
//! - slow first byte, slow body:
//!   noise: a_slow_log_is_read_and_delays_no_other
//! - 200 with HTML:
//!   noise: error_pages_and_other_rubbish_are_noise_and_no_entries
//! - missing partial:
//!   noise: a_partial_tile_that_is_gone_is_read_from_the_full_one; reach:
//!   a_partial_tile_that_a_front_end_does_not_have_yet_is_no_loss_before_a_lag_is_over
//! - missing full tile:
//!   content: a_full_tile_that_is_lost_is_reported_passed_over_and_asked_for_again,
//!   a_tile_behind_a_server_error_that_stays_is_passed_over
//! - tile of the wrong length:
//!   content: a_tile_of_the_wrong_length_is_reported_and_passed_over
//! - leaf that does not parse in the middle of a good tile, unknown entry type:
//!   content: an_entry_that_cannot_be_read_hides_no_other, a_tile_that_breaks_off_hides_no_other_tile,
//!   a_tile_that_breaks_off_is_proven_and_searched_to_its_end
//! - unknown extension, chain that does not match:
//!   content: odd_entries_that_can_be_read_are_entries
//! - 16 MiB entry:
//!   content: the_largest_entry_is_read_and_pages_that_are_too_large_are_halved
//! - issuer that does not hash to its name:
//!   content: an_issuer_that_does_not_hash_to_its_name_is_not_believed
//! - log removed from the list, key changed in the list:
//!   reach: a_log_that_leaves_the_list_and_one_whose_key_changes_cost_nothing
//! - TLS error, DNS error, connection refused:
//!   reach: logs_that_cannot_be_reached_are_tried_again_and_stop_no_other
//! - clock jump on our side:
//!   reach: a_clock_that_jumps_loses_no_hit_and_charges_no_log,
//!   nothing_waits_a_day_because_the_clock_was_put_back_by_one
//!
//! And how logs really behave, in general (2 static-ct-api, 3 RFC 6962, 4 limits, 5 auditing):
//!
//! - 2.1 origin and URL:
//!   lists.rs: a_log_that_moves_is_read_on_at_its_new_place
//! - 2.2 many signature lines:
//!   src/ct/checkpoint.rs: a_checkpoint_is_read_as_it_was_written_whoever_else_has_signed
//! - 2.3 superseded partial tiles:
//!   noise: a_partial_tile_that_is_gone_is_read_from_the_full_one
//! - 2.4 same size, new timestamp or other root:
//!   heads: two_heads_of_one_size_are_a_fork_and_both_are_kept
//! - 2.5 Retry-After that ends in UTC:
//!   noise: a_host_that_asks_for_less_is_left_alone_and_no_other
//! - 2.6 gzip whether asked for or not, bounded:
//!   noise: a_gzip_body_of_several_members_is_one_body, statuses_and_broken_bodies_are_asked_for_again
//! - 2.7 issuers:
//!   content: an_issuer_that_does_not_hash_to_its_name_is_not_believed
//! - 2.8 a full tile that is lost:
//!   content: a_full_tile_that_is_lost_is_reported_passed_over_and_asked_for_again
//! - 2.9 a get-entries log that serves tiles too:
//!   noise: a_get_entries_log_that_has_tiles_too_is_read_by_get_entries
//! - 2.10 the right edge from hash tiles:
//!   walk.rs: starting_at_the_end_reads_only_what_comes_after; lists.rs: a_log_is_begun_at_a_time
//! - 3.1 what get-entries gives:
//!   noise: pages_of_any_length_are_taken_as_they_come
//! - 3.2 a backend behind its own head:
//!   noise: a_backend_that_lags_behind_its_own_head_is_waited_for
//! - 3.3 cached proofs:
//!   heads: an_entry_that_stays_corrupt_is_evidence_and_hides_nothing_behind_it (no proof is asked for)
//! - 3.4 start at the end:
//!   walk.rs: starting_at_the_end_reads_only_what_comes_after; lanes.rs: what_is_new_does_not_wait_for_what_is_old
//! - 3.5 precertificates that are not the leaf's:
//!   content: odd_entries_that_can_be_read_are_entries; watch.rs:
//!   a_precertificate_that_is_not_the_leafs_is_not_believed
//! - 3.6 noise:
//!   noise: error_pages_and_other_rubbish_are_noise_and_no_entries, statuses_and_broken_bodies_are_asked_for_again
//! - 3.7 very large entries:
//!   content: the_largest_entry_is_read_and_pages_that_are_too_large_are_halved
//! - 4 limits and pace:
//!   noise: a_host_that_asks_for_less_is_left_alone_and_no_other, a_log_that_catches_up_says_how_far_it_is;
//!   src/tail/pace/tests.rs
//! - 5 a head that never verifies:
//!   heads: an_entry_that_stays_corrupt_is_evidence_and_hides_nothing_behind_it,
//!   noise_on_a_log_that_never_verifies_again_loses_nothing
//! - 5 the log list, a readonly log:
//!   lists.rs: a_readonly_log_ends_at_its_final_tree_head_and_is_not_taken_up_again; heads:
//!   a_readonly_log_that_signs_another_head_than_its_last_is_charged_with_both
//! - 5 leaf_index:
//!   content: an_entry_that_states_another_index_is_misbehaviour

#[path = "../support/mod.rs"]
mod support;

mod content;
mod heads;
mod noise;
mod reach;

use std::time::Duration;

use ctwarden::clock::Stopwatch;
use support::faulty::plant::Garden;
use support::faulty::scene::Scene;
use support::faulty::{Api, FaultyLog};

/// Two full tiles and a partial one.
const SIZE: u64 = 700;
/// At the ends of tiles and in their middles.
const HITS: [u64; 7] = [3, 255, 256, 300, 511, 512, 699];
const BOTH: [Api; 2] = [Api::Rfc6962, Api::StaticCt];

/// An honest log with the usual entries, its head signed.
async fn start(garden: &Garden, api: Api) -> FaultyLog {
    let log = FaultyLog::start(api).await;
    log.append(garden.entries(0, SIZE, &HITS));
    log.publish();
    log
}

/// Appends `count` entries of which the first, the middle and the last are ours, and signs a head over them.
fn grow(garden: &Garden, log: &FaultyLog, count: u64) {
    let from = log.head().size;
    log.append(garden.entries(from, count, &[from, from + count / 2, from + count - 1]));
    log.publish();
}

/// Waits until all hits of these logs were found and all entries are proven.
async fn complete(scene: &mut Scene, logs: &[&FaultyLog], seconds: u64) {
    let behind = |scene: &Scene| -> Vec<String> {
        logs.iter().filter(|log| !scene.is_complete(log)).map(|log| scene.state(log)).collect()
    };
    let watch = Stopwatch::start();
    loop {
        let behind = behind(scene);
        if behind.is_empty() {
            return;
        }
        let states = behind.join("\n");
        assert!(scene.is_alive(), "the daemon ended early:\n{states}\n{}", scene.said());
        let late = watch.elapsed().as_secs() >= seconds;
        assert!(!late, "not within {seconds} s:\n{states}\n{}", scene.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every test that the table names is there.
#[test]
fn the_table_of_faults_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["tests", "tests/faults", "src/ct", "src/tail"] {
        for file in std::fs::read_dir(root.join(folder)).expect("a folder").map(|file| file.expect("a file").path()) {
            if file.extension().is_some_and(|extension| extension == "rs") {
                code += &std::fs::read_to_string(file).expect("text");
            }
        }
    }
    let table = include_str!("main.rs").lines().take_while(|line| line.starts_with("//!"));
    let words = table.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let named: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();
    assert!(named.len() > 50, "{named:?}");
    for test in named {
        assert!(code.contains(&format!("fn {test}(")), "the table names {test}, and there is no such test");
    }
}
