use super::*;
use crate::case::CaseNumber;
use crate::clock::{Span, date};
use crate::exam;

const AT: Timestamp = date(2026, 11, 22);

fn key() -> CaseKey {
    CaseKey { issuer_key_hash: KeyHash([7; 32]), serial: Serial(vec![0x10]) }
}

fn sight(is_on: bool, findings: Vec<Finding>) -> Sight {
    let listing = || Listing { url: "http://crl.example/1.crl".into(), revoked_at: None, reason: 4, seen_at: AT };
    Sight {
        key: key(),
        not_after: None,
        listed: is_on.then(listing),
        is_on_its_way: false,
        findings,
        ended: vec![],
        certificate: exam::certificate_facts("CA", &key(), None, &[]),
        record: vec![],
    }
}

fn finding(rule: &str, clock: RevocationClock) -> Finding {
    let info = crate::status::RULES.iter().find(|info| info.id == rule).expect("a rule");
    Finding { clock, ..info.finding("serial 10", "because") }
}

/// What is written, then: how much of it is news, the state of the case, what is awaited, and the clock.
async fn after(books: &Books, sight: Sight) -> (usize, String, bool, RevocationClock) {
    let people = vec![("mail".to_string(), "you@example.net".to_string())];
    let news = books.commit_sights(vec![sight], people, AT).await.expect("write").len();
    let state = books.show_case(CaseNumber(1)).await.expect("read").map_or("none".into(), |case| case.line.state);
    let issuer = key().issuer_key_hash;
    let seen = books.seen_on_crls(issuer, AT, Vec::new(), Vec::push).await.expect("read");
    assert_eq!(seen, [Seen { serial: key().serial.0, seen_at: AT, not_after: None }]);
    let one = books.followed(issuer).await.expect("read").remove(&key().serial.0);
    let (is_awaited, clock) = one.map_or((false, RevocationClock::None), |one| (one.is_awaited, one.case.1));
    (news, state, is_awaited, clock)
}

#[tokio::test]
async fn what_was_seen_is_read_page_by_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
    let issuer = key().issuer_key_hash;
    // Of serial numbers of two lengths every third has expired; another issuer has one, too.
    let count = 3 * SEEN_PAGE;
    let fill = move |connection: &mut rusqlite::Connection| {
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
                   INSERT INTO listed SELECT ?1, CASE WHEN n % 2 THEN unhex(printf('%06x', n)) ELSE
                     unhex(printf('%08x', n * 256)) END, 'u', NULL, 0, n, CASE n % 3 WHEN 0 THEN 1 END FROM n";
        connection.execute(sql, params![issuer.0, count])?;
        connection.execute("UPDATE listed SET serial = X'' WHERE serial = X'000001'", [])?;
        let other = "INSERT INTO listed VALUES (?1, X'01', 'u', NULL, 0, 1, NULL)";
        connection.execute(other, params![[8_u8; 32]]).map(drop)
    };
    books.write(fill).await.expect("rows");
    let seen = books.seen_on_crls(issuer, AT, Vec::new(), Vec::push).await.expect("read");
    let numbers: std::collections::BTreeSet<i64> = seen.iter().map(|seen| seen.seen_at.millis()).collect();
    assert!(numbers.iter().eq((1..=count).filter(|n| n % 3 != 0).collect::<Vec<_>>().iter()));
    assert_eq!(seen.len(), numbers.len(), "each once");
}

#[tokio::test]
async fn a_case_follows_the_serial_onto_the_crl_off_it_and_on_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
    let none = RevocationClock::None;
    // It is listed before there is a case; the case of something else has no deadline.
    assert_eq!(after(&books, sight(true, vec![])).await, (0, "none".into(), false, none));
    let record = vec![finding("status.record", none)];
    assert_eq!(after(&books, sight(false, record)).await, (1, "new".into(), false, none));
    // One with a deadline is told that it is listed, and no more than once.
    let key_item = RevocationClock::Day(3);
    let urgent = vec![finding("status.reason", key_item)];
    assert_eq!(after(&books, sight(false, urgent)).await, (1, "new".into(), true, RevocationClock::Day(4)));
    let seen = || "seen_on_crl".to_string();
    assert_eq!(after(&books, sight(true, vec![])).await, (0, seen(), false, RevocationClock::Day(4)));
    for _ in 0..2 {
        let gone = || sight(false, vec![finding("status.crl", none)]);
        assert_eq!(after(&books, gone()).await, (1, "new".into(), true, RevocationClock::Day(4)));
        assert_eq!(after(&books, gone()).await.0, 0, "once");
        assert_eq!(after(&books, sight(true, vec![])).await, (0, seen(), false, RevocationClock::Day(4)));
    }
}

#[tokio::test]
async fn the_clock_of_a_case_runs_from_the_first_finding_that_has_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
    let told = async |rule: &str, clock: RevocationClock, days: i64| {
        let people = vec![("mail".to_string(), "you@example.net".to_string())];
        let at = AT.plus(Span::from_days(days));
        let news = books.commit_sights(vec![sight(false, vec![finding(rule, clock)])], people, at).await;
        let notice = news.expect("write").remove(0).notice;
        let case = books.followed(key().issuer_key_hash).await.expect("read").remove(&key().serial.0);
        (notice.case, notice.aware_at, notice.clock_since, notice.due, case.expect("a case").case)
    };
    let (name, day) = ("CASE-2026-0001".to_string(), |days: i64| AT.plus(Span::from_days(days)));
    let none = RevocationClock::None;
    assert_eq!(told("status.record", none, 0).await, (name.clone(), AT, None, None, (AT, none)));
    // What is found forty days later is not forty days late.
    let (five, one) = (RevocationClock::FiveDays(12), RevocationClock::Day(5));
    let expected = (name.clone(), AT, Some(day(40)), Some(day(45)), (day(40), five));
    assert_eq!(told("status.reason", five, 40).await, expected);
    // Whoever was aware of the one has looked at the certificate: the stricter clock runs from there as well.
    let expected = (name, AT, Some(day(40)), Some(day(41)), (day(40), one));
    assert_eq!(told("status.late", one, 42).await, expected);
}

#[tokio::test]
async fn a_case_about_a_disagreement_alone_is_closed_by_its_end_and_opens_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
    let none = RevocationClock::None;
    let commit = async |sight: Sight| -> (usize, String, u32) {
        let people = vec![("mail".to_string(), "you@example.net".to_string())];
        let news = books.commit_sights(vec![sight], people, AT).await.expect("write").len();
        let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
        (news, case.line.state, case.notice.event_number)
    };
    let ends = |rules: &[&'static str]| Sight {
        ended: rules.iter().map(|rule| (*rule, format!("{rule} has ended"))).collect(),
        ..sight(false, vec![])
    };
    let disputed = async || {
        let mut followed = books.followed(key().issuer_key_hash).await.expect("read");
        followed.remove(&key().serial.0).is_some_and(|one| one.is_disputed)
    };
    let (open, closed) = (|| "new".to_string(), || "closed".to_string());
    let both = || sight(false, vec![finding("status.record", none), finding("status.reason", none)]);
    assert_eq!(commit(both()).await, (1, open(), 1));
    assert!(disputed().await);
    assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 2));
    assert!(disputed().await, "the reason is still another one");
    assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 2), "once");
    assert_eq!(commit(ends(&["status.record", "status.reason"])).await, (0, closed(), 3));
    assert!(!disputed().await);
    let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
    assert_eq!(case.notice.resolved.as_deref(), Some("status.reason has ended"));
    assert_eq!(case.line.rules, ["status.reason", "status.record"], "what it was about stays on record");
    assert_eq!(books.queue_state().await.expect("read").length, 3);
    // The same again is news, and the case is open.
    assert_eq!(commit(sight(false, vec![finding("status.record", none)])).await, (1, open(), 4));
    let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
    assert_eq!((case.notice.resolved, case.notice.findings.len()), (None, 1), "what has ended is not said again");
    // What is about more than that stays as it is.
    assert_eq!(commit(sight(false, vec![finding("status.late", none)])).await, (1, open(), 5));
    assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 6));
}
