//! The findings as a table: Parquet or CSV.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::builder::{BooleanBuilder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::audit::{AuditError, Found, file_fault};

/// Findings of one row group.
const GROUP: usize = 100_000;
/// Findings that are handed to the writer at once.
const BATCH: usize = 8_192;

/// What a column holds, and where it is in a finding.
enum Column {
    Text(for<'b> fn(&Found<&'b str>) -> &'b str),
    Number(fn(&Found<&str>) -> i64),
    Maybe(fn(&Found<&str>) -> Option<i64>),
    Flag(fn(&Found<&str>) -> bool),
}
use Column::{Flag, Maybe, Number, Text};

/// The columns in their order.
const COLUMNS: [(&str, Column); 19] = [
    ("cert_id", Number(|found| found.cert_id)),
    ("name", Text(|found| found.name)),
    ("rule", Text(|found| found.rule)),
    ("severity", Text(|found| found.severity)),
    ("citation", Text(|found| found.citation)),
    ("clock", Text(|found| found.clock)),
    ("detail", Text(|found| found.detail)),
    ("order_id", Text(|found| found.order_id)),
    ("account_id", Text(|found| found.account_id)),
    ("subscriber", Text(|found| found.subscriber)),
    ("subscriber_name", Text(|found| found.subscriber_name)),
    ("registrable_domain", Text(|found| found.registrable_domain)),
    ("method", Text(|found| found.method)),
    ("dcv_id", Maybe(|found| found.dcv_id)),
    ("signed_at", Number(|found| found.signed_at)),
    ("not_after", Maybe(|found| found.not_after)),
    ("still_valid", Flag(|found| found.still_valid)),
    ("issuer", Text(|found| found.issuer)),
    ("evidence", Text(|found| found.evidence)),
];

/// The values of a column, until they are handed to the writer.
enum Values {
    Texts(StringBuilder),
    Numbers(Int64Builder),
    Flags(BooleanBuilder),
}

impl Values {
    fn of(column: &Column) -> Values {
        match column {
            Text(_) => Values::Texts(StringBuilder::new()),
            Number(_) | Maybe(_) => Values::Numbers(Int64Builder::new()),
            Flag(_) => Values::Flags(BooleanBuilder::new()),
        }
    }
    fn add(&mut self, column: &Column, found: &Found<&str>) {
        match (self, column) {
            (Values::Texts(texts), Text(of)) => texts.append_value(of(found)),
            (Values::Numbers(numbers), Number(of)) => numbers.append_value(of(found)),
            (Values::Numbers(numbers), Maybe(of)) => numbers.append_option(of(found)),
            (Values::Flags(flags), Flag(of)) => flags.append_value(of(found)),
            _ => {}
        }
    }
    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Texts(texts) => Arc::new(texts.finish()),
            Values::Numbers(numbers) => Arc::new(numbers.finish()),
            Values::Flags(flags) => Arc::new(flags.finish()),
        }
    }
}

/// A Parquet table that a thread of its own writes.
pub(super) struct Columns {
    values: Vec<Values>,
    rows: usize,
    batches: SyncSender<RecordBatch>,
    writer: JoinHandle<Result<(), ParquetError>>,
}

/// A table that is being written.
pub(super) enum TableFile {
    Parquet(Columns),
    Csv(Box<csv::Writer<File>>),
}

fn fault(path: &Path) -> impl Fn(ParquetError) -> AuditError {
    let path = path.to_path_buf();
    move |error| AuditError::File { path: path.clone(), source: std::io::Error::other(error) }
}

fn schema() -> SchemaRef {
    let field = |(name, column): &(&str, Column)| match column {
        Text(_) => Field::new(*name, DataType::Utf8, false),
        Number(_) => Field::new(*name, DataType::Int64, false),
        Maybe(_) => Field::new(*name, DataType::Int64, true),
        Flag(_) => Field::new(*name, DataType::Boolean, false),
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<Field>>()))
}

impl TableFile {
    /// A new table, Parquet when `parquet`, else CSV.
    pub(super) fn create(path: &Path, parquet: bool) -> Result<TableFile, AuditError> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(file_fault(path))?;
        if !parquet {
            return Ok(TableFile::Csv(Box::new(csv::Writer::from_writer(file))));
        }
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let properties = properties.set_max_row_group_row_count(Some(GROUP));
        // What is different in nearly every row.
        let each = ["name", "detail", "order_id", "evidence"].into_iter().map(ColumnPath::from);
        let properties = each.fold(properties, |set, column| set.set_column_dictionary_enabled(column, false)).build();
        // The types say all that the reader of a table needs.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(file, schema(), options).map_err(fault(path))?;
        let (batches, given) = sync_channel::<RecordBatch>(2);
        let writer = std::thread::spawn(move || {
            given.iter().try_for_each(|batch| writer.write(&batch))?;
            writer.close().map(drop)
        });
        let values = COLUMNS.iter().map(|(_, column)| Values::of(column)).collect();
        Ok(TableFile::Parquet(Columns { values, rows: 0, batches, writer }))
    }

    /// Adds a finding.
    pub(super) fn add(&mut self, path: &Path, found: &Found<&str>) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(csv) => csv.serialize(found).map_err(|error| file_fault(path)(std::io::Error::other(error))),
            TableFile::Parquet(columns) => {
                columns.values.iter_mut().zip(&COLUMNS).for_each(|(values, (_, column))| values.add(column, found));
                columns.rows += 1;
                if columns.rows.is_multiple_of(BATCH) { columns.hand_over(path) } else { Ok(()) }
            }
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self, path: &Path) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(mut csv) => csv.flush().map_err(file_fault(path)),
            TableFile::Parquet(mut columns) => {
                columns.hand_over(path)?;
                let Columns { batches, writer, .. } = columns;
                drop(batches);
                writer.join().map_err(|_| AuditError::Stopped)?.map_err(fault(path))
            }
        }
    }
}

impl Columns {
    /// Hands the rows to the writer.
    fn hand_over(&mut self, path: &Path) -> Result<(), AuditError> {
        let columns = self.values.iter_mut().map(Values::finish).collect();
        let batch = RecordBatch::try_new(schema(), columns).map_err(|error| fault(path)(error.into()))?;
        // A writer that takes no more has failed, and says why when it is waited for at the end.
        drop(self.batches.send(batch));
        Ok(())
    }
}
