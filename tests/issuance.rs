//! The CA's record end to end: import of NDJSON and CSV, lookup, cross-check and audit of the evidence.
//!
//! `fixtures/issuance/<rule>[.<case>].{fail,pass,gap}.json` holds a certificate, the CA's own terms, the rows of its feed
//! and the findings expected, as `rule subject`; a gap is where the rule is not evaluable, with words of the reason. `ten.ndjson` and `csv/` are one feed in both formats: ten certificates, each
//! with one thing wrong (the first with none), built after the two incidents the monitor was made for.

use std::path::{Path, PathBuf};

use ctwarden::clock::{Clock, Span, Stopwatch, Timestamp, date};
use ctwarden::evidence::dated::Dated;
use ctwarden::evidence::{FlawedMethod, Policy};
use ctwarden::exam::prerun::{self, LINT_PRERUN};
use ctwarden::finding::{CaseKey, Finding, Issued, KeyHash, RuleInfo, Serial, Verdict};
use ctwarden::issuance::{Embedded, ImportSummary, IssuanceDb, Query};
use ctwarden::lint::SuffixList;
use ctwarden::record::{Basis, IDENTITY_COLUMNS, Lookup, Presented, SubjectAttribute};
use ctwarden::{crosscheck, evidence};
use serde_json::Value;

const NOW: Timestamp = date(2026, 11, 22);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/issuance")
}

fn database() -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Embedded::open(directory.path()).expect("a new database");
    (directory, database)
}

struct Case {
    /// What our own rules find in the certificate.
    ours: Vec<Finding>,
    key: CaseKey,
    presented: Presented,
    context: crosscheck::Context,
    policy: Policy,
}

/// The terms in a fixture; what it leaves out is as by default.
fn policy(fixture: &Value) -> Policy {
    let words = |key: &str, otherwise: Vec<String>| match fixture["policy"][key].as_array() {
        Some(words) => words.iter().map(|word| word.as_str().expect("text").to_string()).collect(),
        None => otherwise,
    };
    let dated = |key: &str| {
        let words = words(key, Vec::new()).into_iter();
        words.map(|word| Dated::parse(&word).unwrap_or_else(|why| panic!("{word} {why}"))).collect()
    };
    let flawed = |flaw: &Value| {
        let text = |key: &str| flaw[key].as_str().expect("text");
        let day = |key: &str| flaw[key].as_str().and_then(Timestamp::parse);
        let (from, until) = (day("from").expect("a day"), day("until"));
        FlawedMethod { method: text("method").into(), from, until, reason: text("reason").into() }
    };
    let default = Policy::default();
    Policy {
        reuse_rules: default.reuse_rules,
        countries: dated("countries"),
        flawed: fixture["policy"]["flawed"].as_array().into_iter().flatten().map(flawed).collect(),
        bulk_evidence: words("bulk_evidence", Vec::new()),
        recorded_within: default.recorded_within,
        test_accounts: words("test_accounts", Vec::new()),
        test_organizations: words("test_organizations", Vec::new()),
        test_zones: words("test_zones", Vec::new()),
        issuer_domains: words("issuer_domains", default.issuer_domains),
        account_uri_prefix: fixture["policy"]["account_uri_prefix"].as_str().map(str::to_string),
        channels: dated("channels"),
        methods: dated("methods"),
        own_resolvers: words("own_resolvers", default.own_resolvers),
        systems: words("systems", default.systems),
        shared_account_kinds: words("shared_account_kinds", default.shared_account_kinds),
        profiles: default.profiles,
    }
}

impl Case {
    fn new(issuer: &str, serial: &str, names: &[&str], spki: &str) -> Case {
        let issuer_key_hash = KeyHash::from_hex(issuer).expect("a key hash");
        let serial = Serial::from_hex(serial).expect("a serial");
        let names = names.iter().map(|name| name.to_string()).collect();
        let presented =
            Presented { names, spki_sha256: KeyHash::from_hex(spki).expect("a key hash"), ..Presented::default() };
        let context =
            crosscheck::Context { first_seen: NOW, now: NOW.plus(Span::from_days(1)), grace: Span::default() };
        let policy = Policy {
            issuer_domains: vec!["ca.example".into()],
            channels: ["web", "api", "acme"].map(Dated::from).to_vec(),
            ..Policy::default()
        };
        Case { ours: Vec::new(), key: CaseKey { issuer_key_hash, serial }, presented, context, policy }
    }

    fn lookup(&self, database: &Embedded) -> Lookup {
        let query = Query { key: self.key.clone(), names: self.presented.names.clone() };
        database.find(&[query]).expect("an answer").remove(0)
    }

    fn verdicts(&self, database: &Embedded) -> Vec<(&'static RuleInfo, Verdict)> {
        let (lookup, issued) = (self.lookup(database), Issued::at(self.context.first_seen));
        let mut verdicts = crosscheck::run(&self.presented, &lookup, &self.context, &self.policy);
        verdicts.extend(evidence::run(&self.presented, &lookup, issued, &self.policy, &SuffixList::Embedded));
        verdicts.push((&LINT_PRERUN, prerun::judge(&lookup, &self.ours.iter().collect::<Vec<_>>())));
        verdicts
    }

    /// `rule subject` of every finding, sorted.
    fn found(&self, database: &Embedded) -> Vec<String> {
        let mut found: Vec<String> = (self.verdicts(database).into_iter())
            .filter_map(|(_, verdict)| match verdict {
                Verdict::Fail(findings) => Some(findings),
                _ => None,
            })
            .flatten()
            .map(|finding| format!("{} {}", finding.rule, finding.subject))
            .collect();
        found.sort();
        found
    }

    /// Why a rule could not be judged, if it could not.
    fn gap(&self, database: &Embedded, rule: &str) -> Option<String> {
        self.verdicts(database).into_iter().find_map(|(info, verdict)| match verdict {
            Verdict::NotEvaluable(why) if info.id == rule => Some(why),
            _ => None,
        })
    }
}

/// An error of a rule about the certificate alone.
const A_LINT_RULE: &RuleInfo = &RuleInfo { id: "name.internal", ..LINT_PRERUN };

/// `["O", "organization", "Barakaldo"]`; a column that is none is null.
fn attribute(triple: &Value) -> SubjectAttribute {
    let [name, value] = [0, 2].map(|at| triple[at].as_str().expect("text").to_string());
    let column = triple[1].as_str().map(|column| {
        IDENTITY_COLUMNS.into_iter().find(|known| *known == column).unwrap_or_else(|| panic!("{column}: no column"))
    });
    SubjectAttribute { name, column, value }
}

#[test]
fn every_rule_finds_what_its_fixtures_say_and_nothing_else() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let record = crosscheck::RULES.iter().chain(evidence::RULES).map(|rule| rule.id);
    let rules: Vec<&str> = record.chain([LINT_PRERUN.id]).collect();
    for (rule, word) in rules.iter().flat_map(|rule| ["fail", "pass", "gap"].map(|word| (rule, word))) {
        let exists = files.iter().any(|file| file.ends_with(format!("{rule}.{word}.json")));
        assert!(exists, "{rule} has no fixture .{word}.json");
    }
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().to_string();
        let fixture: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect(&name);
        let text = |key: &str| fixture[key].as_str().unwrap_or_else(|| panic!("{name}: {key}"));
        let list = |key: &str| fixture[key].as_array().unwrap_or_else(|| panic!("{name}: {key}"));
        let words = |key: &str| list(key).iter().map(|word| word.as_str().expect("text")).collect::<Vec<&str>>();
        let moment = |key: &str| Timestamp::parse(text(key)).unwrap_or_else(|| panic!("{name}: {key}"));
        let mut case = Case::new(text("issuer_key_hash"), text("serial"), &words("names"), text("spki_sha256"));
        let grace = Span::from_seconds(fixture["grace_seconds"].as_i64().expect("seconds"));
        if fixture["not_after"].is_string() {
            case.presented.validity = Some((moment("not_before"), moment("not_after")));
        }
        case.presented.tbs_sha256 = fixture["tbs_sha256"].as_str().and_then(KeyHash::from_hex);
        case.presented.subject = fixture["subject"].as_array().map(|list| list.iter().map(attribute).collect());
        let errors = fixture["lint_errors"].as_array().into_iter().flatten();
        case.ours = errors.map(|subject| A_LINT_RULE.finding(subject.as_str().expect("text"), "")).collect();
        case.context = crosscheck::Context { first_seen: moment("first_seen"), now: moment("now"), grace };
        if fixture["policy"].is_object() {
            case.policy = policy(&fixture);
        }
        let rows: Vec<String> = list("rows").iter().map(Value::to_string).collect();
        let (_directory, database) = database();
        database.import_ndjson(&rows.join("\n"), NOW).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = case.found(&database);
        if found != words("expected") {
            wrong.push(format!("{name}: {}: found {found:?}, not {:?}", text("about"), words("expected")));
        }
        let rule = rules
            .iter()
            .copied()
            .find(|rule| name.starts_with(rule))
            .unwrap_or_else(|| panic!("{name}: whose fixture?"));
        let fails = words("expected").iter().any(|found| found.split(' ').next() == Some(rule));
        assert_eq!(fails, name.ends_with(".fail.json"), "{name} is named after what it shows");
        let gaps = fixture["not_evaluable"].as_object().into_iter().flatten();
        for (rule, words) in gaps {
            let why = case.gap(&database, rule).unwrap_or_default();
            if !why.contains(words.as_str().expect("text")) || why.is_empty() {
                wrong.push(format!("{name}: {rule} is not evaluable because of {why:?}, not {words}"));
            }
        }
        let gap = case.gap(&database, rule).is_some();
        assert!(gap || !name.ends_with(".gap.json"), "{name}: {rule} is evaluable");
        println!("{rule:<16} {name:<44} {}", text("about"));
    }
    assert!(wrong.is_empty(), "{} fixtures:\n{}", wrong.len(), wrong.join("\n"));
}

const ISSUER: &str = "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f";
const KEY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER_KEY: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const INTERNAL: &str = "www.barakaldo.bizkaia.euskalsarea";

/// Serial, names and key as the log shows them, and what the rules of the record find.
type Row = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);
#[rustfmt::skip]
const TEN: [Row; 11] = [
    ("01a1", &["www.barakaldo.eus", "barakaldo.eus"], KEY, &[]),
    ("02a2", &[INTERNAL], OTHER_KEY, &["caa.exists www.barakaldo.bizkaia.euskalsarea", "db.key subjectPublicKeyInfo",
        "dcv.exists www.barakaldo.bizkaia.euskalsarea", "order.channel order 8812", "order.key subjectPublicKeyInfo",
        "san.unexpected www.barakaldo.bizkaia.euskalsarea"]),
    ("03a3", &["kultura.barakaldo-udala.eus"], KEY, &["dcv.reuse kultura.barakaldo-udala.eus"]),
    ("04a4", &["kirola.eus"], KEY, &["dcv.exists kirola.eus", "dcv.reuse kirola.eus"]),
    ("05a5", &["cola.example.com"], KEY, &["dcv.applicant cola.example.com"]),
    ("06a6", &["*.liburutegia.eus"], KEY, &["dcv.wildcard *.liburutegia.eus"]),
    ("07a7", &["aretoa.eus"], KEY, &["dcv.method aretoa.eus"]),
    ("08a8", &["egoitza.eus"], KEY, &["ev.approvals order O8"]),
    // Nine hours old is fresh enough for a TTL of a day.
    ("09a9", &["zerbitzua.eus"], KEY, &["caa.manual zerbitzua.eus", "caa.resolver zerbitzua.eus",
        "dcv.manual zerbitzua.eus", "order.channel order O9"]),
    ("0aaa", &["evil.com"], KEY, &["dcv.adn evil.com"]),
    ("0bab", &["unknown.eus"], KEY, &["db.unknown unknown.eus"]),
];

fn judge_ten(database: &Embedded) {
    for (serial, names, key, expected) in TEN {
        assert_eq!(Case::new(ISSUER, serial, names, key).found(database), expected, "serial {serial}");
    }
}

fn import_csv(database: &Embedded) -> Vec<ImportSummary> {
    let tables = [
        "issuers",
        "accounts",
        "applicants",
        "orders",
        "order_names",
        "certificates",
        "dcv_confirmations",
        "dcv_reuse",
        "caa_checks",
        "san_authorisations",
        "approvals",
        "revocations",
        "controls",
    ];
    let import =
        |table: &str| database.import_file(&fixtures().join("csv").join(table).with_extension("csv"), None, NOW);
    tables.iter().map(|table| import(table).unwrap_or_else(|error| panic!("{table}: {error}"))).collect()
}

#[test]
fn ten_certificates_are_judged_alike_from_ndjson_and_from_csv() {
    let (_directory, from_ndjson) = database();
    let ten = fixtures().join("ten.ndjson");
    let first = from_ndjson.import_file(&ten, None, NOW).expect("imported");
    assert_eq!((first.rows, first.updated, first.unchanged), (first.inserted, 0, 0));
    judge_ten(&from_ndjson);
    let again = from_ndjson.import_file(&ten, None, NOW).expect("imported");
    assert_eq!((again.inserted, again.updated, again.unchanged), (0, 0, first.rows));

    let (_directory, from_csv) = database();
    let inserted: u64 = import_csv(&from_csv).iter().map(|summary| summary.inserted).sum();
    assert_eq!(inserted, first.rows);
    judge_ten(&from_csv);
    for (serial, names, key, _) in TEN {
        let case = Case::new(ISSUER, serial, names, key);
        assert_eq!(case.lookup(&from_csv), case.lookup(&from_ndjson));
    }
    // Each format is the other's second import.
    assert!(import_csv(&from_ndjson).iter().all(|summary| summary.inserted + summary.updated == 0));
}

#[test]
fn the_nine_hundred_days_are_shown_with_every_step() {
    let (_directory, database) = database();
    database.import_file(&fixtures().join("ten.ndjson"), None, NOW).expect("imported");
    let case = Case::new(ISSUER, "03a3", &["kultura.barakaldo-udala.eus"], KEY);
    let lookup = case.lookup(&database);
    let Lookup::Found(record) = &lookup else { panic!("{lookup:?}") };
    let rows = record.authorisations.as_ref().expect("rows");
    let Basis::Reuse(reuse) = &rows[0].basis else { panic!("{rows:?}") };
    assert_eq!(reuse.chain.len(), 2);
    let verdicts =
        evidence::run(&case.presented, &lookup, Issued::at(record.signed_at), &case.policy, &SuffixList::Embedded);
    let Some(Verdict::Fail(findings)) = verdicts.into_iter().find(|(rule, _)| rule.id == "dcv.reuse").map(|(_, v)| v)
    else {
        panic!("a finding was expected")
    };
    let detail = &findings[0].detail;
    assert!(detail.contains("900 days old at signing") && detail.contains("limit 200 days"), "{detail}");
    let steps = &findings[0].evidence[0].text;
    let places = ["reuse 32", "reuse 31", "confirmation 3"].map(|step| steps.find(step).expect(step));
    assert!(places.is_sorted(), "{steps}");
}

#[tokio::test]
async fn an_import_holds_up_no_question_and_shows_nothing_half() {
    let (_directory, database) = database();
    database.import_file(&fixtures().join("ten.ndjson"), None, NOW).expect("imported");
    let rows: String = (0..20_000)
        .map(|id| {
            let serial = format!("{:08x}", 0x1000_0000 + id);
            format!(
                "{{\"table\":\"certificates\",\"cert_id\":{},\"issuer_id\":1,\"serial\":\"{serial}\",\"order_id\":\"O1\",\
                 \"signed_at\":1795000000,\"state\":\"issued\"}}\n",
                id + 100
            )
        })
        .collect();
    let writer = database.clone();
    let import = tokio::task::spawn_blocking(move || writer.import_ndjson(&rows, Clock::System.now()));
    let source = IssuanceDb::Embedded(database.clone());
    let ends = ["10000000", "10004e1f"].map(|serial| Case::new(ISSUER, serial, &[], KEY).key);
    let queries = ends.map(|key| Query { key, names: vec![] });
    let mut asked = 0;
    while !import.is_finished() {
        let watch = Stopwatch::start();
        let answers = source.find(&queries).await;
        assert!(watch.seconds() < 5.0, "a question waited for the import");
        let known = answers.iter().filter(|answer| matches!(answer, Lookup::Found(_))).count();
        assert!(known != 1, "half an import was seen");
        assert!(!answers.iter().any(|answer| matches!(answer, Lookup::Unavailable { .. })));
        asked += 1;
    }
    assert!(asked > 0);
    let summary = import.await.expect("no panic").expect("imported");
    assert_eq!((summary.rows, summary.inserted), (20_000, 20_000));
    assert!(source.find(&queries).await.iter().all(|answer| matches!(answer, Lookup::Found(_))));
}
