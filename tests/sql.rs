//! The CA's own database as the source of its record, on real servers of PostgreSQL and MariaDB that each test starts.

use std::path::{Path, PathBuf};

use ctwarden::clock::{Clock, Timestamp, date};
use ctwarden::finding::{CaseKey, KeyHash, Serial};
use ctwarden::issuance::sql::{Dialect, Settings};
use ctwarden::issuance::{Embedded, IssuanceDb, Query, Sql, feed_tables};
use ctwarden::record::{Lookup, Revoked};
use serde_json::Value;

#[path = "support/database.rs"]
mod database;

#[allow(dead_code)]
#[path = "support/gate.rs"]
mod gate;

#[path = "sql/controls.rs"]
mod controls;

#[path = "sql/paging.rs"]
mod paging;

#[path = "sql/silence.rs"]
mod silence;

#[path = "sql/walks.rs"]
mod walks;

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
    let mut take = |row: Result<Vec<Value>, String>| {
        rows.push(row?);
        Ok(())
    };
    let mut snapshot = source.snapshot().await.expect("a snapshot");
    let about = snapshot.about(table).await;
    let count = snapshot.stream(table, &mut take).await.expect("a stream");
    assert_eq!(about.is_some(), source.feeds(table).expect("an answer"), "{table}: {about:?}");
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

/// Certificates of every kind of evidence, from a fixed seed: `(rows, serials with their names)`.
fn random_rows(count: i64) -> (Vec<Value>, Vec<(String, String)>) {
    use serde_json::json;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut rows = vec![
        json!({"table": "issuers", "issuer_id": 1, "name": "CA", "spki_sha256": "1f".repeat(32), "hierarchy": "public"}),
    ];
    for account in 0..5 {
        rows.push(
            json!({"table": "accounts", "account_id": format!("a{account}"), "kind": "reseller", "country": "ES"}),
        );
    }
    for applicant in 0..20 {
        rows.push(json!({"table": "applicants", "applicant_id": format!("p{applicant}"), "account_id": format!("a{}", applicant % 5)}));
    }
    let signed = NOW.seconds() - 86_400;
    for dcv in 1..=count {
        let reused = random(10) == 0 && dcv > 5;
        let method = if reused { "reused" } else { "3.2.2.4.7" };
        let mut row = json!({"table": "dcv_confirmations", "dcv_id": dcv, "applicant_id": format!("p{}", random(20)),
            "adn": format!("d{}.eus", random(40)), "method": method, "completed_at": signed - random(40_000_000) as i64,
            "performed_by": "system", "remote_ok": random(5), "remote_total": 5});
        if reused {
            row["reused_dcv_id"] = json!(dcv - 1 - random(4) as i64);
        }
        rows.push(row);
    }
    for reuse in 1..=count {
        let mut row = json!({"table": "dcv_reuse", "reuse_id": reuse, "rule": "sticky", "decided_at": signed - 100});
        match random(3) {
            0 if reuse > 1 => row["reused_reuse_id"] = json!(reuse - 1),
            1 => {}
            _ => row["dcv_id"] = json!(1 + random(count as u64)),
        }
        rows.push(row);
    }
    let mut certificates = Vec::new();
    for id in 1..=count {
        let (serial, name) = (format!("{:08x}", 0x1000_0000 + id), format!("www.d{}.eus", random(40)));
        rows.push(json!({"table": "orders", "order_id": format!("o{id}"), "applicant_id": format!("p{}", random(20)), "channel": "api",
            "vtype": "DV", "hierarchy": "public", "created_at": signed - 500}));
        rows.push(json!({"table": "order_names", "order_id": format!("o{id}"), "name": name}));
        rows.push(json!({"table": "caa_checks", "caa_id": id, "name": name, "checked_at": signed - 60, "result": "none", "resolver": "own",
            "performed_by": "system"}));
        rows.push(json!({"table": "certificates", "cert_id": id, "issuer_id": 1, "serial": serial, "order_id": format!("o{id}"),
            "signed_at": signed + id, "state": "issued"}));
        let mut san = json!({"table": "san_authorisations", "cert_id": id, "name": name, "caa_id": id});
        match random(3) {
            0 => san["dcv_id"] = json!(1 + random(count as u64)),
            1 => san["reuse_id"] = json!(1 + random(count as u64)),
            _ => {}
        }
        rows.push(san);
        rows.push(json!({"table": "approvals", "order_id": format!("o{id}"), "step": "issue", "person": "x", "decided_at": signed}));
        certificates.push((serial, name));
    }
    (rows, certificates)
}

async fn a_large_batch_is_answered_alike(dialect: Dialect) {
    let Some(server) = Server::start("a_large_batch_is_answered_alike", dialect, None).await else { return };
    let (rows, certificates) = random_rows(700);
    let (_directory, other) = embedded(&rows);
    server.fill(&rows).await;
    let issuer = "1f".repeat(32);
    let queries: Vec<Query> = certificates.iter().map(|(serial, name)| query(&issuer, serial, &[name])).collect();
    let source = source(server.settings(), &other);
    let (left, right) = (source.find(&queries).await, other.find(&queries).await);
    for ((left, right), query) in left.iter().zip(&right).zip(&queries) {
        assert_eq!(left, right, "{}", query.key.serial);
    }
    assert!(left.iter().all(|answer| matches!(answer, Lookup::Found(_))));
    // One row of one order that nobody can read spoils the certificate of that order and no other.
    server.admin("UPDATE orders SET created_at = 1795338840000 WHERE order_id = 'o7'").await;
    let left = source.find(&queries).await;
    let spoilt: Vec<usize> = (0..left.len()).filter(|at| left[*at] != right[*at]).collect();
    assert_eq!(spoilt, [6]);
    let Lookup::Unavailable { reason } = &left[6] else { panic!("{:?}", left[6]) };
    assert!(
        reason.starts_with("question orders: row o7: column created_at: 1795338840000 is outside 1970 to 9999"),
        "{reason}"
    );
    // A row that is named and is not there: nothing is known of that certificate.
    server
        .admin("UPDATE orders SET created_at = 1 WHERE order_id = 'o7'; DELETE FROM orders WHERE order_id = 'o9'")
        .await;
    let Lookup::Unavailable { reason } = &source.find(&queries).await[8] else { panic!("an order that is not there") };
    assert!(reason.contains("contradicts itself: orders has no row with order_id o9"), "{reason}");
    many_rows_are_found_by_index(&server).await;
}

/// The wrapped texts use the indexes of the DDL on tables of 100,000 rows.
async fn many_rows_are_found_by_index(server: &Server) {
    let numbers = match server.dialect {
        Dialect::Postgres => "generate_series(1, 100000) AS t(n)",
        Dialect::Mysql => "(SELECT seq AS n FROM seq_1_to_100000) t",
    };
    let hex = match server.dialect {
        Dialect::Postgres => "lpad(to_hex(536870912 + n), 8, '0')",
        Dialect::Mysql => "lower(hex(536870912 + n))",
    };
    server
        .admin(&format!(
            "INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, state)
                 SELECT 1000000 + n, 1, {hex}, 1700000000 + n, 'issued' FROM {numbers};
             INSERT INTO dcv_confirmations (dcv_id, applicant_id, adn, method, completed_at, performed_by)
                 SELECT 1000000 + n, 'p1', {hex}, 'dns-01', 1700000000 + n, 'system' FROM {numbers};
             ANALYZE{} certificates; ANALYZE{} dcv_confirmations",
            if server.dialect == Dialect::Mysql { " TABLE" } else { "" },
            if server.dialect == Dialect::Mysql { " TABLE" } else { "" },
        ))
        .await;
    let texts = server.settings().texts;
    let (certificates, confirmations) = (&texts["certificates"], &texts["dcv_confirmations"]);
    let list = |count: u32| (1..=count).map(|n| format!("'{:08x}'", 0x2000_0000 + n)).collect::<Vec<_>>().join(", ");
    let in_list = |column: &str, count| match server.dialect {
        Dialect::Postgres => format!("{column} = ANY (ARRAY[{}]::text[]::text[])", list(count)),
        Dialect::Mysql => format!("{column} IN ({})", list(count)),
    };
    let statements = [
        format!("SELECT * FROM (\n{certificates}\n) q WHERE q.issuer_id = 1 AND {}", in_list("q.serial", 250)),
        format!("SELECT * FROM (\n{certificates}\n) q WHERE q.signed_at >= 1700000100 AND q.signed_at < 1700000200"),
        format!(
            "SELECT * FROM (SELECT q.*, row_number() OVER (PARTITION BY q.adn ORDER BY q.completed_at DESC) AS place_of_row
             FROM (\n{confirmations}\n) q WHERE q.applicant_id = 'p1' AND {} AND q.completed_at <= 1800000000) q
             WHERE q.place_of_row <= 64",
            in_list("q.adn", 100)
        ),
    ];
    for statement in statements {
        let plan = server.explain(&statement).await;
        println!("{}: {}\n{plan}", server.dialect.word(), &statement[..60]);
        let scanned = match server.dialect {
            Dialect::Postgres => plan.contains("Seq Scan"),
            // Every row of a table that is read as a whole, of certificates or confirmations.
            Dialect::Mysql => plan.lines().any(|line| line.contains("\tALL\t") && !line.contains("<derived")),
        };
        assert!(!scanned, "{statement:.200}\n{plan}");
    }
}

#[tokio::test]
async fn postgres_answers_a_large_batch_as_the_embedded_database_does() {
    a_large_batch_is_answered_alike(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_answers_a_large_batch_as_the_embedded_database_does() {
    a_large_batch_is_answered_alike(Dialect::Mysql).await;
}

/// A CA for the server and the certificate of a host.
fn certificate(host: &str) -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let leaf =
        CertificateParams::new(vec![host.to_string()]).expect("a name").signed_by(&key, &ca).expect("a certificate");
    (ca.pem(), leaf.pem(), key.serialize_pem())
}

async fn tls_is_verified_and_nothing_is_written(dialect: Dialect) {
    use ctwarden::issuance::sql::Tls;
    let (ca, leaf, key) = certificate("localhost");
    let (other, ..) = certificate("localhost");
    let Some(server) = Server::start("tls_is_verified", dialect, Some((&leaf, &key))).await else { return };
    let ten: Vec<Value> = std::fs::read_to_string(fixtures().join("ten.ndjson"))
        .expect("read")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    server.fill(&ten).await;
    let queries = [query(&"1f".repeat(32), "01a1", &["www.barakaldo.eus"])];
    let ask = |settings: Settings| {
        let queries = queries.clone();
        async move { IssuanceDb::Sql(Sql::new(settings, Clock::System)).find(&queries).await.remove(0) }
    };
    let reason = |answer: Lookup| match answer {
        Lookup::Unavailable { reason } => reason,
        other => panic!("{other:?}"),
    };
    let over = |host: &str, ca: Option<&str>| Settings {
        host: host.to_string(),
        tls: Tls::Verify(ca.map(|pem| pem.as_bytes().to_vec())),
        ..server.settings()
    };
    assert!(matches!(ask(over("localhost", Some(&ca))).await, Lookup::Found(_)));
    for (settings, what) in [
        (over("localhost", Some(&other)), "another CA"),
        (over("localhost", None), "no public CA"),
        (over("127.0.0.1", Some(&ca)), "another host"),
    ] {
        let told = reason(ask(settings).await);
        assert!(told.contains("no connection") && told.contains("ertificate"), "{what}: {told}");
    }
    // A server without TLS is not talked to in the clear.
    let wrong = Settings { password: Some("wrong".into()), ..server.settings() };
    let told = reason(ask(wrong).await);
    assert!(told.contains("no connection") && !told.contains("wrong"), "{told}");
    let nowhere = Settings { port: database::free_port(), ..server.settings() };
    assert!(reason(ask(nowhere).await).contains("no connection"));

    // What a text may try is refused or does nothing. The owner may write; the session may not.
    let writes = |text: &str| {
        let mut settings = Settings {
            user: "owner".into(),
            statement_timeout: std::time::Duration::from_secs(3),
            ..server.settings()
        };
        settings.texts.insert("certificates", text.to_string());
        settings
    };
    let columns = "1 AS cert_id, 1 AS issuer_id, '01a1' AS serial, 1 AS signed_at, 'issued' AS state";
    let mut texts = vec![
        "SELECT 1) q; DELETE FROM orders; SELECT * FROM (SELECT 1".to_string(),
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone".to_string(),
        "INSERT INTO accounts (account_id, kind) VALUES ('new', 'direct') RETURNING account_id".to_string(),
        "DELETE FROM orders RETURNING order_id".to_string(),
    ];
    match dialect {
        Dialect::Postgres => {
            server.admin("CREATE FUNCTION tamper() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM approvals; RETURN 1; END'").await;
            texts.push(format!("SELECT {columns} FROM (SELECT tamper() AS x) t WHERE x = 1"));
            texts.push(format!("SELECT {columns} FROM (SELECT pg_sleep(60) AS x) t WHERE x IS NOT NULL"));
        }
        Dialect::Mysql => {
            server
                .admin(
                    "CREATE FUNCTION tamper() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM approvals; RETURN 1; END",
                )
                .await;
            texts.push(format!("SELECT {columns} FROM (SELECT tamper() AS x) t WHERE x = 1"));
            texts.push(format!("SELECT {columns} FROM (SELECT sleep(60) AS x) t WHERE x = 0"));
        }
    }
    for text in texts {
        let told = reason(ask(writes(&text)).await);
        println!("{} {text}: {told}", dialect.word());
    }
    let other = embedded(&ten);
    let now = source(server.settings(), &other.1);
    for table in ["orders", "accounts", "approvals", "certificates"] {
        assert_eq!(stream(&now, table).await, stream(&other.1, table).await, "{table} was written to");
    }
    // The reader may not write either, whatever the session says.
    let refused = server.as_reader("DELETE FROM orders").await.expect_err("refused");
    assert!(refused.to_lowercase().contains("denied"), "{refused}");
}

#[tokio::test]
async fn postgres_is_verified_and_never_written_to() {
    tls_is_verified_and_nothing_is_written(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_is_verified_and_never_written_to() {
    tls_is_verified_and_nothing_is_written(Dialect::Mysql).await;
}
