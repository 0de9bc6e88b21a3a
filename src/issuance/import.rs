//! Import of what the CA exports: all of a file or nothing of it, and the same file twice changes nothing.
//!
//! Every line is read, checked and staged first; then what no line shows by itself is checked; then one transaction
//! writes it all. Errors are collected, so that one run tells all that is wrong.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::lines::{self, Format};
use crate::issuance::staging::{Fault, Staging};
use crate::issuance::tables::{self, TABLES, Table};
use crate::issuance::{Embedded, IssuanceError, reuse, schema};

pub use crate::issuance::staging::LineError;

/// What an import did to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// The table.
    pub table: String,
    /// Rows of the import that belong to it.
    pub rows: u64,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that are now different.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// All rows of the import.
    pub rows: u64,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that are now different.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows of dcv_confirmations whose method means reuse: they were filed in dcv_reuse and are no evidence.
    pub reclassified: u64,
    /// The same per table, parents first.
    pub tables: Vec<TableSummary>,
}

impl ImportSummary {
    /// The form for programs, of the command and of the web.
    pub fn to_json(&self) -> Value {
        let one = |t: &TableSummary| {
            json!({"table": t.table, "rows": t.rows, "inserted": t.inserted, "updated": t.updated,
                   "unchanged": t.unchanged})
        };
        json!({"imported": true, "rows": self.rows, "inserted": self.inserted, "updated": self.updated,
               "unchanged": self.unchanged, "reclassified": self.reclassified,
               "tables": self.tables.iter().map(one).collect::<Vec<_>>()})
    }
}

/// The form for programs of what is wrong with an import; `more` as in [`IssuanceError::Refused`].
pub fn refusal_json(errors: &[LineError], more: bool) -> Value {
    let errors: Vec<_> =
        errors.iter().map(|e| json!({"line": e.line, "column": e.column, "reason": e.reason})).collect();
    json!({"imported": false, "errors": errors, "more": more})
}

impl Embedded {
    /// Imports a file: CSV when its name ends in `.csv` (the table is `table` or the name without the ending), else
    /// NDJSON (`table` is that of rows that name none). `now` is kept as the freshness of the record.
    ///
    /// # Errors
    /// [`IssuanceError::Refused`] when anything in it is wrong, [`IssuanceError::NoSuchTable`], or what the system or
    /// SQLite says. In all cases nothing was imported.
    pub fn import_file(
        &self,
        path: &Path,
        table: Option<&str>,
        now: Timestamp,
    ) -> Result<ImportSummary, IssuanceError> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let named = |name: &str| {
            tables::table(name).ok_or_else(|| IssuanceError::NoSuchTable {
                name: escape(name.as_bytes(), 100),
                known: tables::names(),
            })
        };
        let format = match extension.as_str() {
            "csv" => Format::Csv(named(table.unwrap_or(&stem))?),
            _ => Format::Ndjson(table.map(named).transpose()?),
        };
        let fault = |source| IssuanceError::File { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(fault)?;
        self.import(&mut BufReader::new(file), format, path, now, &|_, _| Ok(()))
    }

    /// Imports NDJSON from anywhere; see [`Embedded::import_file`].
    ///
    /// # Errors
    /// As [`Embedded::import_file`].
    pub fn import_reader(&self, input: impl Read, now: Timestamp) -> Result<ImportSummary, IssuanceError> {
        self.import(&mut BufReader::new(input), Format::Ndjson(None), Path::new("input"), now, &|_, _| Ok(()))
    }

    /// Imports NDJSON that is already text; see [`Embedded::import_file`].
    ///
    /// # Errors
    /// As [`Embedded::import_file`].
    pub fn import_ndjson(&self, text: &str, now: Timestamp) -> Result<ImportSummary, IssuanceError> {
        self.import_reader(text.as_bytes(), now)
    }

    /// Imports what `input` holds; `last` is done in the same transaction as the writing.
    pub(super) fn import(
        &self,
        input: &mut dyn BufRead,
        format: Format,
        source: &Path,
        now: Timestamp,
        last: &Last<'_>,
    ) -> Result<ImportSummary, IssuanceError> {
        let mut connection = schema::connect(self.path())?;
        match run(&mut connection, input, format, now, last) {
            Ok(Ok(summary)) => Ok(summary),
            Ok(Err((errors, more))) => Err(IssuanceError::Refused { errors, more }),
            Err(Fault::Read(error)) => Err(IssuanceError::File { path: source.to_path_buf(), source: error }),
            Err(Fault::Store(error)) => Err(schema::error(self.path(), error)),
        }
    }
}

type Checked = Result<ImportSummary, (Vec<LineError>, bool)>;
/// What belongs to an import and is not a row of it.
pub(super) type Last<'a> = dyn Fn(&Connection, &ImportSummary) -> rusqlite::Result<()> + 'a;

fn run(
    connection: &mut Connection,
    input: &mut dyn BufRead,
    format: Format,
    now: Timestamp,
    last: &Last<'_>,
) -> Result<Checked, Fault> {
    // The staging table is temporary, so the first transaction locks nothing of the database while the file is read.
    let reading = connection.transaction()?;
    let mut staging = Staging::new(&reading)?;
    lines::read(input, format, &mut staging)?;
    let (errors, more) = staging.check()?;
    let fed = staging.tables();
    reading.commit()?;
    if !errors.is_empty() {
        return Ok(Err((errors, more)));
    }
    let writing = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let summary = merge(&writing, &fed, now)?;
    last(&writing, &summary)?;
    writing.commit()?;
    Ok(Ok(summary))
}

/// Writes the staged rows, parents first.
pub(super) fn merge(tx: &Transaction<'_>, fed: &BTreeSet<&str>, now: Timestamp) -> rusqlite::Result<ImportSummary> {
    // Rows may change places between dcv_confirmations and dcv_reuse; what they name is checked at the commit.
    tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    let mut summary = ImportSummary::default();
    if fed.contains("dcv_confirmations") || fed.contains("dcv_reuse") {
        reuse::refile(tx)?;
    }
    let mut changed = false;
    for table in TABLES.iter().filter(|table| fed.contains(table.name)) {
        let one = upsert(tx, table)?;
        if table.name.starts_with("dcv_") {
            changed |= one.inserted + one.updated > 0;
        }
        if one.rows > 0 {
            (summary.rows, summary.inserted) = (summary.rows + one.rows, summary.inserted + one.inserted);
            (summary.updated, summary.unchanged) = (summary.updated + one.updated, summary.unchanged + one.unchanged);
            summary.tables.push(one);
        }
        tx.execute(
            "INSERT INTO feed VALUES (?1, ?2) ON CONFLICT DO UPDATE SET imported_at_ms = max(imported_at_ms, ?2)",
            params![table.name, now.millis()],
        )?;
    }
    if changed {
        reuse::resolve(tx)?;
    }
    let sql = "SELECT count(*) FROM temp.stage WHERE tab = 'dcv_reuse' AND key LIKE '-%'";
    summary.reclassified = count(tx, sql, &[])?;
    Ok(summary)
}

fn upsert(tx: &Transaction<'_>, table: &Table) -> rusqlite::Result<TableSummary> {
    let columns: Vec<&str> = table.stored().map(|column| column.stored).collect();
    let value = |place: usize| format!("json_extract(s.row, '$[{place}]')");
    let filed = |place: usize| format!("(SELECT r.reuse_id FROM dcv_reuse r WHERE r.reuse_id = -{})", value(place));
    let values: Vec<String> = (0..columns.len())
        .map(|place| match (table.name, columns[place]) {
            // A "confirmation" that is a reuse is named as what it is.
            ("san_authorisations", "dcv_id") => format!("iif({} IS NULL, {}, NULL)", filed(place), value(place)),
            ("san_authorisations", "reuse_id") => format!("coalesce({}, {})", filed(place - 1), value(place)),
            _ => value(place),
        })
        .collect();
    let (key, rest) = columns.split_at(table.key);
    let name = table.name;
    let same: Vec<String> = (0..table.key).map(|place| format!("m.{} = {}", key[place], value(place))).collect();
    let staged = "FROM (SELECT min(line), key, row FROM temp.stage WHERE tab = ?1 GROUP BY key) s";
    let known = format!("SELECT count(*) {staged} CROSS JOIN main.{name} m ON {}", same.join(" AND "));
    let known = count(tx, &known, &[name])?;
    let distinct = count(tx, "SELECT count(DISTINCT key) FROM temp.stage WHERE tab = ?1", &[name])?;
    let rows = count(tx, "SELECT count(*) FROM temp.stage WHERE tab = ?1", &[name])?;
    let excluded = |columns: &[&str], form: fn(&str) -> String| columns.iter().map(|c| form(c)).collect::<Vec<_>>();
    let action = match rest {
        [] => "NOTHING".to_string(),
        rest => format!(
            "UPDATE SET {} WHERE {}",
            excluded(rest, |column| format!("{column} = excluded.{column}")).join(", "),
            rest.iter().map(|c| format!("{name}.{c} IS NOT excluded.{c}")).collect::<Vec<_>>().join(" OR ")
        ),
    };
    let sql = format!(
        "INSERT INTO main.{name} ({}) SELECT {} FROM temp.stage s WHERE s.tab = ?1 ORDER BY s.seq
         ON CONFLICT ({}) DO {action}",
        columns.join(", "),
        values.join(", "),
        key.join(", ")
    );
    let changed = tx.execute(&sql, [name])? as u64;
    let inserted = distinct - known;
    let updated = changed.saturating_sub(inserted);
    Ok(TableSummary { table: name.to_string(), rows, inserted, updated, unchanged: rows - inserted - updated })
}

fn count(tx: &Transaction<'_>, sql: &str, given: &[&str]) -> rusqlite::Result<u64> {
    let number: i64 = tx.prepare_cached(sql)?.query_row(rusqlite::params_from_iter(given), |row| row.get(0))?;
    Ok(number.unsigned_abs())
}
