//! The CA's own database as the source of its record, on real servers of PostgreSQL and MariaDB that each test starts.

use std::path::{Path, PathBuf};

use ctwarden::clock::{Clock, Timestamp, date};
use ctwarden::finding::{CaseKey, KeyHash, Serial};
use ctwarden::issuance::sql::{Dialect, Settings};
use ctwarden::issuance::{Embedded, IssuanceDb, Query, Sql, feed_tables};
use ctwarden::record::Lookup;
use serde_json::Value;

#[path = "support/database.rs"]
mod database;

use database::Server;

const NOW: Timestamp = date(2026, 11, 22);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/issuance")
}

fn query(issuer: &str, serial: &str, names: &[&str]) -> Query {
    let key = CaseKey {
        issuer_key_hash: KeyHash::from_hex(issuer).expect("a key hash"),
        serial: Serial::from_hex(serial).expect("a serial"),
    };
    Query { key, names: names.iter().map(ToString::to_string).collect() }
}

/// The same rows in the embedded database.
fn embedded(rows: &[Value]) -> (tempfile::TempDir, IssuanceDb) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Embedded::open(directory.path()).expect("a new database");
    let text: Vec<String> = rows.iter().map(Value::to_string).collect();
    database.import_ndjson(&text.join("\n"), NOW).expect("imported");
    (directory, IssuanceDb::Embedded(database))
}

/// A source as fresh as the import of the other one, with the tables that the other one was fed.
fn source(settings: Settings, like: &IssuanceDb) -> IssuanceDb {
    let texts = settings.texts.into_iter().filter(|(table, _)| like.feeds(table).expect("an answer")).collect();
    let replica_time = Some(format!("SELECT {}", NOW.seconds()));
    IssuanceDb::Sql(Sql::new(Settings { texts, replica_time, ..settings }, Clock::System))
}

fn load(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("read")).expect("JSON")
}

async fn every_fixture_is_answered_alike(dialect: Dialect) {
    let Some(server) = Server::start("every_fixture_is_answered_alike", dialect, None).await else { return };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(fixtures()).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut found = 0;
    for file in &files {
        let fixture = load(file);
        let rows = fixture["rows"].as_array().expect("rows");
        let names: Vec<&str> = fixture["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        let (issuer, serial) =
            (fixture["issuer_key_hash"].as_str().expect("hash"), fixture["serial"].as_str().expect("serial"));
        let queries = [query(issuer, serial, &names), query(issuer, "7f7f7f", &names)];
        let (_directory, other) = embedded(rows);
        server.fill(rows).await;
        let answers = source(server.settings(), &other).find(&queries).await;
        assert_eq!(answers, other.find(&queries).await, "{}", file.display());
        found += usize::from(matches!(answers[0], Lookup::Found(_)));
    }
    assert!(found > 100, "only {found} of {} certificates were found", files.len());
    let ten: Vec<Value> = std::fs::read_to_string(fixtures().join("ten.ndjson"))
        .expect("read")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (_directory, other) = embedded(&ten);
    server.fill(&ten).await;
    let source = source(server.settings(), &other);
    let issuer = "1f".repeat(32);
    let serials = ["01a1", "02a2", "03a3", "04a4", "05a5", "06a6", "07a7", "08a8", "09a9", "0aaa", "0bab"];
    let queries: Vec<Query> =
        serials.iter().map(|serial| query(&issuer, serial, &["www.barakaldo.eus", "kirola.eus"])).collect();
    assert_eq!(source.find(&queries).await, other.find(&queries).await);
    // The whole tables are the same as well.
    for table in feed_tables().filter(|table| !table.starts_with("dcv_") && *table != "san_authorisations") {
        assert_eq!(stream(&source, table).await, stream(&other, table).await, "{table}");
    }
}

async fn stream(source: &IssuanceDb, table: &str) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    let mut take = |row: ctwarden::issuance::FeedRow| {
        rows.push(row.values);
        Ok(())
    };
    let count = source.stream(table, &mut take).await.expect("a stream");
    assert_eq!(count, rows.len() as u64);
    rows.sort_by_key(|row| serde_json::to_string(row).expect("JSON"));
    rows
}

#[tokio::test]
async fn postgres_answers_every_fixture_as_the_embedded_database_does() {
    every_fixture_is_answered_alike(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_answers_every_fixture_as_the_embedded_database_does() {
    every_fixture_is_answered_alike(Dialect::Mysql).await;
}

/// Certificates of several hours, some revoked; controls that were off; counts.
fn walked_rows() -> Vec<Value> {
    let at = |hours: i64| Value::from(NOW.seconds() - hours * 3600);
    let mut rows = vec![
        serde_json::json!({"table": "issuers", "issuer_id": 1, "name": "A", "spki_sha256": "1f".repeat(32), "hierarchy": "public"}),
        serde_json::json!({"table": "issuers", "issuer_id": 2, "name": "B", "spki_sha256": "2f".repeat(32), "hierarchy": "internal"}),
    ];
    for number in 1..40_i64 {
        rows.push(serde_json::json!({
            "table": "certificates", "cert_id": number, "issuer_id": 1 + number % 2, "serial": format!("{:04x}", 0xff00 + number),
            "signed_at": at(number * number / 4), "not_after": at(-24 * (number - 3)),
            "state": if number % 5 == 0 { "precert_only" } else { "issued" },
        }));
        if number % 3 == 0 {
            let (aware, reason) = (at(number), number % 5);
            let revoked = if number % 2 == 0 { at(number - 1) } else { Value::Null };
            rows.push(serde_json::json!({
                "table": "revocations", "cert_id": number, "aware_at": aware, "revoked_at": revoked, "reason": reason,
            }));
        }
    }
    for hour in 1..30_i64 {
        for (name, enabled) in [("tld-check", hour > 9), ("caa-check", true)] {
            rows.push(serde_json::json!({
                "table": "controls", "name": name, "observed_at": at(hour), "enabled": enabled, "version": "7.1",
                "entries": 100 + hour,
            }));
        }
        rows.push(serde_json::json!({
            "table": "counts", "source": "audit_log", "issuer_id": 1 + hour % 2, "hour": at(hour), "certificates": hour,
        }));
    }
    rows
}

async fn every_walk_goes_alike(dialect: Dialect) {
    let Some(server) = Server::start("every_walk_goes_alike", dialect, None).await else { return };
    let rows = walked_rows();
    let (_directory, other) = embedded(&rows);
    server.fill(&rows).await;
    let source = source(server.settings(), &other);
    let hours = |hours: i64| Timestamp::from_seconds(NOW.seconds() - hours * 3600);
    for (from, to) in [(hours(9000), NOW), (hours(300), hours(20)), (hours(20), hours(20))] {
        let (mut walks, mut lengths) = (Vec::new(), Vec::new());
        for (database, limit) in [(&source, 1), (&other, 7)] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let rows = database.signed_between(from, to, after, limit).await.expect("an answer");
                let Some(last) = rows.last() else { break };
                after = Some((last.signed_at, last.cert_id));
                all.extend(rows);
            }
            lengths.push(all.len());
            walks.push(all);
        }
        assert_eq!(walks[0], walks[1], "{lengths:?}");
    }
    let issuer = KeyHash::from_hex(&"1f".repeat(32)).expect("a key hash");
    let revoked = other.revocations(issuer, NOW).await.expect("an answer");
    assert!(revoked.len() > 3, "{revoked:?}");
    let sorted = |mut standings: Vec<ctwarden::record::Standing>| {
        standings.sort_by_key(|standing| standing.cert_id);
        standings
    };
    assert_eq!(sorted(source.revocations(issuer, NOW).await.expect("an answer")), sorted(revoked));
    let keys: Vec<CaseKey> = (1..50_u64)
        .map(|number| CaseKey {
            issuer_key_hash: issuer,
            serial: Serial::from_hex(&format!("{:04x}", 0xff00 + number)).expect("a serial"),
        })
        .collect();
    let standings = other.standings(keys.clone()).await.expect("an answer");
    assert!(standings.iter().flatten().any(|standing| standing.revocation.is_none()), "{standings:?}");
    assert_eq!(source.standings(keys).await.expect("an answer"), standings);
    for after in [vec![], vec![("caa-check".to_string(), hours(5))]] {
        let histories = other.controls(after.clone()).await.expect("an answer");
        assert_eq!(histories[1].off_since, Some(hours(9)));
        assert_eq!(source.controls(after).await.expect("an answer"), histories);
    }
    let counts = other.counts(hours(25), hours(3)).await.expect("an answer");
    assert_eq!((source.counts(hours(25), hours(3)).await.expect("an answer"), counts.len()), (counts.clone(), 22));
    assert_eq!(source.complete_until(NOW).await, Ok(NOW));
}

#[tokio::test]
async fn postgres_is_walked_as_the_embedded_database_is() {
    every_walk_goes_alike(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_is_walked_as_the_embedded_database_is() {
    every_walk_goes_alike(Dialect::Mysql).await;
}
