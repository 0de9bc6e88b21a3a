//! `ctwarden lint FILE...`: the rules on certificates in files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cert::{Certificate, pem};
use crate::cli::format::Format;
use crate::clock::{Clock, Timestamp};
use crate::finding::{Finding, FindingReport, Issued, Severity, escape};
use crate::lint::{Tables, findings, unparsable};

/// Largest file that is read, in octets.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why `ctwarden lint` ends with exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// Files that cannot be read; all others were judged and printed.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
    /// The output cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// What is said about one certificate of a file.
struct Report {
    index: usize,
    sha256: Option<String>,
    title: String,
    findings: Vec<Finding>,
    error: Option<String>,
}

/// Judges every certificate of every file and prints what was found, in input order. `issued_at` is taken as time of
/// issuance of all of them; without it, each one's notBefore. True when there was any finding (exit code 1).
pub fn lint(
    files: &[PathBuf],
    issued_at: Option<Timestamp>,
    format: Format,
    out: &mut dyn Write,
) -> Result<bool, LintError> {
    let tables = Tables::embedded();
    let mut any = false;
    let mut unreadable = Vec::new();
    for path in files {
        match read(path) {
            Ok(bytes) => {
                for (index, block) in pem::certificates(&bytes).into_iter().enumerate() {
                    let report = judge(index, block, issued_at, &tables);
                    any |= !report.findings.is_empty();
                    match format {
                        Format::Text => print_text(path, &report, out)?,
                        Format::Json => print_json(path, &report, out)?,
                    }
                }
            }
            Err(error) => unreadable.push(error),
        }
    }
    out.flush()?;
    if unreadable.is_empty() { Ok(any) } else { Err(LintError::Files(unreadable)) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| {
        format!("cannot read {}: {error}; give files of PEM or DER certificates that this user may read", shown(path))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let length = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(format!("{} has more than {} MiB: split it", shown(path), MAX_FILE_BYTES >> 20));
    }
    Ok(bytes)
}

fn judge(index: usize, block: Result<Vec<u8>, String>, issued_at: Option<Timestamp>, tables: &Tables) -> Report {
    let sha256 = block.as_ref().ok().map(|der| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(der)));
    let read = block.and_then(|der| Certificate::parse(&der).map_err(|error| error.to_string()));
    match read {
        Ok(cert) => {
            // Without a readable notBefore nothing says when it was issued; the rules of today are the best guess.
            let moment = issued_at.or(cert.not_before()).unwrap_or_else(|| Clock::System.now());
            let findings = findings(&cert, Issued::at(moment), tables);
            let error = findings.iter().find(|f| f.rule == "cert.unparsable").map(|f| f.detail.clone());
            let title = format!("serial {} subject \"{}\" issued {moment}", cert.serial(), cert.subject_text());
            Report { index, sha256, title, findings, error }
        }
        Err(error) => {
            let finding = unparsable(&error);
            let title = "unreadable".to_string();
            Report { index, sha256, title, error: Some(finding.detail.clone()), findings: vec![finding] }
        }
    }
}

fn print_text(path: &Path, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}[{}]: {}", shown(path), report.index, report.title)?;
    if report.findings.is_empty() {
        writeln!(out, "  no findings")?;
    }
    for finding in &report.findings {
        let (severity, clock) = (finding.severity.word(), finding.clock.word());
        writeln!(out, "  {severity:<8} {clock:<4} {} ({}): {}", finding.rule, finding.citation, finding.subject)?;
        let mark = if finding.severity == Severity::Review { "? " } else { "" };
        writeln!(out, "           {mark}{}", finding.detail)?;
    }
    Ok(())
}

/// What programs read about one certificate; the fields in this order.
#[derive(Serialize)]
struct Object<'a> {
    file: Cow<'a, str>,
    index: usize,
    sha256: Option<&'a str>,
    findings: Vec<FindingReport<'a>>,
    error: Option<&'a str>,
}

fn print_json(path: &Path, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let object = Object {
        file: path.to_string_lossy(),
        index: report.index,
        sha256: report.sha256.as_deref(),
        findings: report.findings.iter().map(Finding::report).collect(),
        error: report.error.as_deref(),
    };
    let object = serde_json::to_string(&object)?;
    writeln!(out, "{object}")
}

fn shown(path: &Path) -> String {
    escape(path.to_string_lossy().as_bytes(), 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::lint::certgen::Spec;

    fn run(files: &[PathBuf], at: Option<Timestamp>, format: Format) -> (Result<bool, LintError>, String) {
        let mut out = Vec::new();
        let result = lint(files, at, format, &mut out);
        (result, String::from_utf8(out).expect("text"))
    }

    fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    #[test]
    fn one_json_object_per_certificate_in_input_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = pem::encode(&Spec::summer("www.example.com").der());
        let bad = pem::encode(&Spec::summer("x.corp").der());
        let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let several = file(&folder, "several.pem", format!("{good}{broken}{bad}").as_bytes());
        let der = file(&folder, "one.der", &Spec::summer("www.example.com").der());
        let noise = file(&folder, "noise", b"\x01\x02");
        let (result, text) = run(&[several, der, noise], None, Format::Json);
        assert!(result.expect("readable"));
        let objects: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let rules: Vec<Vec<&str>> = objects
            .iter()
            .map(|o| o["findings"].as_array().expect("a list").iter().filter_map(|f| f["rule"].as_str()).collect())
            .collect();
        assert_eq!(rules, [vec![], vec!["cert.unparsable"], vec!["name.internal"], vec![], vec!["cert.unparsable"]]);
        let indices: Vec<u64> = objects.iter().filter_map(|o| o["index"].as_u64()).collect();
        assert_eq!(indices, [0, 1, 2, 0, 0]);
        assert!(objects[0]["error"].is_null() && objects[1]["error"].is_string() && objects[4]["error"].is_string());
        assert_eq!(objects[0]["sha256"], objects[3]["sha256"]);
        let finding = &objects[2]["findings"][0];
        assert_eq!((finding["severity"].as_str(), finding["clock"].as_str()), (Some("error"), Some("24h")));
        assert_eq!((finding["citation"].as_str(), finding["subject"].as_str()), (Some("BR 4.2.2"), Some("x.corp")));
    }

    #[test]
    fn the_time_of_issuance_can_be_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(&folder, "a.der", &Spec::new("2026-03-14", "2027-04-14").dns("www.example.com").der());
        let (result, text) = run(std::slice::from_ref(&path), None, Format::Text);
        assert!(!result.expect("readable") && text.contains("no findings"), "{text}");
        let (result, text) = run(&[path], Some(date(2026, 3, 15)), Format::Text);
        assert!(result.expect("readable") && text.contains("val.max (BR 6.3.2)"), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_the_others_are_judged() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = file(&folder, "a.der", &Spec::summer("www.example.com").der());
        let (result, text) = run(&[folder.path().join("absent"), good], None, Format::Json);
        let message = result.expect_err("a file is missing").to_string();
        assert!(message.contains("absent") && message.contains("cannot read"), "{message}");
        assert_eq!(text.lines().count(), 1);
    }
}
