//! The presets for Boulder and EJBCA on the real servers, with the tables of the real projects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ctwarden::audit::{self, FindingsFormat, Found, Job, Question, Report, Share, Source};
use ctwarden::clock::{Clock, Span, Timestamp, date};
use ctwarden::crosscheck;
use ctwarden::evidence::{self, Policy};
use ctwarden::finding::{CaseKey, Issued, KeyHash, Serial, Verdict};
use ctwarden::issuance::sql::{Dialect, MappedIssuer, Settings, preset};
use ctwarden::issuance::{IssuanceDb, Query, Sql, export, feed_tables};
use ctwarden::lint::SuffixList;
use ctwarden::record::{Basis, IssuanceRecord, Lookup, Presented, Revoked};

#[path = "support/database.rs"]
mod database;

use database::Server;

const NOW: Timestamp = date(2026, 11, 22);
const KEY: KeyHash = KeyHash([0x1f; 32]);

/// A server with the tables and rows of a project, read through its preset by a user who may SELECT.
async fn source(name: &str, dialect: Dialect, issuer_id: i64) -> Option<(Server, IssuanceDb)> {
    let server = Server::start(name, dialect, None).await?;
    let ours: Vec<&str> = feed_tables().collect();
    match dialect {
        Dialect::Postgres => server.admin(&format!("DROP TABLE {} CASCADE", ours.join(", "))).await,
        Dialect::Mysql => {
            let drop = format!("SET FOREIGN_KEY_CHECKS = 0; DROP TABLE {}", ours.join(", "));
            server.admin(&drop).await;
        }
    }
    let file = format!("tests/fixtures/issuance/presets/{name}.{}.sql", dialect.word());
    let tables = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
    server.admin(&tables).await;
    if dialect == Dialect::Postgres {
        server.admin("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").await;
    }
    let preset = preset(name, dialect).expect("a preset");
    let issuer = MappedIssuer { issuer_id, key_hash: KEY, name: "Issuing CA".into(), hierarchy: "public".into() };
    let replica_time = Some(format!("SELECT {}", NOW.seconds()));
    let (texts, serials) = (preset.texts, preset.serials);
    let settings = Settings { texts, serials, replica_time, issuers: vec![issuer], ..server.settings() };
    Some((server, IssuanceDb::Sql(Sql::new(settings, Clock::System))))
}

async fn lookup(source: &IssuanceDb, serial: &str, names: &[&str]) -> Lookup {
    let key = CaseKey { issuer_key_hash: KEY, serial: Serial::from_hex(serial).expect("a serial") };
    let names = names.iter().map(ToString::to_string).collect();
    source.find(&[Query { key, names }]).await.remove(0)
}

async fn record(source: &IssuanceDb, serial: &str, names: &[&str]) -> (Lookup, IssuanceRecord) {
    match lookup(source, serial, names).await {
        Lookup::Found(record) => (Lookup::Found(record.clone()), *record),
        other => panic!("{serial}: {other:?}"),
    }
}

/// What each rule says: `fail`, or why it says nothing; rules that pass are left out.
/// The revocations that are compared with CRLs: serial number, end of validity, time, reason.
async fn revoked(source: &IssuanceDb) -> Vec<(String, String, String, Option<u64>)> {
    let rows: Vec<Revoked> = source.revocations(KEY, NOW, Vec::new(), Vec::push).await.expect("an answer");
    let text = |at: Option<Timestamp>| at.map_or("none".to_string(), |at| at.to_string());
    let told = |row: Revoked| {
        (hex::encode(row.serial.0), text(row.not_after), text(row.revocation.revoked_at), row.revocation.reason)
    };
    rows.into_iter().map(told).collect()
}

fn told((serial, end, at, reason): (&str, &str, &str, u64)) -> (String, String, String, Option<u64>) {
    (serial.to_string(), end.to_string(), at.to_string(), Some(reason))
}

fn verdicts(names: &[&str], lookup: &Lookup, signed_at: Timestamp) -> BTreeMap<&'static str, String> {
    let names = names.iter().map(ToString::to_string).collect();
    let presented = Presented { names, spki_sha256: KeyHash([7; 32]), validity: None, tbs_sha256: None, subject: None };
    let context = crosscheck::Context { first_seen: signed_at, now: NOW, grace: Span::from_seconds(60) };
    let policy = Policy { channels: vec!["acme".into(), "ejbca".into()], ..Policy::default() };
    let mut verdicts = crosscheck::run(&presented, lookup, &context, &policy);
    verdicts.extend(evidence::run(&presented, lookup, Issued::at(signed_at), &policy, &SuffixList::Embedded));
    let told = |verdict| match verdict {
        Verdict::Pass => None,
        Verdict::Fail(_) => Some("fail".to_string()),
        Verdict::NotEvaluable(why) => Some(why),
    };
    verdicts.into_iter().filter_map(|(rule, verdict)| Some((rule.id, told(verdict)?))).collect()
}

fn says(verdicts: &BTreeMap<&str, String>, rule: &str, what: &str) {
    let said = verdicts.get(rule).map_or("pass", String::as_str);
    assert!(said.contains(what), "{rule}: {said}; expected {what}\n{verdicts:#?}");
}

/// What the audit of everything says of a copy of the source.
async fn audited(source: &IssuanceDb) -> (Report, Vec<Found>) {
    let directory = tempfile::tempdir().expect("a directory");
    let (copy, out) = (directory.path().join("copy"), directory.path().join("out"));
    export(source, &copy, &audit::TABLES, false, &|_, _| {}).await.expect("copied");
    let policy = Policy { channels: vec!["acme".into(), "ejbca".into()], ..Policy::default() };
    let question = Question { unexpired_at: Timestamp::EPOCH, since: None, rules: vec![] };
    let job = Job {
        question: &question,
        policy: &policy,
        suffixes: &SuffixList::Embedded,
        out: &out,
        share: Share::ALL,
        memory: 1 << 30,
        threads: 2,
        with_caa: true,
        progress: &|_, _, _| {},
    };
    audit::judge(&Source::Directory(copy), &job, false).expect("judged");
    let report = audit::finish(&out, FindingsFormat::Csv, None).expect("finished");
    let mut csv = csv::Reader::from_path(out.join("findings.csv")).expect("findings.csv");
    (report, csv.deserialize().map(|row| row.expect("a finding")).collect())
}

fn missing(report: &Report, rule: &str, why: &str, count: u64) {
    let gap = format!("{rule}: {why}");
    assert_eq!(report.not_evaluable.get(&gap), Some(&count), "{gap}: {:#?}", report.not_evaluable);
}

#[tokio::test]
async fn boulder_is_read_through_its_own_tables() {
    let Some((_server, source)) = source("boulder", Dialect::Mysql, 66).await else { return };
    let names = ["a.eus", "*.b.eus"];
    let (found, good) = record(&source, "01a1", &names).await;
    let order = good.order.as_ref().expect("an order");
    assert_eq!((&*order.order_id, &*order.applicant_id, &*order.channel, &*order.vtype), ("51", "7", "acme", "DV"));
    assert_eq!(order.names.as_deref(), Some(&["*.b.eus".to_string(), "a.eus".to_string()][..]));
    assert_eq!(order.created_at.to_string(), "2026-11-10T07:59:00Z");
    assert_eq!((good.signed_at.to_string(), &*good.state), ("2026-11-10T08:01:01Z".to_string(), "issued"));
    let rows = good.authorisations.as_ref().expect("authorisations");
    let bases: Vec<(&str, i64, &str, String)> = rows
        .iter()
        .map(|row| match &row.basis {
            Basis::Confirmation(c) => (&*row.name, c.dcv_id, &*c.method, c.completed_at.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("*.b.eus", 300, "dns-01", "2026-11-10T08:00:01Z".to_string()),
        ("a.eus", 11, "http-01", "2026-11-10T08:00:00Z".to_string()),
    ];
    assert_eq!(bases, expected);
    assert_eq!(good.revocation, None);
    let said = verdicts(&names, &found, good.signed_at);
    assert!(!said.values().any(|verdict| verdict == "fail"), "{said:#?}");
    says(&said, "caa.exists", "the feed has no table caa_checks");
    for rule in ["dcv.exists", "dcv.reuse", "dcv.method", "dcv.adn", "dcv.wildcard", "san.unexpected"] {
        assert!(!said.contains_key(rule), "{rule} is evaluable: {said:#?}");
    }

    let (found, old) = record(&source, "02a2", &["old.eus"]).await;
    let said = verdicts(&["old.eus"], &found, old.signed_at);
    says(&said, "dcv.reuse", "fail");
    let revocation = old.revocation.expect("revoked");
    assert_eq!(revocation.revoked_at.map(|at| at.to_string()).as_deref(), Some("2026-11-20T10:00:00Z"));
    assert_eq!(revocation.reason, Some(4));
    // Without its end nobody can tell whether it is missing on a CRL or gone from it by right.
    // Of those that are revoked one has expired, and one is another issuer's.
    let expected = [("02a2", "2027-02-10T00:00:00Z", "2026-11-20T10:00:00Z", 4)];
    assert_eq!(revoked(&source).await, expected.map(told));
    let check = source.check(&[("Issuing CA".to_string(), KEY)]).await.expect("a report");
    let question = check.questions.iter().find(|question| question.table == "revoked").expect("it is checked");
    assert_eq!((question.problems.clone(), question.rows, question.sampled), (vec![], Some((3, true)), 3));
    // Without revokedCertificates it is certificateStatus that says so.
    let IssuanceDb::Sql(sql) = &source else { panic!("a server") };
    let mut settings = sql.settings().clone();
    settings.texts.remove("revoked");
    let joined = IssuanceDb::Sql(Sql::new(settings, Clock::System));
    assert_eq!(revoked(&joined).await, expected.map(told));

    let (_, orphan) = record(&source, "03a3", &["x.eus"]).await;
    assert_eq!((orphan.order, &*orphan.state), (None, "issued"));
    let (_, unfinished) = record(&source, "04a4", &["x.eus"]).await;
    assert_eq!((unfinished.order, &*unfinished.state), (None, "precert_only"));
    let (_, many) = record(&source, "05a5", &["n20000.c.eus"]).await;
    let rows = many.authorisations.expect("authorisations");
    assert_eq!((rows.len(), many.order.and_then(|order| order.names).map(|names| names.len())), (40, Some(40)));
    assert!(
        rows.iter()
            .all(|row| matches!(&row.basis, Basis::Confirmation(c) if format!("n{}.c.eus", c.dcv_id) == row.name))
    );
    // The challenges of ACME have other methods for addresses.
    let (found, address) = record(&source, "06a6", &["192.0.2.7"]).await;
    let said = verdicts(&["192.0.2.7"], &found, address.signed_at);
    assert!(!said.values().any(|verdict| verdict == "fail"), "{said:#?}");
    let rows = address.authorisations.expect("authorisations");
    assert!(matches!(&rows[0].basis, Basis::Confirmation(c) if c.method == "3.2.2.5.6"), "{rows:?}");
    assert!(matches!(lookup(&source, "77", &["x.eus"]).await, Lookup::Unknown { .. }));
    let mut rows = 0;
    let mut snapshot = source.snapshot().await.expect("a snapshot");
    for table in feed_tables().filter(|table| !["issuers"].contains(table)) {
        if source.feeds(table).expect("an answer") {
            rows += snapshot
                .stream(table, &mut |row| row.map(drop))
                .await
                .unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
    // 2 accounts, 2 applicants, 4 orders, 44 names, 6 certificates, 44 confirmations, 44 authorisations, 1 revocation.
    assert_eq!(rows, 2 + 2 + 4 + 44 + 6 + 44 + 44 + 1);
    let (report, found) = audited(&source).await;
    assert_eq!((report.certificates, report.names), (6, 44), "{report:?}");
    // The same as of each certificate: the second rests on a validation that is too old to be reused.
    let told: BTreeSet<(&str, &str)> = found.iter().map(|found| (&*found.rule, &*found.name)).collect();
    assert!(told.contains(&("dcv.reuse", "old.eus")), "{told:?}");
    assert!(told.iter().all(|(rule, _)| rule.starts_with("dcv.")), "{told:?}");
    // All but the address, which has no CAA records.
    missing(&report, "caa.exists", "the feed has no table caa_checks", 43);
}

async fn ejbca(dialect: Dialect) {
    let Some((_server, source)) = source("ejbca", dialect, 4_294_967_296 - 1_234_567).await else { return };
    let (found, good) = record(&source, "01a1", &["a.eus"]).await;
    let order = good.order.as_ref().expect("an order");
    assert_eq!((&*order.order_id, &*order.channel, &*order.vtype), ("web-1", "ejbca", "EV"));
    assert_eq!((&order.names, order.created_at.to_string()), (&None, "2026-11-10T07:50:00Z".to_string()));
    assert_eq!(good.signed_at.to_string(), "2026-11-10T08:00:00Z");
    let validity = good.validity.map(|(start, end)| (start.to_string(), end.to_string()));
    assert_eq!(validity, Some(("2026-11-10T07:59:00Z".to_string(), "2027-02-08T08:00:00Z".to_string())));
    assert_eq!((good.authorisations.as_ref(), good.keeps_caa_checks, good.revocation), (None, false, None));
    let said = verdicts(&["a.eus"], &found, good.signed_at);
    assert!(!said.values().any(|verdict| verdict == "fail"), "{said:#?}");
    says(&said, "dcv.exists", "san_authorisations");
    says(&said, "caa.exists", "san_authorisations");
    says(&said, "san.unexpected", "no list of the names of an order is kept");
    let (_, revoked) = record(&source, "02a2", &["b.eus"]).await;
    assert_eq!(revoked.order.map(|order| order.vtype).as_deref(), Some("DV"), "a profile called DEVICES is no EV");
    assert_eq!(revoked.signed_at.to_string(), "2026-11-10T07:59:00Z");
    let revocation = revoked.revocation.expect("revoked");
    assert_eq!(revocation.revoked_at.map(|at| at.to_string()).as_deref(), Some("2026-11-11T08:00:00Z"));
    assert_eq!(revocation.reason, Some(1));
    let expected = [("02a2", "2027-02-08T08:00:00Z", "2026-11-11T08:00:00Z", 1)];
    assert_eq!(self::revoked(&source).await, expected.map(told));
    let (_, orphan) = record(&source, "03a3", &["c.eus"]).await;
    assert_eq!(orphan.order, None);
    assert!(matches!(lookup(&source, "77", &["x.eus"]).await, Lookup::Unknown { .. }));
    // Its tables have no names: what can be judged of a certificate as a whole is, and the rest is not evaluable.
    let (report, found) = audited(&source).await;
    assert_eq!((report.certificates, report.names, found.len()), (3, 0, 0), "{report:?} {found:?}");
    for rule in ["dcv.exists", "dcv.reuse", "caa.exists", "mpic.count"] {
        missing(&report, rule, "the feed has no table san_authorisations", 3);
    }
}

#[tokio::test]
async fn ejbca_is_read_through_its_own_tables_on_postgresql() {
    ejbca(Dialect::Postgres).await;
}

#[tokio::test]
async fn ejbca_is_read_through_its_own_tables_on_mariadb() {
    ejbca(Dialect::Mysql).await;
}
