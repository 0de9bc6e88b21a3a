//! What keeps the repository in order: the import map, file lengths, names, the clock, and that rules, metrics, alerts,
//! dashboards and the README agree with the program. Every failure names file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ctwarden::finding::RuleInfo;

#[path = "tidy/metrics.rs"]
mod metrics;

/// The floors, lowest first. A room imports from its own floor and from those below it.
const FLOORS: &[(&str, &[&str])] = &[
    ("words", &["case", "cert", "clock", "conduct", "ct", "finding", "record"]),
    ("judgement", &["crosscheck", "evidence", "exam", "lint", "promise", "status", "watch"]),
    ("edges", &["audit", "books", "cache", "issuance", "judges", "metrics", "notify", "revocation", "tail", "web"]),
    ("wiring", &["cli", "config", "daemon", "demo", "pipeline"]),
];
/// What words and judgement do not know: they do no I/O and never wait.
#[rustfmt::skip]
const PURE_WITHOUT: &[&str] = &[
    "tokio", "reqwest", "rusqlite", "sled", "axum", "hyper", "lettre", "tracing", "std::fs", "std::env",
    "std::process", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs", "async",
];
/// How one asks the time; only clock.rs may.
#[rustfmt::skip]
const ASKS_THE_TIME: &[&str] = &[
    "SystemTime", "Instant::now", "time::Instant", "jiff::Timestamp::now", "Timestamp::now", "Zoned::now", "Utc::now",
];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "manager", "service", "handler", "handlers", "types", "misc"];
const LONGEST_FILE_LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the repository whose name ends so, sorted, as (path from the root, text).
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
                let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
                found.push((name.clone(), String::from_utf8(bytes).unwrap_or_else(|_| panic!("{name}: is not text"))));
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn fail_with(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `token` stands in `line` as whole words.
fn has_token(line: &str, token: &str) -> bool {
    line.match_indices(token).any(|(at, _)| {
        let before = at.checked_sub(1).map(|i| line.as_bytes()[i]);
        let after = line.as_bytes().get(at + token.len()).copied();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The code of a file without comments, line by line; `product` stops where its unit tests begin.
fn code(text: &str, product: bool) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let inline = |w: &[&str]| w[0].trim() == "#[cfg(test)]" && w[1].starts_with("mod ") && w[1].ends_with('{');
    let tests = lines.windows(2).position(inline);
    let end = if product { tests.unwrap_or(lines.len()) } else { lines.len() };
    let uncommented = |line: &&str| match line.find("//") {
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => line[..at].to_string(),
        _ => line.to_string(),
    };
    lines[..end].iter().map(uncommented).collect()
}

/// The files of src that are product: those that no `#[cfg(test)] mod name;` brings in.
fn product_files() -> Vec<(String, String)> {
    let all = files("src", ".rs");
    let mut tests = Vec::new();
    for (name, text) in &all {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let Some((_, module)) = pair[1].strip_suffix(';').and_then(|line| line.rsplit_once("mod ")) else {
                continue;
            };
            let own = name.trim_end_matches("/mod.rs").trim_end_matches(".rs").trim_end_matches("/lib");
            tests.push(format!("{own}/{module}.rs"));
            tests.push(format!("{own}/{module}/"));
        }
    }
    all.into_iter().filter(|(name, _)| !tests.iter().any(|test| name.starts_with(test))).collect()
}

/// `src/lint/name.rs` and `src/lint.rs` are in room `lint`; lib.rs and main.rs are in none.
fn room(name: &str) -> Option<&str> {
    let first = name.strip_prefix("src/")?.split('/').next()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib" && room != "main").then_some(room)
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// The rooms that code names after `crate::`, with their lines; `crate::{a, b::C}` names two.
fn rooms_named(lines: &[String]) -> Vec<(usize, String)> {
    let (text, mut named) = (lines.join("\n"), Vec::new());
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + "crate::".len()..];
        let mut depth = 0;
        let mut starts = vec![0];
        for (i, byte) in rest.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b';' | b'(' => break,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(byte, b'{' | b',') {
                starts.push(i + 1);
            }
        }
        for start in starts {
            let word: String = rest[start..].trim_start().bytes().take_while(|b| is_word(*b)).map(char::from).collect();
            if !word.is_empty() {
                named.push((line, word));
            }
        }
    }
    named
}

#[test]
fn the_scanner_of_imports_reads_what_rust_reads() {
    let named =
        |text: &str| rooms_named(&code(text, true)).into_iter().map(|(l, r)| format!("{l}{r}")).collect::<Vec<_>>();
    assert_eq!(named("use crate::books::Books;\nfn f() { crate::web::serve() }"), ["1books", "2web"]);
    assert_eq!(named("use crate::{\n  ct::{leaf, sth},\n  cert,\n};\n"), ["1ct", "1cert"]);
    assert_eq!(named("// crate::web\n/// [`crate::tail`]\n"), [""; 0]);
    assert_eq!(named("use crate::ct;\n#[cfg(test)]\nmod tests {\n use crate::web; }"), ["1ct"]);
    assert!(has_token("let x = tokio::spawn(y)", "tokio") && !has_token("mytokio::x", "tokio"));
}

#[test]
fn every_room_stands_on_a_floor() {
    let declared: BTreeSet<String> = (read("src/lib.rs").lines())
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_string()))
        .collect();
    let mapped: BTreeSet<String> = FLOORS.iter().flat_map(|(_, rooms)| rooms.iter().map(|r| r.to_string())).collect();
    assert_eq!(declared, mapped, "src/lib.rs and the import map of tests/tidy.rs differ");
}

#[test]
fn imports_go_down_only() {
    let mut problems = Vec::new();
    for (name, text) in &product_files() {
        let Some(own) = room(name) else { continue };
        let lines = code(text, true);
        let Some(own_floor) = floor(own) else {
            problems.push(format!("{name}:1: room {own} is not in the import map"));
            continue;
        };
        for (line, other) in rooms_named(&lines) {
            match floor(&other) {
                Some(other_floor) if other_floor > own_floor => problems.push(format!(
                    "{name}:{line}: {own} ({}) imports {other} ({})",
                    FLOORS[own_floor].0, FLOORS[other_floor].0
                )),
                _ => {}
            }
        }
        let is_top = name.matches('/').count() == 1 || name.ends_with(&format!("src/{own}/mod.rs"));
        for (number, line) in lines.iter().enumerate().map(|(i, line)| (i + 1, line)) {
            if own_floor < 2 {
                for token in PURE_WITHOUT.iter().filter(|token| has_token(line, token)) {
                    problems.push(format!("{name}:{number}: {own} is pure and must not know {token}"));
                }
            }
            if is_top && line.trim_start().starts_with("use super::") {
                problems.push(format!("{name}:{number}: write crate:: instead of super::, so that the map is checked"));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn files_are_short_and_their_names_say_something() {
    let mut problems = Vec::new();
    for (name, text) in files("src", ".rs") {
        let lines = text.lines().count();
        if lines > LONGEST_FILE_LINES {
            problems.push(format!("{name}:{lines}: longer than {LONGEST_FILE_LINES} lines"));
        }
        for part in name.split(['/', '.']).filter(|part| EMPTY_NAMES.contains(part)) {
            problems.push(format!("{name}:1: the name '{part}' says nothing"));
        }
        for (i, line) in code(&text, false).iter().enumerate() {
            if EMPTY_NAMES.iter().any(|empty| has_token(line, &format!("mod {empty}"))) {
                problems.push(format!("{name}:{}: the name says nothing: {}", i + 1, line.trim()));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn only_the_clock_asks_the_time() {
    let mut problems = Vec::new();
    for (name, text) in files("src", ".rs").iter().filter(|(name, _)| name != "src/clock.rs") {
        for (i, line) in code(text, false).iter().enumerate() {
            for token in ASKS_THE_TIME.iter().filter(|token| has_token(line, token)) {
                problems.push(format!("{name}:{}: {token}: time comes from crate::clock", i + 1));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn there_is_no_binary_in_the_repository() {
    for folder in ["src", "tests", "alerts", "dashboards", "benches"] {
        files(folder, "");
    }
}

/// The program with arguments: exit code, stdout.
fn program(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ctwarden"))
        .args(args)
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_rule_has_a_failing_and_a_passing_fixture() {
    let rules = ctwarden::exam::rules();
    assert!(rules.len() > 10, "only {} rules", rules.len());
    let cases = files("tests/fixtures/lint", ".case");
    let mut problems = Vec::new();
    // Rules about logs are broken by a log, not by a certificate: a whole-program test makes one misbehave.
    let (about_logs, about_certificates): (Vec<&RuleInfo>, Vec<&RuleInfo>) =
        rules.iter().copied().partition(|rule| rule.id.starts_with("log."));
    let programs = files("tests", ".rs");
    for rule in about_logs {
        let (word, all) =
            (format!("\"{}\"", &rule.id[4..]), programs.iter().filter(|(name, _)| name != "tests/tidy.rs"));
        if !all.into_iter().any(|(_, text)| text.contains(&word)) {
            problems.push(format!("tests/: no whole-program test makes a log break {}", rule.id));
        }
    }
    for id in about_certificates.iter().map(|rule| rule.id) {
        let prefix = format!("tests/fixtures/lint/{id}/");
        let of_rule: Vec<_> = cases.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        let expects = |text: &str| text.lines().any(|line| line.split_whitespace().next() == Some(id));
        let record = |kind: &str| {
            let folders = ["issuance", "exam", "hits", "statistics", "policy", "status"]
                .map(|name| format!("tests/fixtures/{name}"));
            let mut names = folders.iter().flat_map(|folder| files(folder, "")).map(|(name, _)| name);
            names.any(|name| name.contains(&format!("/{id}.{kind}.")))
        };
        let (fails, passes) = (of_rule.iter().any(|(_, t)| expects(t)), of_rule.iter().any(|(_, t)| !expects(t)));
        if !(fails || record("fail")) {
            problems.push(format!("{prefix}: rule {id} has no failing fixture"));
        }
        if !(passes || record("pass")) {
            problems.push(format!("{prefix}: rule {id} has no passing fixture"));
        }
    }
    fail_with(problems);
}

#[test]
fn the_readme_shows_the_real_help() {
    let (status, help) = program(&["--help"]);
    assert_eq!(status, Some(0));
    let readme = read("README.md");
    let shown = readme.split("$ ctwarden --help\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or("");
    let trimmed = |text: &str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(shown), trimmed(&help), "the block after `$ ctwarden --help` in README.md differs");
}
