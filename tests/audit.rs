//! The audit of everything, on corpora with defects planted at known places: it finds exactly these, from every form of
//! input, in little memory, in shares, after a kill; and what it says of a name the examination of the certificate says.

#[path = "support/audit_terms.rs"]
mod audit_terms;
#[path = "support/corpus/mod.rs"]
mod corpus;
#[path = "support/examined.rs"]
mod examined;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use audit_terms::policy;
use corpus::{Form, LARGE, NOW, Planted, Shape};
use ctwarden::audit::{self, AuditError, FindingsFormat, Found, Job, Question, Report, Share, Source};
use ctwarden::clock::Timestamp;
use ctwarden::evidence::dated::Dated;
use ctwarden::evidence::{FlawedMethod, Policy};
use ctwarden::finding::{CaseKey, KeyHash, Serial};
use ctwarden::issuance::{Embedded, Query};
use ctwarden::lint::SuffixList;
use ctwarden::record::Lookup;
use examined::{examined, suffixes_of_a_platform};
use serde_json::Value;

const SMALL: Shape = Shape { seed: 1, certificates: 400, defects_per_mille: 150, large: 0, one_domain: false };

fn question() -> Question {
    Question { unexpired_at: Timestamp::from_seconds(NOW), since: None, rules: vec![] }
}

struct Run<'a> {
    source: Source,
    question: Question,
    policy: Policy,
    suffixes: SuffixList,
    out: &'a Path,
    share: Share,
    memory: u64,
}

impl<'a> Run<'a> {
    fn new(from: &Path, out: &'a Path) -> Run<'a> {
        let source = Source::Directory(from.to_path_buf());
        let (policy, suffixes) = (policy(), SuffixList::Embedded);
        Run { source, question: question(), policy, suffixes, out, share: Share::ALL, memory: 1 << 30 }
    }

    fn job(&self) -> Job<'_> {
        Job {
            question: &self.question,
            policy: &self.policy,
            suffixes: &self.suffixes,
            out: self.out,
            share: self.share,
            memory: self.memory,
            threads: 2,
            with_caa: Job::needs_caa(&self.question),
            progress: &|_, _, _| {},
        }
    }

    fn judge(&self, resume: bool) -> Result<(), AuditError> {
        audit::judge(&self.source, &self.job(), resume)
    }

    fn report(&self) -> Report {
        audit::run(&self.source, &self.job(), false, FindingsFormat::Csv, None).expect("judged")
    }
}

fn rows(out: &Path) -> Vec<Found> {
    let mut csv = csv::Reader::from_path(out.join("findings.csv")).expect("findings.csv");
    csv.deserialize().map(|row| row.expect("a finding")).collect()
}

fn found(out: &Path) -> Planted {
    rows(out).into_iter().map(|found| (found.cert_id, found.name, found.rule)).collect()
}

fn same(found: &Planted, planted: &Planted, what: &str) {
    let more: Vec<_> = found.difference(planted).take(5).collect();
    let fewer: Vec<_> = planted.difference(found).take(5).collect();
    assert!(
        more.is_empty() && fewer.is_empty(),
        "{what}: found and not planted {more:?}, planted and not found {fewer:?}"
    );
}

struct Places {
    directory: tempfile::TempDir,
}

impl Places {
    fn new() -> Places {
        Places { directory: tempfile::tempdir().expect("a directory") }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[test]
fn it_finds_exactly_what_is_planted_from_every_form_of_input() {
    let mut rules = BTreeSet::new();
    for seed in 1..=4 {
        for form in [Form::Parquet, Form::Csv, Form::Ndjson] {
            let places = Places::new();
            let shape = Shape { seed, certificates: 1_500, ..SMALL };
            let planted = shape.write(&places.at("in"), form);
            let report = Run::new(&places.at("in"), &places.at("out")).report();
            same(&found(&places.at("out")), &planted, &format!("seed {seed}, {form:?}"));
            assert_eq!(report.certificates, 1_500);
            rules.extend(planted.into_iter().map(|(_, _, rule)| rule));
        }
    }
    let judged: BTreeSet<String> = audit::rules().into_iter().map(str::to_string).collect();
    assert_eq!(rules, judged, "a rule without a planted defect");
}

#[test]
fn the_second_seed_is_one_subscriber_and_one_cause() {
    let places = Places::new();
    let shape = Shape { seed: 7, certificates: 2_000, defects_per_mille: 2, large: 2_730, ..SMALL };
    let planted = shape.write(&places.at("in"), Form::Parquet);
    let out = places.at("out");
    Run::new(&places.at("in"), &out).report();
    same(&found(&out), &planted, "the second seed");
    let summary = std::fs::read_to_string(out.join("summary.md")).expect("a summary");
    let row = summary.lines().find(|line| line.starts_with(&format!("| dcv.reuse | {LARGE} | 2730 | 1365 |")));
    assert!(row.is_some(), "{summary}");
    let chains = rows(&out).into_iter().filter(|found| found.subscriber == LARGE);
    for found in chains.take(50) {
        assert!(
            found.evidence.contains(" -> reuse ") && found.evidence.contains(" -> confirmation "),
            "{}",
            found.evidence
        );
        assert!(found.detail.contains("reached through 3 reuses"), "{}", found.detail);
    }
}

/// Every verdict of the examination on the rows of a database: certificate, name, rule, severity and detail.
fn audited(out: &Path) -> BTreeSet<(i64, String, String, String)> {
    let of_evidence = rows(out).into_iter().filter(|found| !found.rule.starts_with("order."));
    of_evidence.map(|found| (found.cert_id, found.name, found.rule, found.detail)).collect()
}

#[test]
fn names_are_judged_by_the_list_of_suffixes_that_is_given() {
    let places = Places::new();
    let planted = Shape { defects_per_mille: 0, one_domain: true, ..SMALL }.write(&places.at("in"), Form::Csv);
    assert_eq!(
        found(&{
            Run::new(&places.at("in"), &places.at("out")).report();
            places.at("out")
        }),
        planted
    );
    let out = places.at("other");
    let other = Run { suffixes: suffixes_of_a_platform(), ..Run::new(&places.at("in"), &out) };
    let report = other.report();
    assert!(report.summary.contains("Public Suffix List of 2026-12-01"), "{}", report.summary);
    let all = rows(&out);
    assert!(all.len() > 50 && all.iter().all(|found| found.rule == "dcv.adn"), "{:?}", report.by_rule);
    assert!(
        all.iter().all(|found| found.detail.contains("which is a public suffix (list of 2026-12-01)")),
        "{:?}",
        all[0]
    );
    let again = Run { suffixes: SuffixList::Embedded, ..Run::new(&places.at("in"), &out) }.judge(true);
    assert!(again.is_err_and(|error| error.to_string().contains("by another Public Suffix List")));
}

#[test]
fn it_says_what_the_examination_of_each_certificate_says() {
    for seed in [11, 12] {
        let places = Places::new();
        let shape = Shape { seed, certificates: 500, defects_per_mille: 300, large: 20, ..SMALL };
        shape.write(&places.at("in"), Form::Ndjson);
        let database = Embedded::open(&places.at("data")).expect("a database");
        for table in [
            "issuers",
            "accounts",
            "applicants",
            "identities",
            "orders",
            "certificates",
            "caa_checks",
            "dcv_confirmations",
            "order_names",
        ] {
            import(&database, &places.at("in"), table);
        }
        // What dangles is refused by the import: the audit of the same rows sees the rows that are there.
        let lines =
            |table: &str| std::fs::read_to_string(places.at("in").join(format!("{table}.ndjson"))).expect("a table");
        let known: BTreeSet<String> = ids(&lines("dcv_confirmations"), "dcv_id");
        let reuses = keep(&lines("dcv_reuse"), "dcv_id", &known);
        let names = keep(&lines("san_authorisations"), "dcv_id", &known);
        let names = keep(&names, "reuse_id", &ids(&reuses, "reuse_id"));
        let now = Timestamp::from_seconds(NOW);
        for (table, text) in [("dcv_reuse", reuses), ("san_authorisations", names)] {
            std::fs::write(places.at("in").join(format!("{table}.ndjson")), &text).expect("written");
            let file = places.at("in").join(format!("{table}.ndjson"));
            database.import_file(&file, Some(table), now).unwrap_or_else(|error| panic!("{table}: {error}"));
        }
        import(&database, &places.at("in"), "approvals");
        let mut planted = Planted::new();
        let rows: Vec<Value> =
            lines("certificates").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let certificates: Vec<(i64, Query)> = (1..=520)
            .map(|number| {
                let certificate = shape.certificate(number, &mut planted);
                let serial = rows[number as usize - 1]["serial"].as_str().and_then(Serial::from_hex).expect("a serial");
                let issuer_key_hash = KeyHash::from_hex(&"ab".repeat(32)).expect("a hash");
                let key = CaseKey { issuer_key_hash, serial };
                (certificate.id, Query { key, names: certificate.names.into_iter().map(|san| san.name).collect() })
            })
            .collect();
        let expected = examined(&database, &certificates, &policy());
        assert!(expected.len() > 200, "{}", expected.len());
        let left_out: BTreeSet<(i64, String)> = {
            let kept = std::fs::read_to_string(places.at("in").join("san_authorisations.ndjson")).expect("a table");
            let kept: BTreeSet<(i64, String)> = kept.lines().map(named).collect();
            let all = certificates.iter().flat_map(|(id, query)| query.names.iter().map(|name| (*id, name.clone())));
            all.filter(|pair| !kept.contains(pair)).collect()
        };
        let expected: BTreeSet<_> =
            expected.into_iter().filter(|(id, name, ..)| !left_out.contains(&(*id, name.clone()))).collect();
        Run::new(&places.at("in"), &places.at("out")).report();
        assert_eq!(audited(&places.at("out")), expected, "exports, seed {seed}");
        let out = places.at("out-db");
        let embedded = Run { source: Source::Embedded(database), ..Run::new(&places.at("in"), &out) };
        embedded.report();
        assert_eq!(audited(&out), expected, "embedded, seed {seed}");
    }
}

fn named(line: &str) -> (i64, String) {
    let row: Value = serde_json::from_str(line).expect("JSON");
    (row["cert_id"].as_i64().expect("a number"), row["name"].as_str().expect("a name").to_string())
}

fn import(database: &Embedded, from: &Path, table: &str) {
    let now = Timestamp::from_seconds(NOW);
    let file = from.join(format!("{table}.ndjson"));
    database.import_file(&file, Some(table), now).unwrap_or_else(|error| panic!("{table}: {error}"));
}

fn ids(text: &str, column: &str) -> BTreeSet<String> {
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.map(|row| row[column].to_string()).collect()
}

/// The lines whose column is empty or names one of these.
fn keep(text: &str, column: &str, known: &BTreeSet<String>) -> String {
    let fits = |line: &&str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        row.get(column).is_none_or(|id| known.contains(&id.to_string()))
    };
    text.lines().filter(fits).map(|line| format!("{line}\n")).collect()
}

#[test]
fn in_little_memory_it_finds_the_same() {
    let places = Places::new();
    let shape = Shape { seed: 3, certificates: 6_000, defects_per_mille: 50, large: 100, ..SMALL };
    let planted = shape.write(&places.at("in"), Form::Parquet);
    let out = places.at("out");
    Run { memory: 2 << 20, ..Run::new(&places.at("in"), &out) }.report();
    same(&found(&out), &planted, "2 MiB");
    // One registrable domain in which many subscribers have their names cannot be divided by name: it is judged in rounds.
    let skewed = Shape { one_domain: true, ..shape };
    let planted = skewed.write(&places.at("skewed"), Form::Parquet);
    let out = places.at("out-skewed");
    Run { memory: 2 << 20, ..Run::new(&places.at("skewed"), &out) }.report();
    same(&found(&out), &planted, "one domain in 2 MiB");
    let too_little = places.at("too-little");
    let run = Run { memory: 1 << 10, ..Run::new(&places.at("in"), &too_little) };
    assert!(matches!(run.judge(false), Err(AuditError::Memory { .. })));
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.env_remove("CTWARDEN_CONFIG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Done parts with the times of their files.
fn done(out: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let entries = std::fs::read_dir(out.join("parts")).into_iter().flatten().flatten();
    let done = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    done.filter_map(|path| Some((path.clone(), std::fs::metadata(&path).ok()?.modified().ok()?))).collect()
}

#[test]
fn killed_it_goes_on_behind_the_parts_that_are_done() {
    let places = Places::new();
    let shape = Shape { seed: 6, certificates: 3_000, defects_per_mille: 400, large: 100, ..SMALL };
    let planted = shape.write(&places.at("in"), Form::Parquet);
    let out = places.at("out");
    let audit = |more: &[&str]| {
        let mut command = program();
        command.current_dir(places.directory.path()).args([
            "audit",
            "--findings",
            "csv",
            "--unexpired-at",
            "2026-11-22",
        ]);
        command.arg("--from").arg(places.at("in")).arg("--out").arg(&out).args(more);
        command
    };
    let mut child = audit(&[]).spawn().expect("it starts");
    while done(&out).len() < 40 {
        assert!(child.try_wait().expect("waited").is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("waited");
    let before = done(&out);
    assert!((40..256).contains(&before.len()) && !out.join("findings.csv").exists(), "{}", before.len());
    let again = audit(&[]).output().expect("it starts");
    assert_eq!(again.status.code(), Some(3), "without --resume the output of an audit is not touched");
    assert_eq!(audit(&["--resume"]).status().expect("it ends").code(), Some(1));
    let after = done(&out);
    assert!(before.iter().all(|(path, at)| after.get(path) == Some(at)), "a part that was done was done again");
    let expected: Planted = planted.into_iter().filter(|(_, _, rule)| rule != "order.channel").collect();
    // Without the CA's own terms these cannot be judged.
    let judged =
        |(_, _, rule): &&(i64, String, String)| !["caa.verdict", "caa.params", "dcv.flawed"].contains(&rule.as_str());
    let (found, expected) = (found(&out), expected.iter().filter(judged).cloned().collect());
    same(&found.iter().filter(judged).cloned().collect(), &expected, "after a kill");
    let whole = places.at("whole");
    let run = Run { policy: Policy::default(), ..Run::new(&places.at("in"), &whole) };
    run.report();
    for file in OUTPUT {
        let read = |out: &Path| std::fs::read_to_string(out.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(read(&out), read(&whole), "{file}");
    }
}

#[test]
fn on_every_fixture_it_says_what_the_examination_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/issuance");
    let mut compared = 0;
    for entry in std::fs::read_dir(directory).expect("fixtures").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".json") else { continue };
        let fixture: Value = serde_json::from_slice(&std::fs::read(entry.path()).expect("read")).expect(stem);
        let rows = fixture["rows"].as_array().expect(stem);
        let of = |table: &'static str| rows.iter().filter(move |row| row["table"] == table);
        if of("certificates").count() == 0 || of("san_authorisations").count() == 0 {
            continue;
        }
        let places = Places::new();
        std::fs::create_dir_all(places.at("in")).expect("a directory");
        let feed: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(places.at("in").join("feed.ndjson"), &feed).expect("written");
        let database = Embedded::open(&places.at("data")).expect("a database");
        database.import_ndjson(&feed, Timestamp::from_seconds(NOW)).unwrap_or_else(|error| panic!("{stem}: {error}"));
        let issuer_key_hash = fixture["issuer_key_hash"].as_str().and_then(KeyHash::from_hex).expect(stem);
        let policy = policy_of(&fixture);
        let queries: Vec<(i64, Query)> = of("certificates")
            .map(|row| {
                let serial = row["serial"].as_str().and_then(Serial::from_hex).expect(stem);
                let names = of("san_authorisations").filter(|san| san["cert_id"] == row["cert_id"]);
                let names = names.map(|san| san["name"].as_str().expect(stem).to_ascii_lowercase()).collect();
                (row["cert_id"].as_i64().expect(stem), Query { key: CaseKey { issuer_key_hash, serial }, names })
            })
            .collect();
        let known = |(_, query): &&(i64, Query)| {
            matches!(&database.find(std::slice::from_ref(query)).expect(stem)[0], Lookup::Found(_))
        };
        let queries: Vec<(i64, Query)> = queries.iter().filter(known).cloned().collect();
        let ids: BTreeSet<i64> = queries.iter().map(|(id, _)| *id).collect();
        let expected = examined(&database, &queries, &policy);
        let question = Question { unexpired_at: Timestamp::EPOCH, ..question() };
        // By turns, for each takes its time.
        let (what, source) = match compared % 2 {
            0 => ("exports", Source::Directory(places.at("in"))),
            _ => ("embedded", Source::Embedded(database.clone())),
        };
        let out = places.at(what);
        Run { source, question, policy, ..Run::new(&places.at("in"), &out) }.report();
        let found: BTreeSet<_> = audited(&out).into_iter().filter(|(id, ..)| ids.contains(id)).collect();
        assert_eq!(found, expected, "{name}, {what}");
        compared += 1;
    }
    assert!(compared > 80, "{compared} fixtures were compared");
}

/// The terms in a fixture; what it leaves out is as by default.
fn policy_of(fixture: &Value) -> Policy {
    let terms = &fixture["policy"];
    if !terms.is_object() {
        return policy();
    }
    let mut policy = Policy::default();
    let words = |key: &str| -> Option<Vec<String>> {
        let words = terms[key].as_array()?.iter().map(|word| word.as_str().expect("text").to_string());
        Some(words.collect())
    };
    for (key, list) in [
        ("issuer_domains", &mut policy.issuer_domains),
        ("bulk_evidence", &mut policy.bulk_evidence),
        ("own_resolvers", &mut policy.own_resolvers),
        ("systems", &mut policy.systems),
        ("shared_account_kinds", &mut policy.shared_account_kinds),
    ] {
        *list = words(key).unwrap_or_else(|| std::mem::take(list));
    }
    for (key, list) in [("channels", &mut policy.channels), ("methods", &mut policy.methods)] {
        *list = words(key).into_iter().flatten().map(|word| Dated::parse(&word).expect("a dated word")).collect();
    }
    for flaw in terms["flawed"].as_array().into_iter().flatten() {
        let day = |key: &str| flaw[key].as_str().and_then(Timestamp::parse);
        let text = |key: &str| flaw[key].as_str().expect("text").to_string();
        let (from, until) = (day("from").expect("a day"), day("until"));
        policy.flawed.push(FlawedMethod { method: text("method"), from, until, reason: text("reason") });
    }
    policy.account_uri_prefix = terms["account_uri_prefix"].as_str().map(str::to_string);
    policy
}

const OUTPUT: [&str; 4] = ["findings.csv", "groups.csv", "summary.md", "incident.csv"];

#[test]
fn shares_put_together_are_the_whole_byte_for_byte() {
    let places = Places::new();
    let shape = Shape { seed: 4, certificates: 1_200, defects_per_mille: 100, large: 30, ..SMALL };
    shape.write(&places.at("in"), Form::Parquet);
    let whole = places.at("whole");
    Run::new(&places.at("in"), &whole).report();
    let shares: Vec<PathBuf> = (1..=3).map(|number| places.at(&format!("share{number}"))).collect();
    for (number, out) in (1..).zip(&shares) {
        Run { share: Share { number, of: 3 }, ..Run::new(&places.at("in"), out) }.judge(false).expect("judged");
    }
    let merged = places.at("merged");
    audit::merge(&shares, &merged).expect("merged");
    audit::finish(&merged, FindingsFormat::Csv, None).expect("finished");
    for file in OUTPUT {
        let read = |out: &Path| std::fs::read_to_string(out.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(read(&merged), read(&whole), "{file}");
    }
    let part = audit::merge(&shares[..2], &places.at("part")).expect_err("a share is missing");
    assert!(part.to_string().contains("are in none of the outputs"), "{part}");
    let other = places.at("other");
    let question = Question { rules: vec!["dcv.reuse".into()], ..question() };
    Run { question, share: Share { number: 3, of: 3 }, ..Run::new(&places.at("in"), &other) }
        .judge(false)
        .expect("judged");
    let mixed = [shares[0].clone(), shares[1].clone(), other];
    let error = audit::merge(&mixed, &places.at("mixed")).expect_err("another question");
    assert!(error.to_string().contains("another question"), "{error}");
}

#[test]
fn a_second_run_by_other_rules_says_what_changed() {
    let places = Places::new();
    let shape = Shape { seed: 5, certificates: 800, defects_per_mille: 60, large: 300, ..SMALL };
    let planted = shape.write(&places.at("in"), Form::Parquet);
    let (first, second) = (places.at("first"), places.at("second"));
    Run::new(&places.at("in"), &first).report();
    let question = Question { rules: vec!["dcv.reuse".into(), "dcv.manual".into()], ..question() };
    let systems = vec!["system".into(), "op3".into()];
    let run = Run { question, policy: Policy { systems, ..policy() }, ..Run::new(&places.at("in"), &second) };
    run.judge(false).expect("judged");
    let report = audit::finish(&second, FindingsFormat::Csv, Some(&first)).expect("finished");
    let expected: Planted = planted.into_iter().filter(|(_, _, rule)| rule == "dcv.reuse").collect();
    same(&found(&second), &expected, "two rules");
    let chapter = report.summary.split("## Changed since the earlier audit").nth(1).expect("a chapter");
    assert!(chapter.contains("| dcv.manual | 0 |") && chapter.contains("| 100.0 % |"), "{chapter}");
    assert!(!chapter.contains("| dcv.reuse |"), "{chapter}");
    assert_eq!(audit::compare(&first, &first).expect("compared"), []);
}

#[test]
fn rows_that_cannot_be_are_told_and_nothing_is_judged() {
    let places = Places::new();
    SMALL.write(&places.at("in"), Form::Csv);
    let file = places.at("in").join("san_authorisations.csv");
    let text = std::fs::read_to_string(&file).expect("a table");
    std::fs::write(&file, format!("{text}999999,\"a.eus\",1,,\n1,\"a b\",1,,\n")).expect("written");
    let error = Run::new(&places.at("in"), &places.at("out")).judge(false).expect_err("refused").to_string();
    assert!(error.starts_with("2 rows refused"), "{error}");
    assert!(error.contains("column cert_id: names no row of certificates"), "{error}");
    assert!(error.contains("column name: \"a b\" is not a domain name"), "{error}");
    assert!(!places.at("out").join("findings.csv").exists());
}
