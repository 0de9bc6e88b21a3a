//! `ctwarden rescan`: every certificate in the books judged once more.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::format::Format;
use super::run::runtime;
use super::{CliError, Exit, VERSION};
use crate::books::{self, Books};
use crate::clock::{Clock, Stopwatch, Timestamp};
use crate::config::Config;
use crate::config::keys::nearest;
use crate::daemon;
use crate::exam;
use crate::finding::{CaseKey, KeyHash, Serial, escape};
use crate::pipeline::{Difference, Rescan, Side, Tally};

/// Certificates judged between two marks of how far it has come.
const BATCH: usize = 512;
/// Differences of one rule and side that are shown as text; JSON has all.
const SHOWN: usize = 10;
/// How often a line of progress is written where nothing can be redrawn.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// The file in the data directory that says how far it has come.
const MARK: &str = "rescan.json";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Certificates logged at or after this time; all when left out.
    pub since: Option<Timestamp>,
    /// The rules that are compared; all when empty.
    pub rules: Vec<String>,
    /// Whether the daemon is to write cases.
    pub apply: bool,
}

/// How far a rescan has come, and what it has counted.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    question: Question,
    /// SHA-256 over what the answer rests on: another program, configuration or table is another rescan.
    grounds: String,
    last: Option<(KeyHash, String)>,
    done: u64,
    certificates: u64,
    handed_over: u64,
    tallies: BTreeMap<String, Tally>,
    shown: Vec<Difference>,
}

/// Judges everything in the books again, prints what is different from what is on record, and with
/// [`Question::apply`] hands the certificates of which something is new over to the daemon. Exit code 1 when something
/// is new.
///
/// # Errors
/// An unknown rule, no books, or no output.
pub fn rescan(
    config: &Config,
    question: Question,
    from_start: bool,
    format: Format,
    out: &mut dyn Write,
) -> Result<Exit, CliError> {
    known_rules(&question.rules)?;
    let failed = |e: books::BooksError| CliError::Failed(e.to_string());
    let clock = Clock::System;
    let runtime = runtime()?;
    let cannot = |e: daemon::DaemonError| CliError::Failed(e.to_string());
    let (grounds, missing) = runtime.block_on(daemon::grounds(config, clock.clone())).map_err(cannot)?;
    let issuance = daemon::issuance(config).map_err(cannot)?;
    missing.iter().for_each(|what| eprintln!("ctwarden: {what}"));
    let books = if question.apply { Books::open(&config.books) } else { Books::open_read_only(&config.books) };
    let books = books.map_err(failed)?;
    let certificates = runtime.block_on(books.count_judged(question.since)).map_err(failed)?;
    let dates = (grounds.tables.tlds.as_of(), grounds.tables.suffixes.as_of());
    let resting_on = hex::encode(Sha256::digest(format!("{VERSION} {dates:?} {config:?}")));
    let path = config.data_directory.join(MARK);
    let kept = if from_start { None } else { Mark::read(&path, &question, &resting_on) };
    if let Some(mark) = &kept {
        eprintln!("goes on behind {} certificates judged before; --from-start begins anew", mark.done);
    }
    let mut mark = kept.unwrap_or_else(|| Mark::new(question.clone(), resting_on));
    mark.certificates = certificates.max(mark.done);
    let rescan = Arc::new(Rescan { grounds, issuance: Arc::new(issuance), rules: question.rules.clone() });
    let mut progress = Progress::new(mark.certificates, mark.done);
    loop {
        let batch = runtime.block_on(books.judged_after(mark.position(), question.since, BATCH)).map_err(failed)?;
        let Some(last) = batch.last().map(|judged| judged.key.clone()) else { break };
        mark.done += batch.len() as u64;
        let compared = runtime.block_on(rescan.judge(batch, clock.now()));
        if question.apply && !compared.changed.is_empty() {
            let handed = runtime.block_on(books.hand_over(compared.changed, clock.now()));
            mark.handed_over += handed.map_err(failed)?;
        }
        if format == Format::Json {
            for difference in &compared.differences {
                writeln!(out, "{}", json(difference))?;
            }
            out.flush()?;
        }
        mark.add(compared.tallies, compared.differences);
        mark.last = Some((last.issuer_key_hash, hex::encode(&last.serial.0)));
        mark.write(&path)?;
        progress.at(mark.done);
    }
    progress.end();
    match format {
        Format::Json => writeln!(out, "{}", summary(&mark))?,
        Format::Text => text(&mark, out)?,
    }
    if question.apply && mark.handed_over > 0 {
        let told = match books::lock_holder(&config.data_directory).map_err(failed)? {
            Some(_) => "the daemon examines them within half a minute, writes their cases and tells people",
            None => "no daemon runs: the next `ctwarden run` writes their cases and tells people",
        };
        eprintln!("{} certificates are handed over; {told}", mark.handed_over);
    }
    out.flush()?;
    // Only what was printed to its end need not be done again.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(CliError::Failed(format!("{}: {e}; remove it by hand", path.display())));
        }
        _ => {}
    }
    Ok(if mark.tallies.values().any(|tally| tally.new > 0) { Exit::Findings } else { Exit::Nothing })
}

fn known_rules(asked: &[String]) -> Result<(), CliError> {
    let rules = exam::rules();
    match asked.iter().find(|asked| !rules.iter().any(|rule| rule.id == asked.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let near = nearest(unknown, rules.iter().map(|rule| rule.id));
            let hint = near.map_or("`ctwarden rules` lists them".to_string(), |near| format!("did you mean {near}?"));
            Err(CliError::Usage(format!("there is no rule {:?}; {hint}", escape(unknown.as_bytes(), 100))))
        }
    }
}

impl Mark {
    fn new(question: Question, grounds: String) -> Mark {
        Mark {
            question,
            grounds,
            last: None,
            done: 0,
            certificates: 0,
            handed_over: 0,
            tallies: BTreeMap::new(),
            shown: Vec::new(),
        }
    }

    /// The mark of a rescan of the same question on the same grounds that did not come to its end.
    fn read(path: &Path, question: &Question, grounds: &str) -> Option<Mark> {
        let mark: Mark = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (mark.question == *question && mark.grounds == grounds).then_some(mark)
    }

    fn position(&self) -> Option<CaseKey> {
        let (issuer_key_hash, serial) = self.last.as_ref()?;
        Some(CaseKey { issuer_key_hash: *issuer_key_hash, serial: Serial(hex::decode(serial).ok()?) })
    }

    fn add(&mut self, tallies: BTreeMap<String, Tally>, differences: Vec<Difference>) {
        for (rule, tally) in tallies {
            self.tallies.entry(rule).or_default().add(tally);
        }
        for difference in differences {
            let alike = |d: &&Difference| d.side == difference.side && d.finding.rule == difference.finding.rule;
            if self.shown.iter().filter(alike).count() < SHOWN {
                self.shown.push(difference);
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), CliError> {
        let begun = PathBuf::from(format!("{}.new", path.display()));
        let text = serde_json::to_vec(self).map_err(|e| CliError::Failed(e.to_string()))?;
        std::fs::write(&begun, text).and_then(|()| std::fs::rename(&begun, path)).map_err(|e| {
            CliError::Failed(format!(
                "{}: how far the rescan has come cannot be written: {e}; free space",
                path.display()
            ))
        })
    }
}

fn json(difference: &Difference) -> serde_json::Value {
    serde_json::json!({
        "side": difference.side, "case": difference.case, "issuer_key_hash": difference.issuer_key_hash,
        "serial": difference.serial, "finding": difference.finding.report(),
    })
}

fn summary(mark: &Mark) -> serde_json::Value {
    serde_json::json!({
        "certificates": mark.done, "since": mark.question.since.map(|since| since.to_string()),
        "rules": mark.tallies, "applied": mark.question.apply, "handed_over": mark.handed_over,
    })
}

fn text(mark: &Mark, out: &mut dyn Write) -> Result<(), CliError> {
    let since = mark.question.since.map_or(String::new(), |since| format!(" logged since {since}"));
    writeln!(out, "{} certificates{since} judged again", mark.done)?;
    if mark.tallies.is_empty() {
        writeln!(out, "nothing was found, and nothing is on record")?;
        return Ok(());
    }
    let width = mark.tallies.keys().map(String::len).max().unwrap_or(4).max(4);
    let head = ("RULE", "NEW", "GONE", "UNCHANGED", "ADVICE", "NOT EVALUABLE");
    writeln!(out, "{:width$}  {:>8}  {:>8}  {:>9}  {:>8}  {:>13}", head.0, head.1, head.2, head.3, head.4, head.5)?;
    for (rule, tally) in &mark.tallies {
        let Tally { new, gone, unchanged, advice, not_evaluable } = tally;
        writeln!(out, "{rule:width$}  {new:>8}  {gone:>8}  {unchanged:>9}  {advice:>8}  {not_evaluable:>13}")?;
    }
    for (side, title) in [(Side::New, "new"), (Side::Gone, "gone (the case stays; a person closes it)")] {
        if !mark.shown.iter().any(|difference| difference.side == side) {
            continue;
        }
        writeln!(out, "\n{title}:")?;
        for (rule, tally) in &mark.tallies {
            let of_rule = |d: &&Difference| d.side == side && d.finding.rule == *rule;
            let shown = mark.shown.iter().filter(of_rule).collect::<Vec<_>>();
            for Difference { case, serial, finding, .. } in &shown {
                let case = case.as_deref().unwrap_or("no case yet");
                let (severity, clock) = (finding.severity.word(), finding.clock.word());
                writeln!(out, "  {severity:<8} {clock:<4} {rule} ({}): {}", finding.citation, finding.subject)?;
                writeln!(out, "           serial {serial}, {case}: {}", finding.detail)?;
            }
            let count = if side == Side::New { tally.new } else { tally.gone };
            if count > shown.len() as u64 {
                writeln!(out, "  and {} more of {rule}; --format json prints all", count - shown.len() as u64)?;
            }
        }
    }
    if !mark.question.apply && mark.tallies.values().any(|tally| tally.new > 0) {
        writeln!(out, "\nnothing was written; --apply has the daemon write the cases and tell people")?;
    }
    Ok(())
}

/// How far it has come, on standard error: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    began: (Stopwatch, u64),
    said: Duration,
}

impl Progress {
    fn new(total: u64, done: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total).with_position(done);
            let style = "{bar:30} {pos} of {len} certificates, {per_sec}, {eta} left";
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress { bar, total, began: (Stopwatch::start(), done), said: Duration::ZERO }
    }

    fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let elapsed = self.began.0.elapsed();
        if elapsed.saturating_sub(self.said) >= PLAIN_EVERY {
            self.said = elapsed;
            let rate = (done - self.began.1) as f64 / elapsed.as_secs_f64();
            let left = self.total.saturating_sub(done) as f64 / rate.max(1e-9);
            eprintln!("{done} of {} certificates, {rate:.0}/s, {left:.0} s left", self.total);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
