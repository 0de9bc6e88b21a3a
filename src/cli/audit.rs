//! `ctwarden audit`: every name of every certificate in the CA's record, judged by the evidence it rests on.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::format::Format;
use super::progress::Progress;
use super::run::runtime;
use super::{CliError, Exit, Output, parse_time};
use crate::audit::{self, AuditError, FindingsFormat, Job, Question, Report, Share, Source, Stage};
use crate::clock::{Clock, Timestamp};
use crate::config::keys::nearest;
use crate::config::{self, Config, ListSource};
use crate::daemon;
use crate::evidence::Policy;
use crate::issuance::{self, IssuanceDb};
use crate::lint::SuffixList;

/// Threads that read and judge.
const THREADS: usize = 2;

/// `ctwarden audit`.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// A directory of table exports (Parquet, CSV, NDJSON) [default: the issuance source of the configuration; of a
    /// database server the tables are first copied to `record` in the output directory]
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
    usable(asked)?;
    let report = if asked.merge.is_empty() {
        let (ground, policy, suffixes) = ground(asked)?;
        let known = audit::rules();
        if let Some(rule) = asked.rules.iter().find(|rule| !known.contains(&rule.as_str())) {
            let remedy = match nearest(rule, known.iter().copied()) {
                Some(near) => format!("do you mean {near}?"),
                None => format!("it judges {}", known.join(", ")),
            };
            return Err(CliError::Usage(format!("no rule {rule} that an audit can judge; {remedy}")));
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
        let progress = Progress::new("rows read");
        let tell = |stage, done, total| progress.at(words(stage), done, total);
        let source = match ground {
            Ground::Here(source) => source,
            Ground::Server(server) => {
                let copied = copied(asked, &server, &|done, total| tell(Stage::Copying, done, total));
                copied.inspect_err(|_| progress.end())?
            }
        };
        let job = Job {
            question: &question,
            policy: &policy,
            suffixes: &suffixes,
            out: &asked.out,
            share: asked.partition.unwrap_or(Share::ALL),
            memory: asked.memory,
            threads: THREADS,
            with_caa: Job::needs_caa(&question),
            progress: &tell,
        };
        let report = audit::run(&source, &job, asked.resume, format, asked.compare.as_deref());
        progress.end();
        report.map_err(failed)?
    } else {
        audit::merge(&asked.merge, &asked.out).map_err(failed)?;
        audit::finish(&asked.out, format, asked.compare.as_deref()).map_err(failed)?
    };
    match asked.output.format {
        Format::Json => writeln!(out, "{}", told(&report))?,
        Format::Text => out.write_all(report.summary.as_bytes())?,
    }
    Ok(if report.findings > 0 { Exit::Findings } else { Exit::Nothing })
}

/// Whether what is named can be what it should be: said before the work and not after it.
fn usable(asked: &Audit) -> Result<(), CliError> {
    let usage = |path: &Path, why: &str| Err(CliError::Usage(format!("{}: {why}", path.display())));
    match (&asked.from, &asked.compare) {
        (Some(from), _) if from.is_file() => {
            usage(from, "a file; name the directory that holds one for each table (issuers.parquet, certificates.csv)")
        }
        (_, Some(earlier)) if !earlier.join("groups.csv").is_file() => {
            usage(earlier, "holds no groups.csv to compare with; name the output directory of a finished audit")
        }
        _ => Ok(()),
    }
}

/// A run that goes on asks what it asked before.
fn earlier(asked: &Audit, question: Question) -> Result<Question, CliError> {
    let before = audit::asked(&asked.out).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(before.map_or(question.clone(), |before| Question { unexpired_at: before.unexpired_at, ..question }))
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Copying => "rows copied",
        Stage::Reading => "rows read",
        Stage::Judging => "parts judged",
    }
}

/// Where the rows come from.
enum Ground {
    /// From files or the embedded database.
    Here(Source),
    /// From a database server: they are copied first.
    Server(IssuanceDb),
}

/// The Public Suffix List of a file; the one that is built in where the configuration names an address, which the daemon
/// reads and an audit does not.
fn suffixes(config: &Config) -> Result<SuffixList, CliError> {
    let Some(ListSource::File(file)) = &config.inputs.public_suffix_list else { return Ok(SuffixList::Embedded) };
    let failed = |why: String| CliError::Failed(format!("lint.public_suffix_list: {}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    SuffixList::Embedded.replaced_by(&bytes, Clock::System.now()).map_err(|error| failed(error.to_string()))
}

/// Where the rows come from, the CA's own terms, and the Public Suffix List.
fn ground(asked: &Audit) -> Result<(Ground, Policy, SuffixList), CliError> {
    let default = PathBuf::from("ctwarden.toml");
    let named = asked.config.clone().or_else(|| default.exists().then_some(default));
    let config = named.map(|file| config::load(&file)).transpose()?;
    let policy = config.as_ref().map_or_else(Policy::default, |config| config.issuance.terms.clone());
    let suffixes = config.as_ref().map_or(Ok(SuffixList::Embedded), suffixes)?;
    let usage = |why: &str| Err(CliError::Usage(why.to_string()));
    let ground = match (&asked.from, &config) {
        (Some(directory), _) => Ground::Here(Source::Directory(directory.clone())),
        (None, Some(config)) => match daemon::issuance(config).map_err(|error| CliError::Failed(error.to_string()))? {
            IssuanceDb::Embedded(database) => Ground::Here(Source::Embedded(database)),
            server @ IssuanceDb::Sql(_) if asked.partition.is_none() => Ground::Server(server),
            IssuanceDb::Sql(_) => {
                return usage(
                    "every share must read the same rows: write them to a directory with `ctwarden issuance export`, \
                         and name it with --from",
                );
            }
            IssuanceDb::None => {
                return usage("the configuration has no issuance source: name a directory of exports with --from");
            }
        },
        (None, None) => return usage("name a directory of exports with --from, or a configuration with --config"),
    };
    Ok((ground, policy, suffixes))
}

/// Copies the tables of a server into the output directory, or finds that they are there.
fn copied(asked: &Audit, server: &IssuanceDb, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Source, CliError> {
    for table in audit::NEEDED {
        if !server.feeds(table)? {
            return Err(CliError::Failed(AuditError::NoTable(table).to_string()));
        }
    }
    if !asked.resume && audit::asked(&asked.out).map_err(|error| CliError::Failed(error.to_string()))?.is_some() {
        let out = asked.out.display();
        let why = format!("{out}: holds an audit already: go on with --resume, or name another directory");
        return Err(CliError::Failed(why));
    }
    let record = asked.out.join("record");
    let export = issuance::export(server, &record, &audit::TABLES, asked.resume, progress);
    let exported = runtime()?.block_on(export)?;
    eprintln!("{} as of {} is in {}", exported.source, exported.moments(), record.display());
    Ok(Source::Directory(record))
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
