//! The findings as a table: Parquet or CSV.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::audit::{AuditError, Found, file_fault};

/// Findings of one row group.
const GROUP: usize = 100_000;
/// Findings that are handed to the writer at once.
const BATCH: usize = 8_192;

/// What a column holds, and where it is in a finding.
enum Column {
    Text(fn(&Found) -> &str),
    Number(fn(&Found) -> i64),
    Maybe(fn(&Found) -> Option<i64>),
    Flag(fn(&Found) -> bool),
}
use Column::{Flag, Maybe, Number, Text};

/// The columns in their order.
const COLUMNS: [(&str, Column); 19] = [
    ("cert_id", Number(|found| found.cert_id)),
    ("name", Text(|found| &found.name)),
    ("rule", Text(|found| &found.rule)),
    ("severity", Text(|found| &found.severity)),
    ("citation", Text(|found| &found.citation)),
    ("clock", Text(|found| &found.clock)),
    ("detail", Text(|found| &found.detail)),
    ("order_id", Text(|found| &found.order_id)),
    ("account_id", Text(|found| &found.account_id)),
    ("subscriber", Text(|found| &found.subscriber)),
    ("subscriber_name", Text(|found| &found.subscriber_name)),
    ("registrable_domain", Text(|found| &found.registrable_domain)),
    ("method", Text(|found| &found.method)),
    ("dcv_id", Maybe(|found| found.dcv_id)),
    ("signed_at", Number(|found| found.signed_at)),
    ("not_after", Maybe(|found| found.not_after)),
    ("still_valid", Flag(|found| found.still_valid)),
    ("issuer", Text(|found| &found.issuer)),
    ("evidence", Text(|found| &found.evidence)),
];

/// A table that is being written.
pub(super) enum TableFile {
    Parquet { writer: Box<ArrowWriter<File>>, rows: Vec<Found> },
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
        let properties = properties.set_max_row_group_row_count(Some(GROUP)).build();
        // The types say all that the reader of a table needs.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema(), options).map_err(fault(path))?;
        Ok(TableFile::Parquet { writer: Box::new(writer), rows: Vec::new() })
    }

    /// Adds a finding.
    pub(super) fn add(&mut self, path: &Path, found: Found) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(csv) => csv.serialize(found).map_err(|error| file_fault(path)(std::io::Error::other(error))),
            TableFile::Parquet { writer, rows } => {
                rows.push(found);
                if rows.len() == BATCH { batch(writer, rows).map_err(fault(path)) } else { Ok(()) }
            }
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self, path: &Path) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(mut csv) => csv.flush().map_err(file_fault(path)),
            TableFile::Parquet { mut writer, mut rows } => {
                batch(&mut writer, &mut rows).and_then(|()| writer.close().map(drop)).map_err(fault(path))
            }
        }
    }
}

/// Hands findings to the writer, column by column in the order of the schema.
fn batch(writer: &mut ArrowWriter<File>, rows: &mut Vec<Found>) -> Result<(), ParquetError> {
    let array = |(_, column): &(&str, Column)| -> ArrayRef {
        match column {
            Text(of) => {
                let bytes = rows.iter().map(|row| of(row).len()).sum();
                let mut texts = StringBuilder::with_capacity(rows.len(), bytes);
                rows.iter().for_each(|row| texts.append_value(of(row)));
                Arc::new(texts.finish())
            }
            Number(of) => Arc::new(rows.iter().map(|row| Some(of(row))).collect::<Int64Array>()),
            Maybe(of) => Arc::new(rows.iter().map(of).collect::<Int64Array>()),
            Flag(of) => Arc::new(rows.iter().map(|row| Some(of(row))).collect::<BooleanArray>()),
        }
    };
    let columns = COLUMNS.iter().map(array).collect();
    writer.write(&RecordBatch::try_new(schema(), columns)?)?;
    rows.clear();
    Ok(())
}
