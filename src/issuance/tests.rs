mod files;
mod people_and_linters;

use proptest::prelude::*;

use super::*;
use crate::clock::{Timestamp, date};
use crate::finding::{KeyHash, Serial};
use crate::record::{Basis, DcvReuse, IssuanceRecord, Perspectives, ReuseStep};

const NOW: Timestamp = date(2026, 11, 22);

fn database() -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Embedded::open(directory.path()).expect("a new database");
    (directory, database)
}

/// One order of one applicant with one certificate, serial 0a, for www.a.eus.
fn base() -> String {
    let key = KeyHash([1; 32]);
    format!(
        r#"{{"table":"issuers","issuer_id":1,"name":"CA","spki_sha256":"{key}","hierarchy":"public"}}
{{"table":"accounts","account_id":77,"kind":"direct","name":"Barakaldo"}}
{{"table":"applicants","applicant_id":"p","account_id":"77"}}
{{"table":"orders","order_id":"8812","applicant_id":"p","channel":"manual","vtype":"OV","hierarchy":"public","created_at":"2026-11-20T08:00:00Z"}}
{{"table":"order_names","order_id":"8812","name":"WWW.a.eus"}}
{{"table":"certificates","cert_id":1,"issuer_id":1,"serial":"00:0A","order_id":"8812","signed_at":"2026-11-21","state":"issued"}}
"#
    )
}

fn query(serial: u8, names: &[&str]) -> Query {
    let key = CaseKey { issuer_key_hash: KeyHash([1; 32]), serial: Serial(vec![serial]) };
    Query { key, names: names.iter().map(|name| name.to_string()).collect() }
}

fn record(database: &Embedded) -> IssuanceRecord {
    match database.find(&[query(10, &["www.a.eus"])]).expect("an answer").remove(0) {
        Lookup::Found(record) => *record,
        other => panic!("expected a record, got {other:?}"),
    }
}

fn reuse_of(database: &Embedded) -> DcvReuse {
    match record(database).authorisations.expect("rows").remove(0).basis {
        Basis::Reuse(reuse) => reuse,
        other => panic!("expected a reuse, got {other:?}"),
    }
}

fn refused(result: Result<ImportSummary, IssuanceError>) -> Vec<String> {
    match result {
        Err(IssuanceError::Refused { errors, .. }) => errors.iter().map(LineError::to_string).collect(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn confirmation(id: i64, method: &str, more: &str) -> String {
    format!(
        r#"{{"table":"dcv_confirmations","dcv_id":{id},"applicant_id":"p","adn":"a.eus","method":"{method}","completed_at":"2026-11-0{id}","performed_by":"system"{more}}}"#
    ) + "\n"
}

fn reuse_row(id: i64, more: &str) -> String {
    format!(r#"{{"table":"dcv_reuse","reuse_id":{id},"rule":"sticky","decided_at":"2026-11-1{id}"{more}}}"#) + "\n"
}

fn san(more: &str) -> String {
    format!(r#"{{"table":"san_authorisations","cert_id":1,"name":"www.a.eus"{more}}}"#) + "\n"
}

#[test]
fn a_record_is_found_by_issuer_key_and_serial_however_they_were_written() {
    let (_directory, database) = database();
    let unknown = database.find(&[query(10, &[])]).expect("an answer");
    assert_eq!(unknown, [Lookup::NoSource]);
    let text = base()
        + &confirmation(4, "3.2.2.4.7", "")
        + r#"{"table":"caa_checks","caa_id":1,"name":"www.a.eus","checked_at":"2026-11-21","result":"permit","ttl":300,"resolver":"own","performed_by":"system"}"#
        + "\n"
        + &san(r#","dcv_id":4,"caa_id":1"#)
        + r#"{"table":"approvals","order_id":"8812","step":"issue","person":"op5","decided_at":"2026-11-20"}"#;
    database.import_ndjson(&text, NOW).expect("imported");
    let found = record(&database);
    let order = found.order.expect("an order");
    assert_eq!(
        (order.order_id.as_str(), order.account.account_id.as_str(), order.channel.as_str()),
        ("8812", "77", "manual")
    );
    assert_eq!(order.names, Some(vec!["www.a.eus".to_string()]));
    assert_eq!((found.as_of, found.signed_at), (NOW, date(2026, 11, 21)));
    assert_eq!(found.approvals.expect("fed")[0].person, "op5");
    let row = &found.authorisations.expect("rows")[0];
    assert!(matches!(&row.basis, Basis::Confirmation(c) if c.dcv_id == 4 && c.adn == "a.eus"));
    assert_eq!(row.caa.as_ref().and_then(|caa| caa.ttl).map(|ttl| ttl.seconds()), Some(300));
    assert_eq!(found.other_confirmations.len(), 1);
    let answers = database.find(&[query(11, &[]), query(10, &[])]).expect("answers");
    assert!(matches!(answers[..], [Lookup::Unknown { as_of: NOW }, Lookup::Found(_)]));
}

#[test]
fn tables_that_were_never_fed_are_absent_and_fed_ones_are_empty() {
    let (directory, database) = database();
    let bare: String =
        base().lines().filter(|line| !line.contains("order_names")).map(|line| format!("{line}\n")).collect();
    database.import_ndjson(&bare, NOW).expect("imported");
    let found = record(&database);
    assert_eq!((found.order.and_then(|order| order.names), found.authorisations), (None, None));
    for (table, header) in [("san_authorisations", "cert_id,name\n"), ("order_names", "order_id,name\n")] {
        let path = directory.path().join(format!("{table}.csv"));
        std::fs::write(&path, header).expect("written");
        assert_eq!(database.import_file(&path, None, NOW).expect("imported").rows, 0);
    }
    let found = record(&database);
    assert_eq!(found.order.and_then(|order| order.names), Some(vec![]));
    assert_eq!(found.authorisations, Some(vec![]));
}

#[test]
fn other_confirmations_are_the_applicants_own_on_label_boundaries_before_signing() {
    let (_directory, database) = database();
    let row = |id: i64, applicant: &str, adn: &str, day: &str| {
        format!(
            r#"{{"table":"dcv_confirmations","dcv_id":{id},"applicant_id":"{applicant}","adn":"{adn}","method":"3.2.2.4.7","completed_at":"{day}","performed_by":"system"}}"#
        ) + "\n"
    };
    let mut text = base() + r#"{"table":"applicants","applicant_id":"pepsi","account_id":"77"}"# + "\n";
    let rows = [
        (1, "p", "a.eus", "2026-11-20"),
        (2, "p", "WWW.A.EUS", "2026-11-20"),
        (3, "p", "us", "2026-11-20"),
        (4, "pepsi", "a.eus", "2026-11-20"),
        (5, "p", "x.www.a.eus", "2026-11-20"),
        (6, "p", "a.eus", "2026-11-22"),
    ];
    rows.iter().for_each(|(id, applicant, adn, day)| text.push_str(&row(*id, applicant, adn, day)));
    database.import_ndjson(&text, NOW).expect("imported");
    let mut ids: Vec<i64> = record(&database).other_confirmations.iter().map(|c| c.dcv_id).collect();
    ids.sort();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn the_same_import_twice_changes_nothing_and_says_so() {
    let (_directory, database) = database();
    let text = base() + &confirmation(4, "3.2.2.4.7", "") + &reuse_row(1, r#","dcv_id":4"#) + &san(r#","reuse_id":1"#);
    let first = database.import_ndjson(&text, NOW).expect("imported");
    assert_eq!((first.rows, first.inserted, first.updated, first.unchanged), (9, 9, 0, 0));
    assert_eq!(first.tables[0].table, "issuers");
    let before = record(&database);
    let second = database.import_ndjson(&text, NOW).expect("imported");
    assert_eq!((second.rows, second.inserted, second.updated, second.unchanged), (9, 0, 0, 9));
    assert_eq!(record(&database), before);
    let changed = text.replace("\"manual\"", "\"web\"") + text.lines().next().expect("a line");
    let third = database.import_ndjson(&changed, NOW).expect("imported");
    assert_eq!((third.rows, third.inserted, third.updated, third.unchanged), (10, 0, 1, 9));
}

#[test]
fn everything_wrong_is_told_by_line_and_nothing_is_imported() {
    let (_directory, database) = database();
    let bad = r#"{"table":"orders","order_id":"9","applicant_id":"q","channel":"web","vtype":"DV","hierarchy":"secret","created_at":"soon"}
not json

{"table":"nosuch"}
{"order_id":"9"}
{"table":"accounts","account_id":"a","kind":"direct","colour":"red"}
{"table":"order_names","order_id":"9","name":"a.eus"}
{"table":"order_names","order_id":"10","name":"a.eus"}
{"table":"accounts","account_id":"77","kind":"cdn"}
{"table":"issuers","issuer_id":2,"name":"CA","spki_sha256":"SAME","hierarchy":"public"}
{"table":"san_authorisations","cert_id":1,"name":"a.eus","dcv_id":1,"reuse_id":1}
[1]
"#
    .replace("SAME", &KeyHash([1; 32]).to_string());
    let errors = refused(database.import_ndjson(&(base() + &bad), NOW));
    let expected = [
        "line 7: column applicant_id: there is no q in applicants",
        "line 7: column created_at: \"soon\" is neither",
        "line 7: column hierarchy: \"secret\" is none of public, internal",
        "line 8: not a JSON object",
        "line 10: column table: is none of issuers",
        "line 11: column table: is missing",
        "line 12: column colour: is no column of accounts",
        "line 14: column order_id: there is no 10 in orders",
        "line 15: column account_id: the same row of accounts stands differently in line 2",
        "line 16: column spki_sha256: another row of issuers has it in line 1",
        "line 17: column dcv_id: there is no 1 in dcv_confirmations",
        "line 17: column reuse_id: a name rests on a confirmation or on a reuse",
        "line 17: column reuse_id: there is no 1 in dcv_reuse",
        "line 18: not a JSON object",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(expected) {
        assert!(error.starts_with(start), "{error} should start with {start}");
    }
    let answer = database.find(&[query(10, &[])]).expect("an answer");
    assert_eq!(answer, [Lookup::NoSource]);
}

#[test]
fn a_hundred_complaints_are_enough_and_values_of_other_rows_are_refused() {
    let (_directory, database) = database();
    let error = database.import_ndjson(&"x\n".repeat(500), NOW).expect_err("refused");
    assert!(error.to_string().starts_with("100 lines refused, nothing was imported; first: line 1:"), "{error}");
    assert!(matches!(error, IssuanceError::Refused { more: true, errors } if errors.len() == 100));
    database.import_ndjson(&base(), NOW).expect("imported");
    let twin = base().lines().last().expect("a line").replace("\"cert_id\":1", "\"cert_id\":2");
    assert_eq!(refused(database.import_ndjson(&twin, NOW)), ["line 1: column serial: belongs to cert_id 1 already"]);
}

#[test]
fn a_reuse_of_a_reuse_keeps_its_chain_and_finds_its_root_in_any_order() {
    let (_directory, database) = database();
    let rows = [reuse_row(3, r#","reused_reuse_id":2"#), reuse_row(2, r#","reused_reuse_id":1"#)];
    let text = base() + &san(r#","reuse_id":3"#) + &rows.concat();
    database.import_ndjson(&text, NOW).expect("imported");
    let reuse = reuse_of(&database);
    assert_eq!(reuse.root, None);
    let step = |text: &str, at| ReuseStep { stated_id: text.into(), stated_at: at };
    assert_eq!(reuse.chain, [step("reuse 2", Some(date(2026, 11, 12))), step("reuse 1", None)]);
    let late = confirmation(4, "3.2.2.4.7", "") + &reuse_row(1, r#","dcv_id":4"#);
    database.import_ndjson(&late, NOW).expect("imported");
    let reuse = reuse_of(&database);
    assert_eq!(reuse.root.as_ref().map(|root| root.dcv_id), Some(4));
    let stated: Vec<&str> = reuse.chain.iter().map(|step| step.stated_id.as_str()).collect();
    assert_eq!(stated, ["reuse 2", "reuse 1", "confirmation 4"]);
    assert_eq!(database.import_ndjson(&(text + &late), NOW).map(|s| (s.inserted, s.updated)).ok(), Some((0, 0)));
}

#[test]
fn circles_and_endless_chains_end() {
    let (_directory, database) = database();
    let circle = [reuse_row(1, r#","reused_reuse_id":2"#), reuse_row(2, r#","reused_reuse_id":1"#)].concat();
    database.import_ndjson(&(base() + &circle + &san(r#","reuse_id":1"#)), NOW).expect("imported");
    let reuse = reuse_of(&database);
    assert_eq!((reuse.root, reuse.chain.len()), (None, 2));
    assert_eq!(reuse.chain[1].stated_id, "reuse 1 again: the chain is a circle");
    let row = |id: i64| {
        format!(r#"{{"table":"dcv_reuse","reuse_id":{id},"reused_reuse_id":{},"rule":"r","decided_at":1}}"#, id + 1)
    };
    let endless: Vec<String> = (1..200).map(row).collect();
    database.import_ndjson(&endless.join("\n"), NOW).expect("imported");
    let reuse = reuse_of(&database);
    assert_eq!((reuse.root, reuse.chain.len()), (None, 64));
    assert!(reuse.chain[63].stated_id.contains("too long"));
}

#[test]
fn a_confirmation_that_means_reuse_is_filed_as_one() {
    let (_directory, database) = database();
    let text = base()
        + &san(r#","dcv_id":5"#)
        + &confirmation(5, "reused", r#","reused_dcv_id":4"#)
        + &confirmation(4, "dns-01", "");
    let summary = database.import_ndjson(&text, NOW).expect("imported");
    assert_eq!(summary.reclassified, 1);
    let reuse = reuse_of(&database);
    assert_eq!((reuse.label(), reuse.rule.as_str()), ("confirmation 5".to_string(), "reused"));
    assert_eq!(reuse.root.map(|root| root.dcv_id), Some(4));
    assert_eq!(record(&database).other_confirmations.len(), 1, "a reuse is no evidence");
    let direct = san(r#","reuse_id":1"#) + &reuse_row(1, r#","dcv_id":5"#);
    database.import_ndjson(&direct, NOW).expect("imported");
    let stated: Vec<String> = reuse_of(&database).chain.into_iter().map(|step| step.stated_id).collect();
    assert_eq!(stated, ["confirmation 5", "confirmation 4"]);
    let both = confirmation(6, "reused", "") + &confirmation(6, "dns-01", "");
    let errors = refused(database.import_ndjson(&both, NOW));
    assert_eq!(
        errors,
        ["line 2: column method: confirmation 6 is called a reuse in one line and a validation in another"]
    );
}

#[test]
fn a_number_that_changes_between_validation_and_reuse_takes_its_rows_along() {
    let (_directory, database) = database();
    let good = confirmation(4, "3.2.2.4.7", "");
    let text = base() + &good + &san(r#","dcv_id":4"#) + &reuse_row(1, r#","dcv_id":4"#);
    database.import_ndjson(&text, NOW).expect("imported");
    assert!(matches!(record(&database).authorisations.expect("rows")[0].basis, Basis::Confirmation(_)));
    database.import_ndjson(&confirmation(4, "cached", ""), NOW).expect("imported");
    assert_eq!((reuse_of(&database).reuse_id, reuse_of(&database).root), (-4, None));
    database.import_ndjson(&good, NOW).expect("imported");
    assert!(matches!(record(&database).authorisations.expect("rows")[0].basis, Basis::Confirmation(_)));
    assert_eq!(database.import_ndjson(&text, NOW).map(|s| (s.inserted, s.updated)).ok(), Some((0, 0)));
}

#[test]
fn csv_is_read_by_header_and_refused_by_line() {
    let (directory, database) = database();
    let import = |name: &str, table: Option<&str>, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        database.import_file(&path, table, NOW)
    };
    let rows = "\u{feff}kind,account_id,name\r\nDirect,77,\"Bara, kaldo\"\r\ncdn,78,\r\n";
    assert_eq!(import("accounts.csv", None, rows.as_bytes()).map(|s| s.inserted).ok(), Some(2));
    assert_eq!(import("export.csv", Some("accounts"), rows.as_bytes()).map(|s| s.unchanged).ok(), Some(2));
    let unknown = import("export.csv", None, rows.as_bytes()).expect_err("no such table").to_string();
    assert!(unknown.contains("no table \"export\": give --table with one of issuers, accounts"), "{unknown}");
    let cases: [(&[u8], &str); 6] = [
        (b"kind,account_id\ndirect\n", "line 2: has 1 fields, the header has 2"),
        (b"kind,account_id\ndirect,1\nbad,\n", "line 3: column account_id: is missing"),
        (b"kind,colour,kind\n", "line 1: column account_id: is missing in the header"),
        (b"", "line 1: there is no header"),
        (b"kind,account_id\ndirect,\xff\n", "line 2: column account_id: not UTF-8 is not text"),
        (b"kind,account_id,name\ndirect,1,\"a\nb\"\n", "line 2: column name: \"a\\x0ab\" holds a control character"),
    ];
    for (text, first) in cases {
        assert_eq!(refused(import("accounts.csv", None, text))[0], first);
    }
    let mut open_quote = b"kind,account_id\ndirect,\"".to_vec();
    open_quote.resize(3 << 20, b'a');
    let errors = refused(import("accounts.csv", None, &open_quote));
    assert_eq!(errors, ["line 2: longer than 1048576 bytes (a quote that is not closed?)"]);
}

#[test]
fn long_lines_are_refused_without_losing_count() {
    let (directory, database) = database();
    let mut text = vec![b'a'; 3 << 20];
    text.extend(b"\nx");
    let path = directory.path().join("rows.ndjson");
    std::fs::write(&path, text).expect("written");
    let errors = refused(database.import_file(&path, None, NOW));
    assert_eq!(errors[0], "line 1: longer than 1048576 bytes");
    assert!(errors[1].starts_with("line 2: not a JSON object"), "{errors:?}");
    let missing = database.import_file(&directory.path().join("none.ndjson"), None, NOW).expect_err("no file");
    assert!(missing.to_string().contains("none.ndjson"), "{missing}");
}

#[test]
fn a_table_may_be_named_for_rows_that_name_none() {
    let (directory, database) = database();
    let path = directory.path().join("rows.jsonl");
    std::fs::write(&path, "{\"account_id\":\"1\",\"kind\":\"cdn\"}\n{\"table\":\"orders\"}\n").expect("written");
    let errors = refused(database.import_file(&path, Some("accounts"), NOW));
    assert_eq!(errors, ["line 2: column table: is none of accounts"]);
}

#[test]
fn files_that_cannot_be_used_say_which_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(FILE_NAME);
    let refusal = || Embedded::open(directory.path()).expect_err("refused").to_string();
    std::fs::write(&path, vec![b'x'; 8192]).expect("written");
    assert!(refusal().contains("issuance.sqlite is damaged") && refusal().contains("import again"), "{}", refusal());
    std::fs::remove_file(&path).expect("removed");
    Connection::open(&path).and_then(|c| c.execute_batch("CREATE TABLE t (a)")).expect("made");
    assert!(refusal().contains("not an issuance database"), "{}", refusal());
    std::fs::remove_file(&path).expect("removed");
    drop(Embedded::open(directory.path()).expect("made anew"));
    Connection::open(&path).and_then(|c| c.execute_batch("PRAGMA user_version = 9")).expect("changed");
    assert!(refusal().contains("has schema 9, this program knows 4"), "{}", refusal());
    let blocked = Embedded::open(&path).expect_err("a file is no directory");
    assert!(matches!(blocked, IssuanceError::File { .. }), "{blocked:?}");
}

#[test]
fn a_file_of_version_1_is_extended_in_place() {
    let (directory, database) = database();
    database
        .import_ndjson(&(base() + &confirmation(4, "3.2.2.4.7", "") + &san(r#","dcv_id":4"#)), NOW)
        .expect("imported");
    let before = record(&database);
    drop(database);
    let path = directory.path().join(FILE_NAME);
    let older = "ALTER TABLE dcv_confirmations DROP COLUMN token_issued_at;
        ALTER TABLE dcv_confirmations DROP COLUMN remote_rirs; ALTER TABLE dcv_confirmations DROP COLUMN dnssec;
        ALTER TABLE caa_checks DROP COLUMN remote_rirs; ALTER TABLE dcv_confirmations DROP COLUMN location;
        ALTER TABLE dcv_confirmations DROP COLUMN recorded_at; ALTER TABLE orders DROP COLUMN identity_id;
        ALTER TABLE controls DROP COLUMN value; ALTER TABLE controls DROP COLUMN entries;
        DROP TABLE identities; DROP TABLE lint_runs; DROP TABLE counts; DROP TABLE batches; DROP TABLE followed;
        DROP TABLE waiting; DROP TABLE refused; DROP TABLE account_caa_checks; PRAGMA user_version = 1;";
    Connection::open(&path).and_then(|c| c.execute_batch(older)).expect("made older");
    let database = Embedded::open(directory.path()).expect("extended");
    assert_eq!(record(&database), before);
    let more = r#","token_issued_at":"2026-11-03","remote_ok":4,"remote_total":5,"remote_rirs":2,"dnssec":"secure""#;
    database.import_ndjson(&confirmation(4, "3.2.2.4.7", more), NOW).expect("imported");
    let Basis::Confirmation(found) = record(&database).authorisations.expect("rows").remove(0).basis else {
        panic!("a confirmation was expected")
    };
    let remote = Perspectives { corroborating: 4, total: 5, regions: Some(2) };
    assert_eq!((found.token_issued_at, found.remote), (Some(date(2026, 11, 3)), Some(remote)));
    assert_eq!((found.dnssec.as_deref(), found.account_id.as_deref()), (Some("secure"), Some("77")));
    drop(Embedded::open(directory.path()).expect("opens again"));
}

#[test]
fn the_settings_that_durability_rests_on_hold() {
    let (_directory, database) = database();
    let connection = schema::connect(database.path()).expect("connected");
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(
        (number("PRAGMA synchronous"), number("PRAGMA foreign_keys"), number("PRAGMA busy_timeout")),
        (2, 1, 10_000)
    );
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("a mode");
    assert_eq!(mode, "wal");
    // A chain of reuses and a double link are refused by the constraints, whoever writes.
    database.import_ndjson(&(base() + &confirmation(4, "dns-01", "") + &reuse_row(1, "")), NOW).expect("imported");
    for sql in ["UPDATE dcv_reuse SET dcv_id = 99", "INSERT INTO san_authorisations VALUES (1, 'x', 4, 1, NULL)"] {
        connection.execute_batch(sql).expect_err("refused");
    }
}

#[test]
fn a_file_damaged_inside_is_found_at_opening() {
    let (directory, database) = database();
    let rows: Vec<String> = (0..2_000)
        .map(|id| format!(r#"{{"table":"accounts","account_id":"account-{id}","kind":"direct","name":"{id}"}}"#))
        .collect();
    database.import_ndjson(&rows.join("\n"), NOW).expect("imported");
    let path = database.path().to_path_buf();
    drop(database);
    let mut bytes = std::fs::read(&path).expect("read");
    let (start, end) = (bytes.len() - 40_960, bytes.len());
    bytes[start..end].fill(0xa5);
    std::fs::write(&path, bytes).expect("written");
    let error = Embedded::open(directory.path()).expect_err("damaged");
    assert!(matches!(error, IssuanceError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn an_outage_is_an_answer_for_every_query_and_ends_by_itself() {
    let (directory, database) = database();
    database.import_ndjson(&base(), NOW).expect("imported");
    let queries = [query(10, &[]), query(11, &[])];
    assert_eq!(IssuanceDb::None.find(&queries).await, [Lookup::NoSource, Lookup::NoSource]);
    let source = IssuanceDb::Embedded(database.clone());
    assert!(source.find(&[]).await.is_empty());
    assert!(matches!(source.find(&queries).await[..], [Lookup::Found(_), Lookup::Unknown { .. }]));
    *database.reader.lock().expect("no panic") = None;
    let (path, aside) = (database.path().to_path_buf(), directory.path().join("aside"));
    std::fs::rename(&path, &aside).expect("moved");
    for answer in source.find(&queries).await {
        assert!(matches!(answer, Lookup::Unavailable { reason } if reason.contains("issuance.sqlite")));
    }
    std::fs::rename(&aside, &path).expect("moved back");
    assert!(matches!(source.clone().find(&queries).await[0], Lookup::Found(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_input_makes_the_import_panic(lines in proptest::collection::vec("\\PC{0,60}|\\{\"table\":\"[a-z_]{3,12}\",\"[a-z_]{2,9}\":.{1,9}\\}", 0..8)) {
        let (directory, database) = database();
        let text = lines.join("\n");
        let refused = database.import_ndjson(&text, NOW);
        prop_assert!(matches!(refused, Ok(_) | Err(IssuanceError::Refused { .. })), "{:?}", refused);
        let path = directory.path().join("accounts.csv");
        std::fs::write(&path, format!("account_id,kind\n{text}")).expect("written");
        let refused = database.import_file(&path, None, NOW);
        prop_assert!(matches!(refused, Ok(_) | Err(IssuanceError::Refused { .. })), "{:?}", refused);
    }

    #[test]
    fn sound_rows_with_any_values_are_all_in_or_all_refused(
        ids in proptest::collection::vec((0_i64..4, 0_i64..4, "(3.2.2.4.7|reuse)", 0_i64..4), 0..10),
    ) {
        let (_directory, database) = database();
        let rows: String = ids.iter().map(|(dcv, reuse, method, origin)| {
            let origin = if *origin == 0 { String::new() } else { format!(r#","reused_reuse_id":{origin}"#) };
            confirmation(dcv + 1, method, "") + &reuse_row(reuse + 1, &origin)
        }).collect();
        match database.import_ndjson(&(base() + &rows), NOW) {
            Ok(summary) => {
                prop_assert_eq!(summary.rows, summary.inserted + summary.updated + summary.unchanged);
                let again = database.import_ndjson(&(base() + &rows), NOW).expect("the same again");
                prop_assert_eq!((again.inserted, again.updated), (0, 0));
            }
            Err(IssuanceError::Refused { .. }) => {
                prop_assert_eq!(database.find(&[query(10, &[])]).expect("an answer").remove(0), Lookup::NoSource);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
