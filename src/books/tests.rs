use super::*;
use crate::case::{CertificateFacts, EntryKind};
use crate::clock::{Span, Timestamp, date};
use crate::conduct::{Accused, Kind, Misconduct};
use crate::ct::compact_range::CompactRange;
use crate::ct::key::{LogId, LogKey};
use crate::ct::signer::LogSigner;
use crate::ct::sth::{ClaimedTreeHead, SignedTreeHead};
use crate::finding::{CaseKey, Finding, KeyHash, RevocationClock, Serial, Severity};
use crate::watch::{Form, Hit, Standing};

const LOG: LogId = LogId([7; 32]);

fn now() -> Timestamp {
    date(2026, 11, 22)
}

fn range(size: u64) -> CompactRange {
    let mut range = CompactRange::empty();
    (0..size).for_each(|leaf| range.push([leaf as u8; 32]));
    range
}

fn key(serial: u8) -> CaseKey {
    CaseKey { issuer_key_hash: KeyHash([1; 32]), serial: Serial(vec![serial]) }
}

fn hit(index: u64, serial: u8, kind: EntryKind) -> Hit {
    Hit {
        index,
        logged_at: now().plus(Span::from_seconds(index as i64)),
        kind,
        standing: Standing::Ours,
        issuer: "Tests CA".into(),
        key: key(serial),
        core_sha256: [serial; 32],
        form: Form::Certificate,
        der: vec![serial, kind as u8],
        remark: String::new(),
    }
}

fn entries(size: u64, hits: Vec<Hit>) -> NewEntries {
    NewEntries { log_id: LOG, downloaded: Some((Lane::Live, range(size))), hits, malformed: vec![], seen_at: now() }
}

fn examination(hit: &PendingHit, rules: &[&'static str]) -> Examination {
    let finding = |rule: &&'static str| Finding {
        rule: (*rule).into(),
        severity: Severity::Error,
        citation: "BR 4.2.2".into(),
        clock: RevocationClock::Day(5),
        subject: "www.a.jaso".into(),
        detail: "because".into(),
        evidence: vec![],
    };
    Examination {
        hit_id: hit.hit_id,
        key: hit.key.clone(),
        findings: rules.iter().map(finding).collect(),
        certificate: CertificateFacts {
            issuer: "Tests CA".into(),
            issuer_key_hash: hit.key.issuer_key_hash,
            serial: hit.key.serial.to_string(),
            precertificate_sha256: None,
            certificate_sha256: None,
            spki_sha256: String::new(),
            subject: String::new(),
            not_before: None,
            not_after: None,
            sans: vec![crate::case::SanFact { text: "dNSName www.a.jaso".into(), offending: false }],
        },
        record: vec![],
        not_evaluable: vec![],
        questions: None,
        promises: vec![],
        counted: Default::default(),
        examine_again_at: None,
        version: hit.version,
    }
}

fn people() -> Vec<(String, String)> {
    ["a@ca.eus", "b@ca.eus"].map(|to| ("mail".to_string(), to.to_string())).to_vec()
}

async fn begun() -> (tempfile::TempDir, Books) {
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
    let start = Position::proven(CompactRange::empty());
    books.begin_log(LOG, "log.test/a", &start, now()).await.expect("begin");
    (directory, books)
}

fn head(size: u64, signer: &LogSigner, at: Timestamp) -> SignedTreeHead {
    let key = LogKey::from_spki_der(&signer.spki_der()).expect("key");
    let root_hash = range(size).root();
    let signature = signer.sign_tree_head(size, &root_hash, at);
    ClaimedTreeHead { tree_size: size, timestamp: at, root_hash, signature }.verify(&key).expect("our own head")
}

#[tokio::test]
async fn both_positions_survive_a_restart() {
    let (directory, books) = begun().await;
    books.commit_entries(entries(300, vec![])).await.expect("door 1");
    let signer = LogSigner::generate();
    let seal =
        Seal { log_id: LOG, lane: Lane::Live, head: head(256, &signer, now()), verified: range(256), seen_at: now() };
    books.commit_seal(seal).await.expect("seal");
    drop(books);
    let books = Books::open(&directory.path().join("books.sqlite")).expect("open again");
    let position = books.position(LOG).await.expect("read").expect("a position");
    assert_eq!((position.downloaded, position.verified), (range(300), range(256)));
    let again = Position::proven(range(9));
    books.begin_log(LOG, "renamed", &again, now()).await.expect("begin");
    assert_eq!(books.position(LOG).await.expect("read").expect("kept").downloaded.size(), 300);
    books.rewind(LOG, Lane::Live).await.expect("rewind");
    assert_eq!(books.position(LOG).await.expect("read").expect("kept").downloaded, range(256));
}

#[tokio::test]
async fn the_same_entries_twice_are_one_sighting_and_a_pair_is_one_hit() {
    let (_directory, books) = begun().await;
    let pre = hit(3, 1, EntryKind::Precertificate);
    let first = books.commit_entries(entries(10, vec![pre.clone()])).await.expect("door 1");
    assert_eq!(first, vec![("Tests CA".to_string(), EntryKind::Precertificate, 1)]);
    assert!(books.commit_entries(entries(10, vec![pre])).await.expect("again").is_empty());
    let due = books.due_hits(now(), 10).await.expect("due");
    assert_eq!(due.len(), 1);
    // The certificate arrives while the precertificate is being examined: the hit stays due.
    books.commit_entries(entries(20, vec![hit(12, 1, EntryKind::Certificate)])).await.expect("door 1");
    let opened = books.commit_examinations(vec![examination(&due[0], &["name.internal"])], people(), now()).await;
    assert_eq!(opened.expect("door 2").len(), 1);
    let due = books.due_hits(now(), 10).await.expect("due");
    assert_eq!(due.len(), 1, "the certificate is still to be examined");
    assert_eq!((due[0].ders.len(), due[0].siblings), (2, 1));
    let nothing_new = books.commit_examinations(vec![examination(&due[0], &["name.internal"])], people(), now()).await;
    assert!(nothing_new.expect("door 2").is_empty());
    assert!(books.due_hits(now(), 10).await.expect("due").is_empty());
    // A third sighting of a kind that was examined asks for nothing.
    books.commit_entries(entries(30, vec![hit(25, 1, EntryKind::Certificate)])).await.expect("door 1");
    assert_eq!(books.next_examination().await.expect("next"), None);
}

#[tokio::test]
async fn a_case_keeps_its_clock_and_its_subject_line_and_tells_each_person_once() {
    let (_directory, books) = begun().await;
    books.commit_entries(entries(10, vec![hit(3, 1, EntryKind::Precertificate)])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due");
    let opened = books.commit_examinations(vec![examination(&due[0], &["name.internal"])], people(), now()).await;
    let opened = opened.expect("door 2").remove(0).notice;
    assert_eq!((opened.case.as_str(), opened.event_number), ("CASE-2026-0001", 1));
    assert_eq!(opened.due, Some(now().plus(crate::clock::DAY)));
    assert!(opened.certificate.expect("facts").sans[0].offending);
    assert!(!opened.sightings[0].included, "no head covers it yet");
    let later = now().plus(Span::from_seconds(600));
    let both = examination(&due[0], &["name.internal", "db.unknown"]);
    let updated = books.commit_examinations(vec![both], people(), later).await.expect("door 2").remove(0);
    assert_eq!((updated.notice.aware_at, updated.notice.event_number), (now(), 2));
    assert_eq!(updated.notice.subject_line, opened.subject_line);
    assert_eq!((updated.notice.findings.len(), updated.new_findings.len()), (2, 1));

    let messages = books.due_messages(later, 10).await.expect("outbox");
    assert_eq!(messages.len(), 4, "two events, two people");
    let again_at = later.plus(Span::from_seconds(30));
    let deferred = Delivery::Deferred { until: again_at, error: "no route".into() };
    books.commit_delivery(messages[0].outbox_id, deferred, later).await.expect("door 3");
    for message in &messages[1..] {
        books.commit_delivery(message.outbox_id, Delivery::Delivered, later).await.expect("door 3");
    }
    assert!(books.due_messages(later, 10).await.expect("outbox").is_empty());
    let queue = books.queue_state().await.expect("queue");
    assert_eq!((queue.length, queue.oldest, queue.next_try_at), (1, Some(now()), Some(again_at)));
    let retried = books.due_messages(again_at, 10).await.expect("outbox").remove(0);
    assert_eq!((retried.attempts, retried.notice), (1, messages[0].notice.clone()), "a snapshot: the same message");
    assert!(books.delivered_after(0).await.expect("delivered").is_empty(), "never past one that waits");

    let line = books.list_cases(10).await.expect("cases").remove(0);
    assert_eq!((line.rules.len(), line.delivered, line.waiting), (2, 3, 1));
    let shown = books.show_case(crate::case::CaseNumber(1)).await.expect("case").expect("there is one");
    assert_eq!(shown.notice.event_number, 2);
    assert!(books.show_case(crate::case::CaseNumber(2)).await.expect("case").is_none());
}

#[tokio::test]
async fn heads_are_kept_by_the_hour_and_misbehaviour_once() {
    let (_directory, books) = begun().await;
    let signer = LogSigner::generate();
    for minute in 0..120 {
        let at = now().plus(Span::from_seconds(minute * 60));
        let size = minute as u64 + 1;
        books.commit_entries(entries(size, vec![])).await.expect("door 1");
        let seal =
            Seal { log_id: LOG, lane: Lane::Live, head: head(size, &signer, at), verified: range(size), seen_at: at };
        books.commit_seal(seal).await.expect("seal");
    }
    let kept = books
        .read(|c| {
            c.prepare("SELECT tree_size FROM tree_heads ORDER BY tree_size")?.query_map([], |r| r.get(0))?.collect()
        })
        .await
        .expect("heads");
    let kept: Vec<u64> = kept;
    assert_eq!(kept, [1, 60, 61, 120]);
    let accused = Accused { log_id: LOG, name: "log.test/a".into(), operator: "Tests".into(), key_der: vec![1] };
    let heads = vec![head(61, &signer, now())];
    let detail = "two heads".to_string();
    let fork = Misconduct { kind: Kind::Fork, tree_size: 61, detail, heads, more: serde_json::Value::Null };
    let told = books.commit_misconduct(accused.clone(), fork.clone(), people(), now()).await.expect("record");
    let told = told.expect("the first is news");
    assert_eq!((told.findings[0].rule.as_ref(), told.due, told.certificate), ("log.fork", None, None));
    assert_eq!(books.due_messages(now(), 10).await.expect("outbox").len(), 2, "both people are told");
    let again = Misconduct { tree_size: 62, ..fork };
    assert_eq!(books.commit_misconduct(accused, again, people(), now()).await.expect("record"), None);
    let evidence = books.evidence("log.test/a", Kind::Fork).await.expect("read").expect("the newest");
    assert!(evidence.contains("\"tree_size\":62"), "{evidence}");
    assert_eq!(books.evidence("log.test/a", Kind::Rollback).await.expect("read"), None);
    let line = books.list_logs().await.expect("logs").remove(0);
    assert_eq!((line.misbehaviours, line.verified, line.tree_size), (2, 120, Some(120)));
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing_that_was_acknowledged() {
    let (_directory, books) = begun().await;
    books.commit_entries(entries(10, vec![hit(3, 1, EntryKind::Precertificate)])).await.expect("door 1");
    let limit = books.write(|c| {
        let pages: i64 = c.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))
    });
    limit.await.expect("a limit");
    let many = (0..200).map(|at| Hit { der: vec![at as u8; 4000], ..hit(100 + at, at as u8, EntryKind::Certificate) });
    let full = books.commit_entries(entries(400, many.collect())).await.expect_err("full");
    assert!(matches!(full, BooksError::DiskFull(_)), "{full}");
    assert!(full.to_string().contains("Free some space and start ctwarden again"), "{full}");
    let position = books.position(LOG).await.expect("read").expect("position");
    assert_eq!(position.downloaded.size(), 10, "all of it or nothing");
    assert_eq!(books.due_hits(now(), 10).await.expect("due").len(), 1);
}

#[test]
fn newer_foreign_and_missing_books_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("books.sqlite");
    assert!(Books::open_read_only(&path).expect_err("none").to_string().contains("there are no books yet"));
    drop(Books::open(&path).expect("open"));
    Connection::open(&path).and_then(|c| c.pragma_update(None, "user_version", 99)).expect("a newer format");
    assert!(matches!(Books::open(&path), Err(BooksError::Newer { found: 99, .. })));
    let text = directory.path().join("text.sqlite");
    std::fs::write(&text, "this is not a database, and it is long enough to have a header of a hundred bytes ........")
        .expect("write");
    assert!(matches!(Books::open(&text), Err(BooksError::Damaged { .. })));
    let lock = lock_directory(directory.path()).expect("lock");
    assert!(matches!(lock_directory(directory.path()), Err(BooksError::InUse(_))));
    drop(lock);
    lock_directory(directory.path()).expect("free again");
}

#[tokio::test]
async fn a_second_reading_that_differs_loses_neither_and_only_the_confirmed_one_counts() {
    let (_directory, books) = begun().await;
    let garbled = Hit { core_sha256: [0xee; 32], der: vec![0xee], ..hit(3, 1, EntryKind::Precertificate) };
    books.commit_entries(entries(10, vec![garbled.clone()])).await.expect("door 1");
    books.rewind(LOG, Lane::Live).await.expect("rewind");
    let phantom = books.due_hits(now(), 10).await.expect("due");
    assert_eq!((phantom.len(), phantom[0].ders.len()), (1, 1), "doubted is not forgotten");
    // At the same place stands something else now.
    books.commit_entries(entries(10, vec![hit(3, 1, EntryKind::Precertificate)])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due");
    assert_eq!(due.len(), 2, "the true entry is a hit");
    let of = |core: u8| due.iter().find(|hit| hit.ders[0].2[0] == core).expect("both");
    assert_eq!((of(1).siblings, of(0xee).siblings), (1, 2), "what the log took back does not accuse the true one");
    // Read once more as it was at first: it counts again.
    books.commit_entries(entries(10, vec![garbled])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due");
    assert!(due.iter().all(|hit| hit.siblings == 2));
    // The root decides: what is read last, and no more than that, is in the log.
    books.rewind(LOG, Lane::Live).await.expect("rewind");
    books.commit_entries(entries(10, vec![hit(3, 1, EntryKind::Precertificate)])).await.expect("door 1");
    let (signer, at) = (LogSigner::generate(), now());
    let seal = Seal { log_id: LOG, lane: Lane::Live, head: head(10, &signer, at), verified: range(10), seen_at: at };
    books.commit_seal(seal).await.expect("seal");
    let due = books.due_hits(now(), 10).await.expect("due");
    assert_eq!((due.len(), due[0].ders[0].2[0], due[0].siblings), (1, 1, 1), "the other is not examined any more");
}

#[tokio::test]
async fn every_form_is_examined_and_the_same_octets_never_twice() {
    let (_directory, books) = begun().await;
    let with_scts = |at: u64, scts: u8| Hit { der: vec![1, scts], ..hit(at, 1, EntryKind::Certificate) };
    let made_up = (0..9).map(|n| Hit { der: vec![0x70, n], ..hit(20 + u64::from(n), 1, EntryKind::Precertificate) });
    let first = books.commit_entries(entries(30, made_up.chain([with_scts(40, 1)]).collect())).await.expect("door 1");
    assert_eq!(first.iter().map(|(_, _, count)| *count).collect::<Vec<_>>(), [1, 1], "one of each kind is new");
    let due = books.due_hits(now(), 10).await.expect("due").remove(0);
    let certificates = |hit: &PendingHit| hit.ders.iter().filter(|(kind, ..)| *kind == EntryKind::Certificate).count();
    assert_eq!((certificates(&due), due.ders.len()), (1, 5), "precertificates do not crowd the certificate out");
    books.commit_examinations(vec![examination(&due, &[])], people(), now()).await.expect("door 2");
    assert_eq!(books.next_examination().await.expect("next"), None);
    let second = books.commit_entries(entries(50, vec![with_scts(41, 1), with_scts(42, 2)])).await.expect("door 1");
    assert!(second.is_empty(), "no new hit, but a second certificate");
    let due = books.due_hits(now(), 10).await.expect("due").remove(0);
    assert_eq!(certificates(&due), 2);
}

#[tokio::test]
async fn a_hit_becomes_ours_when_its_issuer_is_configured_later() {
    let (_directory, books) = begun().await;
    let foreign = Hit { standing: Standing::Trial, issuer: "CN=Tests".into(), ..hit(3, 1, EntryKind::Precertificate) };
    books.commit_entries(entries(10, vec![foreign.clone()])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due").remove(0);
    books.commit_examinations(vec![examination(&due, &[])], people(), now()).await.expect("door 2");
    books.commit_entries(entries(20, vec![Hit { index: 12, ..foreign.clone() }])).await.expect("door 1");
    assert_eq!(books.next_examination().await.expect("next"), None);
    let ours = Hit { index: 15, standing: Standing::Ours, issuer: "Tests CA".into(), ..foreign.clone() };
    books.commit_entries(entries(30, vec![ours])).await.expect("door 1");
    books.commit_entries(entries(40, vec![Hit { index: 35, ..foreign }])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due").remove(0);
    assert_eq!((due.standing, due.issuer.as_str()), (Standing::Ours, "Tests CA"));
}

#[tokio::test]
async fn a_log_cannot_fill_the_books_with_its_faults() {
    let (_directory, books) = begun().await;
    let malformed = |from: u64| (from..from + 6_000).map(|at| (at, "cut".to_string(), vec![])).collect();
    for from in [0, 6_000] {
        let new = NewEntries { malformed: malformed(from), ..entries(from + 6_000, vec![]) };
        books.commit_entries(new).await.expect("door 1");
    }
    let kept = books.read(|c| c.query_row("SELECT count(*) FROM malformed", [], |row| row.get::<_, i64>(0))).await;
    assert_eq!(kept.expect("count"), 10_000);
}

#[tokio::test]
async fn a_message_for_somebody_who_was_removed_goes_to_those_who_are_left() {
    let (_directory, books) = begun().await;
    books.commit_entries(entries(10, vec![hit(3, 1, EntryKind::Precertificate)])).await.expect("door 1");
    let due = books.due_hits(now(), 10).await.expect("due");
    books.commit_examinations(vec![examination(&due[0], &["name.internal"])], people(), now()).await.expect("door 2");
    let waiting = books.due_messages(now(), 10).await.expect("outbox");
    let new = ["b@ca.eus", "c@ca.eus"].map(|to| ("mail".to_string(), to.to_string())).to_vec();
    books.commit_delivery(waiting[0].outbox_id, Delivery::Redirected(new), now()).await.expect("door 3");
    let waiting = books.due_messages(now(), 10).await.expect("outbox");
    let told: Vec<&str> = waiting.iter().map(|item| item.recipient.as_str()).collect();
    assert_eq!(told, ["b@ca.eus", "c@ca.eus"], "nobody twice, and somebody new");
    assert_eq!(waiting[0].notice, waiting[1].notice);
    assert_eq!(books.list_cases(1).await.expect("cases")[0].waiting, 2);
}

#[tokio::test]
async fn a_log_read_from_two_places_is_one_again_when_they_meet() {
    let (_directory, books) = begun().await;
    books.commit_entries(entries(10, vec![])).await.expect("door 1");
    let signer = LogSigner::generate();
    let key = LogKey::from_spki_der(&signer.spki_der()).expect("key");
    let log_id = key.log_id();
    let start = Position { start_index: 0, downloaded: range(10), verified: range(4), has_hole: false };
    books.begin_log(log_id, "log.test/b", &start, now()).await.expect("begin");
    assert!(books.backlog(key.clone()).await.expect("read").is_none());
    books.split(head(100, &signer, now()), range(100), now()).await.expect("split");
    let backlog = books.backlog(key.clone()).await.expect("read").expect("a backlog");
    assert_eq!((backlog.position, backlog.goal.tree_size()), (start, 100));
    let live = books.position(log_id).await.expect("read").expect("live");
    assert_eq!((live.start_index, live.verified), (100, range(100)));
    let behind = NewEntries { log_id, downloaded: Some((Lane::Backlog, range(60))), ..entries(60, vec![]) };
    books.commit_entries(behind).await.expect("door 1");
    let ahead = NewEntries { log_id, downloaded: Some((Lane::Live, range(130))), ..entries(130, vec![]) };
    books.commit_entries(ahead).await.expect("door 1");
    let line = books.list_logs().await.expect("logs").remove(1);
    assert_eq!((line.start_index, line.downloaded, line.backlog), (0, 90, 40));
    books.join(log_id).await.expect("join");
    let whole = books.position(log_id).await.expect("read").expect("one");
    assert_eq!((whole.start_index, whole.downloaded.size()), (0, 130));
    assert!(books.backlog(key).await.expect("read").is_none());
}

#[tokio::test]
async fn lost_entries_are_asked_for_again_ever_more_rarely() {
    let (_directory, books) = begun().await;
    let gap = Gap { start: 256, end: 512, attempts: 0, is_hashed: true };
    books.note_gap(LOG, gap, now()).await.expect("note");
    assert_eq!(books.due_gap(LOG, now()).await.expect("read"), None, "not at once");
    let mut at = now().plus(Span::from_seconds(60));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let due = books.due_gap(LOG, at).await.expect("read").expect("due");
        books.gap_asked(LOG, due, Asked::Refused, at).await.expect("note");
        let asked = at;
        while books.due_gap(LOG, at).await.expect("read").is_none() {
            at = at.plus(Span::from_seconds(30));
        }
        waits.push(at.since(asked).seconds());
    }
    assert_eq!((waits[0], waits[1], waits[11]), (60, 120, 21_600));
    assert_eq!(books.list_logs().await.expect("logs")[0].lost, 256);
    let due = books.due_gap(LOG, at).await.expect("read").expect("due");
    books.gap_asked(LOG, due, Asked::Filled, at).await.expect("note");
    assert_eq!(books.list_logs().await.expect("logs")[0].lost, 0);
}

#[tokio::test]
async fn books_of_an_older_format_are_brought_up_to_date() {
    let (directory, books) = begun().await;
    let path = directory.path().join("books.sqlite");
    books.note_gap(LOG, Gap { start: 256, end: 512, attempts: 0, is_hashed: false }, now()).await.expect("note");
    drop(books);
    let old = "ALTER TABLE gaps DROP COLUMN hashed; DROP TABLE opinions; DROP TABLE tld_history;
        DROP TABLE walks; DROP TABLE unlogged; DROP TABLE crls; DROP TABLE listed;
        ALTER TABLE case_findings DROP COLUMN ended_at; PRAGMA user_version = 2;";
    Connection::open(&path).and_then(|c| c.execute_batch(old)).expect("the second format");
    let told = Books::open_read_only(&path).map(|_| ()).expect_err("refused").to_string();
    assert!(told.contains("they have format 2: `ctwarden run`"), "{told}");
    let books = Books::open(&path).expect("open");
    let due = books.due_gap(LOG, now().plus(Span::from_days(1))).await.expect("read").expect("due");
    assert_eq!(due, Gap { start: 256, end: 512, attempts: 0, is_hashed: true });
    assert!(Books::open_read_only(&path).is_ok());
}

#[tokio::test]
async fn what_a_case_of_format_6_held_when_it_was_closed_has_ended() {
    let (directory, books) = begun().await;
    let path = directory.path().join("books.sqlite");
    books
        .commit_entries(entries(10, vec![hit(7, 1, EntryKind::Certificate), hit(8, 2, EntryKind::Certificate)]))
        .await
        .expect("door 1");
    for pending in books.due_hits(now(), 9).await.expect("due") {
        let examination = examination(&pending, &["name.internal"]);
        books.commit_examinations(vec![examination], people(), now()).await.expect("door 2");
    }
    drop(books);
    let old = "UPDATE cases SET state = 'closed' WHERE case_number = 1;
        ALTER TABLE case_findings DROP COLUMN ended_at; PRAGMA user_version = 6;";
    Connection::open(&path).and_then(|c| c.execute_batch(old)).expect("the sixth format");
    drop(Books::open(&path).expect("open"));
    let read = Connection::open(&path).expect("open");
    let ended: Vec<Option<i64>> =
        (read.prepare("SELECT ended_at FROM case_findings ORDER BY case_number").expect("sql"))
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .expect("rows");
    assert_eq!(ended, [Some(now().millis()), None]);
}

#[tokio::test]
async fn a_part_with_a_hole_is_taken_back_when_the_hole_is_filled_and_not_before() {
    let (_directory, books) = begun().await;
    let hole = Gap { start: 20, end: 24, attempts: 0, is_hashed: false };
    books.note_gap(LOG, hole, now()).await.expect("note");
    let has_hole = async || books.position(LOG).await.expect("read").expect("a position").has_hole;
    assert!(!has_hole().await, "it was not passed over yet");
    books.commit_entries(entries(30, vec![])).await.expect("door 1");
    assert!(has_hole().await);
    assert_eq!(books.list_logs().await.expect("logs")[0].unproven_from, Some(20));
    // One that is asked for in halves is filled by halves.
    books.gap_asked(LOG, hole, Asked::Halved, now()).await.expect("note");
    let at = now().plus(Span::from_days(1));
    for start in [20, 22] {
        assert!(has_hole().await && !books.rewind_filled(LOG).await.expect("rewind"));
        let half = books.due_gap(LOG, at).await.expect("read").expect("due");
        assert_eq!((half.start, half.end, half.attempts), (start, start + 2, 1));
        books.gap_asked(LOG, half, Asked::Filled, at).await.expect("note");
    }
    assert!(books.rewind_filled(LOG).await.expect("rewind"));
    assert_eq!(books.position(LOG).await.expect("read"), Some(Position::proven(range(0))));
    assert!(!books.rewind_filled(LOG).await.expect("rewind"), "once");
    // Lost again on the way, it is asked for again later than before.
    books.note_gap(LOG, hole, at).await.expect("note");
    books.commit_entries(entries(30, vec![])).await.expect("door 1");
    assert!(has_hole().await);
    assert_eq!(books.due_gap(LOG, at.plus(Span::from_seconds(239))).await.expect("read"), None);
    assert!(books.due_gap(LOG, at.plus(Span::from_seconds(240))).await.expect("read").is_some());
}

#[tokio::test]
async fn a_clock_that_is_put_back_by_a_day_makes_nothing_wait_a_day() {
    let (_directory, books) = begun().await;
    let day = Span::from_days(1);
    books.note_gap(LOG, Gap { start: 0, end: 4, attempts: 0, is_hashed: true }, now()).await.expect("note");
    books.commit_entries(entries(10, vec![hit(7, 1, EntryKind::Certificate)])).await.expect("door 1");
    let pending = books.due_hits(now(), 9).await.expect("due").remove(0);
    let again = now().plus(Span::from_seconds(30));
    let examination = Examination { examine_again_at: Some(again), ..examination(&pending, &["name.internal"]) };
    books.commit_examinations(vec![examination], people(), now()).await.expect("door 2");
    let message = books.due_messages(now(), 9).await.expect("due").remove(0);
    let deferred = Delivery::Deferred { until: now().plus(Span::from_seconds(3600)), error: "no".into() };
    books.commit_delivery(message.outbox_id, deferred, now()).await.expect("door 3");
    let due = async |at: Timestamp| {
        let gap = books.due_gap(LOG, at).await.expect("read").is_some();
        (gap, books.due_hits(at, 9).await.expect("due").len(), books.due_messages(at, 9).await.expect("due").len())
    };
    let later = now().minus(day).plus(Span::from_seconds(3600));
    assert_eq!(due(later).await, (false, 0, 0));
    assert_eq!(books.follow_clock(None, now().minus(Span::from_seconds(5))).await.expect("write"), None);
    assert_eq!(books.follow_clock(None, now().minus(day)).await.expect("write"), Some(day));
    assert_eq!(due(now().minus(day)).await, (false, 0, 1), "the pauses are as long as they were");
    assert_eq!(due(later).await, (true, 1, 2));
    assert_eq!(books.follow_clock(None, now().minus(day)).await.expect("write"), None, "once");
}
