//! `ctwarden lint`: the rules on certificates in files, in folders and from standard input.

mod input;
mod judge;
mod opinions;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cert::{Certificate, pem};
use crate::cli::format::Format;
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::ct::log_list;
use crate::daemon::{self, key_lists};
use crate::finding::{Finding, FindingReport, Severity};
use crate::lint::Tables;
use crate::metrics::Metrics;
use crate::promise::KnownLogs;
use input::{Gone, Item, Unreadable, shown};
use judge::{Bench, Report, today};
use opinions::Panel;

/// Certificates that are judged together, at most.
const BATCH: usize = 512;
/// Octets of certificates that are judged together; a larger certificate is judged alone.
const BATCH_BYTES: usize = 4 << 20;
/// Batches that wait while one is judged.
const AHEAD: usize = 2;
/// Fewest certificates for which another thread is worth its start.
const PER_THREAD: usize = 8;

/// What `ctwarden lint` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct Question {
    /// PEM (several certificates per file) or DER; folders with all that is in them; - for standard input
    #[arg(required_unless_present = "pair", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Time of issuance, RFC 3339 or YYYY-MM-DD [default: notBefore]
    #[arg(long, value_name = "TIME", value_parser = super::parse_time)]
    pub issued_at: Option<Timestamp>,
    /// A precertificate and its certificate: compare them byte for byte
    #[arg(long, num_args = 2, value_names = ["PRE", "FINAL"])]
    pub pair: Option<Vec<PathBuf>>,
    /// Certificates of issuers: judge name, key identifier and signature
    #[arg(long, value_name = "FILE")]
    pub issuer: Option<PathBuf>,
    /// A log list (v3 JSON): verify embedded SCTs
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub log_list: Option<PathBuf>,
    /// A configuration: its issuers, profiles, lists and other linters count as well
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A list of weak keys, as in [lint] weak_keys; may be repeated
    #[arg(long, value_name = "FILE")]
    pub weak_keys: Vec<PathBuf>,
    /// A list of compromised keys, as in [lint] compromised_keys; may be repeated
    #[arg(long, value_name = "FILE")]
    pub compromised_keys: Vec<PathBuf>,
}

/// Why `ctwarden lint` ends with exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The configuration cannot be used; none was judged: exit code 2.
    #[error(transparent)]
    Config(config::Problems),
    /// Something that all certificates are held against cannot be used; none was judged.
    #[error("{0}")]
    Given(String),
    /// Files that cannot be read; all others were judged and printed.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
    /// The output cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// Judges every certificate and prints what was found, in input order. True when there was any finding (exit code 1).
pub fn lint(question: &Question, format: Format, out: &mut dyn Write) -> Result<bool, LintError> {
    let (bench, panel) = bench(question)?;
    let mut any = false;
    let mut failed = Vec::new();
    if let Some([before, after]) = question.pair.as_deref() {
        match (one(before), one(after)) {
            (Ok(before), Ok(after)) => {
                let (first, second) = bench.judge_pair(&before, &after);
                let mut reports = [first, second];
                panel.ask(&[&before, &after], &mut reports);
                for (item, report) in [&before, &after].into_iter().zip(&reports) {
                    any |= !report.findings.is_empty();
                    print(item, report, format, out)?;
                }
            }
            (before, after) => failed.extend([before.err(), after.err()].into_iter().flatten()),
        }
    }
    let (found, unreadable) = all(question, (&bench, &panel), format, out)?;
    out.flush()?;
    failed.extend(unreadable.named);
    if unreadable.more > 0 {
        failed.push(format!("and {} more could not be read", unreadable.more));
    }
    if failed.is_empty() { Ok(any | found) } else { Err(LintError::Files(failed)) }
}

/// Judges all files, while one thread reads ahead: memory holds a few batches, however many files there are.
fn all(
    question: &Question,
    judging: (&Bench, &Panel),
    format: Format,
    out: &mut dyn Write,
) -> Result<(bool, Unreadable), LintError> {
    let (send, batches) = sync_channel::<Vec<Item>>(AHEAD);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut unreadable, mut batch, mut octets) = (Unreadable::default(), Vec::new(), 0);
            let mut take = |item: Item| {
                octets += item.block.as_ref().map_or(0, Vec::len);
                batch.push(item);
                if batch.len() < BATCH && octets < BATCH_BYTES {
                    return Ok(());
                }
                octets = 0;
                send.send(std::mem::take(&mut batch)).map_err(|_| Gone)
            };
            // When nobody takes them there is nothing more to do.
            if input::read(&question.files, &mut unreadable, &mut take).is_ok() && !batch.is_empty() {
                let _ = send.send(batch);
            }
            unreadable
        });
        // The channel closes with this, so that the reader ends when the output cannot be written.
        let printed = print_all(batches, judging, format, out);
        let unreadable = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((printed?, unreadable))
    })
}

fn print_all(
    batches: Receiver<Vec<Item>>,
    (bench, panel): (&Bench, &Panel),
    format: Format,
    out: &mut dyn Write,
) -> Result<bool, LintError> {
    let progress = progress();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (mut any, mut with_findings) = (false, 0);
    for batch in batches {
        let mut reports = reports(bench, &batch, threads);
        panel.ask(&batch.iter().collect::<Vec<_>>(), &mut reports);
        let found = reports.iter().filter(|report| !report.findings.is_empty()).count();
        any |= found > 0;
        with_findings += found;
        progress
            .suspend(|| batch.iter().zip(&reports).try_for_each(|(item, report)| print(item, report, format, out)))?;
        progress.inc(batch.len() as u64);
        progress.set_message(format!("{with_findings} with findings"));
    }
    progress.finish_and_clear();
    Ok(any)
}

/// The reports of a batch, in its order, made on all cores.
fn reports(bench: &Bench, batch: &[Item], threads: usize) -> Vec<Report> {
    let share = batch.len().div_ceil(threads).max(PER_THREAD);
    if batch.len() <= share {
        return batch.iter().map(|item| bench.judge(item)).collect();
    }
    thread::scope(|scope| {
        let judge = |part: &'_ [Item]| part.iter().map(|item| bench.judge(item)).collect::<Vec<_>>();
        let parts: Vec<_> = batch.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
        let done = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect()
    })
}

/// Shown where standard error is a terminal.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} certificates judged, {per_sec}, {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What certificates are held against, and who else is asked.
fn bench(question: &Question) -> Result<(Bench, Panel), LintError> {
    let given = |path: &Path, reason: String| LintError::Given(format!("cannot use {}: {reason}", shown(path)));
    let runtime = super::run::runtime().map_err(|error| LintError::Given(error.to_string()))?;
    let (mut weak, mut compromised) = (question.weak_keys.clone(), question.compromised_keys.clone());
    let mut bench = Bench {
        tables: Tables::embedded(),
        issued_at: question.issued_at,
        issuers: Vec::new(),
        one_is_issuer: question.issuer.is_some(),
        profiles: BTreeMap::new(),
        logs: None,
        now: today(),
    };
    if let Some(path) = &question.issuer {
        let bytes = std::fs::read(path).map_err(|e| given(path, format!("{e}; give the issuer's certificate")))?;
        for block in pem::certificates(&bytes) {
            let issuer = block.and_then(|der| Certificate::parse(&der).map_err(|error| error.to_string()));
            let issuer = issuer.map_err(|error| given(path, format!("{error}; give the issuer's certificate")))?;
            bench.issuers.push(issuer);
        }
    }
    let mut judges = Vec::new();
    if let Some(path) = &question.config {
        let config = config::load(path).map_err(LintError::Config)?;
        let cannot = |error: daemon::DaemonError| LintError::Given(error.to_string());
        let (grounds, missing) = runtime.block_on(daemon::grounds(&config, Clock::System)).map_err(cannot)?;
        missing.iter().for_each(|what| eprintln!("ctwarden: {what}"));
        bench.issuers.extend(grounds.watchlist.issuers().iter().filter_map(|issuer| issuer.certificate.clone()));
        bench.tables = Tables::clone(&grounds.tables);
        bench.profiles.clone_from(&grounds.terms.profiles);
        bench.logs = Some(KnownLogs::clone(&grounds.logs)).filter(|logs| !logs.is_empty());
        weak.extend(config.weak_keys.iter().cloned());
        compromised.extend(config.compromised_keys.iter().cloned());
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), env!("CTWARDEN_COMMIT"));
        judges = runtime.block_on(async { daemon::judges(&config, &metrics) }).map_err(cannot)?;
    }
    let keys = key_lists::read(&weak, &compromised).map_err(|error| LintError::Given(error.to_string()))?;
    bench.tables.keys = keys.into();
    if let Some(path) = &question.log_list {
        let bytes = std::fs::read(path).map_err(|e| given(path, format!("{e}; give a log list, v3 JSON")))?;
        let list = log_list::parse(&bytes).map_err(|e| given(path, format!("{e}; give a log list, v3 JSON")))?;
        bench.logs = Some(KnownLogs::new(list.logs.into_iter().map(Into::into)));
    }
    Ok((bench, Panel { judges, runtime }))
}

/// The first certificate of a file.
fn one(path: &Path) -> Result<Item, String> {
    let (mut unreadable, mut first) = (Unreadable::default(), None);
    let mut take = |item: Item| if first.replace(item).is_none() { Ok(()) } else { Err(Gone) };
    let more = input::read(&[path.to_path_buf()], &mut unreadable, &mut take).is_err();
    match (first, unreadable.named.pop()) {
        (_, Some(error)) => Err(error),
        _ if more => Err(format!("{} holds more than one certificate; --pair takes one of each", shown(path))),
        (Some(item), None) => Ok(item),
        (None, None) => Err(format!("{} holds no certificate; --pair takes one of each", shown(path))),
    }
}

fn print(item: &Item, report: &Report, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => print_text(item, report, out),
        Format::Json => print_json(item, report, out),
    }
}

fn print_text(item: &Item, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}[{}]: {}", shown(&item.file), item.index, report.title)?;
    if report.findings.is_empty() {
        writeln!(out, "  no findings")?;
    }
    for finding in &report.findings {
        let (severity, clock) = (finding.severity.word(), finding.clock.word());
        writeln!(out, "  {severity:<8} {clock:<4} {} ({}): {}", finding.rule, finding.citation, finding.subject)?;
        let mark = if finding.severity == Severity::Review { "? " } else { "" };
        writeln!(out, "           {mark}{}", finding.detail)?;
    }
    for opinion in &report.opinions {
        writeln!(out, "  also     {opinion}")?;
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    opinions: &'a [String],
    error: Option<&'a str>,
}

fn print_json(item: &Item, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let object = Object {
        file: item.file.to_string_lossy(),
        index: item.index,
        sha256: report.sha256.as_deref(),
        findings: report.findings.iter().map(Finding::report).collect(),
        opinions: &report.opinions,
        error: report.error.as_deref(),
    };
    let object = serde_json::to_string(&object)?;
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::lint::certgen::Spec;

    fn run(files: &[PathBuf], at: Option<Timestamp>, format: Format) -> (Result<bool, LintError>, String) {
        let mut out = Vec::new();
        let question = Question { files: files.to_vec(), issued_at: at, ..Question::default() };
        let result = lint(&question, format, &mut out);
        (result, String::from_utf8(out).expect("text"))
    }

    fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    #[test]
    fn a_folder_without_a_file_is_no_clean_result() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("inner")).expect("a folder");
        let (result, text) = run(&[folder.path().to_path_buf()], None, Format::Text);
        let error = result.expect_err("nothing was judged").to_string();
        assert!(error.contains(": no file is in it; give files or folders") && text.is_empty(), "{error}");
        file(&folder, "inner/a.pem", b"");
        assert!(matches!(run(&[folder.path().to_path_buf()], None, Format::Text), (Ok(true), _)));
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
