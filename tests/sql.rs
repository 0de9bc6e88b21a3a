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
