//! A table of the feed as a Parquet file: whole numbers as INT64 (moments in seconds since 1970), the rest as UTF-8.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::issuance::column::Kind;
use crate::issuance::tables::Table;

/// Rows of a row group, at most: what one thread reads at once.
const GROUP_ROWS: usize = 200_000;
/// Text of a row group, about, in bytes: rows may be long, and a group is held in memory.
const GROUP_BYTES: usize = 32 << 20;

/// In a file's key-value metadata: whether the embedded database has filed its rows, as its writer says.
pub(crate) const FILED: &str = "ctwarden.filed";

enum Column {
    Numbers(Vec<i64>, Vec<i16>),
    Texts(Vec<ByteArray>, Vec<i16>),
}

/// A table that is being written.
pub(super) struct Sheet {
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Id | Kind::Count | Kind::Flag | Kind::Moment)
}

fn other(error: ParquetError) -> std::io::Error {
    std::io::Error::other(error)
}

impl Sheet {
    /// A new file in the place of what is there. `filed`: its rows are as the embedded database keeps them, with the
    /// number of a reuse that was fed as a confirmation negated.
    pub(super) fn create(path: &Path, table: &Table, filed: bool) -> std::io::Result<Sheet> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        // The record names customers and staff.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let fields: String = (table.columns.iter())
            .map(|column| match is_number(column.kind) {
                true => format!("optional int64 {};", column.name),
                false => format!("optional binary {} (UTF8);", column.name),
            })
            .collect();
        let schema = parse_message_type(&format!("message {} {{ {fields} }}", table.name)).map_err(other)?;
        let mut properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        if filed {
            properties = properties.set_key_value_metadata(Some(vec![KeyValue::new(FILED.to_string(), None)]));
        }
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build())).map_err(other)?;
        let column = |kind| match is_number(kind) {
            true => Column::Numbers(Vec::new(), Vec::new()),
            false => Column::Texts(Vec::new(), Vec::new()),
        };
        let columns = table.columns.iter().map(|c| column(c.kind)).collect();
        Ok(Sheet { writer, columns, rows: 0, bytes: 0 })
    }

    /// Adds a row: the values of all columns of the table in their order.
    pub(super) fn add(&mut self, values: Vec<Value>) -> std::io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            let levels = match (column, value) {
                (Column::Numbers(numbers, levels), Value::Number(number)) if number.is_i64() => {
                    numbers.extend(number.as_i64());
                    levels.push(1);
                    continue;
                }
                (Column::Texts(texts, levels), Value::String(text)) => {
                    self.bytes += text.len();
                    texts.push(text.into_bytes().into());
                    levels.push(1);
                    continue;
                }
                (Column::Numbers(_, levels) | Column::Texts(_, levels), Value::Null) => levels,
                _ => return Err(std::io::Error::other("a value is not of the kind of its column")),
            };
            levels.push(0);
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS || self.bytes >= GROUP_BYTES { self.group().map_err(other) } else { Ok(()) }
    }

    /// Ends the file; it is on the disk when this returns.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        if self.rows > 0 {
            self.group().map_err(other)?;
        }
        self.writer.finish().map_err(other)?;
        self.writer.inner().sync_all()
    }

    fn group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut to) = group.next_column()? else { break };
            match column {
                Column::Numbers(values, levels) => {
                    to.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                    values.clear();
                    levels.clear();
                }
                Column::Texts(values, levels) => {
                    to.typed::<ByteArrayType>().write_batch(values, Some(levels), None)?;
                    values.clear();
                    levels.clear();
                }
            }
            to.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}
