//! The tables of a source as Parquet files in a directory, all from one moment, for an audit here or elsewhere.
//!
//! `export.json` says what is in the directory: which tables are whole, and from which moment. A table is written under
//! another name, and has its own when it is whole and on the disk. So an export that was killed goes on behind the tables
//! that are whole, at another moment. What may be younger is then ordered so that nothing seems to be missing: first the
//! names that are judged, then their certificates, then every table before those that it names.

mod sheet;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::sql::SETTLING;
use crate::issuance::tables::{self, TABLES, Table};
use crate::issuance::{EachRow, IssuanceDb, IssuanceError, Snapshot};
pub(crate) use sheet::FILED;
use sheet::Sheet;

/// The file that says what is in the directory.
const MANIFEST: &str = "export.json";
/// The form of the directory.
const FORM: u32 = 1;
/// Complaints that are told.
const TOLD: usize = 100;
/// Rows between two signs of life.
const TICK: u64 = 10_000;

/// What is in the directory of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    form: u32,
    /// The source as people know it.
    pub source: String,
    /// Whether that is all.
    pub whole: bool,
    /// The tables that are whole, in the order in which they were read.
    pub tables: Vec<ExportedTable>,
}

/// A table of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedTable {
    /// Its name in the feed.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// The moment that it shows, RFC 3339: the newest write that can be in it.
    pub as_of: String,
    /// The text of the question to a server.
    question: Option<String>,
}

impl Exported {
    /// Of a certificate that was signed before this a server has all rows; what is younger may not be complete. `None` for
    /// the embedded database, which shows what it was fed.
    pub fn settled(&self) -> Option<Timestamp> {
        let asked = self.tables.iter().filter(|table| table.question.is_some());
        asked.filter_map(|table| Timestamp::parse(&table.as_of)).min().map(|as_of| as_of.minus(SETTLING))
    }

    /// The moments that the tables show: one, or the first and the last when the export was interrupted.
    pub fn moments(&self) -> String {
        let mut moments: Vec<&str> = self.tables.iter().map(|table| table.as_of.as_str()).collect();
        moments.sort_unstable();
        match (moments.first(), moments.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(first), _) => (*first).to_string(),
            (None, _) => "no moment".to_string(),
        }
    }
}

/// What an export in a directory is; `None` when there is none.
///
/// # Errors
/// When its manifest cannot be read.
pub fn exported(directory: &Path) -> Result<Option<Exported>, IssuanceError> {
    let path = directory.join(MANIFEST);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(fault(&path))?,
    };
    let wrong = |reason: String| IssuanceError::Export {
        path: path.clone(),
        reason: format!("is not what an export writes ({reason}): remove the directory and export again"),
    };
    let found: Exported = serde_json::from_slice(&bytes).map_err(|e| wrong(escape(e.to_string().as_bytes(), 200)))?;
    if found.form == FORM { Ok(Some(found)) } else { Err(wrong(format!("its form is {}", found.form))) }
}

fn fault(path: &Path) -> impl Fn(std::io::Error) -> IssuanceError {
    let path = path.to_path_buf();
    move |source| IssuanceError::Export {
        path: path.clone(),
        reason: format!("{source}: check that it may be used and that its disk has room"),
    }
}

/// The tables in the order in which they are read.
fn in_order(wanted: &[&str]) -> Vec<&'static Table> {
    let first = ["san_authorisations", "certificates"];
    let first = first.into_iter().filter_map(tables::table);
    let rest = TABLES.iter().rev().filter(|table| !["san_authorisations", "certificates"].contains(&table.name));
    first.chain(rest).filter(|table| wanted.contains(&table.name)).collect()
}

/// Writes these tables of a source to a directory, those that the source has; with `resume` behind what is there already.
/// `progress` is told how many rows are written, of about how many.
///
/// # Errors
/// An outage; rows that cannot be used, with key, column and reason; a directory that holds something else or cannot be
/// written. What is whole stays for a run with `resume`.
pub async fn export(
    source: &IssuanceDb,
    directory: &Path,
    wanted: &[&str],
    resume: bool,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Exported, IssuanceError> {
    let mut todo = Vec::new();
    for table in in_order(wanted) {
        if source.feeds(table.name)? {
            todo.push(table);
        }
    }
    let mut done = begin(source, directory, resume)?;
    let kept = todo.iter().zip(&done.tables).take_while(|(table, kept)| {
        kept.table == table.name && kept.question == question(source, table) && path(directory, table).exists()
    });
    let kept = kept.count();
    if done.whole && kept == todo.len() && kept == done.tables.len() {
        return Ok(done);
    }
    for table in done.tables.drain(kept..).filter_map(|old| tables::table(&old.table)) {
        let old = path(directory, table);
        std::fs::remove_file(&old).or_else(missing).map_err(fault(&old))?;
    }
    done.whole = false;
    write(directory, &done)?;
    let mut snapshot = source.snapshot().await?;
    let as_of = snapshot.as_of.unwrap_or(Timestamp::EPOCH).to_string();
    let mut pace = Pace { done: 0, about: 0, progress };
    let mut guesses = Vec::new();
    for table in &todo[kept..] {
        guesses.push(snapshot.about(table.name).await.unwrap_or(0));
    }
    pace.about = guesses.iter().sum();
    for (table, guess) in todo[kept..].iter().zip(guesses) {
        let filed = matches!(source, IssuanceDb::Embedded(_));
        let rows = copy(&mut snapshot, table, filed, directory, &mut pace).await?;
        pace.about = (pace.about + rows).saturating_sub(guess);
        let question = question(source, table);
        done.tables.push(ExportedTable { table: table.name.to_string(), rows, as_of: as_of.clone(), question });
        write(directory, &done)?;
    }
    done.whole = true;
    write(directory, &done)?;
    Ok(done)
}

fn missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn path(directory: &Path, table: &Table) -> PathBuf {
    directory.join(format!("{}.parquet", table.name))
}

fn question(source: &IssuanceDb, table: &Table) -> Option<String> {
    let IssuanceDb::Sql(sql) = source else { return None };
    sql.settings().texts.get(table.name).cloned()
}

/// Makes the directory, or finds that it holds the beginning of the same.
fn begin(source: &IssuanceDb, directory: &Path, resume: bool) -> Result<Exported, IssuanceError> {
    let refused = |reason: &str| IssuanceError::Export { path: directory.to_path_buf(), reason: reason.to_string() };
    let fresh = Exported { form: FORM, source: source.describe(), whole: false, tables: Vec::new() };
    match exported(directory)? {
        // Nothing has come of it: the source did not answer.
        Some(before) if before.tables.is_empty() => return Ok(fresh),
        Some(_) if !resume => {
            return Err(refused("holds an export already: go on with --resume, or name another directory"));
        }
        Some(before) if before.source != fresh.source => {
            let what = format!("holds an export of {}: name another directory", escape(before.source.as_bytes(), 200));
            return Err(refused(&what));
        }
        Some(before) => return Ok(before),
        None => {}
    }
    std::fs::create_dir_all(directory).map_err(fault(directory))?;
    for entry in std::fs::read_dir(directory).map_err(fault(directory))? {
        // A manifest that was not finished.
        if entry.map_err(fault(directory))?.path().extension().is_none_or(|ending| ending != "new") {
            return Err(refused("is not empty: name another directory"));
        }
    }
    Ok(fresh)
}

/// Says what is whole; it stands when this returns.
fn write(directory: &Path, exported: &Exported) -> Result<(), IssuanceError> {
    let (path, new) = (directory.join(MANIFEST), directory.join(format!("{MANIFEST}.new")));
    let text = serde_json::to_vec_pretty(exported).map_err(|error| fault(&new)(error.into()))?;
    let written = std::fs::File::create(&new).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(directory)?.sync_all()
    });
    written.map_err(fault(&path))
}

/// How far it has come.
struct Pace<'p> {
    done: u64,
    about: u64,
    progress: &'p (dyn Fn(u64, u64) + Sync),
}

impl Pace<'_> {
    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(TICK) {
            (self.progress)(self.done, self.about.max(self.done));
        }
    }
}

/// Writes one table; returns how many rows it has.
async fn copy(
    snapshot: &mut Snapshot,
    table: &'static Table,
    filed: bool,
    directory: &Path,
    pace: &mut Pace<'_>,
) -> Result<u64, IssuanceError> {
    let path = path(directory, table);
    let new = path.with_extension("parquet.new");
    let mut sheet = Sheet::create(&new, table, filed).map_err(fault(&new))?;
    let (mut unsound, mut count, mut failed) = (Vec::new(), 0, None);
    let take: EachRow<'_> = &mut |row| {
        pace.step();
        match row {
            Ok(values) => sheet.add(values).map_err(|error| {
                let told = error.to_string();
                failed = Some(error);
                told
            }),
            Err(reason) => {
                count += 1;
                unsound.extend(Some(reason).filter(|_| count <= TOLD));
                Ok(())
            }
        }
    };
    let streamed = snapshot.stream(table.name, take).await;
    if let Some(error) = failed {
        return Err(fault(&new)(error));
    }
    let rows = streamed?;
    if count > 0 {
        // What stays behind is written over by the next copy; the rows are what is told.
        let _ = std::fs::remove_file(&new);
        return Err(IssuanceError::Unsound { table: table.name, rows: unsound, count });
    }
    sheet.finish().map_err(fault(&new))?;
    std::fs::rename(&new, &path).map_err(fault(&path))?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_row_names_is_read_after_the_row() {
        let all: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let order: Vec<&str> = in_order(&all).iter().map(|table| table.name).collect();
        assert_eq!((order.len(), &order[..2]), (all.len(), &["san_authorisations", "certificates"][..]));
        let place = |name: &str| order.iter().position(|other| *other == name).expect("a table");
        // A revocation or a linter's run of a younger certificate is of none that is judged.
        for table in TABLES.iter().filter(|table| !["revocations", "lint_runs"].contains(&table.name)) {
            for (_, named) in table.references {
                assert!(place(table.name) < place(named), "{} names {named}", table.name);
            }
        }
        assert_eq!(in_order(&["orders", "nowhere", "accounts"]).len(), 2);
    }
}
