//! The CA's own profiles: `tests/fixtures/policy/<rule>.<fail|pass|review>.<case>.case` holds the lines of a `[[profile]]`, one
//! certificate in PEM, an empty line, and one expected finding per line (`rule severity clock [section] subject`); a
//! remark `# issued: EARLIEST LATEST` at its head is the time of issuance. The files are made from the table below;
//! `CTWARDEN_WRITE_FIXTURES=1 cargo test --test policy` writes them again.

#[path = "support/certgen.rs"]
mod certgen;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use certgen::{CLIENT_AUTH, OV, SERVER_AUTH, Spec, number, rsa};
use ctwarden::cert::{Certificate, pem};
use ctwarden::clock::{Clock, Timestamp};
use ctwarden::config;
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::{Finding, Issued, Verdict};
use ctwarden::lint::Tables;
use ctwarden::lint::profile::{Profile, RULES, run};
use support::monitor::{Bench, said};

/// One kind of demand, a certificate that breaks it and one that does not.
struct Demand {
    rule: &'static str,
    line: &'static str,
    bad: Spec,
    subjects: &'static [&'static str],
    good: Spec,
}

fn summer() -> Spec {
    Spec::summer("www.example.eus")
}

fn demands() -> Vec<Demand> {
    let demand = |rule, line, bad, subjects, good| Demand { rule, line, bad, subjects, good };
    vec![
        demand(
            "policy.san_types",
            r#"san_types = ["dNSName"]"#,
            summer().ip("192.0.2.1"),
            &["iPAddress 192.0.2.1"],
            summer(),
        ),
        demand(
            "policy.oids",
            r#"policy_oids = ["2.23.140.1.2.1", "1.3.6.1.4.1.14777.1.2.1"]"#,
            summer().policy(OV),
            &["2.23.140.1.2.2", "certificatePolicies"],
            summer(),
        ),
        demand(
            "policy.validity",
            "max_validity_days = 30",
            // One second more than 30 days, both ends included.
            Spec::new("2026-06-01", "2026-07-01").dns("www.example.eus"),
            &["validity"],
            Spec::new("2026-06-01", "2026-06-30 23:59:59").dns("www.example.eus"),
        ),
        demand(
            "policy.key",
            r#"keys = ["p-384", "rsa-3072+"]"#,
            summer(),
            &["subjectPublicKeyInfo"],
            summer().spki(rsa(&number(3080))),
        ),
        demand(
            "policy.eku",
            r#"ekus = ["serverAuth"]"#,
            summer().eku(false, &[SERVER_AUTH, CLIENT_AUTH]),
            &["1.3.6.1.5.5.7.3.2"],
            summer(),
        ),
        demand(
            "policy.subject",
            r#"subject_fields = ["C", "2.5.4.10"]"#,
            summer().attr(6, "ES").attr(10, "Example").attr(11, "Unit"),
            &["OU=Unit"],
            summer().attr(6, "ES").attr(10, "Example"),
        ),
        demand(
            "policy.suffix",
            r#"name_suffixes = ["eus", ".gov.example"]"#,
            summer().dns("www.example.com").dns("notgov.example"),
            &["notgov.example", "www.example.com"],
            summer().dns("*.gov.example").dns("*.EUS"),
        ),
        demand(
            "policy.country",
            r#"subject_countries = ["ES"]"#,
            summer().attr(6, "PT"),
            &["C=PT"],
            summer().attr(6, "ES"),
        ),
        demand(
            "policy.forbidden_name",
            r#"forbidden_names = ["euskalsarea", "www.other-ca.example"]"#,
            summer().dns("www.bizkaia.euskalsarea").dns("*.other-ca.example").cn("euskalsarea"),
            &["*.other-ca.example", "euskalsarea", "www.bizkaia.euskalsarea"],
            summer().dns("euskalsarea.eus").dns("other-ca.example").cn("www.example.eus"),
        ),
    ]
}

const SINCE: &str = "2026-06-01T00:00:00Z";
const BEFORE: &str = "2026-05-31T23:59:59Z";
const UNTIL: &str = "2026-09-01T00:00:00Z";
const LAST: &str = "2026-08-31T23:59:59Z";

/// Every fixture by its file name.
fn fixtures() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for Demand { rule, line, bad, subjects, good } in demands() {
        let profile = format!("section = \"CPS 3.2.2\"\nsince = \"2026-06-01\"\nuntil = \"2026-09-01\"\n{line}\n");
        let found = |severity: &str, clock: &str| {
            subjects.iter().map(|s| format!("{rule} {severity} {clock} [CPS 3.2.2] {s}\n")).collect::<String>()
        };
        let mut add = |name: &str, issued: [&str; 2], spec: &Spec, expected: String| {
            let text =
                format!("# issued: {} {}\n{profile}{}\n{expected}", issued[0], issued[1], pem::encode(&spec.der()));
            all.insert(format!("{rule}.{name}.case"), text);
        };
        add("fail.first-second", [SINCE, SINCE], &bad, found("error", "5d"));
        add("fail.last-second", [LAST, LAST], &bad, found("error", "5d"));
        add("pass.good", [SINCE, LAST], &good, String::new());
        add("pass.second-before", [BEFORE, BEFORE], &bad, String::new());
        add("pass.second-after", [UNTIL, UNTIL], &bad, String::new());
        add("review.one-end", [BEFORE, SINCE], &bad, found("review", "5d"));
    }
    all
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy")
}

#[test]
fn the_files_are_what_the_table_makes() {
    let expected = fixtures();
    if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(folder()).expect("a folder");
        for (name, text) in &expected {
            std::fs::write(folder().join(name), text).expect("a fixture");
        }
    }
    let mut on_disk = BTreeMap::new();
    for file in std::fs::read_dir(folder()).expect("fixtures") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        on_disk.insert(name, std::fs::read_to_string(&path).expect("text"));
    }
    assert!(on_disk == expected, "write the fixtures again");
    let ruled: BTreeSet<&str> = RULES.iter().map(|rule| rule.info.id).collect();
    let made: BTreeSet<&str> = demands().iter().map(|demand| demand.rule).collect();
    assert_eq!(ruled, made);
}

/// A directory with a configuration that has one issuer and these sections.
fn configured(more: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ctwarden.toml");
    std::fs::write(directory.path().join("logs.json"), "{}").expect("a list");
    std::fs::write(directory.path().join("names.txt"), "# of others\nbank.example # one\n\n*.gov.example\n")
        .expect("names");
    std::fs::write(directory.path().join("bad.txt"), "bank.example\nnot a name\n").expect("names");
    let text = format!(
        "[logs]\nlist = \"logs.json\"\ncontact = \"a@ca.example\"\n[data]\ndirectory = \"data\"\n[mail]\nfolder = \"mail\"\n\
         [[issuer]]\nname = \"A\"\nissuer_key_hash = \"{}\"\n[[issuer]]\nname = \"B\"\nissuer_key_hash = \"{}\"\n{more}\n",
        "11".repeat(32),
        "22".repeat(32)
    );
    std::fs::write(&file, text).expect("a configuration");
    (directory, file)
}

/// The profiles of the issuers A and B.
fn profiles(sections: &str) -> [Option<Profile>; 2] {
    let (_directory, file) = configured(sections);
    let config = config::load(&file).unwrap_or_else(|problems| panic!("{sections}: {problems}"));
    [0x11, 0x22].map(|octet| config.issuance.terms.profiles.get(&ctwarden::finding::KeyHash([octet; 32])).cloned())
}

fn findings(der: &[u8], issued: Issued, profile: &Profile) -> Vec<Finding> {
    let cert = Certificate::parse(der).expect("a certificate");
    let verdicts = run(&cert, issued, &Tables::embedded(), profile);
    let found = verdicts.into_iter().flat_map(|(_, verdict)| match verdict {
        Verdict::Fail(findings) => findings,
        _ => Vec::new(),
    });
    found.collect()
}

#[test]
fn every_fixture_has_the_findings_it_names() {
    let mut wrong = Vec::new();
    for (name, text) in fixtures() {
        let (head, expected) = text.split_once("\n\n").expect("an empty line");
        let section = head.split("-----BEGIN").next().expect("a profile");
        let times = head.lines().find_map(|line| line.strip_prefix("# issued: ")).expect("a time");
        let [earliest, latest] = [0, 1].map(|at| times.split(' ').nth(at).and_then(Timestamp::parse).expect("a time"));
        let [Some(profile), Some(_)] = profiles(&format!("[[profile]]\n{section}")) else {
            panic!("{name}: no profile")
        };
        let der = pem::certificates(head.as_bytes()).remove(0).expect("one certificate");
        let found = findings(&der, Issued { earliest, latest }, &profile);
        let line = |f: &Finding| format!("{} {} {} [{}] {}", f.rule, f.severity, f.clock.word(), f.citation, f.subject);
        let lines: BTreeSet<String> = found.iter().map(line).collect();
        if lines != expected.lines().map(str::to_string).collect() {
            wrong.push(format!("{name}: expected {expected}\nfound {lines:#?}"));
        }
        let side = "only if issued on or after 2026-06-01";
        if name.contains(".review.") && !found.iter().all(|finding| finding.detail.contains(side)) {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_profile_binds_the_issuers_that_it_names_and_nobody_else() {
    assert_eq!(profiles(""), [None, None]);
    let country = "section = \"CPS 3.2.2\"\nsubject_countries = [\"ES\"]\n";
    let [a, b] = profiles(&format!("[[profile]]\nissuers = [\"B\"]\n{country}"));
    assert!(a.is_none() && b.is_some());
    // Several sections bind together, and what none of them speaks of is not judged at all.
    let sections = format!(
        "[[profile]]\n{country}[[profile]]\nissuers = [\"A\"]\nsection = \"CP 1.4\"\nseverity = \"warning\"\nsubject_countries = [\"FR\"]\n\
         [[profile]]\nsection = \"CPS 3.2.5\"\nforbidden_names_file = \"names.txt\"\nforbidden_names = [\"corp\"]\n"
    );
    let [Some(a), Some(b)] = profiles(&sections) else { panic!("no profiles") };
    assert_eq!((a.constraints.len(), b.constraints.len()), (3, 2));
    let der = Spec::summer("www.bank.example").dns("x.gov.example").dns("a.corp").attr(6, "PT").der();
    let issued = Issued::at(ctwarden::clock::date(2026, 6, 1));
    let found = findings(&der, issued, &a);
    let country = found.iter().find(|finding| finding.rule == "policy.country").expect("a finding");
    assert_eq!((country.citation.as_ref(), country.severity.word()), ("CPS 3.2.2", "error"));
    assert!(country.detail.contains("by CPS 3.2.2") && country.detail.contains("by CP 1.4"), "{}", country.detail);
    let names: Vec<&str> =
        found.iter().filter(|f| f.rule == "policy.forbidden_name").map(|f| f.subject.as_str()).collect();
    assert_eq!(names, ["a.corp", "www.bank.example", "x.gov.example"]);
    let cert = Certificate::parse(&der).expect("a certificate");
    let judged: Vec<&str> = run(&cert, issued, &Tables::embedded(), &a).iter().map(|(rule, _)| rule.id).collect();
    assert_eq!(judged, ["policy.country", "policy.forbidden_name"]);
    // What is only advised starts no clock.
    let mild = "[[profile]]\nsection = \"CP 1.4\"\nseverity = \"warning\"\nsubject_countries = [\"FR\"]\n";
    let [Some(mild), _] = profiles(mild) else { panic!("no profile") };
    let found = findings(&der, issued, &mild);
    assert_eq!((found[0].severity.word(), found[0].clock.word()), ("warning", "none"));
}

#[test]
fn every_mistake_in_a_profile_is_told_with_its_line() {
    let problems = |lines: &str| {
        let (directory, file) = configured(&format!("[[profile]]\n{lines}"));
        let told = config::load(&file).expect_err("it should be refused").to_string();
        let told = told.replace(&format!("{}/", directory.path().display()), "");
        told.lines().map(|line| line.replace("ctwarden.toml:", "")).collect::<Vec<_>>()
    };
    let section = "section = \"CPS 1\"";
    for (line, says) in [
        ("issuers = [\"C\"]", "15: profile[1].issuers: \"C\" is the name of no [[issuer]]. Write the name of an"),
        ("since = \"soon\"", "15: profile[1].since: \"soon\" is not a day. Write it as 2019-11-15"),
        ("until = \"1019-01-01\"", "15: profile[1].until: \"1019-01-01\" is not a day. "),
        ("severity = \"notice\"", "15: profile[1].severity: \"notice\" is not known. Choose from \"error\", "),
        ("san_types = [\"dns\"]", "15: profile[1].san_types: \"dns\" is not known. Choose from \"dNSName\", "),
        ("policy_oids = [\"2.23\"]", "15: profile[1].policy_oids: \"2.23\" is no object identifier. Write it dotted"),
        ("max_validity_days = 0", "15: profile[1].max_validity_days: is not between 1 and 10000. "),
        ("keys = [\"rsa2048\"]", "15: profile[1].keys: \"rsa2048\" is no kind of key. Write rsa-2048"),
        ("ekus = [\"server\"]", "15: profile[1].ekus: \"server\" is no extended key usage. Write serverAuth"),
        ("subject_fields = [\"Org\"]", "15: profile[1].subject_fields: \"Org\" is no attribute of a subject. "),
        ("name_suffixes = [\"*.eus\"]", "15: profile[1].name_suffixes: \"*.eus\" is no suffix of names. "),
        ("subject_countries = [\"es\"]", "15: profile[1].subject_countries: \"es\" is no country. "),
        ("forbidden_names = [\"a b\"]", "15: profile[1].forbidden_names: a b is not a name such as "),
        ("forbidden_names_file = \"none\"", "15: profile[1].forbidden_names_file: none cannot be read"),
        (
            "forbidden_names_file = \"bad.txt\"",
            "15: profile[1].forbidden_names_file: bad.txt line 2: not a name is not",
        ),
        ("countries = [\"ES\"]", "15: profile[1].countries: is not a key of ctwarden. "),
    ] {
        let demand = if line.starts_with("ekus") { "" } else { "\nekus = [\"serverAuth\"]" };
        let told = problems(&format!("{line}\n{section}{demand}"));
        assert!(told.len() == 1 && told[0].starts_with(says), "{line}: said {told:#?}\nexpected {says}");
    }
    let told = problems("ekus = [\"serverAuth\"]");
    assert!(
        told[0].starts_with("14: profile[1].section: is missing. Write section = \"CPS 3.2.2\" in [[profile]]"),
        "{told:?}"
    );
    let told = problems(section);
    assert!(told[0].starts_with("14: profile[1].san_types: is missing. Write one of san_types, "), "{told:?}");
    let told = problems(&format!("{section}\nsince = \"2020-01-01\"\nuntil = \"2020-01-01\"\nekus = [\"serverAuth\"]"));
    assert!(told.len() == 1 && told[0].starts_with("17: profile[1].until: is not after since. "), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_outside_of_its_profile_is_a_case_that_cites_the_cps() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let log = LogServer::start(LogSettings::new(Api::Rfc6962, Clock::System)).await.expect("a log");
    let entry = |name: &str| {
        let pre_certificate = ca.draft(&[name], now).expect("a draft").precertificate().expect("a precertificate");
        let tbs = Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
        let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
        RawEntry { timestamp: now, kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] }
    };
    log.append([entry("www.bank-of-tests.eus"), entry("www.other.eus")]);
    log.publish();
    let issuer = format!("[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n", ca.issuer_key_hash());
    let profile = "[[profile]]\nsection = \"CPS 3.2.2.4\"\nforbidden_names = [\"bank-of-tests.eus\"]\n";
    let bench = Bench::new(&[&log], &format!("{issuer}{profile}[issuance]\nsource = \"none\""), "");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 2);
    assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule LIKE 'policy.%'"), 1);
    let finding: String = bench
        .books()
        .query_row("SELECT finding FROM case_findings WHERE rule = 'policy.forbidden_name'", [], |row| row.get(0))
        .expect("a finding");
    assert!(finding.contains("\"citation\":\"CPS 3.2.2.4\""), "{finding}");
    assert!(bench.mails().values().any(|mail| mail.contains("CPS 3.2.2.4")), "no mail cites it");
    log.stop().await;
}
