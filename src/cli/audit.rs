//! `ctwarden audit`: every name of every certificate in the CA's record, judged by the evidence it rests on.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::format::Format;
use super::{CliError, Exit, Output, parse_time};
use crate::audit::{self, AuditError, FindingsFormat, Job, Question, Report, Share, Source, Stage};
use crate::clock::{Clock, Stopwatch, Timestamp};
use crate::config::keys::nearest;
use crate::config::{self, IssuanceSource};
use crate::evidence::Policy;
use crate::issuance::Embedded;

/// How often a line of progress is written where nothing can be redrawn.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Threads that read and judge.
const THREADS: usize = 2;

/// `ctwarden audit`.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// A directory of table exports (Parquet, CSV, NDJSON) [default: the issuance source of the configuration]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Certificates that end at this time or later, RFC 3339 or YYYY-MM-DD [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    unexpired_at: Option<Timestamp>,
    /// Certificates signed at this time or later [default: all]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Judge this rule only; may be repeated
    #[arg(long = "rule", value_name = "ID")]
    rules: Vec<String>,
    /// Where the output goes
    #[arg(long, value_name = "DIR", default_value = "audit")]
    out: PathBuf,
    /// Go on with what is in the output directory
    #[arg(long)]
    resume: bool,
    /// Tell what changed since this earlier output
    #[arg(long, value_name = "DIR")]
    compare: Option<PathBuf>,
    /// Do this share of the work only, such as 3/16
    #[arg(long, value_name = "N/M", value_parser = Share::parse, requires = "unexpired_at")]
    partition: Option<Share>,
    /// Put the outputs of all shares together instead; may be repeated
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "partition", "resume", "rules"])]
    merge: Vec<PathBuf>,
    /// The table of findings
    #[arg(long, value_enum, value_name = "parquet|csv", default_value = "parquet", hide_possible_values = true)]
    findings: Findings,
    /// The most memory, such as 512M or 6G
    #[arg(long, value_name = "SIZE", default_value = "6G", value_parser = parse_size)]
    memory: u64,
    /// The configuration [default: ctwarden.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "CTWARDEN_CONFIG")]
    config: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    output: Output,
}

/// The form of the table of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Findings {
    Parquet,
    Csv,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "not a size; write for instance 512M or 6G, at least 32M".to_string();
    let (digits, shift) = match text.strip_suffix(['M', 'm']) {
        Some(digits) => (digits, 20),
        None => (text.strip_suffix(['G', 'g']).ok_or_else(wrong)?, 30),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(1 << shift).filter(|bytes| *bytes >= audit::LEAST_MEMORY).ok_or_else(wrong)
}

/// Judges everything and writes the output. Exit code 1 when something was found.
///
/// # Errors
/// An unknown rule, a source or an output directory that cannot be used.
pub fn audit(asked: &Audit, out: &mut dyn Write) -> Result<Exit, CliError> {
    let failed = |error: AuditError| CliError::Failed(error.to_string());
    let format = match asked.findings {
        Findings::Parquet => FindingsFormat::Parquet,
        Findings::Csv => FindingsFormat::Csv,
    };
    if asked.merge.is_empty() {
        let (source, policy) = ground(asked)?;
        let known = audit::rules();
        if let Some(rule) = asked.rules.iter().find(|rule| !known.contains(&rule.as_str())) {
            let near =
                nearest(rule, known.iter().copied()).map_or(String::new(), |near| format!("; do you mean {near}?"));
            return Err(CliError::Usage(format!("no rule {rule} that an audit can judge{near}")));
        }
        let mut rules = asked.rules.clone();
        rules.sort();
        rules.dedup();
        let question = Question {
            unexpired_at: asked.unexpired_at.unwrap_or_else(|| Clock::System.now()),
            since: asked.since,
            rules,
        };
        let question = if asked.resume && asked.unexpired_at.is_none() { earlier(asked, question)? } else { question };
        let progress = Progress::new();
        let job = Job {
            question: &question,
            policy: &policy,
            out: &asked.out,
            share: asked.partition.unwrap_or(Share::ALL),
            memory: asked.memory,
            threads: THREADS,
            with_caa: Job::needs_caa(&question),
            progress: &|stage, done, total| progress.at(stage, done, total),
        };
        let judged = audit::judge(&source, &job, asked.resume);
        progress.end();
        judged.map_err(failed)?;
    } else {
        audit::merge(&asked.merge, &asked.out).map_err(failed)?;
    }
    let report = audit::finish(&asked.out, format, asked.compare.as_deref()).map_err(failed)?;
    match asked.output.format {
        Format::Json => writeln!(out, "{}", told(&report))?,
        Format::Text => out.write_all(report.summary.as_bytes())?,
    }
    Ok(if report.findings > 0 { Exit::Findings } else { Exit::Nothing })
}

/// A run that goes on asks what it asked before.
fn earlier(asked: &Audit, question: Question) -> Result<Question, CliError> {
    let before = audit::asked(&asked.out).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(before.map_or(question.clone(), |before| Question { unexpired_at: before.unexpired_at, ..question }))
}

/// Where the rows come from, and the CA's own terms.
fn ground(asked: &Audit) -> Result<(Source, Policy), CliError> {
    let default = PathBuf::from("ctwarden.toml");
    let named = asked.config.clone().or_else(|| default.exists().then_some(default));
    let config = named.map(|file| config::load(&file)).transpose()?;
    let policy = config.as_ref().map_or_else(Policy::default, |config| config.issuance.terms.clone());
    let source = match (&asked.from, &config) {
        (Some(directory), _) => Source::Directory(directory.clone()),
        (None, Some(config)) if config.issuance.source == IssuanceSource::Embedded => {
            let database = Embedded::open(&config.data_directory);
            Source::Embedded(database.map_err(|error| CliError::Failed(error.to_string()))?)
        }
        (None, Some(_)) => {
            let why = "the configuration has no issuance source: name a directory of exports with --from";
            return Err(CliError::Usage(why.to_string()));
        }
        (None, None) => {
            let why = "name a directory of exports with --from, or a configuration with --config".to_string();
            return Err(CliError::Usage(why));
        }
    };
    Ok((source, policy))
}

fn told(report: &Report) -> serde_json::Value {
    let rules = report.by_rule.iter().map(|(rule, names, certificates, valid)| {
        json!({"rule": rule, "names": names, "certificates": certificates, "not_revoked": valid})
    });
    json!({
        "names": report.names,
        "certificates": report.certificates,
        "findings": report.findings,
        "certificates_with_findings": report.affected,
        "not_revoked": report.still_valid,
        "rules": rules.collect::<Vec<_>>(),
        "not_evaluable": report.not_evaluable,
    })
}

/// How far it has come, on standard error: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    began: Stopwatch,
    /// The stage, when it began, and when a line was last written.
    now: Mutex<(Stage, Duration, Duration)>,
}

impl Progress {
    fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        if let Some(bar) = &bar {
            bar.set_style(style("rows read"));
        }
        Progress { bar, began: Stopwatch::start(), now: Mutex::new((Stage::Reading, Duration::ZERO, Duration::ZERO)) }
    }

    fn at(&self, stage: Stage, done: u64, total: u64) {
        let what = match stage {
            Stage::Reading => "rows read",
            Stage::Judging => "parts judged",
        };
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let elapsed = self.began.elapsed();
        if now.0 != stage {
            *now = (stage, elapsed, now.2);
            if let Some(bar) = &self.bar {
                bar.reset_eta();
                bar.set_style(style(what));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        if elapsed.saturating_sub(now.2) >= PLAIN_EVERY {
            now.2 = elapsed;
            let rate = done as f64 / elapsed.saturating_sub(now.1).as_secs_f64().max(1e-9);
            let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
            eprintln!("{done} of {total} {what}, {rate:.0}/s, {left:.0} s left");
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(what: &str) -> ProgressStyle {
    let template = format!("{{bar:30}} {{pos}} of {{len}} {what}, {{per_sec}}, {{eta}} left");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_small_ones_refused() {
        assert_eq!((parse_size("512M"), parse_size("6G")), (Ok(512 << 20), Ok(6 << 30)));
        for bad in ["", "6", "6T", "31M", "-1G", "99999999999999G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
