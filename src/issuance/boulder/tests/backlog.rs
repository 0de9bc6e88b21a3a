//! Logs that are read from their beginning, long after they were written and each at its own pace.

use super::*;
use crate::clock::{HOUR, Span, date};

/// When the logs of January are read.
const NOW: Timestamp = date(2026, 11, 22);

/// A CAA check of a name for the account of the issuance.
fn checked(at: &str, name: &str) -> String {
    let said = format!(
        "Checked CAA records for {name}, [Present: false, Account ID: 7, Challenge: dns-01, Valid for issuance: true]"
    );
    line(&format!("{at}+00:00"), "boulder-va", &said)
}

/// The programs' logs in files of their own, and the record that they feed.
struct Logs {
    place: Place,
    record: Embedded,
    now: Timestamp,
}

impl Logs {
    fn new() -> Logs {
        let place = Place::new();
        let record = Embedded::open(&place.directory.path().join("data")).expect("a database");
        Logs { place, record, now: NOW }
    }

    /// The lines of one program about the issuance.
    fn of(&self, program: &str) -> Vec<String> {
        let mark = format!(" {program}[");
        self.place.lines().into_iter().filter(|line| line.contains(&mark)).collect()
    }

    /// Follows a file of these lines, one step for each of them.
    fn read(&mut self, file: &str, lines: &[String]) {
        let path = self.place.directory.path().join(file);
        let followed = Followed { path: path.clone(), format: FileFormat::BoulderLog };
        let mut follower = Follower::new(self.record.clone(), followed, vec![self.place.known()]);
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        for line in lines {
            text.push_str(line);
            std::fs::write(&path, &text).expect("written");
            self.now = self.now.plus(Span::from_seconds(6));
            let step = follower.step(self.now).expect("a step");
            assert!(step.refused.is_empty(), "{step:?}");
        }
    }

    /// Tries what waits in a file.
    fn try_again(&mut self, file: &str) -> Step {
        let followed = Followed { path: self.place.directory.path().join(file), format: FileFormat::BoulderLog };
        self.now = self.now.plus(HOUR);
        Follower::new(self.record.clone(), followed, vec![self.place.known()]).step(self.now).expect("a step")
    }

    /// When the CAA check was made on which a name of the certificate rests.
    fn checked_at(&self, name: &str) -> Option<String> {
        let serial = Serial::from_hex(SERIAL).expect("a serial");
        let key = CaseKey { issuer_key_hash: self.place.known().key_hash, serial };
        let found = self.record.find(&[Query { key, names: vec!["a.eus".into()] }]).expect("an answer");
        let Some(Lookup::Found(found)) = found.into_iter().next() else { panic!("no record") };
        let rows = found.authorisations.expect("authorisations");
        let row = rows.iter().find(|row| row.name == name).expect("the name");
        row.caa.as_ref().map(|caa| caa.checked_at.to_string())
    }

    fn count(&self, table: &str) -> i64 {
        let record = rusqlite::Connection::open(self.record.path()).expect("the record");
        record.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    }
}

const OWN: &str = "2026-01-10T10:00:02Z";

#[test]
fn the_requests_may_be_read_long_before_the_checks_and_the_newest_check_before_signing_counts() {
    let mut logs = Logs::new();
    let (checks, validations): (Vec<String>, Vec<String>) =
        logs.of("boulder-va").into_iter().partition(|line| line.contains("CAA"));
    logs.read("validations.log", &validations);
    logs.read("ca.log", &logs.of("boulder-ca"));
    logs.read("ra.log", &logs.of("boulder-ra"));
    assert_eq!(logs.checked_at("a.eus"), None);
    // The other log takes most of a day to reach that time.
    logs.now = logs.now.plus(Span::from_seconds(23 * 3600));
    logs.read("va.log", &[checked("2025-08-01T10:00:00", "a.eus")]);
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some("2025-08-01T10:00:00Z"), "all that is known so far");
    logs.read("va.log", &checks);
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some(OWN));
    logs.read("va.log", &[checked("2026-01-10T10:30:00", "a.eus"), checked("2026-11-20T10:00:00", "a.eus")]);
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some(OWN), "what was checked after signing is no evidence");
    assert_eq!(logs.count("names_awaiting_check"), 0);
}

#[test]
fn the_checks_may_be_read_to_their_end_before_the_requests() {
    let mut logs = Logs::new();
    logs.read("va.log", &logs.of("boulder-va"));
    logs.read("va.log", &[checked("2026-11-20T10:00:00", "other.eus")]);
    logs.now = logs.now.plus(Span::from_seconds(23 * 3600));
    logs.read("ca.log", &logs.of("boulder-ca"));
    logs.read("ra.log", &logs.of("boulder-ra"));
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some(OWN));
}

#[test]
fn a_check_is_tied_to_a_name_that_waits_in_another_file() {
    let mut logs = Logs::new();
    logs.read("ra.log", &logs.of("boulder-ra"));
    logs.read("va.log", &logs.of("boulder-va"));
    logs.read("ca.log", &logs.of("boulder-ca"));
    assert_eq!(logs.try_again("ra.log").waiting, 0);
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some(OWN));
}

#[test]
fn what_is_read_again_when_its_checks_are_forgotten_changes_nothing() {
    let mut logs = Logs::new();
    for program in ["boulder-va", "boulder-ca", "boulder-ra"] {
        logs.read(&format!("{program}.log"), &logs.of(program));
    }
    logs.read("va.log", &[checked("2026-11-20T10:00:00", "other.eus")]);
    logs.now = logs.now.plus(Span::from_days(4));
    logs.read("va.log", &[checked("2026-11-25T10:00:00", "other.eus")]);
    assert_eq!(logs.count("account_caa_checks WHERE name = 'a.eus'"), 0);
    logs.read("again.log", &logs.of("boulder-ra"));
    assert_eq!(logs.checked_at("a.eus").as_deref(), Some(OWN));
}

#[test]
fn checks_are_remembered_for_as_long_as_an_order_may_live_and_until_other_logs_are_read() {
    let mut logs = Logs::new();
    let known = |logs: &Logs, names: [&str; 3]| {
        names.map(|name| logs.count(&format!("account_caa_checks WHERE name = '{name}.eus'")))
    };
    let of = |day: &str, name: &str| checked(&format!("{day}T10:00:00"), &format!("{name}.eus"));
    logs.read("va.log", &[of("2025-12-10", "old"), of("2025-12-12", "young"), of("2026-01-10", "new")]);
    logs.read("ra.log", &logs.of("boulder-ra"));
    assert_eq!((known(&logs, ["old", "young", "new"]), logs.count("names_awaiting_check")), ([1, 1, 1], 2));
    logs.now = NOW.plus(Span::from_days(2));
    // A line of a machine whose clock is ahead makes no other one old.
    logs.read("va.log", &[of("2026-11-23", "fresh"), of("2030-01-01", "ahead")]);
    assert_eq!((known(&logs, ["old", "young", "new"]), logs.count("names_awaiting_check")), ([0, 1, 1], 0));
    logs.now = NOW.plus(Span::from_days(4));
    logs.read("va.log", &[of("2026-11-25", "newest")]);
    assert_eq!(known(&logs, ["young", "fresh", "newest"]), [0, 1, 1]);
    assert_eq!(logs.count("newest_caa_checks"), 2, "one of two days ago, one of today");
}
