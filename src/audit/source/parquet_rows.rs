//! Rows of a Parquet file, a row group at a time, only the columns that are asked for.

use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::Each;
use crate::audit::AuditError;
use crate::finding::escape;
use crate::issuance::feed::{self, Given};

/// The most columns that are asked for at once.
const WIDEST: usize = 24;
/// Rows that are decoded at once.
const BATCH: usize = 4096;

fn fault(path: &Path) -> impl Fn(ParquetError) -> AuditError {
    let path = path.to_path_buf();
    move |error| AuditError::Unreadable { path: path.clone(), reason: escape(error.to_string().as_bytes(), 300) }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, AuditError> {
    let file = File::open(path).map_err(|source| AuditError::File { path: path.to_path_buf(), source })?;
    SerializedFileReader::new(file).map_err(fault(path))
}

/// How many rows each row group has.
pub(super) fn groups(path: &Path) -> Result<Vec<u64>, AuditError> {
    let reader = open(path)?;
    Ok(reader.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).collect())
}

/// The values of one column for a batch of rows.
enum Column {
    /// The file does not have it.
    Absent,
    Whole {
        reader: ColumnReaderImpl<Int64Type>,
        cells: Cells<i64>,
        seconds: Unit,
    },
    Small {
        reader: ColumnReaderImpl<Int32Type>,
        cells: Cells<i32>,
        seconds: Unit,
    },
    Flag {
        reader: ColumnReaderImpl<BoolType>,
        cells: Cells<bool>,
    },
    Text {
        reader: ColumnReaderImpl<ByteArrayType>,
        cells: Cells<ByteArray>,
    },
    /// A type that no column of the feed has.
    Other(&'static str),
}

/// What a number counts.
#[derive(Clone, Copy)]
enum Unit {
    One,
    /// So many of it are a second.
    Parts(i64),
    Days,
}

impl Unit {
    fn of(column: &ColumnDescriptor) -> Unit {
        match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Timestamp(time)), _) => match time.unit {
                TimeUnit::MILLIS => Unit::Parts(1_000),
                TimeUnit::MICROS => Unit::Parts(1_000_000),
                TimeUnit::NANOS => Unit::Parts(1_000_000_000),
            },
            (_, ConvertedType::TIMESTAMP_MILLIS) => Unit::Parts(1_000),
            (_, ConvertedType::TIMESTAMP_MICROS) => Unit::Parts(1_000_000),
            (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => Unit::Days,
            _ => Unit::One,
        }
    }
    fn count(self, number: i64) -> i64 {
        match self {
            Unit::One => number,
            Unit::Parts(parts) => number.div_euclid(parts),
            Unit::Days => number.saturating_mul(86_400),
        }
    }
}

/// Values that are there, one behind the other, and which rows have one.
struct Cells<T> {
    values: Vec<T>,
    levels: Vec<i16>,
    deepest: i16,
    next: usize,
}

impl<T: Clone> Cells<T> {
    fn new(deepest: i16) -> Cells<T> {
        Cells { values: Vec::new(), levels: Vec::new(), deepest, next: 0 }
    }

    fn fill<D: DataType<T = T>>(&mut self, reader: &mut ColumnReaderImpl<D>) -> Result<usize, ParquetError> {
        self.values.clear();
        self.levels.clear();
        self.next = 0;
        let levels = (self.deepest > 0).then_some(&mut self.levels);
        Ok(reader.read_records(BATCH, levels, None, &mut self.values)?.0)
    }

    /// The value of the next row.
    fn take(&mut self, row: usize) -> Option<&T> {
        if self.deepest > 0 && self.levels.get(row) != Some(&self.deepest) {
            return None;
        }
        let value = self.values.get(self.next);
        self.next += 1;
        value
    }
}

fn column(group: &dyn RowGroupReader, name: &str) -> Result<Column, ParquetError> {
    let schema = group.metadata().schema_descr_ptr();
    let Some(place) = schema.columns().iter().position(|c| c.path().string() == name) else {
        return Ok(Column::Absent);
    };
    let descriptor = schema.column(place);
    if descriptor.max_rep_level() > 0 {
        return Ok(Column::Other("a list"));
    }
    let (deepest, seconds) = (descriptor.max_def_level(), Unit::of(&descriptor));
    Ok(match group.get_column_reader(place)? {
        ColumnReader::Int64ColumnReader(reader) => Column::Whole { reader, cells: Cells::new(deepest), seconds },
        ColumnReader::Int32ColumnReader(reader) => Column::Small { reader, cells: Cells::new(deepest), seconds },
        ColumnReader::BoolColumnReader(reader) => Column::Flag { reader, cells: Cells::new(deepest) },
        ColumnReader::ByteArrayColumnReader(reader) => Column::Text { reader, cells: Cells::new(deepest) },
        _ => Column::Other("neither a whole number nor text"),
    })
}

impl Column {
    /// Decodes the next batch; how many rows, `None` when the column has none of its own.
    fn fill(&mut self) -> Result<Option<usize>, ParquetError> {
        Ok(Some(match self {
            Column::Absent | Column::Other(_) => return Ok(None),
            Column::Whole { reader, cells, .. } => cells.fill(reader)?,
            Column::Small { reader, cells, .. } => cells.fill(reader)?,
            Column::Flag { reader, cells } => cells.fill(reader)?,
            Column::Text { reader, cells } => cells.fill(reader)?,
        }))
    }

    fn given(&mut self, row: usize) -> Given<'_> {
        match self {
            Column::Absent => Given::Null,
            Column::Other(what) => Given::Other(what),
            Column::Whole { cells, seconds, .. } => {
                cells.take(row).map_or(Given::Null, |number| Given::Number(seconds.count(*number)))
            }
            Column::Small { cells, seconds, .. } => {
                cells.take(row).map_or(Given::Null, |number| Given::Number(seconds.count(i64::from(*number))))
            }
            Column::Flag { cells, .. } => cells.take(row).map_or(Given::Null, |flag| Given::Flag(*flag)),
            Column::Text { cells, .. } => cells.take(row).map_or(Given::Null, |text| Given::bytes(text.data())),
        }
    }
}

/// Reads a row group.
pub(super) fn read(
    table: &'static str,
    path: &Path,
    group: usize,
    wanted: &[&'static str],
    each: Each<'_>,
) -> Result<(), AuditError> {
    let fault = fault(path);
    let reader = open(path)?;
    let known = feed::columns(table).unwrap_or_default();
    for column in reader.metadata().file_metadata().schema_descr().columns() {
        let name = column.path().string();
        if !known.iter().any(|known| known.name == name) {
            let reason = format!("{} is no column of {table}", escape(name.as_bytes(), 100));
            return Err(AuditError::Unreadable { path: path.to_path_buf(), reason });
        }
    }
    let group = reader.get_row_group(group).map_err(&fault)?;
    let rows = group.metadata().num_rows().max(0) as u64;
    let columns: Result<Vec<Column>, _> = wanted.iter().map(|name| column(group.as_ref(), name)).collect();
    let mut columns = columns.map_err(&fault)?;
    let mut done = 0;
    while done < rows {
        let mut batch = (rows - done).min(BATCH as u64) as usize;
        for column in &mut columns {
            if let Some(filled) = column.fill().map_err(&fault)?
                && filled != batch
            {
                let reason = format!("a column ends after {} of {rows} rows", done + filled as u64);
                return Err(AuditError::Unreadable { path: path.to_path_buf(), reason });
            }
        }
        batch = batch.max(1);
        for row in 0..batch {
            // Filled anew for every row: the values borrow from the columns.
            let mut values = [Given::Null; WIDEST];
            values.iter_mut().zip(&mut columns).for_each(|(value, column)| *value = column.given(row));
            each(done + row as u64 + 1, &values[..wanted.len().min(WIDEST)])?;
        }
        done += batch as u64;
    }
    Ok(())
}
