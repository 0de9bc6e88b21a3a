//! The temporary table in which an import stands until all of it is known to be sound. It spills to disk, so that
//! memory stays bounded however large the file is, and lives and dies with its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::finding::escape;
use crate::issuance::column::Raw;
use crate::issuance::reuse;
use crate::issuance::tables::{TABLES, Table};

/// One thing that is wrong with an import. All text is escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineError {
    /// The line, from 1; of a CSV record its first line.
    pub line: u64,
    /// The column, unless the line as a whole is wrong.
    pub column: Option<String>,
    /// Why it is wrong.
    pub reason: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}: column {column}: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

/// How many complaints are kept.
pub(super) const ERROR_LIMIT: usize = 100;
/// All complaints there can be; one more is a number that SQLite understands.
const ALL: usize = i64::MAX as usize - 1;
/// Stands between the parts of a key; no value holds it, because control characters are refused.
const BETWEEN: &str = "\u{1f}";

/// Why reading stopped, besides what is wrong with the lines.
pub(super) enum Fault {
    Read(io::Error),
    Store(rusqlite::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Read(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Store(error)
    }
}

/// A line is numbered within its file, and files among each other above that.
const FILE_BITS: u32 = 40;

/// A complaint, and whether it is only that a row is missing which may still come.
pub(super) type Complaint = (LineError, bool);

/// An import that is being read and checked.
pub(super) struct Staging<'c> {
    connection: &'c Connection,
    errors: Vec<Complaint>,
    /// The tables of each file.
    tables: BTreeMap<u64, BTreeSet<&'static str>>,
    /// The names of the files, when there are several, and the number of the one that is read.
    files: Vec<String>,
    file: u64,
    /// How many complaints of this file there were before.
    before: usize,
    /// How many complaints are looked for.
    limit: usize,
    /// Whether a later row replaces an earlier one of the same key, as in a file that grows.
    later_wins: bool,
}

impl<'c> Staging<'c> {
    /// An empty one for an import that is refused as a whole; a connection can have one staging only.
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Staging<'c>> {
        Staging::within(connection, ERROR_LIMIT, false)
    }

    /// An empty one for rows that come one after another and are judged one by one: every complaint is found, and of
    /// two rows with one key the later one counts. It takes the place of an earlier staging.
    pub(super) fn one_by_one(connection: &'c Connection) -> rusqlite::Result<Staging<'c>> {
        connection.execute_batch("DROP TABLE IF EXISTS temp.stage")?;
        Staging::within(connection, ALL, true)
    }

    /// An empty one for several files, of which each is refused as a whole.
    pub(super) fn of_files(connection: &'c Connection, files: Vec<String>) -> rusqlite::Result<Staging<'c>> {
        Ok(Staging { files, ..Staging::within(connection, ALL, false)? })
    }

    /// From now on this file is read.
    pub(super) fn begin(&mut self, file: usize) {
        (self.file, self.before) = (file as u64, self.errors.len());
    }

    /// The file and the line within it of a complaint.
    pub(super) fn place(line: u64) -> (usize, u64) {
        ((line >> FILE_BITS) as usize, line & ((1 << FILE_BITS) - 1))
    }

    /// Takes a file out again, with everything that came of it.
    pub(super) fn leave_out(&mut self, file: usize) -> rusqlite::Result<()> {
        let first = (file as i64) << FILE_BITS;
        let mut delete = self.connection.prepare_cached("DELETE FROM temp.stage WHERE line >= ?1 AND line < ?2")?;
        delete.execute([first, first + (1 << FILE_BITS)])?;
        self.tables.remove(&(file as u64));
        self.errors.retain(|(error, _)| Staging::place(error.line).0 != file);
        Ok(())
    }

    /// How many rows of a file are kept.
    pub(super) fn rows_of(&self, file: usize) -> rusqlite::Result<u64> {
        let first = (file as i64) << FILE_BITS;
        let mut count =
            self.connection.prepare_cached("SELECT count(*) FROM temp.stage WHERE line >= ?1 AND line < ?2")?;
        let rows = count.query_row([first, first + (1 << FILE_BITS)], |row| row.get::<_, i64>(0));
        rows.map(i64::unsigned_abs)
    }

    fn within(connection: &'c Connection, limit: usize, later_wins: bool) -> rusqlite::Result<Staging<'c>> {
        connection.execute_batch(
            "CREATE TEMP TABLE stage (seq INTEGER PRIMARY KEY, line INTEGER NOT NULL, tab TEXT NOT NULL,
                 key TEXT NOT NULL, uniq TEXT, row TEXT NOT NULL);",
        )?;
        let (files, tables) = (Vec::new(), BTreeMap::new());
        Ok(Staging { connection, errors: Vec::new(), tables, files, file: 0, before: 0, limit, later_wins })
    }

    /// Complains about a line. The column and the reason may quote the input.
    pub(super) fn refuse(&mut self, line: u64, column: Option<&str>, reason: String) {
        let column = column.map(|column| escape(column.as_bytes(), 100));
        self.errors.push((LineError { line: self.numbered(line), column, reason }, false));
    }

    fn numbered(&self, line: u64) -> u64 {
        line | self.file << FILE_BITS
    }

    /// Whether there are more complaints than anyone reads.
    pub(super) fn is_full(&self) -> bool {
        let limit = if self.later_wins { self.limit } else { ERROR_LIMIT };
        self.errors.len() - self.before > limit
    }

    /// Notes that the feed has this table, even if it turns out to be empty.
    pub(super) fn declare(&mut self, table: &'static Table) {
        self.tables.entry(self.file).or_default().insert(table.name);
    }

    /// The tables that the feed has.
    pub(super) fn tables(&self) -> BTreeSet<&'static str> {
        self.tables.values().flatten().copied().collect()
    }

    fn fed(&self) -> Vec<&'static Table> {
        let fed = self.tables();
        TABLES.iter().filter(|table| fed.contains(table.name)).collect()
    }

    /// Reads the values of one row, given in the order of the table's columns, and keeps it. A row with complaints is
    /// kept as well when its key is readable, so that rows that name it are not complained about too.
    pub(super) fn row(&mut self, line: u64, table: &'static Table, raws: &[Raw<'_>]) -> Result<(), Fault> {
        let (values, wrong) = table.read(raws);
        for (column, reason) in wrong {
            self.refuse(line, Some(column), reason);
        }
        let (table, values) = reuse::classify(table, values);
        self.declare(table);
        let Some(key) = joined(&values[..table.key]) else { return Ok(()) };
        let places: Vec<usize> = table.unique.iter().filter_map(|column| table.place(column)).collect();
        let unique: Vec<Value> = places.iter().map(|place| values[*place].clone()).collect();
        let unique = if unique.is_empty() { None } else { joined(&unique) };
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO temp.stage (line, tab, key, uniq, row) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        insert.execute(params![
            self.numbered(line) as i64,
            table.name,
            key,
            unique,
            Value::Array(values).to_string()
        ])?;
        Ok(())
    }

    /// Everything that is wrong, in order of lines, and whether there is more than the limit.
    pub(super) fn check(&mut self) -> rusqlite::Result<(Vec<LineError>, bool)> {
        let mut errors: Vec<LineError> = self.complaints()?.into_iter().map(|(error, _)| error).collect();
        errors.sort();
        let more = errors.len() > self.limit;
        errors.truncate(self.limit);
        Ok((errors, more))
    }

    /// Checks what no line shows by itself: repeated keys, rows that name rows that are not there.
    pub(super) fn complaints(&mut self) -> rusqlite::Result<Vec<Complaint>> {
        self.connection.execute_batch(
            "CREATE INDEX IF NOT EXISTS temp.stage_key ON stage (tab, key);
             CREATE INDEX IF NOT EXISTS temp.stage_uniq ON stage (tab, uniq, key);",
        )?;
        self.repeated()?;
        for table in self.fed() {
            self.taken(table)?;
            for (column, parent) in table.references {
                self.dangling(table, column, parent)?;
            }
        }
        Ok(std::mem::take(&mut self.errors))
    }

    /// (line, table, key) of every row that is kept.
    pub(super) fn keys(&self) -> rusqlite::Result<Vec<(u64, String, String)>> {
        let mut rows = self.connection.prepare("SELECT line, tab, key FROM temp.stage")?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?, row.get(2)?)))?;
        rows.collect()
    }

    /// Runs a query that answers with (line, text) and complains about each.
    fn complain(
        &mut self,
        sql: &str,
        table: &str,
        may_come: bool,
        tell: impl Fn(&str) -> (Option<String>, String),
    ) -> rusqlite::Result<()> {
        let limited = format!("{sql} LIMIT {}", self.limit + 1);
        let mut query = self.connection.prepare(&limited)?;
        let rows = query.query_map([table], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let found: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
        for (line, text) in found {
            let (column, reason) = tell(&text);
            self.errors.push((LineError { line: line.unsigned_abs(), column, reason }, may_come));
        }
        Ok(())
    }

    fn repeated(&mut self) -> rusqlite::Result<()> {
        for table in self.fed() {
            let key = table.columns[0].name;
            if !self.later_wins {
                let sql = "SELECT max(line), CAST(min(line) AS TEXT) FROM temp.stage WHERE tab = ?1
                           GROUP BY key HAVING min(row) <> max(row) ORDER BY 1";
                let files = self.files.clone();
                let tell = |line: &str| {
                    let place = told(&files, line);
                    (Some(key.into()), format!("the same row of {} stands differently in {place}", table.name))
                };
                self.complain(sql, table.name, false, tell)?;
            }
            let sql = "SELECT max(line), CAST(min(line) AS TEXT) FROM temp.stage WHERE tab = ?1 AND uniq IS NOT NULL
                       GROUP BY uniq HAVING min(key) <> max(key) ORDER BY 1";
            let column = table.unique.last().copied().unwrap_or(key);
            let (later_wins, files) = (self.later_wins, self.files.clone());
            let tell = |line: &str| match later_wins {
                true => (Some(column.into()), format!("another row of {} has it", table.name)),
                false => {
                    (Some(column.into()), format!("another row of {} has it in {}", table.name, told(&files, line)))
                }
            };
            self.complain(sql, table.name, false, tell)?;
        }
        let sql = "SELECT max(c.line, r.line), c.key FROM temp.stage r CROSS JOIN temp.stage c
                   ON c.tab = ?1 AND c.key = substr(r.key, 2) WHERE r.tab = 'dcv_reuse' AND r.key LIKE '-%' ORDER BY 1";
        let tell = |id: &str| {
            (
                Some("method".into()),
                format!("confirmation {id} is called a reuse in one line and a validation in another"),
            )
        };
        self.complain(sql, "dcv_confirmations", false, tell)
    }

    /// Rows whose unique columns belong to another row of the database.
    fn taken(&mut self, table: &Table) -> rusqlite::Result<()> {
        let Some(column) = table.unique.last() else { return Ok(()) };
        let key = table.columns[0].stored;
        let same: Vec<String> = table
            .unique
            .iter()
            .filter_map(|column| Some(format!("m.{column} = json_extract(s.row, '$[{}]')", table.place(column)?)))
            .collect();
        let sql = format!(
            "SELECT s.line, CAST(m.{key} AS TEXT) FROM temp.stage s CROSS JOIN main.{} m ON {}
             WHERE s.tab = ?1 AND CAST(m.{key} AS TEXT) <> s.key ORDER BY 1",
            table.name,
            same.join(" AND ")
        );
        self.complain(&sql, table.name, false, |other| {
            (Some(column.to_string()), format!("belongs to {key} {} already", escape(other.as_bytes(), 100)))
        })
    }

    /// Rows that name a row that is neither in the import nor in the database.
    fn dangling(&mut self, table: &Table, column: &str, parent: &str) -> rusqlite::Result<()> {
        let Some(place) = table.place(column) else { return Ok(()) };
        let feed_name = table.stored().nth(place).map_or(column, |column| column.name).to_string();
        let key = TABLES.iter().find(|table| table.name == parent).map_or("", |table| table.columns[0].stored);
        let there = |tab: &str, key: &str, value: &str| {
            format!(
                "AND NOT EXISTS (SELECT 1 FROM temp.stage p WHERE p.tab = '{tab}' AND p.key = CAST({value} AS TEXT))
                 AND NOT EXISTS (SELECT 1 FROM main.{tab} m WHERE m.{key} = {value})"
            )
        };
        let mut sql = format!(
            "SELECT s.line, CAST(s.named AS TEXT) FROM (SELECT line, key, json_extract(row, '$[{place}]') AS named
             FROM temp.stage WHERE tab = ?1) s WHERE s.named IS NOT NULL {}",
            there(parent, key, "s.named")
        );
        if parent == "dcv_confirmations" {
            // A "confirmation" that is a reuse is filed there under its negated number.
            sql.push_str(&there("dcv_reuse", "reuse_id", "(-s.named)"));
        }
        sql.push_str(" ORDER BY 1");
        self.complain(&sql, table.name, true, |named| {
            (Some(feed_name.clone()), format!("there is no {} in {parent}", escape(named.as_bytes(), 100)))
        })
    }
}

/// A line for people, with its file when there are several.
fn told(files: &[String], line: &str) -> String {
    let (file, line) = Staging::place(line.parse().unwrap_or_default());
    match files.get(file) {
        Some(file) => format!("line {line} of {file}"),
        None => format!("line {line}"),
    }
}

fn joined(values: &[Value]) -> Option<String> {
    let part = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    values.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.join(BETWEEN))
}
