//! The findings as a table: Parquet or CSV.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::audit::{AuditError, Found, file_fault};

/// Findings of one row group.
const GROUP: usize = 100_000;

const SCHEMA: &str = "message findings {
    required int64 cert_id; required binary name (UTF8); required binary rule (UTF8); required binary severity (UTF8);
    required binary citation (UTF8); required binary clock (UTF8); required binary detail (UTF8);
    required binary order_id (UTF8); required binary account_id (UTF8); required binary subscriber (UTF8);
    required binary subscriber_name (UTF8); required binary registrable_domain (UTF8); required binary method (UTF8);
    optional int64 dcv_id; required int64 signed_at; optional int64 not_after; required boolean still_valid;
    required binary issuer (UTF8); required binary evidence (UTF8);
}";

/// A table that is being written.
pub(super) enum TableFile {
    Parquet { writer: Box<SerializedFileWriter<File>>, rows: Vec<Found> },
    Csv(Box<csv::Writer<File>>),
}

fn fault(path: &Path) -> impl Fn(ParquetError) -> AuditError {
    let path = path.to_path_buf();
    move |error| AuditError::File { path: path.clone(), source: std::io::Error::other(error) }
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
        let schema = parse_message_type(SCHEMA).map_err(fault(path))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(fault(path))?;
        Ok(TableFile::Parquet { writer: Box::new(writer), rows: Vec::new() })
    }

    /// Adds a finding.
    pub(super) fn add(&mut self, path: &Path, found: Found) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(csv) => csv.serialize(found).map_err(|error| file_fault(path)(std::io::Error::other(error))),
            TableFile::Parquet { writer, rows } => {
                rows.push(found);
                if rows.len() == GROUP { group(writer, rows).map_err(fault(path)) } else { Ok(()) }
            }
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self, path: &Path) -> Result<(), AuditError> {
        match self {
            TableFile::Csv(mut csv) => csv.flush().map_err(file_fault(path)),
            TableFile::Parquet { mut writer, mut rows } => {
                let last = if rows.is_empty() { Ok(()) } else { group(&mut writer, &mut rows) };
                last.and_then(|()| writer.close().map(drop)).map_err(fault(path))
            }
        }
    }
}

/// Writes a row group, column by column in the order of the schema.
fn group(writer: &mut SerializedFileWriter<File>, rows: &mut Vec<Found>) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let mut at = 0;
    while let Some(mut column) = group.next_column()? {
        let texts = |of: fn(&Found) -> &str| rows.iter().map(|row| ByteArray::from(of(row))).collect::<Vec<_>>();
        let maybe = |of: fn(&Found) -> Option<i64>| -> (Vec<i64>, Vec<i16>) {
            (rows.iter().filter_map(of).collect(), rows.iter().map(|row| i16::from(of(row).is_some())).collect())
        };
        let mut number = |values: &[i64], levels: Option<&[i16]>| {
            column.typed::<Int64Type>().write_batch(values, levels, None).map(drop)
        };
        match at {
            0 => number(&rows.iter().map(|row| row.cert_id).collect::<Vec<_>>(), None)?,
            14 => number(&rows.iter().map(|row| row.signed_at).collect::<Vec<_>>(), None)?,
            13 => {
                let (values, levels) = maybe(|row| row.dcv_id);
                number(&values, Some(&levels))?;
            }
            15 => {
                let (values, levels) = maybe(|row| row.not_after);
                number(&values, Some(&levels))?;
            }
            16 => {
                let flags: Vec<bool> = rows.iter().map(|row| row.still_valid).collect();
                column.typed::<BoolType>().write_batch(&flags, None, None)?;
            }
            at => {
                let values = texts(match at {
                    1 => |row| &row.name,
                    2 => |row| &row.rule,
                    3 => |row| &row.severity,
                    4 => |row| &row.citation,
                    5 => |row| &row.clock,
                    6 => |row| &row.detail,
                    7 => |row| &row.order_id,
                    8 => |row| &row.account_id,
                    9 => |row| &row.subscriber,
                    10 => |row| &row.subscriber_name,
                    11 => |row| &row.registrable_domain,
                    12 => |row| &row.method,
                    17 => |row| &row.issuer,
                    _ => |row| &row.evidence,
                });
                column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            }
        }
        column.close()?;
        at += 1;
    }
    group.close()?;
    rows.clear();
    Ok(())
}
