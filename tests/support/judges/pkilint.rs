//! The real pkilint, as `tests/run` installs it from PyPI.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The version that `tests/run` installs.
pub const VERSION: &str = "0.13.3";

/// The folder of its programs: `CTWARDEN_PKILINT`, which tests/run sets and which must be right then, or where tests/run
/// puts it. Without it a test says that it was not run.
pub fn programs(test: &str) -> Option<PathBuf> {
    let demanded = std::env::var_os("CTWARDEN_PKILINT").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/pkilint");
    let bin = demanded.clone().unwrap_or(usual).join("bin");
    if bin.join("lint_cabf_serverauth_cert").exists() {
        return Some(bin);
    }
    assert!(demanded.is_none(), "CTWARDEN_PKILINT: there is no pkilint in {}", bin.display());
    println!("NOT RUN: {test}: pkilint is not installed in {}; tests/run installs it", bin.display());
    None
}

/// Its Python.
pub fn python(test: &str) -> Option<PathBuf> {
    programs(test).map(|bin| bin.join("python"))
}

/// The answers of `pkilint_batch.py` to these questions, the head first.
pub fn batch(python: &Path, asked: Vec<Value>) -> Vec<Value> {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/judges/pkilint_batch.py");
    let mut child =
        Command::new(python).arg(driver).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || {
        for question in asked {
            if writeln!(stdin, "{question}").is_err() {
                return;
            }
        }
    });
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let answers = lines.map(|line| serde_json::from_str(&line.expect("text")).expect("JSON")).collect();
    writer.join().expect("the questions are written");
    assert!(child.wait().expect("it ends").success(), "pkilint_batch.py failed");
    answers
}
