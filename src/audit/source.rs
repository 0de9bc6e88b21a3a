//! Where the rows come from: a directory of table exports or the embedded database, cut into pieces that two threads
//! can read side by side.

mod parquet_rows;
mod text_rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray, StringViewArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};

use crate::audit::AuditError;
use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::feed::{self, FeedColumn, Given};
use crate::issuance::{self, Embedded, Exported, Readers};

/// What is called with the rows, block by block, with their values in the order of the columns asked for.
pub(super) type Each<'e> = &'e mut dyn FnMut(&Block<'_>) -> Result<(), AuditError>;

/// Rows of a table that come together.
pub(super) enum Block<'v> {
    /// One row, by its number from 1 or its line.
    Row { number: u64, values: &'v [Given<'v>] },
    /// Many rows, column by column, from this number on.
    Columns { first: u64, rows: usize, cells: &'v [Cells] },
}

/// The values of one column.
pub(super) enum Cells {
    /// The file does not have it.
    Absent,
    /// Whole numbers.
    Whole(ScalarBuffer<i64>, Option<NullBuffer>),
    /// `true` and `false`.
    Flags(BooleanArray),
    /// Text.
    Text(StringViewArray),
    /// Text, of which a few stand for many rows: the number of each row's, and the texts.
    Few { keys: PrimitiveArray<Int32Type>, dictionary: ArrayRef, texts: StringArray },
    /// A type that no column of the feed has.
    Other(&'static str),
}

/// What is known of a column in all rows of a block.
pub(super) enum Lane<'v> {
    /// Whole numbers that are kept as they are, and which of them there are, unless all.
    Whole(&'v [i64], Option<&'v NullBuffer>),
    /// Texts, none of which was looked at.
    Text(&'v StringViewArray),
    /// The number of each row's text among few, and those.
    Few(&'v PrimitiveArray<Int32Type>, &'v ArrayRef),
    /// No row has a value, and none needs one.
    Empty,
    /// Nothing.
    Unknown,
}

impl Cells {
    fn lane(&self, column: &FeedColumn) -> Lane<'_> {
        let (numbers, nulls) = match self {
            Cells::Whole(numbers, nulls) => (numbers, nulls),
            Cells::Text(texts) => return Lane::Text(texts),
            Cells::Few { keys, dictionary, .. } => return Lane::Few(keys, dictionary),
            Cells::Absent if column.may_lack() => return Lane::Empty,
            _ => return Lane::Unknown,
        };
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        let mut see = |number: &i64| (least, most) = (least.min(*number), most.max(*number));
        match nulls {
            None => numbers.iter().for_each(see),
            Some(_) if !column.may_lack() => return Lane::Unknown,
            Some(nulls) => nulls.valid_indices().for_each(|at| see(&numbers[at])),
        }
        match least > most || column.keeps_between(least, most) {
            true => Lane::Whole(numbers, nulls.as_ref()),
            false => Lane::Unknown,
        }
    }
    fn given(&self, row: usize) -> Given<'_> {
        match self {
            Cells::Whole(numbers, nulls) if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) => {
                Given::Number(numbers[row])
            }
            Cells::Text(texts) if texts.is_valid(row) => Given::text(texts.value(row)),
            Cells::Flags(flags) if flags.is_valid(row) => Given::Flag(flags.value(row)),
            Cells::Few { keys, texts, .. } => match keys.is_valid(row).then(|| keys.value(row) as usize) {
                Some(key) if texts.is_valid(key) => Given::text(texts.value(key)),
                _ => Given::Null,
            },
            Cells::Other(what) => Given::Other(what),
            _ => Given::Null,
        }
    }
}

impl<'v> Block<'v> {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        match self {
            Block::Row { .. } => 1,
            Block::Columns { rows, .. } => *rows,
        }
    }
    /// The number of a row, for people.
    pub(super) fn number(&self, row: usize) -> u64 {
        match self {
            Block::Row { number, .. } => *number,
            Block::Columns { first, .. } => first + row as u64,
        }
    }
    /// A value.
    pub(super) fn given(&self, column: usize, row: usize) -> Given<'v> {
        match self {
            Block::Row { values, .. } => values.get(column).copied().unwrap_or(Given::Null),
            Block::Columns { cells, .. } => cells.get(column).map_or(Given::Null, |cells| cells.given(row)),
        }
    }
    /// What is known of all rows of these columns; empty where nothing is.
    pub(super) fn lanes(&self, columns: &[FeedColumn]) -> Vec<Lane<'v>> {
        match self {
            Block::Row { .. } => Vec::new(),
            Block::Columns { cells, .. } => {
                cells.iter().zip(columns).map(|(cells, column)| cells.lane(column)).collect()
            }
        }
    }
}

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
    /// A Parquet file.
    opened: Option<Arc<parquet_rows::Opened>>,
    /// Its row group.
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
pub const TABLES: [&str; 13] = [
    "issuers",
    "accounts",
    "applicants",
    "identities",
    "orders",
    "order_names",
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
                    let piece =
                        Piece { table, path, format: Format::Database, opened: None, group: 0, rows, filed: true };
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
                let pieces = self.pieces.entry(table).or_default();
                let piece = Piece { table, path: path.clone(), format, opened: None, group: 0, rows: 0, filed: false };
                match format {
                    Format::Parquet => {
                        let opened = Arc::new(parquet_rows::Opened::read(table, &path)?);
                        let of = |(group, rows): (usize, &u64)| {
                            let (opened, filed) = (Some(opened.clone()), opened.filed);
                            Piece { opened, group, rows: *rows, filed, ..piece.clone() }
                        };
                        pieces.extend(opened.groups.iter().enumerate().map(of));
                    }
                    _ => pieces.push(Piece { rows: length(&path)? / 100 + 1, ..piece }),
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
        let row = &mut |number: u64, values: &[Given<'_>]| each(&Block::Row { number, values });
        match (piece.format, &self.readers, &piece.opened) {
            (Format::Parquet, _, Some(opened)) => {
                parquet_rows::read(&piece.path, opened, piece.group, None, columns, each)
            }
            (Format::Csv, ..) => text_rows::csv(piece.table, &piece.path, columns, row),
            (Format::Ndjson, ..) => text_rows::ndjson(piece.table, &piece.path, false, columns, row),
            (Format::Mixed, ..) => text_rows::ndjson(piece.table, &piece.path, true, columns, row),
            (Format::Database, Some(readers), _) => {
                let mut error = None;
                let stream = readers.bulk(piece.table, columns, &mut |number, values| {
                    error = row(number, values).err();
                    error.is_none()
                });
                stream.map_err(AuditError::Issuance)?;
                error.map_or(Ok(()), Err)
            }
            (Format::Parquet | Format::Database, ..) => Ok(()),
        }
    }

    /// Reads of a piece only the rows whose first column is one of these numbers.
    ///
    /// # Errors
    /// As [`Corpus::read`].
    pub(super) fn pick(
        &self,
        piece: &Piece,
        columns: &[&'static str],
        is: &dyn Fn(Given<'_>) -> bool,
        each: Each<'_>,
    ) -> Result<(), AuditError> {
        let mut picked = Vec::new();
        if let Some(opened) = &piece.opened {
            // The other columns of most rows need not be decoded.
            self.read(piece, &columns[..1], &mut |block| {
                let rows = (0..block.rows()).filter(|row| is(block.given(0, *row)));
                picked.extend(rows.map(|row| block.number(row) - 1));
                Ok(())
            })?;
            return match picked.is_empty() {
                true => Ok(()),
                false => parquet_rows::read(&piece.path, opened, piece.group, Some(&picked), columns, each),
            };
        }
        self.read(piece, columns, &mut |block| if is(block.given(0, 0)) { each(block) } else { Ok(()) })
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
