//! `ctwarden issuance import FILE|DIR`: feeds the embedded issuance database and tells what it did.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{CliError, Reading};
use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::{
    DirectoryReport, Embedded, FileFormat, FileReport, Followed, Follower, ImportSummary, IssuanceError, Kept,
    KnownIssuer, Refusal, refusal_json,
};

/// `ctwarden issuance`.
#[derive(Debug, Subcommand)]
pub enum IssuanceCommand {
    /// Import NDJSON or CSV, all of a file or nothing of it
    Import {
        /// NDJSON or CSV, or a directory of both
        #[arg(value_name = "FILE|DIR")]
        file: PathBuf,
        /// The table of a CSV file
        #[arg(long, value_name = "TABLE")]
        table: Option<String>,
        /// What the lines are: rows, or the audit log of Boulder
        #[arg(long, value_name = "rows|boulder-log", value_parser = parse_input, default_value = "rows")]
        input: FileFormat,
        #[command(flatten)]
        #[allow(missing_docs)]
        reading: Reading,
    },
    /// Put every question to the source, and show what it has and which rules can be judged with it
    Check(Reading),
    /// Write the tables of the source to a directory as Parquet, all from one moment
    Export {
        /// A new directory for the files
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Go on behind the tables that are whole
        #[arg(long)]
        resume: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        reading: Reading,
    },
    /// Print the tables of the record as SQL, for a database of your own
    Ddl {
        /// The server that they are for
        #[arg(
            long,
            value_enum,
            value_name = "postgres|mysql",
            default_value = "postgres",
            hide_possible_values = true
        )]
        dialect: super::issuance_check::DdlDialect,
    },
    /// Print what followed files brought and was refused
    Refused {
        /// Forget it afterwards
        #[arg(long)]
        forget: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        reading: Reading,
    },
}

/// The most refused lines of an audit log that are told at once; more are kept aside.
const MOST_TOLD: usize = 1_000;

fn parse_input(text: &str) -> Result<FileFormat, String> {
    match text {
        "rows" => Ok(FileFormat::Rows),
        "boulder-log" => Ok(FileFormat::BoulderLog),
        _ => Err("neither rows nor boulder-log".to_string()),
    }
}

/// How an import ended; the caller turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of the file is in the database.
    Imported,
    /// The file or the table name was refused: the input has to be mended.
    Refused,
    /// The file could not be read or the database could not be used.
    Failed,
}

/// Imports `path` into the issuance database of `data_directory` and writes the summary, or everything that is wrong,
/// to `out`: as text, or as one JSON object with `json`.
///
/// # Errors
/// Why nothing can be imported, when that is not a matter of single lines; or `out` cannot be written.
pub fn import(
    path: &Path,
    table: Option<&str>,
    data_directory: &Path,
    now: Timestamp,
    json: bool,
    out: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let result = Embedded::open(data_directory).and_then(|database| database.import_file(path, table, now));
    let file = escape(path.to_string_lossy().as_bytes(), 500);
    let outcome = match &result {
        Ok(_) => Outcome::Imported,
        Err(IssuanceError::Refused { .. } | IssuanceError::NoSuchTable { .. }) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    };
    match (result, json) {
        (Ok(summary), true) => writeln!(out, "{}", of_file(&file, summary.to_json()))?,
        (Ok(summary), false) => text(&file, &summary, out)?,
        (Err(IssuanceError::Refused { errors, more }), false) => {
            for error in &errors {
                let column = error.column.as_ref().map_or(String::new(), |column| format!(" column {column}:"));
                writeln!(out, "{file}:{}:{column} {}", error.line, error.reason)?;
            }
            let rest = if more { ", and there is more" } else { "" };
            writeln!(out, "{file}: {} error{}{rest}: nothing was imported", errors.len(), plural(errors.len()))?;
        }
        (Err(IssuanceError::Refused { errors, more }), true) => {
            writeln!(out, "{}", of_file(&file, refusal_json(&errors, more)))?;
        }
        (Err(error), true) => {
            writeln!(out, "{}", json!({"file": file, "imported": false, "error": error.to_string()}))?;
        }
        (Err(error), false) => {
            let sentence = format!("{error}; nothing was imported");
            let usage = outcome == Outcome::Refused;
            return Err(if usage { CliError::Usage(sentence) } else { CliError::Failed(sentence) });
        }
    }
    Ok(outcome)
}

/// What a program is told of one file.
fn of_file(file: &str, mut told: Value) -> Value {
    told["file"] = Value::from(file);
    told
}

fn text(file: &str, summary: &ImportSummary, out: &mut dyn Write) -> io::Result<()> {
    let rows = format!("{} row{}", summary.rows, plural(summary.rows as usize));
    if summary.rows == 0 {
        return writeln!(out, "{file}: there is no row in it: nothing changed");
    }
    if summary.inserted + summary.updated == 0 {
        return writeln!(out, "{file}: {rows}, all of them known: nothing changed");
    }
    let counts = (summary.inserted, summary.updated, summary.unchanged);
    writeln!(out, "{file}: {rows}: {} new, {} changed, {} known", counts.0, counts.1, counts.2)?;
    for table in &summary.tables {
        let (name, new, changed, known) = (&table.table, table.inserted, table.updated, table.unchanged);
        writeln!(out, "  {name:<18} {new:>8} new {changed:>8} changed {known:>8} known")?;
    }
    if summary.reclassified > 0 {
        let (count, plural) = (summary.reclassified, plural(summary.reclassified as usize));
        writeln!(out, "  {count} confirmation{plural} whose method means reuse: filed in dcv_reuse, not evidence")?;
    }
    Ok(())
}

/// Imports every file of a directory; see [`import`]. With `progress` it tells on a terminal how far it is.
///
/// # Errors
/// As [`import`].
pub fn import_directory(
    directory: &Path,
    data_directory: &Path,
    now: Timestamp,
    json: bool,
    out: &mut dyn Write,
) -> Result<Outcome, CliError> {
    // Draws on standard error, and only when that is a terminal.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bytes} of {total_bytes} read ({bytes_per_sec}), {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let progress = |bytes: u64, total_bytes: u64| {
        bar.set_length(total_bytes);
        bar.set_position(bytes);
    };
    let report = Embedded::open(data_directory).and_then(|record| record.import_directory(directory, now, &progress));
    bar.finish_and_clear();
    let shown = escape(directory.to_string_lossy().as_bytes(), 500);
    let report = match report {
        Ok(report) => report,
        Err(error) if json => {
            writeln!(out, "{}", json!({"directory": shown, "imported": false, "error": error.to_string()}))?;
            return Ok(Outcome::Failed);
        }
        Err(error) => return Err(CliError::Failed(format!("{error}; nothing was imported"))),
    };
    if report.files.is_empty() {
        let error = "no file in it is named .csv, .ndjson, .jsonl or .json; name the directory of the exports";
        if !json {
            return Err(CliError::Usage(format!("{shown}: {error}; nothing was imported")));
        }
        writeln!(out, "{}", json!({"directory": shown, "imported": false, "error": error}))?;
        return Ok(Outcome::Refused);
    }
    match json {
        true => writeln!(out, "{}", directory_json(&shown, &report))?,
        false => directory_text(&shown, &report, out)?,
    }
    Ok(if report.is_whole() { Outcome::Imported } else { Outcome::Refused })
}

/// Imports an audit log and writes what it did to `out`.
///
/// # Errors
/// The file cannot be read, or the database not be used; or `out` cannot be written.
pub fn import_log(
    file: Followed,
    issuers: Vec<KnownIssuer>,
    data_directory: &Path,
    now: Timestamp,
    json: bool,
    out: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let shown = escape(file.path.to_string_lossy().as_bytes(), 500);
    let record = Embedded::open(data_directory)?;
    let (mut summary, mut refused, mut count, mut passed_over) = (ImportSummary::default(), Vec::new(), 0, 0);
    Follower::new(record, file, issuers).import(now, |step| {
        summary.rows += step.summary.rows;
        summary.inserted += step.summary.inserted;
        summary.updated += step.summary.updated;
        summary.unchanged += step.summary.unchanged;
        count += step.refused.len();
        refused.extend(step.refused.into_iter().take(MOST_TOLD - refused.len()));
        passed_over += step.passed_over;
    })?;
    if json {
        let mut told = of_file(&shown, summary.to_json());
        let one = |refusal: &Refusal| json!({"line": refusal.line, "reason": refusal.reason});
        told["errors"] = refused.iter().map(one).collect();
        told["more"] = Value::from(count > refused.len());
        told["passed_over"] = Value::from(passed_over);
        writeln!(out, "{told}")?;
    } else {
        for Refusal { line, reason } in &refused {
            writeln!(out, "{shown}:{line}: {reason}")?;
        }
        if count > refused.len() {
            writeln!(out, "{shown}: and {} more; `ctwarden issuance refused` prints them", count - refused.len())?;
        }
        text(&shown, &summary, out)?;
        let lines = plural(passed_over as usize);
        writeln!(out, "  {passed_over} line{lines} hold nothing for the record, {count} refused")?;
        if summary.rows == 0 && count == 0 && passed_over > 0 {
            writeln!(out, "  is it the audit log of Boulder's RA, VA or CA? No line of theirs that is read was in it")?;
        }
    }
    Ok(if count == 0 { Outcome::Imported } else { Outcome::Refused })
}

/// Prints what followed files brought and was refused: as text a line each, with `json` an object each. With `forget`
/// it is gone afterwards.
///
/// # Errors
/// The database cannot be used; or `out` cannot be written, and then nothing is forgotten.
pub fn refused(data_directory: &Path, forget: bool, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let record = Embedded::open(data_directory)?;
    let mut count = 0_usize;
    let last = record.each_refused(|kept: Kept| {
        count += 1;
        let Kept { feed, line, reason, text, refused_at } = kept;
        match json {
            true => {
                let refused_at = refused_at.to_string();
                writeln!(
                    out,
                    "{}",
                    json!({"feed": feed, "line": line, "reason": reason, "text": text, "refused_at": refused_at})
                )?;
            }
            false => writeln!(out, "{refused_at} {}:{line}: {reason}\n  {text}", escape(feed.as_bytes(), 500))?,
        }
        Ok::<(), CliError>(())
    })?;
    if !json {
        writeln!(out, "{count} refused line{} kept aside", plural(count))?;
    }
    out.flush()?;
    if forget {
        record.forget_refused(last)?;
    }
    Ok(())
}

fn directory_json(shown: &str, report: &DirectoryReport) -> Value {
    let file = |file: &FileReport| match file.errors.is_empty() {
        true => json!({"file": file.name, "imported": true, "rows": file.rows}),
        false => of_file(&file.name, refusal_json(&file.errors, file.more)),
    };
    let mut told = report.summary.to_json();
    told["imported"] = Value::from(report.is_whole());
    told["directory"] = Value::from(shown);
    told["files"] = report.files.iter().map(file).collect();
    told["passed_over"] = report.passed_over.iter().cloned().collect();
    told
}

fn directory_text(shown: &str, report: &DirectoryReport, out: &mut dyn Write) -> io::Result<()> {
    for file in &report.files {
        for error in &file.errors {
            let column = error.column.as_ref().map_or(String::new(), |column| format!(" column {column}:"));
            writeln!(out, "{shown}/{}:{}:{column} {}", file.name, error.line, error.reason)?;
        }
        let rest = if file.more { ", and there is more" } else { "" };
        match file.errors.len() {
            0 => writeln!(out, "{shown}/{}: {} row{}", file.name, file.rows, plural(file.rows as usize))?,
            count => writeln!(
                out,
                "{shown}/{}: {count} error{}{rest}: nothing of it was imported",
                file.name,
                plural(count)
            )?,
        }
    }
    for name in &report.passed_over {
        writeln!(out, "{shown}/{name}: neither CSV nor NDJSON by its name: passed over")?;
    }
    text(shown, &report.summary, out)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    fn told(path: &Path, table: Option<&str>, directory: &Path, json: bool) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = import(path, table, directory, date(2026, 11, 22), json, &mut out).expect("a buffer takes all");
        (outcome, String::from_utf8(out).expect("text").replace(&directory.display().to_string(), "DIR"))
    }

    #[test]
    fn an_import_tells_what_it_did_or_why_it_did_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let (directory, path) = (directory.path(), directory.path().join("accounts.csv"));
        std::fs::write(&path, "account_id,kind\na,direct\nb,cdn\n").expect("written");
        let (outcome, text) = told(&path, None, directory, false);
        assert_eq!(outcome, Outcome::Imported);
        let line = "  accounts                  2 new        0 changed        0 known\n";
        assert_eq!(text, format!("DIR/accounts.csv: 2 rows: 2 new, 0 changed, 0 known\n{line}"));
        let (_, text) = told(&path, None, directory, false);
        assert_eq!(text, "DIR/accounts.csv: 2 rows, all of them known: nothing changed\n");
        let (_, text) = told(&path, None, directory, true);
        assert!(text.contains(r#""unchanged":2"#) && text.contains(r#""imported":true"#), "{text}");

        std::fs::write(&path, "account_id,kind\na,direct\nc,other\nd\n").expect("written");
        let (outcome, text) = told(&path, None, directory, false);
        assert_eq!(outcome, Outcome::Refused);
        let expected = "DIR/accounts.csv:3: column kind: \"other\" is none of direct, enterprise, reseller, cdn\n\
                        DIR/accounts.csv:4: has 1 fields, the header has 2\n\
                        DIR/accounts.csv: 2 errors: nothing was imported\n";
        assert_eq!(text, expected);
        let (_, text) = told(&path, None, directory, true);
        assert!(text.contains(r#""column":"kind""#) && text.contains(r#""imported":false"#), "{text}");

        let refused = |path: &Path, table| {
            let mut out = Vec::new();
            import(path, table, directory, date(2026, 11, 22), false, &mut out).expect_err("one sentence")
        };
        assert!(
            matches!(refused(&path, Some("nosuch")), CliError::Usage(text) if text.ends_with("nothing was imported"))
        );
        let missing = refused(&directory.join("missing.ndjson"), None);
        assert!(matches!(missing, CliError::Failed(text) if text.contains("missing.ndjson")));
        assert!(told(&directory.join("missing.ndjson"), None, directory, true).1.contains(r#""error":"#));
    }

    #[test]
    fn what_was_refused_is_shown_until_it_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("rows.ndjson");
        std::fs::write(&file, "no row\n{\"table\":\"accounts\",\"account_id\":\"1\"}\n").expect("written");
        let record = Embedded::open(directory.path()).expect("a database");
        let followed = Followed { path: file.clone(), format: FileFormat::Rows };
        Follower::new(record, followed, vec![]).step(date(2026, 11, 22)).expect("a step");
        let told = |forget, json| {
            let mut out = Vec::new();
            refused(directory.path(), forget, json, &mut out).expect("a buffer takes all");
            String::from_utf8(out).expect("text").replace(&file.display().to_string(), "FILE")
        };
        let text = told(false, false);
        assert!(text.starts_with("2026-11-22T00:00:00Z FILE:1: not a JSON object"), "{text}");
        assert!(text.contains("\n  no row\n") && text.ends_with("2 refused lines kept aside\n"), "{text}");
        let text = told(true, true);
        assert!(text.lines().count() == 2 && text.contains(r#""reason":"column kind: is missing""#), "{text}");
        assert_eq!(told(false, false), "0 refused lines kept aside\n");
    }

    #[test]
    fn a_directory_is_told_file_by_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (data, files) = (directory.path().join("data"), directory.path().join("files"));
        std::fs::create_dir(&files).expect("made");
        let write = |name: &str, text: &str| std::fs::write(files.join(name), text).expect("written");
        write("accounts.csv", "account_id,kind\na,direct\nb,cdn\n");
        write("orders.csv", "order_id\n");
        write("README", "x");
        let told = |json| {
            let mut out = Vec::new();
            let now = date(2026, 11, 22);
            let outcome = import_directory(&files, &data, now, json, &mut out).expect("a buffer takes all");
            (outcome, String::from_utf8(out).expect("text").replace(&files.display().to_string(), "DIR"))
        };
        let (outcome, text) = told(false);
        assert_eq!(outcome, Outcome::Refused);
        assert!(
            text.starts_with("DIR/accounts.csv: 2 rows\nDIR/orders.csv:1: column applicant_id: is missing"),
            "{text}"
        );
        assert!(
            text.contains("DIR/README: neither CSV nor NDJSON by its name: passed over\nDIR: 2 rows: 2 new"),
            "{text}"
        );
        std::fs::remove_file(files.join("orders.csv")).expect("removed");
        let (outcome, text) = told(false);
        assert_eq!(outcome, Outcome::Imported);
        assert!(text.ends_with("DIR: 2 rows, all of them known: nothing changed\n"), "{text}");
        let (_, text) = told(true);
        assert!(text.contains(r#""files":[{"file":"accounts.csv","imported":true,"rows":2}]"#), "{text}");
        assert!(text.contains(r#""directory":"DIR""#) && text.contains(r#""unchanged":2"#), "{text}");
        let empty = directory.path().join("empty");
        std::fs::create_dir(&empty).expect("a directory");
        std::fs::write(empty.join("README"), "x").expect("written");
        let mut out = Vec::new();
        let refused = import_directory(&empty, &data, date(2026, 11, 22), false, &mut out);
        assert!(matches!(refused, Err(CliError::Usage(text)) if text.contains("empty: no file in it is named .csv")));
        let refused = import_directory(&empty, &data, date(2026, 11, 22), true, &mut out).expect("told as JSON");
        let told = String::from_utf8(out).expect("text");
        assert!(refused == Outcome::Refused && told.contains(r#""imported":false"#), "{told}");
        let missing = import_directory(&files.join("none"), &data, date(2026, 11, 22), false, &mut Vec::new());
        assert!(matches!(missing, Err(CliError::Failed(text)) if text.contains("none: ")));
    }

    #[test]
    fn a_confirmation_that_is_none_is_mentioned() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rows.ndjson");
        let rows = r#"{"table":"accounts","account_id":"1","kind":"direct"}
{"table":"applicants","applicant_id":"1","account_id":"1"}
{"table":"dcv_confirmations","dcv_id":1,"applicant_id":"1","adn":"a.eus","method":"reused","completed_at":1,"performed_by":"x"}"#;
        std::fs::write(&path, rows).expect("written");
        let (_, text) = told(&path, None, directory.path(), false);
        assert!(
            text.ends_with("1 confirmation whose method means reuse: filed in dcv_reuse, not evidence\n"),
            "{text}"
        );
    }
}
