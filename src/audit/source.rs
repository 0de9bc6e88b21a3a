//! Where the rows come from: a directory of table exports or the embedded database, cut into pieces that two threads
//! can read side by side.

mod parquet_rows;
mod text_rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::audit::AuditError;
use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::feed::{self, Given};
use crate::issuance::{self, Embedded, Exported, Readers};

/// What is called with the number of a row (from 1) and its values in the order of the columns asked for.
pub(super) type Each<'e> = &'e mut dyn FnMut(u64, &[Given<'_>]) -> Result<(), AuditError>;

/// Where a corpus is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory with a file or folder per table: `NAME.parquet`, `NAME.csv`, `NAME.ndjson` and their parts
    /// `NAME.0001.parquet` or `NAME-1.csv`, or NDJSON of any name whose rows name their table.
    Directory(PathBuf),
    /// The embedded issuance database.
    Embedded(Embedded),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv,
    Ndjson,
    /// NDJSON whose rows name their table.
    Mixed,
    Database,
}

/// A piece of a table that is read by one thread.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) table: &'static str,
    pub(super) path: PathBuf,
    format: Format,
    /// The row group of a Parquet file.
    group: usize,
    /// How many rows it has, or an estimate by its length.
    pub(super) rows: u64,
    /// Whether the embedded database has filed its rows, so that reuses have numbers of its own.
    pub(super) filed: bool,
}

/// A source that was looked through.
#[derive(Debug)]
pub(super) struct Corpus {
    /// Of the embedded database.
    readers: Option<Readers>,
    pieces: BTreeMap<&'static str, Vec<Piece>>,
    /// Of a copy of a database server: certificates that were signed from then on may not have all their rows in it.
    pub(super) settled: Option<Timestamp>,
    /// Every file with its length and time of change: what a run that goes on must find unchanged.
    pub(super) fingerprint: Vec<String>,
}

/// The tables that are read.
pub const TABLES: [&str; 12] = [
    "issuers",
    "accounts",
    "applicants",
    "identities",
    "orders",
    "certificates",
    "dcv_confirmations",
    "dcv_reuse",
    "caa_checks",
    "san_authorisations",
    "approvals",
    "revocations",
];

impl Corpus {
    /// Looks through a source, which so many threads will read.
    ///
    /// # Errors
    /// When the directory, a file or the database cannot be read.
    pub(super) fn open(source: &Source, threads: usize) -> Result<Corpus, AuditError> {
        let pieces = BTreeMap::new();
        let mut corpus = Corpus { readers: None, pieces, settled: None, fingerprint: Vec::new() };
        match source {
            Source::Directory(directory) => corpus.look_through(directory)?,
            Source::Embedded(database) => {
                corpus.fingerprint.push(fingerprint(database.path())?);
                let readers = database.readers(threads).map_err(AuditError::Issuance)?;
                for (table, rows) in readers.fed().map_err(AuditError::Issuance)? {
                    let Some(table) = TABLES.into_iter().find(|known| *known == table) else { continue };
                    let path = database.path().to_path_buf();
                    let piece = Piece { table, path, format: Format::Database, group: 0, rows, filed: true };
                    corpus.pieces.entry(table).or_default().push(piece);
                }
                corpus.readers = Some(readers);
            }
        }
        Ok(corpus)
    }

    /// Whether the source has the table, be it empty.
    pub(super) fn has(&self, table: &str) -> bool {
        self.pieces.contains_key(table)
    }

    /// The pieces of these tables.
    pub(super) fn pieces(&self, tables: &[&str]) -> Vec<Piece> {
        tables.iter().filter_map(|table| self.pieces.get(table)).flatten().cloned().collect()
    }

    fn look_through(&mut self, directory: &Path) -> Result<(), AuditError> {
        let exported = issuance::exported(directory).map_err(AuditError::Issuance)?;
        self.settled = exported.as_ref().and_then(Exported::settled);
        if exported.is_some_and(|exported| !exported.whole) {
            let reason = "holds an export that is not whole: finish it with `ctwarden issuance export --resume`".into();
            return Err(AuditError::Output { path: directory.to_path_buf(), reason });
        }
        let mut files = Vec::new();
        for path in listed(directory)? {
            match path.is_dir() {
                true if table_of(&path).is_some() => {
                    files.extend(listed(&path)?.into_iter().map(|file| (table_of(&path), file)))
                }
                true => {}
                false => files.push((table_of(&path), path)),
            }
        }
        for (table, path) in files {
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let format = match (extension.as_str(), table) {
                ("parquet", Some(_)) => Format::Parquet,
                ("csv", Some(_)) => Format::Csv,
                ("ndjson" | "jsonl", Some(_)) => Format::Ndjson,
                ("ndjson" | "jsonl", None) => Format::Mixed,
                _ => continue,
            };
            self.fingerprint.push(fingerprint(&path)?);
            let tables: BTreeSet<&'static str> = match table {
                Some(table) => BTreeSet::from([table]),
                None => text_rows::tables(&path)?,
            };
            for table in tables.into_iter().filter(|table| TABLES.contains(table)) {
                let piece = |group, rows, filed| Piece { table, path: path.clone(), format, group, rows, filed };
                let pieces = self.pieces.entry(table).or_default();
                match format {
                    Format::Parquet => {
                        let (groups, filed) = parquet_rows::groups(&path)?;
                        pieces.extend(groups.into_iter().enumerate().map(|(group, rows)| piece(group, rows, filed)));
                    }
                    _ => pieces.push(piece(0, length(&path)? / 100 + 1, false)),
                }
            }
        }
        Ok(())
    }

    /// Reads a piece: the values of these columns of every row.
    ///
    /// # Errors
    /// When it cannot be read, or what `each` says.
    pub(super) fn read(&self, piece: &Piece, columns: &[&'static str], each: Each<'_>) -> Result<(), AuditError> {
        match (piece.format, &self.readers) {
            (Format::Parquet, _) => parquet_rows::read(piece.table, &piece.path, piece.group, columns, each),
            (Format::Csv, _) => text_rows::csv(piece.table, &piece.path, columns, each),
            (Format::Ndjson, _) => text_rows::ndjson(piece.table, &piece.path, false, columns, each),
            (Format::Mixed, _) => text_rows::ndjson(piece.table, &piece.path, true, columns, each),
            (Format::Database, Some(readers)) => {
                let mut error = None;
                let stream = readers.bulk(piece.table, columns, &mut |number, row| {
                    error = each(number, row).err();
                    error.is_none()
                });
                stream.map_err(AuditError::Issuance)?;
                error.map_or(Ok(()), Err)
            }
            (Format::Database, None) => Ok(()),
        }
    }
}

impl Piece {
    /// The place of a row, for people.
    pub(super) fn place(&self, row: u64) -> String {
        let name = escape(self.path.file_name().unwrap_or_default().as_encoded_bytes(), 200);
        match self.format {
            Format::Parquet => format!("{name}: row group {} row {row}", self.group + 1),
            Format::Csv | Format::Ndjson | Format::Mixed => format!("{name}: line {row}"),
            Format::Database => format!("{name}: {} row {row}", self.table),
        }
    }
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let fault = |source| AuditError::File { path: directory.to_path_buf(), source };
    let entries = std::fs::read_dir(directory).map_err(fault)?;
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(fault)?;
    paths.sort();
    Ok(paths)
}

/// `orders.csv`, `orders.0001.parquet`, `orders-1.ndjson` and the folder `orders` are of table orders.
fn table_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split(['.', '-']).next()?;
    feed::columns(stem)?;
    Some(TABLES.into_iter().find(|table| *table == stem).unwrap_or("controls"))
}

fn length(path: &Path) -> Result<u64, AuditError> {
    let meta = std::fs::metadata(path).map_err(|source| AuditError::File { path: path.to_path_buf(), source })?;
    Ok(meta.len())
}

fn fingerprint(path: &Path) -> Result<String, AuditError> {
    let fault = |source| AuditError::File { path: path.to_path_buf(), source };
    let meta = std::fs::metadata(path).map_err(fault)?;
    let changed = Timestamp::from_system(meta.modified().map_err(fault)?);
    let name = escape(path.file_name().unwrap_or_default().as_encoded_bytes(), 200);
    Ok(format!("{name} {} {}", meta.len(), changed.millis()))
}
