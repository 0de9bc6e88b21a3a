//! `ctwarden issuance check` and `ddl`, and the types that a CA's own tables have, on real servers.

mod support;

#[path = "support/database.rs"]
mod database;

use ctwarden::clock::Clock;
use ctwarden::finding::{CaseKey, KeyHash, Serial};
use ctwarden::issuance::sql::{Dialect, MappedIssuer, SerialForm, Settings};
use ctwarden::issuance::{IssuanceDb, Query, Sql};
use ctwarden::record::{Basis, Lookup};
use database::{PASSWORD, Server};
use serde_json::Value;
use support::monitor::{Bench, printed, said};

const KEY: [u8; 32] = [0x1f; 32];

fn bench(server: &Server, more: &str) -> Bench {
    let issuers = format!(
        "[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n[issuance]\nsource = \"{}\"\npreset = \"ctwarden\"\n\
         host = \"127.0.0.1\"\nport = {}\ndatabase = \"ca\"\nuser = \"reader\"\npassword_file = \"password\"\n\
         tls = \"none-on-loopback\"\n{more}\n",
        "1f".repeat(32),
        server.dialect.word(),
        server.port,
    );
    let bench = Bench::with_list("{}", &issuers, "");
    bench.write("password", PASSWORD);
    bench
}

fn ten() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/issuance/ten.ndjson");
    let text = std::fs::read_to_string(path).expect("read");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn a_source_is_checked(dialect: Dialect) {
    let Some(mut server) = Server::start("a_source_is_checked", dialect, None).await else { return };
    server.fill(&ten()).await;
    let good = bench(
        &server,
        "[issuance.queries]\nlint_runs = \"none\"\nidentities = \"none\"\norders = \"SELECT order_id, applicant_id, channel, vtype, hierarchy, csr_spki_sha256, created_at FROM orders\"",
    );
    let checked = good.run(&["issuance", "check"]);
    let text = printed(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}{}", said(&checked));
    for part in [
        &format!("source: {} 127.0.0.1:{}/ca\n", dialect.word(), server.port),
        "certificates        10 rows, the newest of 2026-11-20T09:10:00Z",
        "lint_runs           not fed",
        "evaluable: db.unknown, db.key",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let number = match dialect {
        Dialect::Postgres => "cert_id int8",
        Dialect::Mysql => "cert_id longlong",
    };
    assert!(text.contains(number), "{text}");
    let json: Value =
        serde_json::from_str(&printed(&good.run(&["issuance", "check", "--format", "json"]))).expect("JSON");
    assert_eq!((&json["questions"][0]["rows"], &json["questions"][0]["rows_exact"]), (&1.into(), &true.into()));

    // What is wrong is told question by question, and one does not hide another.
    server.admin("UPDATE certificates SET serial = '0A:FF' WHERE cert_id = 2").await;
    server.admin("UPDATE dcv_confirmations SET adn = 'KULTURA.eus' WHERE dcv_id = 3").await;
    server.admin("UPDATE caa_checks SET checked_at = 1795338840000 WHERE caa_id = 2").await;
    server.admin("UPDATE issuers SET spki_sha256 = repeat('2f', 32)").await;
    let double = if dialect == Dialect::Postgres { "DOUBLE PRECISION" } else { "DOUBLE" };
    let bad = bench(
        &server,
        &"[issuance.queries]\naccounts = \"SELECT account_id, kind AS sort FROM accounts\"\napprovals = \"SELECT * FROM nowhere\"\n\
         controls = \"SELECT name, observed_at FROM controls\"\n\
         order_names = \"SELECT order_id, CAST(1 AS DOUBLE PRECISION) AS name FROM order_names\""
            .replace("DOUBLE PRECISION", double),
    );
    let checked = bad.run(&["issuance", "check"]);
    let text = printed(&checked);
    assert_eq!(checked.status.code(), Some(1), "{text}{}", said(&checked));
    for part in [
        "PROBLEM: there is no issuer with the key of Tests CA",
        "PROBLEM: column sort is no column of accounts, which has account_id, kind, name, country",
        "PROBLEM: column serial: \"0A:FF\" is asked for as \"0aff\" and would not be found (1 of 10 rows of a sample)",
        "PROBLEM: column adn: \"KULTURA.eus\" is asked for as \"kultura.eus\" and would not be found",
        "PROBLEM: column checked_at: 1795338840000 is outside 1970 to 9999: seconds are expected, not milliseconds",
        "PROBLEM: column enabled is missing",
        "PROBLEM: column name has the type",
        "nowhere",
        "not evaluable: ev.approvals       for want of approvals",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    server.kill();
    let checked = bad.run(&["issuance", "check"]);
    assert_eq!(checked.status.code(), Some(3));
    assert!(
        printed(&checked).contains("no answer:") && printed(&checked).contains("no connection"),
        "{}",
        printed(&checked)
    );
}

#[tokio::test]
async fn postgres_is_checked() {
    a_source_is_checked(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_is_checked() {
    a_source_is_checked(Dialect::Mysql).await;
}

#[test]
fn the_embedded_source_is_checked_and_the_tables_are_printed() {
    let issuers = format!("[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n", "1f".repeat(32));
    let bench = Bench::with_list("{}", &issuers, "");
    let empty = bench.run(&["issuance", "check"]);
    assert!(printed(&empty).contains("as of:  never fed") && printed(&empty).contains("no rule about the record"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/issuance/ten.ndjson");
    assert_eq!(bench.run(&["issuance", "import", path]).status.code(), Some(0));
    let checked = bench.run(&["issuance", "check"]);
    let text = printed(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}{}", said(&checked));
    assert!(text.contains("certificates        10 rows, the newest of 2026-11-20T09:10:00Z"), "{text}");
    assert!(text.contains("lint_runs           not fed") && text.contains("evaluable: db.unknown"), "{text}");
    for (dialect, part) in [("postgres", "CREATE TABLE orders"), ("mysql", "ENGINE = InnoDB")] {
        let ddl = bench.run(&["issuance", "ddl", "--dialect", dialect]);
        assert!(printed(&ddl).contains(part), "{}", printed(&ddl));
    }
}

/// Tables as CAs have them: numbers for names, moments with time zones, hashes as octets, decimal serial numbers.
async fn other_types_are_read(dialect: Dialect) {
    let Some(server) = Server::start("other_types_are_read", dialect, None).await else { return };
    let (tables, texts) = match dialect {
        Dialect::Postgres => (
            "CREATE TABLE certs (id numeric(20,0) PRIMARY KEY, ca smallint, sn numeric(50,0), ord uuid, spki bytea,
                 signed timestamptz, ends date, final boolean);
             CREATE TABLE ords (id uuid PRIMARY KEY, who integer, how varchar(10), made timestamptz);
             CREATE TABLE people (id integer PRIMARY KEY, acct char(4));
             CREATE TABLE names (ord uuid, name varchar(253));
             CREATE TABLE dcv (id bigint PRIMARY KEY, who integer, domain varchar(253), done timestamptz);
             CREATE TABLE sans (cert numeric(20,0), name text, dcv numeric(12,2));
             INSERT INTO certs VALUES (5, 7, 39679, '7d444840-9dc0-11d1-b245-5ffdce74fad2', decode(repeat('aa', 32), 'hex'),
                 '2026-11-20 10:10:00.5+01', '2027-02-18', true);
             INSERT INTO certs VALUES (6, 7, 12, '7d444840-9dc0-11d1-b245-5ffdce74fad2', NULL, 'infinity', NULL, true);
             INSERT INTO ords VALUES ('7d444840-9dc0-11d1-b245-5ffdce74fad2', 3, 'web', '2026-11-20 09:00:00+00');
             INSERT INTO people VALUES (3, 'ac'); INSERT INTO names VALUES ('7d444840-9dc0-11d1-b245-5ffdce74fad2', 'A.eus');
             INSERT INTO dcv VALUES (4, 3, 'a.eus', '2026-11-01 00:00:00+00'); INSERT INTO sans VALUES (5, 'a.eus', 4.00);
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
            [
                "SELECT id AS cert_id, ca AS issuer_id, sn AS serial, ord AS order_id, spki AS spki_sha256, signed AS signed_at,
                 ends AS not_after, CASE WHEN final THEN 'issued' ELSE 'precert_only' END AS state FROM certs -- all",
                "SELECT id AS order_id, who AS applicant_id, how AS channel, 'DV'::text AS vtype, 'public'::text AS hierarchy, made AS created_at FROM ords",
            ],
        ),
        Dialect::Mysql => (
            "CREATE TABLE certs (id DECIMAL(20,0) PRIMARY KEY, ca SMALLINT, sn DECIMAL(50,0), ord CHAR(36), spki BINARY(32),
                 signed TIMESTAMP NULL, ends DATE, final BOOLEAN);
             CREATE TABLE ords (id CHAR(36) PRIMARY KEY, who INTEGER, how VARCHAR(10), made TIMESTAMP NULL);
             CREATE TABLE people (id INTEGER UNSIGNED PRIMARY KEY, acct CHAR(4) CHARACTER SET latin1);
             CREATE TABLE names (ord CHAR(36), name VARCHAR(253));
             CREATE TABLE dcv (id BIGINT PRIMARY KEY, who INTEGER, domain VARCHAR(253), done TIMESTAMP NULL);
             CREATE TABLE sans (cert DECIMAL(20,0), name TEXT, dcv DECIMAL(12,2));
             SET time_zone = '+00:00'; SET sql_mode = '';
             INSERT INTO certs VALUES (5, 7, 39679, '7d444840-9dc0-11d1-b245-5ffdce74fad2', unhex(repeat('aa', 32)),
                 '2026-11-20 09:10:00', '2027-02-18', true);
             INSERT INTO certs VALUES (6, 7, 12, '7d444840-9dc0-11d1-b245-5ffdce74fad2', NULL, '0000-00-00 00:00:00', NULL, true);
             INSERT INTO ords VALUES ('7d444840-9dc0-11d1-b245-5ffdce74fad2', 3, 'web', '2026-11-20 09:00:00');
             INSERT INTO people VALUES (3, 'ac'); INSERT INTO names VALUES ('7d444840-9dc0-11d1-b245-5ffdce74fad2', 'A.eus');
             INSERT INTO dcv VALUES (4, 3, 'a.eus', '2026-11-01 00:00:00'); INSERT INTO sans VALUES (5, 'a.eus', 4.00)",
            [
                "SELECT id AS cert_id, ca AS issuer_id, sn AS serial, ord AS order_id, spki AS spki_sha256, signed AS signed_at,
                 ends AS not_after, CASE WHEN final THEN 'issued' ELSE 'precert_only' END AS state FROM certs -- all",
                "SELECT id AS order_id, who AS applicant_id, how AS channel, 'DV' AS vtype, 'public' AS hierarchy, made AS created_at FROM ords",
            ],
        ),
    };
    server.admin(tables).await;
    let texts = [
        ("certificates", texts[0]),
        ("orders", texts[1]),
        ("applicants", "SELECT id AS applicant_id, acct AS account_id FROM people"),
        ("accounts", "SELECT acct AS account_id, 'direct' AS kind, NULL AS name FROM people"),
        ("order_names", "SELECT ord AS order_id, name FROM names"),
        (
            "dcv_confirmations",
            "SELECT id AS dcv_id, who AS applicant_id, domain AS adn, 'dns-01' AS method, done AS completed_at, 'system' AS performed_by FROM dcv",
        ),
        ("san_authorisations", "SELECT cert AS cert_id, name, dcv AS dcv_id FROM sans"),
    ];
    let issuer =
        MappedIssuer { issuer_id: 7, key_hash: KeyHash(KEY), name: "Tests CA".into(), hierarchy: "public".into() };
    let settings = Settings {
        texts: texts.into_iter().map(|(table, text)| (table, text.to_string())).collect(),
        serials: SerialForm::Decimal,
        issuers: vec![issuer],
        ..server.settings()
    };
    let source = IssuanceDb::Sql(Sql::new(settings.clone(), Clock::System));
    let query = |serial: &[u8]| Query {
        key: CaseKey { issuer_key_hash: KeyHash(KEY), serial: Serial(serial.to_vec()) },
        names: vec!["a.eus".to_string()],
    };
    let answers = source.find(&[query(&[0x9a, 0xff]), query(&[12])]).await;
    let Lookup::Found(record) = &answers[0] else { panic!("{:?}", answers[0]) };
    let order = record.order.as_ref().expect("an order");
    assert_eq!(record.signed_at.to_string(), "2026-11-20T09:10:00Z");
    assert_eq!(record.spki_sha256, Some("aa".repeat(32)));
    assert_eq!((order.order_id.as_str(), order.applicant_id.as_str()), ("7d444840-9dc0-11d1-b245-5ffdce74fad2", "3"));
    assert_eq!((order.account.account_id.as_str(), order.names.clone()), ("ac", Some(vec!["a.eus".to_string()])));
    let rows = record.authorisations.as_ref().expect("rows");
    assert!(matches!(&rows[0].basis, Basis::Confirmation(confirmation) if confirmation.dcv_id == 4), "{rows:?}");
    assert_eq!(record.other_confirmations.len(), 1);
    assert!(record.approvals.is_none() && !record.keeps_caa_checks);
    // A time without end or beginning spoils its own certificate alone.
    let Lookup::Unavailable { reason } = &answers[1] else { panic!("{:?}", answers[1]) };
    assert!(reason.contains("row 6: column signed_at"), "{reason}");
    // A moment without a time zone is nobody's guess.
    let (column, remedy) = match dialect {
        Dialect::Postgres => ("signed::timestamp", "AT TIME ZONE 'UTC'"),
        Dialect::Mysql => ("CAST(signed AS DATETIME)", "UNIX_TIMESTAMP"),
    };
    let mut guess = settings;
    let text = guess.texts["certificates"].replace("signed AS", &format!("{column} AS"));
    guess.texts.insert("certificates", text);
    let Lookup::Unavailable { reason } =
        &IssuanceDb::Sql(Sql::new(guess, Clock::System)).find(&[query(&[12])]).await[0]
    else {
        panic!("a moment without a time zone")
    };
    assert!(reason.contains("column signed_at has the type") && reason.contains(remedy), "{reason}");
}

#[tokio::test]
async fn postgres_types_are_read() {
    other_types_are_read(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_types_are_read() {
    other_types_are_read(Dialect::Mysql).await;
}

/// A real standby that applies nothing of the last hour knows by itself how old its newest write is.
#[tokio::test]
async fn a_standby_of_postgres_says_how_far_it_is_behind() {
    let Some(server) = Server::start("a_standby_of_postgres", Dialect::Postgres, None).await else { return };
    server.fill(&ten()).await;
    let standby = server.standby("1h").await;
    server.admin("UPDATE orders SET profile = 'changed after the copy'").await;
    let source = Sql::new(Settings { port: standby.port, ..server.settings() }, Clock::System);
    let first = source.as_of().await.expect("an answer");
    let key = CaseKey { issuer_key_hash: KeyHash(KEY), serial: Serial(vec![0x01, 0xa1]) };
    let found = IssuanceDb::Sql(source.clone()).find(&[Query { key, names: Vec::new() }]).await;
    assert!(matches!(&found[0], Lookup::Found(record) if record.as_of == first), "{found:?}");
    // The clock goes on and the standby does not.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(source.as_of().await.expect("an answer"), first);
}
