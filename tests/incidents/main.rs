//! Every class of public incident against the real examination.
//!
//! `tests/fixtures/incidents/classes.md` is the list of classes. `<class>-<bug>-<what>/{fails,passes}/` hold a
//! certificate, the CA's record as NDJSON and the CA's own terms: once as in the incident, once with the one thing set
//! right. They are made from the table in `table.rs`; `CTWARDEN_WRITE_FIXTURES=1 cargo test --test incidents` writes
//! them again. Each is imported and examined as the daemon does. The table in the README has the same rows.

#[path = "../support/certgen.rs"]
mod certgen;
mod gaps;
mod scene;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctwarden::cert::{Certificate, pem};
use ctwarden::clock::{Span, date};
use ctwarden::config;
use ctwarden::exam::{self, Examinee, Policy, examine, outcome, presented};
use ctwarden::finding::{CaseKey, Finding, RevocationClock, RuleInfo, Severity, Verdict};
use ctwarden::issuance::{Embedded, Query};
use ctwarden::lint::{KeyLists, Tables};
use ctwarden::promise::KnownLogs;
use ctwarden::watch::{Form, Issuer, Standing, Watchlist};
use table::{Incident, incidents};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/incidents")
}

/// A class of the list.
struct Class {
    number: u8,
    bugs: String,
    clock: String,
}

/// The cells of the rows of a Markdown table that begin with a number.
fn numbered(text: &str) -> Vec<(u8, Vec<String>)> {
    let cells = |line: &str| -> Option<(u8, Vec<String>)> {
        let cells: Vec<String> = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().to_string()).collect();
        Some((cells.first()?.parse().ok()?, cells))
    };
    text.lines().filter_map(cells).collect()
}

fn classes() -> Vec<Class> {
    let text = fs::read_to_string(folder().join("classes.md")).expect("the list of classes");
    let class = |(number, cells): (u8, Vec<String>)| Class { number, bugs: cells[2].clone(), clock: cells[4].clone() };
    numbered(&text).into_iter().map(class).collect()
}

/// The numbers of bugs in a text.
fn bugs(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.filter(|word| word.len() == 7).collect()
}

#[test]
fn the_list_of_classes_is_that_of_the_domain() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/domain/incidents.md");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: no ../shared/domain; the list in the repository is checked by the other tests");
        return;
    };
    let domain: Vec<(u8, Vec<String>)> = numbered(&text)
        .into_iter()
        .map(|(number, cells)| (number, [0, 1, 2, 4, 5].map(|place| cells[place].clone()).to_vec()))
        .collect();
    let ours = fs::read_to_string(folder().join("classes.md")).expect("the list of classes");
    let ours = numbered(&ours).into_iter().map(|(number, cells)| (number, cells[..5].to_vec())).collect::<Vec<_>>();
    assert_eq!(ours, domain);
}

fn directory(incident: &Incident) -> PathBuf {
    folder().join(format!("{:02}-{}-{}", incident.class, incident.bug, incident.what))
}

#[test]
fn the_files_are_what_the_table_makes() {
    let mut expected = BTreeMap::new();
    for incident in incidents() {
        for (word, scene) in [("fails", &incident.fails), ("passes", &incident.passes)] {
            let folder = directory(&incident).join(word);
            if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
                scene.write(&folder);
            }
            for (name, text) in scene.files() {
                assert!(expected.insert(folder.join(name), text).is_none(), "{} twice", folder.display());
            }
        }
    }
    let mut on_disk = BTreeMap::new();
    let mut open = vec![folder()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path != folder().join("classes.md") {
                on_disk.insert(path.clone(), fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&on_disk), names(&expected), "remove what is too much, write what is missing");
    assert!(on_disk == expected, "the files and the table differ: write the fixtures again");
}

/// The lists that are built in, and the keys of `tests/fixtures/keys/compromised.txt`.
fn tables() -> Tables {
    let mut keys = KeyLists::default();
    let compromised = folder().join("../keys/compromised.txt");
    for line in fs::read_to_string(compromised).expect("a list of keys").lines() {
        keys.compromised_line(line.as_bytes()).expect("a line");
    }
    Tables { keys: Arc::new(keys.finish(None)), ..Tables::embedded() }
}

/// Examines a fixture as the daemon does, from its files alone.
fn judged(fixture: &Path, tables: &Tables) -> Vec<(&'static RuleInfo, Verdict)> {
    let text = |name: &str| fs::read_to_string(fixture.join(name)).ok();
    let place = tempfile::tempdir().expect("a directory");
    fs::write(place.path().join("logs.json"), "{}").expect("a list");
    if let Some(list) = text("list.txt") {
        fs::write(place.path().join("list.txt"), list).expect("a list");
    }
    let head = format!(
        "data.directory = \"data\"\nlogs.list = \"logs.json\"\nlogs.contact = \"a@ca.example\"\nmail.folder = \"mail\"\n\
         [[issuer]]\nname = \"Example CA G2\"\nissuer_key_hash = \"{}\"\n",
        scene::ISSUER
    );
    let file = place.path().join("ctwarden.toml");
    fs::write(&file, head + &text("terms.toml").expect("terms")).expect("a configuration");
    let config = config::load(&file).unwrap_or_else(|problems| panic!("{}: {problems}", fixture.display()));

    let forms = |name: &str| -> Vec<(Form, Vec<u8>)> {
        let blocks = text(name).map(|text| pem::certificates(text.as_bytes())).unwrap_or_default();
        blocks.into_iter().map(|der| (Form::Certificate, der.expect("a certificate in PEM"))).collect()
    };
    let (ders, others) = (forms("certificate.pem"), forms("others.pem"));
    let certificate = Certificate::parse(&ders[0].1).expect("a certificate");
    let all = ders.iter().chain(&others).filter_map(|(_, der)| Certificate::parse(der).ok());
    let siblings = all.map(|certificate| certificate.core_sha256()).collect::<BTreeSet<_>>().len() as u64;

    let now = date(2026, 11, 20).plus(Span::from_seconds(12 * 3600));
    let database = Embedded::open(&config.data_directory).expect("a database");
    let feed = text("record.ndjson").expect("a record");
    database.import_ndjson(&feed, now).unwrap_or_else(|error| panic!("{}: {error}", fixture.display()));
    let issuer_key_hash = config.issuers[0].key_hash;
    let key = CaseKey { issuer_key_hash, serial: certificate.serial() };
    let query = Query { key, names: presented(&certificate).names };
    let lookup = database.find(&[query]).expect("an answer").remove(0);

    let (terms, logs, grace) = (&config.issuance.terms, KnownLogs::new([]), config.issuance.grace);
    let issuer = Issuer { name: config.issuers[0].name.clone(), key_hash: issuer_key_hash, certificate: None };
    let watchlist = Watchlist::new(vec![issuer], false);
    let policy = Policy { watchlist: &watchlist, tables, terms, logs: &logs, grace };
    let examinee = Examinee {
        standing: Standing::Ours,
        issuer_key_hash,
        remark: "",
        ders: &ders,
        first_logged_at: date(2026, 11, 20).plus(Span::from_seconds(9 * 3600 + 751)),
        siblings: Some(siblings),
        others: &others,
        lookup: &lookup,
    };
    examine(&examinee, policy, now)
}

/// Whether a finding starts the clock that the list of classes names. `alert` leaves it open; what is a warning today
/// starts none.
fn in_time(finding: &Finding, clock: &str) -> bool {
    match finding.clock {
        _ if clock == "alert" => true,
        RevocationClock::Day(_) => clock.contains("24 h"),
        RevocationClock::FiveDays(_) => clock.contains("5 d"),
        RevocationClock::None => finding.severity == Severity::Warning || !clock.contains(['h', 'd']),
    }
}

#[test]
fn every_class_of_incident_is_found_and_what_was_set_right_is_not() {
    let (list, mut wrong, mut timely) = (classes(), Vec::new(), BTreeMap::new());
    assert_eq!(list.iter().map(|class| class.number).collect::<Vec<_>>(), (1..=45).collect::<Vec<_>>());
    println!("{:>5}  {:<10} {:<24} {:<22} fails  passes", "class", "bug", "what", "rule");
    let tables = tables();
    for incident in incidents() {
        let Incident { class, bug, what, rule, .. } = incident;
        let clock = &list[usize::from(class) - 1].clock;
        let (fails, passes) = (
            judged(&directory(&incident).join("fails"), &tables),
            judged(&directory(&incident).join("passes"), &tables),
        );
        let found: Vec<Finding> = outcome(&fails).0.into_iter().filter(|finding| finding.rule == rule).collect();
        let verdict = passes.iter().filter(|(info, _)| info.id == rule).map(|(_, verdict)| verdict.word());
        let verdicts: BTreeSet<&str> = verdict.collect();
        let (still, _) = outcome(&passes);
        let still: Vec<String> = (still.iter())
            .filter(|finding| !matches!(finding.severity, Severity::Warning | Severity::Notice))
            .map(|finding| format!("{} {}: {}", finding.rule, finding.subject, finding.detail))
            .collect();
        let (bad, good) = (!found.is_empty(), verdicts == BTreeSet::from(["pass"]) && still.is_empty());
        let word = |holds: bool| if holds { "yes" } else { "NO" };
        println!("{class:>5}  {bug:<10} {what:<24} {rule:<22} {:<6} {}", word(bad), word(good));
        if !bad {
            let (all, gaps) = outcome(&fails);
            let all: Vec<&str> = all.iter().map(|finding| finding.rule.as_ref()).collect();
            let gap = gaps.iter().find(|(id, _)| id == rule);
            wrong.push(format!("{class} {what}: {rule} was not found, but {all:?}; {gap:?}"));
        }
        if !good {
            wrong.push(format!("{class} {what}: what was set right has {rule} {verdicts:?} and {still:?}"));
        }
        *timely.entry(class).or_insert(false) |= found.iter().any(|finding| in_time(finding, clock));
    }
    let known: BTreeSet<&str> = exam::rules().iter().map(|rule| rule.id).collect();
    for (class, rule, program, test) in table::WHOLE_PROGRAMS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let there = text.contains(&format!("fn {test}("));
        println!("{class:>5}  {:<10} {:<24} {rule:<22} {program} {test}", "", "");
        if !there || !text.contains(rule) || !known.contains(rule) {
            wrong.push(format!("{class}: {program} has no test {test} of {rule}, or there is no such rule"));
        }
    }
    for class in &list {
        let table = incidents().iter().any(|incident| incident.class == class.number);
        let elsewhere = table::WHOLE_PROGRAMS.iter().any(|(number, ..)| *number == class.number);
        if !table && !elsewhere {
            wrong.push(format!("class {} ({}) has no row", class.number, class.bugs));
        }
    }
    let late = timely.iter().filter(|(_, timely)| !**timely);
    wrong.extend(late.map(|(class, _)| format!("{class}: no finding starts the clock of the list")));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_readme_has_a_row_for_every_class_with_the_rules_that_find_it() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("## What it detects").expect("the section");
    let rows = numbered(section.split("\n## ").next().unwrap_or_default());
    let (list, mut wrong) = (classes(), Vec::new());
    assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=45).collect::<Vec<_>>());
    let known: BTreeSet<&str> = exam::rules().iter().map(|rule| rule.id).collect();
    let tables = incidents();
    for (class, (number, cells)) in list.iter().zip(&rows) {
        let stated: BTreeSet<&str> = cells[2].split(", ").filter(|rule| *rule != "—").collect();
        wrong.extend(stated.difference(&known).map(|rule| format!("{number}: there is no rule {rule}")));
        let of_table = tables.iter().filter(|incident| incident.class == *number).map(|incident| incident.rule);
        let elsewhere = table::WHOLE_PROGRAMS.iter().filter(|row| row.0 == *number).map(|row| row.1);
        let needed: BTreeSet<&str> = of_table.chain(elsewhere).collect();
        wrong.extend(needed.difference(&stated).map(|rule| format!("{number}: {rule} is not named")));
        let cited = bugs(&cells[3]);
        wrong.extend(bugs(&class.bugs).difference(&cited).map(|bug| format!("{number}: bug {bug} is not named")));
    }
    assert!(wrong.is_empty(), "README.md, What it detects:\n{}", wrong.join("\n"));
}
