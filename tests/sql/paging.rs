//! More revocations than a page holds, of a database that is written to, and lost, while the pages are read.

use std::sync::mpsc;

use super::*;
use crate::gate::{Gate, Pass};

const REVOKED: u64 = 1_050_000;

/// So many certificates of issuer 1, all of them revoked, and some that are revoked of another one, or not at all.
async fn fill(server: &Server) {
    let (numbers, hex) = match server.dialect {
        Dialect::Postgres => (format!("generate_series(1, {REVOKED}) AS s (seq)"), "to_hex(seq)"),
        Dialect::Mysql => (format!("seq_1_to_{REVOKED} AS s"), "LOWER(HEX(seq))"),
    };
    let (key, other) = ("1f".repeat(32), "2f".repeat(32));
    let (at, end) = (NOW.seconds() - 86_400, NOW.seconds() + 86_400);
    let revoked = "INSERT INTO revocations (cert_id, revoked_at, reason)";
    let certificates = "INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, not_after, state)";
    server
        .admin(&format!(
            "INSERT INTO issuers VALUES (1, 'A', '{key}', 'public'), (2, 'B', '{other}', 'public');
             {certificates} SELECT seq, 1, CONCAT('51', LPAD({hex}, 34, '0')), {at}, {end}, 'issued' FROM {numbers};
             {certificates} VALUES (2000001, 2, '0a', {at}, {end}, 'issued'), (2000002, 1, '0b', {at}, {end}, 'issued'),
                 (2000003, 1, '0c', {at}, {at}, 'issued'), (2000004, 1, '0d', {at}, NULL, 'issued');
             {revoked} SELECT seq, {at}, seq % 5 FROM {numbers};
             {revoked} VALUES (2000001, {at}, 0), (2000003, {at}, 0), (2000004, {at}, 0);"
        ))
        .await;
}

/// What was given: how many, the sum of the numbers in their serial numbers, and of their reasons.
#[derive(Debug, Default, PartialEq)]
struct Given {
    count: u64,
    numbers: u64,
    reasons: u64,
}

/// Counts the rows, and waits at the one in the midst until somebody has done something to the database.
struct Sink {
    given: Given,
    halted: mpsc::Sender<()>,
    resume: mpsc::Receiver<()>,
}

fn take(sink: &mut Sink, row: Revoked) {
    let octets = &row.serial.0;
    let number =
        octets[octets.len().saturating_sub(4)..].iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
    sink.given.count += 1;
    sink.given.numbers += number;
    sink.given.reasons += row.revocation.reason.unwrap_or(1000);
    if sink.given.count == 150_000 {
        sink.halted.send(()).expect("a listener");
        // A worker that merely waits here may be the one that looks after all connections.
        tokio::task::block_in_place(|| sink.resume.recv()).expect("a word");
    }
}

/// Reads all revocations of issuer 1; in the midst of the second page something is done.
async fn read(database: &IssuanceDb, meanwhile: impl Future<Output = ()>) -> Result<Given, String> {
    let ((halted, halts), (resumes, resume)) = (mpsc::channel(), mpsc::channel());
    let sink = Sink { given: Given::default(), halted, resume };
    let (database, issuer) = (database.clone(), KeyHash::from_hex(&"1f".repeat(32)).expect("a key hash"));
    let reading = tokio::spawn(async move { database.revocations(issuer, NOW, sink, take).await });
    tokio::task::spawn_blocking(move || halts.recv()).await.expect("no panic").expect("a second page");
    meanwhile.await;
    resumes.send(()).expect("a reader");
    reading.await.expect("no panic").map(|sink| sink.given).map_err(|silence| silence.to_string())
}

/// A page of the preset `ctwarden` begins in the midst of an index and ends where it is full.
async fn the_plan_of_a_page(server: &Server) {
    let texts = server.settings().texts;
    let tables = if server.dialect == Dialect::Mysql { "TABLE certificates, revocations" } else { "" };
    server.admin(&format!("ANALYZE {tables}")).await;
    let (revocations, certificates) = (&texts["revocations"], &texts["certificates"]);
    let statement = format!(
        "SELECT q.place, q.serial FROM (SELECT r.cert_id AS place, c.issuer_id, c.serial, c.not_after, r.revoked_at
         FROM (\n{revocations}\n) r JOIN (\n{certificates}\n) c ON c.cert_id = r.cert_id) q
         WHERE q.issuer_id IN (1) AND q.place > 500000 AND (q.not_after IS NULL OR q.not_after > {}) ORDER BY q.place
         LIMIT 100000",
        NOW.seconds()
    );
    let plan = server.explain(&statement).await;
    println!("{}:\n{plan}", server.dialect.word());
    let costly = ["Sort", "Seq Scan", "filesort", "temporary", "\tALL\t"];
    assert!(costly.iter().all(|word| !plan.contains(word)), "{plan}");
}

async fn a_million_revocations_are_one_moment_or_none(dialect: Dialect) {
    let Some(server) = Server::start("a_million_revocations", dialect, None).await else { return };
    fill(&server).await;
    let gate = Gate::open(server.port).await;
    let replica_time = Some(format!("SELECT {}", NOW.seconds()));
    let settings = Settings { port: gate.port, replica_time, ..server.settings() };
    let database = IssuanceDb::Sql(Sql::new(settings, Clock::System));
    let sums = |from: u64| (from..=REVOKED).fold((0, 0), |(all, reasons), n| (all + n, reasons + n % 5));
    let given = |from: u64| Given { count: REVOKED - from + 2, numbers: sums(from).0 + 0x0d, reasons: sums(from).1 };

    the_plan_of_a_page(&server).await;

    // Rows that were read, rows that were not and rows that come are changed: none of it is seen.
    let certificate = "INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, state) VALUES";
    let change = format!(
        "DELETE FROM revocations WHERE cert_id <= 10; DELETE FROM revocations WHERE cert_id = 1000000;
         UPDATE revocations SET reason = 900 WHERE cert_id BETWEEN 900000 AND 900100;
         UPDATE certificates SET issuer_id = 2 WHERE cert_id = 800000;
         {certificate} (3000000, 1, '0e', 1, 'issued'); INSERT INTO revocations (cert_id, reason) VALUES (3000000, 900)"
    );
    assert_eq!(read(&database, server.admin(&change)).await, Ok(given(1)));
    // An outage in the midst is no answer at all.
    let told = read(&database, async { gate.set(Pass::Refuse) }).await.expect_err("cut");
    assert!(told.starts_with("the issuance database does not answer: "), "{told}");
    gate.set(Pass::Through);

    // The next question sees all that was written, whatever became of the one before.
    let restore =
        "UPDATE certificates SET issuer_id = 1 WHERE cert_id = 800000; DELETE FROM revocations WHERE cert_id = 3000000;
         UPDATE revocations SET reason = cert_id % 5 WHERE cert_id BETWEEN 900000 AND 900100;
         INSERT INTO revocations (cert_id, revoked_at, reason) VALUES (1000000, 1, 0)";
    server.admin(restore).await;
    assert_eq!(read(&database, async {}).await, Ok(given(11)));

    // Pages need an order: places that are not the rows' own are refused.
    let IssuanceDb::Sql(sql) = &database else { panic!("a server") };
    let mut settings = sql.settings().clone();
    let text = "SELECT 5 AS place, c.issuer_id, c.serial FROM certificates c";
    settings.texts.insert("revoked", text.to_string());
    let wrong = IssuanceDb::Sql(Sql::new(settings, Clock::System));
    let issuer = KeyHash::from_hex(&"1f".repeat(32)).expect("a key hash");
    let told = wrong.revocations(issuer, NOW, (), |(), _| ()).await.expect_err("refused").to_string();
    assert!(told.contains("question revoked: place 5 comes twice or out of order"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_revocations_of_postgres_are_one_moment_or_none() {
    a_million_revocations_are_one_moment_or_none(Dialect::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_revocations_of_mariadb_are_one_moment_or_none() {
    a_million_revocations_are_one_moment_or_none(Dialect::Mysql).await;
}

/// The embedded record is imported into, and asked about certificates, while its revocations are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_of_the_embedded_record_are_one_moment() {
    const ROWS: u64 = 200_000;
    let issuer = serde_json::json!({"table": "issuers", "issuer_id": 1, "name": "A", "spki_sha256": "1f".repeat(32), "hierarchy": "public"});
    let (directory, database) = embedded(&[issuer]);
    let connect = || rusqlite::Connection::open(directory.path().join("issuance.sqlite")).expect("the record");
    let numbers = format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})");
    let fill = format!(
        "{numbers} INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, state)
           SELECT n, 1, printf('51%016x', n), 1, 'issued' FROM n;
         {numbers} INSERT INTO revocations (cert_id, reason) SELECT n, 0 FROM n;
         INSERT INTO feed VALUES ('certificates', 1), ('revocations', 1)"
    );
    connect().execute_batch(&fill).expect("rows");
    let meanwhile = async {
        let change = "DELETE FROM revocations WHERE cert_id > 199000; UPDATE revocations SET reason = 5";
        connect().execute_batch(change).expect("written");
        let found = database.find(&[query(&"1f".repeat(32), "510000000000000001", &[])]).await;
        assert!(matches!(&found[0], Lookup::Found(record) if record.revocation.is_some()), "{found:?}");
    };
    let all = Given { count: ROWS, numbers: ROWS * (ROWS + 1) / 2, reasons: 0 };
    assert_eq!(read(&database, meanwhile).await, Ok(all));
    let rest = Given { count: 199_000, numbers: 199_000 * 199_001 / 2, reasons: 5 * 199_000 };
    assert_eq!(read(&database, async {}).await, Ok(rest));
}
