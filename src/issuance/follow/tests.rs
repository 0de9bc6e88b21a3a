use std::fs::OpenOptions;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::clock::{DAY, HOUR, date};

const NOW: Timestamp = date(2026, 11, 22);

struct Place {
    directory: tempfile::TempDir,
    record: Embedded,
    follower: Follower,
    now: Timestamp,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let record = Embedded::open(&directory.path().join("data")).expect("a database");
        let followed = Followed { path: directory.path().join("rows.ndjson"), format: FileFormat::Rows };
        let follower = Follower::new(record.clone(), followed, vec![]);
        Place { directory, record, follower, now: NOW }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn append(&self, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.path("rows.ndjson"));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    }
    /// All steps until there is nothing more.
    fn run(&mut self) -> Step {
        let mut all = Step::default();
        loop {
            let step = self.follower.step(self.now).expect("a step");
            let more = step.more;
            all.lost_file |= step.lost_file;
            all.waiting = step.waiting;
            all.refused.extend(step.refused);
            all.summary.rows += step.summary.rows;
            all.summary.inserted += step.summary.inserted;
            all.summary.updated += step.summary.updated;
            if !more {
                return all;
            }
        }
    }
    /// As after a crash: nothing in memory is left.
    fn restart(&mut self) {
        let followed = self.follower.followed.clone();
        self.follower = Follower::new(self.record.clone(), followed, vec![]);
    }
    fn accounts(&self) -> Vec<String> {
        self.texts("SELECT account_id FROM accounts ORDER BY 1")
    }
    fn texts(&self, sql: &str) -> Vec<String> {
        let connection = schema::connect(self.record.path()).expect("connected");
        let mut query = connection.prepare(sql).expect(sql);
        let rows = query.query_map([], |row| row.get(0)).expect(sql);
        rows.collect::<rusqlite::Result<_>>().expect(sql)
    }
}

fn account(id: &str) -> String {
    format!("{{\"table\":\"accounts\",\"account_id\":\"{id}\",\"kind\":\"cdn\"}}\n")
}

fn applicant(id: &str, account: &str) -> String {
    format!("{{\"table\":\"applicants\",\"applicant_id\":\"{id}\",\"account_id\":\"{account}\"}}\n")
}

#[test]
fn a_file_is_read_as_it_grows_and_a_half_written_line_waits() {
    let mut place = Place::new();
    assert_eq!(place.run(), Step::default(), "an absent file may come");
    let (b, half) = (account("b"), 20);
    place.append(&(account("a") + &b[..half]));
    assert_eq!(place.run().summary.inserted, 1);
    assert_eq!(place.run().summary.rows, 0);
    place.restart();
    place.append(&b[half..]);
    assert_eq!(place.run().summary.inserted, 1);
    assert_eq!(place.accounts(), ["a", "b"]);
    place.append("\n\u{20}\n");
    assert_eq!(place.run(), Step::default(), "empty lines say nothing");
}

#[test]
fn a_bad_line_is_kept_aside_and_the_rows_behind_it_are_taken() {
    let mut place = Place::new();
    place.append(&format!(
        "{}no json\n{{\"table\":\"accounts\",\"account_id\":\"x\"}}\n{}",
        account("a"),
        account("b")
    ));
    let step = place.run();
    let told: Vec<(u64, &str)> = step.refused.iter().map(|r| (r.line, &r.reason[..14])).collect();
    assert_eq!(
        (told, place.accounts()),
        (vec![(2, "not a JSON obj"), (3, "column kind: i")], vec!["a".into(), "b".into()])
    );
    assert_eq!(place.texts("SELECT line || ' ' || text FROM refused ORDER BY line")[0], "2 no json");
    assert_eq!(place.run().refused, [], "told once");
    place.append(&format!("{}\n{}", "x".repeat(3 << 20), account("c")));
    let step = place.run();
    assert_eq!(step.refused.len(), 1, "{:?}", step.refused);
    assert_eq!((step.refused[0].line, place.accounts().len()), (5, 3));
    // One that is not ended yet is refused as soon as it is too long, and its rest is passed over.
    place.append(&"y".repeat(3 << 20));
    assert_eq!(place.run().refused.len(), 1);
    place.restart();
    place.append(&format!("{}\n{}", "y".repeat(1 << 20), account("d")));
    assert_eq!((place.run().refused, place.accounts().len()), (vec![], 4));
}

#[test]
fn a_child_waits_for_its_parent_and_is_told_when_none_comes() {
    let mut place = Place::new();
    place.append(&(applicant("p", "a") + &applicant("q", "never")));
    let step = place.run();
    assert_eq!((step.waiting, step.refused.len(), step.summary.rows), (2, 0, 0));
    place.restart();
    place.append(&account("a"));
    assert_eq!(place.run().waiting, 1, "the one whose parent came is in the record");
    assert_eq!(place.texts("SELECT applicant_id FROM applicants"), ["p"]);
    place.now = place.now.plus(HOUR);
    assert_eq!(place.run().refused, []);
    place.now = place.now.plus(DAY);
    let step = place.run();
    let reason = "column account_id: there is no never in accounts, and none came within 1d 0h";
    assert_eq!((step.waiting, &*step.refused[0].reason, step.refused[0].line), (0, reason, 2));
    assert_eq!(place.texts("SELECT text FROM refused").len(), 1);
}

#[test]
fn a_parent_may_come_by_another_way_and_a_bad_one_is_no_parent() {
    let mut place = Place::new();
    place.append(&(applicant("p", "a") + "{\"table\":\"accounts\",\"account_id\":\"a\",\"kind\":\"odd\"}\n"));
    let step = place.run();
    assert_eq!((step.waiting, step.refused.len()), (1, 1), "{step:?}");
    place.record.import_ndjson(&account("a"), place.now.plus(Span::from_seconds(1))).expect("imported");
    place.now = place.now.plus(Span::from_seconds(6));
    assert_eq!(place.run().waiting, 0);
    assert_eq!(place.texts("SELECT applicant_id FROM applicants"), ["p"]);
}

#[test]
fn a_later_row_replaces_an_earlier_one_also_one_that_waits() {
    let mut place = Place::new();
    let named = |name: &str| account("a").replace("}", &format!(",\"name\":\"{name}\"}}"));
    place.append(&(named("first") + &named("second")));
    place.run();
    assert_eq!(place.texts("SELECT name FROM accounts"), ["second"]);
    place.append(&(applicant("p", "b") + &account("c")));
    place.run();
    place.append(&applicant("p", "c"));
    assert_eq!(place.run().waiting, 0, "the row that waited is outdone");
    place.append(&account("b"));
    place.now = place.now.plus(HOUR);
    place.run();
    assert_eq!(place.texts("SELECT account_id FROM applicants"), ["c"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    for restart in [false, true] {
        let mut place = Place::new();
        place.append(&account("a"));
        place.run();
        place.append(&account("b"));
        std::fs::rename(place.path("rows.ndjson"), place.path("rows.ndjson.1")).expect("renamed");
        if restart {
            place.restart();
        }
        place.run();
        assert_eq!(place.accounts(), ["a", "b"], "the rest is read under its new name");
        // The writer still holds the old file while the new one is empty.
        std::fs::write(place.path("rows.ndjson"), "").expect("written");
        let old = OpenOptions::new().append(true).open(place.path("rows.ndjson.1"));
        let last = account("c");
        old.and_then(|mut old| old.write_all(last.trim_end().as_bytes())).expect("written");
        place.run();
        assert_eq!(place.accounts(), ["a", "b"], "its last line may not be ended yet");
        place.append(&account("d"));
        let step = place.run();
        assert_eq!((place.accounts(), step.lost_file), (["a", "b", "c", "d"].map(String::from).to_vec(), false));
    }
}

#[test]
fn a_file_that_is_gone_is_read_through_its_open_end_and_otherwise_told() {
    for restart in [false, true] {
        let mut place = Place::new();
        place.append(&account("a"));
        place.run();
        place.append(&account("b"));
        // Written before the other is removed, so that it has another inode.
        std::fs::write(place.path("next"), account("c")).expect("written");
        std::fs::remove_file(place.path("rows.ndjson")).expect("removed");
        if restart {
            place.restart();
        }
        std::fs::rename(place.path("next"), place.path("rows.ndjson")).expect("renamed");
        let step = place.run();
        let expected: &[&str] = if restart { &["a", "c"] } else { &["a", "b", "c"] };
        assert_eq!((place.accounts(), step.lost_file), (expected.iter().map(|id| id.to_string()).collect(), restart));
    }
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut place = Place::new();
    place.append(&account("a"));
    place.run();
    std::fs::write(place.path("rows.ndjson"), account("b")).expect("written");
    place.run();
    assert_eq!(place.accounts(), ["a", "b"], "as long as before, and another beginning");
    std::fs::write(place.path("rows.ndjson"), "").expect("written");
    place.run();
    place.append(&account("c"));
    place.run();
    assert_eq!(place.accounts(), ["a", "b", "c"]);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_the_end() {
    let mut place = Place::new();
    std::fs::create_dir(place.path("rows.ndjson")).expect("made");
    let error = place.follower.step(NOW).expect_err("no file").to_string();
    assert!(error.contains("rows.ndjson: is not a file"), "{error}");
    std::fs::remove_dir(place.path("rows.ndjson")).expect("removed");
    place.append(&account("a"));
    assert_eq!(place.run().summary.inserted, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However rows are cut into writes, whatever their order, and wherever the reading is interrupted.
    #[test]
    fn every_row_comes_in_once(
        order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
        cuts in proptest::collection::vec(1_usize..200, 1..20),
        restarts in proptest::collection::vec(any::<bool>(), 20),
        // What is renamed before the first step was never seen.
        rotate_at in 1_usize..20,
    ) {
        let mut place = Place::new();
        let lines = order.iter().map(|n| match n % 2 {
            0 => account(&format!("a{n}")),
            _ => applicant(&format!("p{n}"), &format!("a{}", n - 1)),
        });
        let text: String = lines.collect();
        let mut rest = &text[..];
        for (turn, cut) in cuts.iter().cycle().enumerate() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            place.append(now);
            rest = later;
            if turn == rotate_at && now.ends_with('\n') {
                std::fs::rename(place.path("rows.ndjson"), place.path("rows.ndjson.1")).expect("renamed");
            }
            if restarts[turn % 20] {
                place.restart();
            }
            place.follower.step(place.now).expect("a step");
            place.now = place.now.plus(Span::from_seconds(9));
        }
        place.run();
        place.restart();
        let last = place.run();
        prop_assert_eq!(last.waiting, 0);
        prop_assert_eq!(place.texts("SELECT account_id FROM accounts").len(), 6);
        prop_assert_eq!(place.texts("SELECT applicant_id FROM applicants").len(), 6);
        prop_assert_eq!(place.texts("SELECT text FROM refused").len(), 0);
    }
}

#[test]
fn only_what_was_printed_of_the_refused_is_forgotten() {
    let mut place = Place::new();
    place.append("one\ntwo\n");
    assert_eq!(place.run().refused.len(), 2);
    let mut printed = Vec::new();
    let last = place.record.each_refused(|kept| {
        printed.push(kept.text);
        Ok::<(), IssuanceError>(())
    });
    let last = last.expect("an answer");
    // The daemon refuses another one meanwhile.
    place.append("three\n");
    place.run();
    assert_eq!((printed, place.record.forget_refused(last).expect("forgotten")), (vec!["one".into(), "two".into()], 2));
    assert_eq!(place.texts("SELECT text FROM refused"), ["three"]);
}

#[test]
fn a_file_that_was_cut_short_is_said_to_be() {
    let mut place = Place::new();
    place.append(&account("a"));
    assert!(!place.follower.step(NOW).expect("a step").truncated);
    std::fs::write(place.path("rows.ndjson"), "").expect("written");
    assert!(place.follower.step(NOW).expect("a step").truncated);
    place.append(&account("b"));
    assert!(!place.follower.step(NOW).expect("a step").truncated, "once");
    assert_eq!(place.accounts(), ["a", "b"]);
}
