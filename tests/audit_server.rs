//! The audit of a database server, PostgreSQL and MariaDB: it finds what the audit of an export finds, by a user who may
//! only read, and goes on where it was when it was killed or the server went down.

mod support;

#[path = "support/audit_terms.rs"]
mod audit_terms;
#[path = "support/corpus/mod.rs"]
mod corpus;
#[path = "support/database.rs"]
mod database;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use audit_terms::policy;
use corpus::{Form, NOW, Planted, Shape};
use ctwarden::audit::{self, FindingsFormat, Found, Job, Question, Report, Share, Source, Stage};
use ctwarden::clock::{Clock, Stopwatch, Timestamp};
use ctwarden::evidence::Policy;
use ctwarden::issuance::sql::Dialect;
use ctwarden::issuance::{Embedded, Exported, IssuanceDb, IssuanceError, Sql, export, exported, feed_tables};
use ctwarden::lint::SuffixList;
use database::{PASSWORD, Server};
use serde_json::{Value, json};
use support::disk::SmallDisk;
use support::gate::{Gate, Pass};
use support::monitor::{Bench, printed, said};

const SHAPE: Shape = Shape { seed: 21, certificates: 900, defects_per_mille: 150, large: 20, one_domain: false };
const OUTPUT: [&str; 4] = ["findings.csv", "groups.csv", "summary.md", "incident.csv"];

fn job<'a>(question: &'a Question, policy: &'a Policy, out: &'a Path) -> Job<'a> {
    Job {
        question,
        policy,
        suffixes: &SuffixList::Embedded,
        out,
        share: Share::ALL,
        memory: 1 << 30,
        threads: 2,
        with_caa: true,
        progress: &|_, _, _| {},
    }
}

/// Audits in this process.
fn judged(source: Source, unexpired_at: Timestamp, out: &Path) -> Report {
    let question = Question { unexpired_at, since: None, rules: vec![] };
    let terms = policy();
    let job = job(&question, &terms, out);
    audit::judge(&source, &job, false).expect("judged");
    audit::finish(out, FindingsFormat::Csv, None).expect("finished")
}

fn found(out: &Path) -> Planted {
    let mut csv = csv::Reader::from_path(out.join("findings.csv")).expect("findings.csv");
    let rows = csv.deserialize().map(|row| row.expect("a finding"));
    rows.map(|found: Found| (found.cert_id, found.name, found.rule)).collect()
}

fn same_output(left: &Path, right: &Path) {
    for file in OUTPUT {
        let read = |out: &Path| std::fs::read_to_string(out.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(read(left), read(right), "{file}");
    }
}

/// The rows of a directory of NDJSON.
fn rows(directory: &Path) -> Vec<Value> {
    let mut rows = Vec::new();
    for table in feed_tables() {
        let text = std::fs::read_to_string(directory.join(format!("{table}.ndjson"))).unwrap_or_default();
        for line in text.lines() {
            let mut row: Value = serde_json::from_str(line).expect("JSON");
            row["table"] = Value::from(table);
            rows.push(row);
        }
    }
    rows
}

fn tables() -> Vec<&'static str> {
    feed_tables().collect()
}

fn changed(path: PathBuf) -> SystemTime {
    std::fs::metadata(&path).and_then(|meta| meta.modified()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

async fn it_is_judged_as_its_export(dialect: Dialect) {
    let Some(server) = Server::start("it_is_judged_as_its_export", dialect, None).await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let planted = SHAPE.write(&at("in"), Form::Ndjson);
    let rows = rows(&at("in"));
    server.fill(&rows).await;
    for sql in ["DELETE FROM orders", "CREATE TABLE mine (n INTEGER)"] {
        assert!(server.as_reader(sql).await.is_err(), "the reader may only read: {sql}");
    }
    let source = IssuanceDb::Sql(Sql::new(server.settings(), Clock::System));
    let copy = |out: &'static str, resume| {
        let (source, out) = (&source, at(out));
        async move { export(source, &out, &tables(), resume, &|_, _| {}).await }
    };
    let exported: Exported = copy("copy", false).await.expect("exported");
    let of = |table: &str| rows.iter().filter(|row| row["table"] == table).count() as u64;
    assert!(exported.whole && exported.tables.len() == tables().len(), "{exported:?}");
    assert!(exported.tables.iter().all(|table| table.rows == of(&table.table)), "{exported:?}");
    let now = Timestamp::from_seconds(NOW);
    let report = judged(Source::Directory(at("copy")), now, &at("out"));
    assert_eq!(found(&at("out")), planted, "{}", dialect.word());
    assert!(report.findings > 100 && report.certificates == 920, "{report:?}");
    judged(Source::Directory(at("in")), now, &at("out-in"));
    same_output(&at("out"), &at("out-in"));

    // What was signed a moment ago may not have all its rows yet: that is said, and no finding.
    let signed = Clock::System.now().seconds() - 60;
    server
        .admin(&format!(
            "INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, state) VALUES (999999, 1, '7f7f7f', {signed}, 'issued');
             INSERT INTO san_authorisations (cert_id, name) VALUES (999999, 'not.yet.eus')"
        ))
        .await;
    let again = copy("copy", false).await.expect_err("it is there");
    assert!(again.to_string().contains("holds an export already: go on with --resume"), "{again}");
    copy("young", false).await.expect("exported");
    let report = judged(Source::Directory(at("young")), now, &at("out-young"));
    assert_eq!((found(&at("out-young")), report.certificates), (planted, 920));
    let young: Vec<_> = report.not_evaluable.iter().filter(|(why, _)| why.starts_with("certificates: ")).collect();
    assert!(matches!(young[..], [(why, 1)] if why.contains("signed too shortly before the rows were copied")));

    // The longest time of a statement is for questions, and does not cut a table that takes longer.
    let sleep = if dialect == Dialect::Postgres { "pg_sleep(2)" } else { "(SELECT SLEEP(2)) nap" };
    let mut hasty = server.settings();
    hasty.statement_timeout = Duration::from_secs(1);
    let mut slow = hasty.clone();
    slow.texts.insert("accounts", format!("SELECT account_id, kind FROM accounts, {sleep}"));
    let slow = IssuanceDb::Sql(Sql::new(slow, Clock::System));
    let exported = export(&slow, &at("slow"), &["accounts"], false, &|_, _| {}).await.expect("exported");
    assert_eq!(exported.tables[0].rows, of("accounts"));
    if dialect == Dialect::Postgres {
        // As a standby says that what the snapshot shows is in the way of its replication.
        let raise = "BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END";
        server.admin(&format!("CREATE FUNCTION clash() RETURNS int LANGUAGE plpgsql AS $$ {raise} $$")).await;
        let mut standby = server.settings();
        standby.texts.insert("accounts", "SELECT account_id, kind FROM accounts, clash()".to_string());
        let standby = IssuanceDb::Sql(Sql::new(standby, Clock::System));
        let error = export(&standby, &at("standby"), &["accounts"], false, &|_, _| {}).await.expect_err("refused");
        assert!(error.to_string().contains("conflict with recovery (set hot_standby_feedback = on"), "{error}");
    }
    // For a table that somebody has locked it waits no longer than that.
    let hasty = IssuanceDb::Sql(Sql::new(hasty, Clock::System));
    let lock = server.lock(&["certificates"]).await;
    let error = export(&hasty, &at("locked"), &tables(), false, &|_, _| {}).await.expect_err("locked").to_string();
    assert!(error.contains("question certificates: ") && error.to_lowercase().contains("lock"), "{error}");
    drop(lock);
    export(&hasty, &at("locked"), &tables(), true, &|_, _| {}).await.expect("exported");

    // Rows that cannot be used are told, all of a table, and the table is not taken without them.
    let [one, two, ..] = rows.iter().filter_map(|row| row["caa_id"].as_i64()).take(2).collect::<Vec<_>>()[..] else {
        panic!("two checks")
    };
    let late = |at: i64| format!("UPDATE caa_checks SET checked_at = {at} WHERE caa_id IN ({one}, {two})");
    server.admin(&late(1_795_338_840_000)).await;
    let IssuanceError::Unsound { table: "caa_checks", rows, count: 2 } = copy("bad", false).await.expect_err("refused")
    else {
        panic!("rows that cannot be used")
    };
    let reasons: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    let reason = "column checked_at: 1795338840000 is outside 1970 to 9999: seconds are expected, not milliseconds";
    assert_eq!(reasons, BTreeSet::from([&*format!("row {one}: {reason}"), &*format!("row {two}: {reason}")]));
    let judge = || judge_only(&at("bad"), &at("out-bad"));
    assert!(judge().contains("holds an export that is not whole"), "{}", judge());
    server.admin(&late(NOW - 1)).await;
    let before = changed(at("bad").join("certificates.parquet"));
    let exported = copy("bad", true).await.expect("exported");
    assert!(exported.whole && before == changed(at("bad").join("certificates.parquet")), "{exported:?}");
    let whole = changed(at("bad").join("issuers.parquet"));
    copy("bad", true).await.expect("nothing is left to do");
    assert_eq!(whole, changed(at("bad").join("issuers.parquet")));
}

/// Why a directory cannot be audited.
fn judge_only(from: &Path, out: &Path) -> String {
    let question = Question { unexpired_at: Timestamp::EPOCH, since: None, rules: vec![] };
    let terms = policy();
    let job = job(&question, &terms, out);
    audit::judge(&Source::Directory(from.to_path_buf()), &job, false).expect_err("refused").to_string()
}

#[tokio::test]
async fn postgres_is_judged_as_its_export() {
    it_is_judged_as_its_export(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_is_judged_as_its_export() {
    it_is_judged_as_its_export(Dialect::Mysql).await;
}

/// The program with a server behind a gate.
struct Scene {
    server: Server,
    gate: Gate,
    bench: Bench,
}

impl Scene {
    async fn new(server: Server) -> Scene {
        let gate = Gate::open(server.port).await;
        let issuers = format!(
            "[[issuer]]\nname = \"Example CA G1\"\nissuer_key_hash = \"{}\"\n[issuance]\nsource = \"{}\"\n\
             preset = \"ctwarden\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"ca\"\nuser = \"reader\"\n\
             password_file = \"password\"\ntls = \"none-on-loopback\"\nstatement_timeout = \"5s\"\n",
            "ab".repeat(32),
            server.dialect.word(),
            gate.port,
        );
        let bench = Bench::with_list("{}", &issuers, "");
        bench.write("password", PASSWORD);
        SHAPE.write(&bench.path("in"), Form::Ndjson);
        server.fill(&rows(&bench.path("in"))).await;
        Scene { server, gate, bench }
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let out = self.bench.path("out").display().to_string();
        let given = ["audit", "--findings", "csv", "--unexpired-at", "2026-11-22", "--out", &out];
        given.iter().chain(more).map(ToString::to_string).collect()
    }

    /// Runs the audit to its end while this runtime goes on carrying.
    async fn audit(&self, more: &[&str]) -> Output {
        let arguments = self.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.bench.command(&arguments);
        tokio::task::spawn_blocking(move || command.output().expect("it starts")).await.expect("it ends")
    }

    fn copied(&self) -> Vec<String> {
        let exported = exported(&self.bench.path("out/record")).expect("readable");
        exported.map_or(Vec::new(), |exported| exported.tables.into_iter().map(|table| table.table).collect())
    }

    /// Starts the audit and waits until some tables are whole and the next does not come to its end.
    async fn held(&self, octets: usize, more: &[&str]) -> (std::process::Child, Vec<String>) {
        let before = self.copied();
        self.gate.set(Pass::Hold(octets));
        let arguments = self.arguments(more);
        let mut child = self.bench.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let watch = Stopwatch::start();
        loop {
            let copied = self.copied();
            if copied.len() > before.len() && self.gate.held.load(Ordering::SeqCst) {
                return (child, copied);
            }
            assert!(child.try_wait().expect("waited").is_none(), "it ended: {}", self.log());
            assert!(watch.elapsed() < Duration::from_secs(90), "nothing was copied: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.bench.path("daemon.log")).unwrap_or_default()
    }
}

async fn it_goes_on(dialect: Dialect) {
    let Some(server) = Server::start("it_goes_on", dialect, None).await else { return };
    let scene = Scene::new(server).await;
    let record = scene.bench.path("out/record");
    let times = |tables: &[String]| -> Vec<SystemTime> {
        tables.iter().map(|table| changed(record.join(format!("{table}.parquet")))).collect()
    };

    // A server that does not answer from the start leaves nothing to go on with.
    scene.gate.set(Pass::Refuse);
    let down = scene.audit(&[]).await;
    assert_eq!((down.status.code(), scene.copied().len()), (Some(3), 0));
    assert!(said(&down).contains("no connection") && said(&down).lines().count() == 1, "{}", said(&down));

    let (mut child, first) = scene.held(250_000, &[]).await;
    child.kill().expect("killed");
    child.wait().expect("waited");
    assert!(!first.is_empty() && first.len() < 16, "{first:?}");
    let kept = times(&first);

    // The server goes down in the middle of a table: one sentence, exit code 3.
    let (child, second) = scene.held(600_000, &["--resume"]).await;
    scene.gate.set(Pass::Refuse);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().expect("waited")).await.expect("ended");
    assert_eq!(ended.status.code(), Some(3), "{}", scene.log());
    let log = scene.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("ctwarden: ")).collect();
    let [error] = errors[..] else { panic!("one sentence: {log}") };
    assert!(
        error.contains("the connection was lost in the middle of") && error.contains("start with --resume"),
        "{log}"
    );
    assert!(second.starts_with(&first) && second.len() > first.len(), "{second:?}");
    assert_eq!(times(&first), kept, "a table that was whole was copied again");
    let kept = times(&second);

    // It is still down.
    let down = scene.audit(&["--resume"]).await;
    assert_eq!((down.status.code(), scene.copied()), (Some(3), second.clone()));
    assert!(said(&down).contains("no connection") && said(&down).lines().count() == 1, "{}", said(&down));
    // Without --resume nothing that is there is touched.
    assert!(said(&scene.audit(&[]).await).contains("holds an export already: go on with --resume"));

    scene.gate.set(Pass::Through);
    let done = scene.audit(&["--resume"]).await;
    assert_eq!(done.status.code(), Some(1), "{}{}", printed(&done), said(&done));
    assert!(said(&done).contains(&format!("{} 127.0.0.1:{}/ca as of 20", dialect.word(), scene.gate.port)));
    assert_eq!(times(&second), kept, "a table that was whole was copied again");
    let (whole, from) = (scene.bench.path("whole").display().to_string(), scene.bench.path("in").display().to_string());
    let given = ["audit", "--findings", "csv", "--unexpired-at", "2026-11-22", "--out", &whole, "--from", &from];
    assert_eq!(scene.bench.run(&given).status.code(), Some(1));
    same_output(&scene.bench.path("out"), &scene.bench.path("whole"));

    // What is whole needs the server no more.
    scene.gate.set(Pass::Refuse);
    assert_eq!(scene.audit(&["--resume"]).await.status.code(), Some(1));
    let shares = scene.audit(&["--partition", "1/2"]).await;
    assert_eq!(shares.status.code(), Some(2));
    assert!(said(&shares).contains("ctwarden issuance export"), "{}", said(&shares));
    drop(scene.server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgres_it_goes_on() {
    it_goes_on(Dialect::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_mariadb_it_goes_on() {
    it_goes_on(Dialect::Mysql).await;
}

#[test]
fn an_export_of_the_embedded_record_is_judged_as_the_record() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/issuance");
    let (mut compared, mut filed) = (0, 0);
    for entry in std::fs::read_dir(directory).expect("fixtures").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".json") else { continue };
        let fixture: Value = serde_json::from_slice(&std::fs::read(entry.path()).expect("read")).expect(stem);
        let rows = fixture["rows"].as_array().expect(stem);
        let has = |table: &str| rows.iter().any(|row| row["table"] == table);
        let feed: String = rows.iter().map(|row| format!("{row}\n")).collect();
        if !has("certificates") || !has("san_authorisations") || !feed.contains("reuse") {
            continue;
        }
        let places = tempfile::tempdir().expect("a directory");
        let at = |name: &str| places.path().join(name);
        let database = Embedded::open(&at("data")).expect("a database");
        let imported = database.import_ndjson(&feed, Timestamp::from_seconds(NOW)).expect(stem);
        filed += imported.reclassified;
        let source = IssuanceDb::Embedded(database.clone());
        let exported = runtime.block_on(export(&source, &at("copy"), &tables(), false, &|_, _| {})).expect(stem);
        assert!(exported.whole && exported.moments() == "2026-11-22T00:00:00Z", "{exported:?}");
        judged(Source::Embedded(database), Timestamp::EPOCH, &at("out"));
        judged(Source::Directory(at("copy")), Timestamp::EPOCH, &at("out-copy"));
        same_output(&at("out"), &at("out-copy"));
        compared += 1;
    }
    assert!(compared > 5 && filed > 0, "{compared} fixtures were compared, {filed} confirmations were reuses");
}

/// A certificate with its order, its name and the confirmation of it.
fn sound(number: i64) -> String {
    let (signed, name) = (NOW - 86_400, format!("host{number}.eus"));
    let rows = [
        json!({"table": "orders", "order_id": format!("o{number}"), "applicant_id": "p", "channel": "web", "vtype": "DV",
               "hierarchy": "public", "created_at": signed - 120}),
        json!({"table": "certificates", "cert_id": number, "issuer_id": 1, "serial": format!("{number:08x}"),
               "order_id": format!("o{number}"), "signed_at": signed, "not_after": NOW + 86_400, "state": "issued"}),
        json!({"table": "dcv_confirmations", "dcv_id": number, "applicant_id": "p", "adn": name, "method": "3.2.2.4.7",
               "completed_at": signed - 60, "performed_by": "system", "remote_ok": 5, "remote_total": 5,
               "remote_rirs": 3, "dnssec": "insecure", "token_issued_at": signed - 90, "recorded_at": signed - 50}),
        json!({"table": "san_authorisations", "cert_id": number, "name": name, "dcv_id": number}),
    ];
    rows.iter().map(|row| format!("{row}\n")).collect()
}

#[test]
fn a_record_that_is_fed_meanwhile_is_judged_as_it_was() {
    let places = tempfile::tempdir().expect("a directory");
    let database = Embedded::open(&places.path().join("data")).expect("a database");
    let key = "ab".repeat(32);
    let mut feed: String = [
        json!({"table": "issuers", "issuer_id": 1, "name": "CA", "spki_sha256": key, "hierarchy": "public"}),
        json!({"table": "accounts", "account_id": "a", "kind": "direct"}),
        json!({"table": "applicants", "applicant_id": "p", "account_id": "a"}),
    ]
    .iter()
    .map(|row| format!("{row}\n"))
    .collect();
    feed.extend((1..=20).map(sound));
    let now = Timestamp::from_seconds(NOW);
    database.import_ndjson(&feed, now).expect("imported");
    let (question, out) = (Question { unexpired_at: now, since: None, rules: vec![] }, places.path().join("out"));
    let fed = AtomicI64::new(20);
    // Whenever it tells how far it is.
    let feeds = |stage, _, _| {
        if stage == Stage::Reading {
            let number = fed.fetch_add(1, Ordering::SeqCst) + 1;
            database.import_ndjson(&sound(number), now).expect("imported");
        }
    };
    let job = Job {
        question: &question,
        policy: &policy(),
        suffixes: &SuffixList::Embedded,
        out: &out,
        share: Share::ALL,
        memory: 1 << 30,
        threads: 2,
        with_caa: true,
        progress: &feeds,
    };
    audit::judge(&Source::Embedded(database.clone()), &job, false).expect("judged");
    let report = audit::finish(&out, FindingsFormat::Csv, None).expect("finished");
    assert!(fed.load(Ordering::SeqCst) > 26, "nothing was fed meanwhile");
    assert_eq!((report.certificates, report.names, report.findings), (20, 20, 0), "{report:?}");
    let all = judged(Source::Embedded(database), now, &places.path().join("all"));
    assert_eq!((all.certificates as i64, all.findings), (fed.load(Ordering::SeqCst), 0), "{all:?}");
}

#[test]
fn a_full_disk_is_told_and_what_is_whole_stays() {
    let places = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(&places.path().join("disk"), 64) else {
        println!("NOT RUN: this user may not mount a disk");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let database = Embedded::open(&places.path().join("data")).expect("a database");
    let text = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string();
    let row = |n| format!("{{\"table\":\"accounts\",\"account_id\":\"{}\",\"kind\":\"direct\"}}\n", text(n));
    let feed: String = (0..20_000).map(row).collect();
    database.import_ndjson(&feed, Timestamp::from_seconds(NOW)).expect("imported");
    let more = "{\"table\":\"controls\",\"name\":\"x\",\"observed_at\":1,\"enabled\":1}";
    database.import_ndjson(more, Timestamp::from_seconds(NOW)).expect("imported");
    let (source, out) = (IssuanceDb::Embedded(database), places.path().join("disk/copy"));
    let copy = |resume| runtime.block_on(export(&source, &out, &tables(), resume, &|_, _| {}));
    let error = copy(false).expect_err("full").to_string();
    assert!(
        error.contains("accounts.parquet.new: ")
            && error.contains("check that it may be used and that its disk has room")
    );
    let names = |exported: Exported| exported.tables.into_iter().map(|table| table.table).collect::<Vec<_>>();
    let before = exported(&out).expect("readable").expect("a manifest");
    assert!(!before.whole && names(before.clone()) == ["controls"], "{before:?}");
    disk.grow(8);
    let whole = copy(true).expect("exported");
    assert!(whole.whole && names(whole.clone()) == ["controls", "accounts"], "{whole:?}");
}

#[test]
fn the_command_exports_and_says_what() {
    let issuers = format!("[[issuer]]\nname = \"Example CA G1\"\nissuer_key_hash = \"{}\"\n", "ab".repeat(32));
    let bench = Bench::with_list("{}", &issuers, "");
    bench.write("rows.ndjson", "{\"table\":\"accounts\",\"account_id\":\"7\",\"kind\":\"direct\"}\n");
    let rows = bench.path("rows.ndjson").display().to_string();
    assert_eq!(bench.run(&["issuance", "import", &rows]).status.code(), Some(0));
    let (out, other) = (bench.path("copy").display().to_string(), bench.path("other").display().to_string());
    let done = bench.run(&["issuance", "export", "--out", &out]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(printed(&done).contains(" is in ") && printed(&done).ends_with("accounts            1 rows\n"));
    assert_eq!(bench.run(&["issuance", "export", "--out", &out]).status.code(), Some(3), "it is there already");
    let told = printed(&bench.run(&["issuance", "export", "--out", &other, "--format", "json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["whole"], &told["tables"][0]["table"]), (&Value::from(true), &Value::from("accounts")));
    std::fs::write(bench.path("strange.csv"), "x").expect("written");
    let strange = bench.run(&["issuance", "export", "--out", &bench.path("").display().to_string()]);
    assert!(said(&strange).contains("is not empty: name another directory"), "{}", said(&strange));
}
