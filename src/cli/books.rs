//! `ctwarden logs` and `ctwarden cases`: what the books say, while the daemon runs or not.

use std::io::Write;

use super::format::Format;
use super::run::runtime;
use super::{CliError, Exit};
use crate::books::{Books, BooksError, LogLine, PromiseLine, keeps_up};
use crate::case::parse_case_name;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::finding::escape;
use crate::notify::text;

/// The most promises of logs that a list shows.
const MOST_PROMISES: u32 = 1000;
/// The most cases that a list shows.
const MOST_CASES: u32 = 10_000;

fn failed(error: BooksError) -> CliError {
    CliError::Failed(error.to_string())
}

/// Prints how far each log has been read.
///
/// # Errors
/// No books, or no output.
pub fn logs(config: &Config, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let books = Books::open_read_only(&config.books).map_err(failed)?;
    let runtime = runtime()?;
    let lines = runtime.block_on(books.list_logs()).map_err(failed)?;
    let unkept = runtime.block_on(books.unkept_promises(Clock::System.now(), MOST_PROMISES)).map_err(failed)?;
    if format == Format::Json {
        for line in &lines {
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "log": line.log, "log_id": line.log_id, "start": line.start_index, "tree_size": line.tree_size,
                    "downloaded": line.downloaded, "verified": line.verified, "sightings": line.sightings,
                    "backlog": line.backlog, "lost": line.lost, "unproven_from": line.unproven_from,
                    "growth_per_second": line.growth_rate,
                    "read_per_second": line.read_rate, "misbehaviours": line.misbehaviours, "tree_head_at": line.tree_head_at.map(|at| at.to_string()),
                    "updated_at": line.updated_at.to_string(),
                })
            )?;
        }
        for promise in &unkept {
            writeln!(out, "{}", serde_json::json!({ "unkept_promise": promise_json(promise) }))?;
        }
        return Ok(Exit::Nothing);
    }
    let width = lines.iter().map(|line| line.log.len()).max().unwrap_or(3).max(3);
    if lines.is_empty() {
        writeln!(out, "no log was read yet; what the running daemon says on standard error tells why")?;
    } else {
        writeln!(
            out,
            "{:width$}  {:>13}  {:>13}  {:>8}  {:>5}  LAST TREE HEAD",
            "LOG", "DOWNLOADED", "VERIFIED", "HITS", "FAULT"
        )?;
    }
    for line in &lines {
        let head = line.tree_head_at.map_or("none verified yet".to_string(), Timestamp::minute);
        let (log, downloaded, verified) = (&line.log, line.downloaded, line.verified);
        let (sightings, misbehaviours) = (line.sightings, line.misbehaviours);
        writeln!(out, "{log:width$}  {downloaded:>13}  {verified:>13}  {sightings:>8}  {misbehaviours:>5}  {head}")?;
        if line.backlog > 0 {
            writeln!(out, "  {} entries below the head are still to be read", line.backlog)?;
        }
        if let Some(text) = cannot_keep_up(line) {
            writeln!(out, "  {text}")?;
        }
        if line.lost > 0 {
            writeln!(out, "  {} entries are not served by the log; they are asked for again", line.lost)?;
        }
        if let Some(index) = line.unproven_from {
            writeln!(
                out,
                "  entry {index} is one of them: what was read behind it cannot be verified before it is served"
            )?;
        }
    }
    if !unkept.is_empty() {
        writeln!(out, "\nSCTs whose entries are not in their logs although the maximum merge delay is over:")?;
        unkept
            .iter()
            .try_for_each(|promise| writeln!(out, "  serial {}  {}", promise.serial, promise_text(promise)))?;
    }
    Ok(Exit::Nothing)
}

/// The statement about a log that grew faster than it was read; that leaves a backlog at its head.
fn cannot_keep_up(line: &LogLine) -> Option<String> {
    let (growth, read) = (line.growth_rate, line.read_rate);
    (!keeps_up(growth, read)).then(|| format!("cannot keep up: growth {growth:.1}/s, achieved {read:.1}/s"))
}

fn promise_text(promise: &PromiseLine) -> String {
    let (promised_at, due_at, state) = (promise.promised_at, promise.due_at, promise.state.word());
    format!("{}  promised {promised_at}  due {due_at}  {state}", promise.log)
}

fn promise_json(promise: &PromiseLine) -> serde_json::Value {
    serde_json::json!({
        "log": promise.log, "serial": promise.serial, "promised_at": promise.promised_at.to_string(),
        "due_at": promise.due_at.to_string(), "state": promise.state.word(),
    })
}

/// Prints one line per case.
///
/// # Errors
/// No books, or no output.
pub fn list(config: &Config, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let books = Books::open_read_only(&config.books).map_err(failed)?;
    let cases = runtime()?.block_on(books.list_cases(MOST_CASES)).map_err(failed)?;
    for case in &cases {
        let due = case.due_at.map_or("-".to_string(), Timestamp::minute);
        if format == Format::Json {
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "case": case.case, "state": case.state, "severity": case.severity, "clock": case.clock,
                    "opened_at": case.opened_at.to_string(), "due_at": case.due_at.map(|at| at.to_string()),
                    "rules": case.rules, "issuer_key_hash": case.issuer_key_hash, "serial": case.serial,
                    "mails_delivered": case.delivered, "mails_waiting": case.waiting,
                })
            )?;
        } else {
            let (name, severity, clock, rules) = (&case.case, &case.severity, &case.clock, case.rules.join(" "));
            writeln!(out, "{name}  {:8}  {severity:8}  {clock:4}  due {due:17}  {rules}", case.state)?;
        }
    }
    if cases.is_empty() && format == Format::Text {
        writeln!(out, "no cases")?;
    }
    Ok(Exit::Nothing)
}

/// What is said of a word behind `ctwarden cases` that is no command.
pub fn no_command(words: &[String]) -> CliError {
    let word = words.first().map_or(String::new(), |word| escape(word.as_bytes(), 100));
    let id = if parse_case_name(&word).is_some() { word.as_str() } else { "CASE-2026-0042" };
    CliError::Usage(format!("cases {word}: neither `list` nor `show`; one case is shown by `ctwarden cases show {id}`"))
}

/// Prints everything that is known about one case.
///
/// # Errors
/// A name that is no case, no books, or no output.
pub fn show(config: &Config, id: &str, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let number = parse_case_name(id)
        .ok_or_else(|| CliError::Usage(format!("{id:?} is not the name of a case; `ctwarden cases` lists them")))?;
    let books = Books::open_read_only(&config.books).map_err(failed)?;
    let case = runtime()?.block_on(books.show_case(number)).map_err(failed)?;
    let Some(case) = case else {
        return Err(CliError::Usage(format!("there is no case {id}; `ctwarden cases` lists those there are")));
    };
    match format {
        Format::Json => {
            let notice = serde_json::to_value(&case.notice).map_err(|e| CliError::Failed(e.to_string()))?;
            let (state, delivered, waiting) = (&case.line.state, case.line.delivered, case.line.waiting);
            let all = serde_json::json!({
                "case": case.line.case, "state": state, "mails_delivered": delivered, "mails_waiting": waiting,
                "notice": notice, "promises": case.promises.iter().map(promise_json).collect::<Vec<_>>(),
            });
            writeln!(out, "{all}")?;
        }
        Format::Text => {
            write!(out, "{}", text::render(&case.notice))?;
            for promise in &case.promises {
                writeln!(out, "SCT: {}", promise_text(promise))?;
            }
            writeln!(out, "State: {}", case.line.state)?;
            writeln!(out, "Mails: {} delivered, {} waiting", case.line.delivered, case.line.waiting)?;
        }
    }
    Ok(Exit::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::key::LogId;

    #[test]
    fn a_log_that_grows_faster_than_it_is_read_is_said_to() {
        let line = |growth_rate, read_rate| LogLine {
            log_id: LogId([1; 32]),
            log: "log.example/1".to_string(),
            start_index: 0,
            downloaded: 10,
            verified: 10,
            backlog: 0,
            lost: 0,
            unproven_from: None,
            growth_rate,
            read_rate,
            tree_size: Some(10),
            tree_head_at: None,
            sightings: 0,
            misbehaviours: 0,
            updated_at: Timestamp::EPOCH,
        };
        let said = cannot_keep_up(&line(44.52, 38.4));
        assert_eq!(said.as_deref(), Some("cannot keep up: growth 44.5/s, achieved 38.4/s"));
        for (growth, read) in [(0.0, 0.0), (30.0, 30.0), (30.0, 29.9), (30.0, 900.0)] {
            assert_eq!(cannot_keep_up(&line(growth, read)), None, "{growth} {read}");
        }
    }
}
