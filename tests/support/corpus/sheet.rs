//! Tables of the feed as files: Parquet, CSV or NDJSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Rows of a row group.
const GROUP: usize = 500_000;

/// The form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Parquet,
    Csv,
    Ndjson,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    Null,
    Number(i64),
    Text(&'a str),
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Cell<'a> {
        text.map_or(Cell::Null, Cell::Text)
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Cell::Null, Cell::Number)
    }
}

/// Columns whose names end so hold numbers.
fn is_number(column: &str) -> bool {
    let ids =
        ["issuer_id", "cert_id", "dcv_id", "reuse_id", "caa_id", "reused_dcv_id", "reused_reuse_id", "ttl", "reason"];
    ids.contains(&column) || column.ends_with("_at") || column.starts_with("remote_") || column.starts_with("not_")
}

enum Column {
    Numbers(Vec<i64>, Vec<i16>),
    Texts(Vec<ByteArray>, Vec<i16>),
}

enum To {
    Parquet(SerializedFileWriter<File>, Vec<Column>, usize),
    Csv(BufWriter<File>),
    Ndjson(BufWriter<File>),
}

/// A table that is being written.
pub struct Sheet {
    columns: &'static [&'static str],
    to: To,
}

fn empty(columns: &[&str]) -> Vec<Column> {
    let column = |name: &&str| match is_number(name) {
        true => Column::Numbers(Vec::new(), Vec::new()),
        false => Column::Texts(Vec::new(), Vec::new()),
    };
    columns.iter().map(column).collect()
}

impl Sheet {
    pub fn create(directory: &Path, table: &str, columns: &'static [&'static str], form: Form) -> Sheet {
        let file = |ending: &str| File::create(directory.join(format!("{table}.{ending}"))).expect("a file");
        let to = match form {
            Form::Parquet => {
                let column = |name: &&str| match is_number(name) {
                    true => format!("optional int64 {name};"),
                    false => format!("optional binary {name} (UTF8);"),
                };
                let fields: String = columns.iter().map(column).collect();
                let schema = parse_message_type(&format!("message {table} {{ {fields} }}")).expect("a schema");
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let writer = SerializedFileWriter::new(file("parquet"), Arc::new(schema), Arc::new(properties));
                To::Parquet(writer.expect("a writer"), empty(columns), 0)
            }
            Form::Csv => {
                let mut out = BufWriter::new(file("csv"));
                writeln!(out, "{}", columns.join(",")).expect("written");
                To::Csv(out)
            }
            Form::Ndjson => To::Ndjson(BufWriter::new(file("ndjson"))),
        };
        Sheet { columns, to }
    }

    pub fn row(&mut self, cells: &[Cell<'_>]) {
        assert_eq!(cells.len(), self.columns.len());
        match &mut self.to {
            To::Csv(out) => {
                let field = |cell: &Cell<'_>| match cell {
                    Cell::Null => String::new(),
                    Cell::Number(number) => number.to_string(),
                    Cell::Text(text) => format!("\"{}\"", text.replace('"', "\"\"")),
                };
                writeln!(out, "{}", cells.iter().map(field).collect::<Vec<_>>().join(",")).expect("written");
            }
            To::Ndjson(out) => {
                let member = |(name, cell): (&&str, &Cell<'_>)| match cell {
                    Cell::Null => None,
                    Cell::Number(number) => Some(format!("\"{name}\":{number}")),
                    Cell::Text(text) => Some(format!("\"{name}\":{}", serde_json::Value::from(*text))),
                };
                let members: Vec<String> = self.columns.iter().zip(cells).filter_map(member).collect();
                writeln!(out, "{{{}}}", members.join(",")).expect("written");
            }
            To::Parquet(writer, columns, rows) => {
                for (column, cell) in columns.iter_mut().zip(cells) {
                    match (column, cell) {
                        (Column::Numbers(_, levels) | Column::Texts(_, levels), Cell::Null) => levels.push(0),
                        (Column::Numbers(values, levels), Cell::Number(number)) => {
                            values.push(*number);
                            levels.push(1);
                        }
                        (Column::Texts(values, levels), Cell::Text(text)) => {
                            values.push(ByteArray::from(*text));
                            levels.push(1);
                        }
                        _ => panic!("a number where text stands, or text where a number stands"),
                    }
                }
                *rows += 1;
                if *rows == GROUP {
                    flush(writer, std::mem::replace(columns, empty(self.columns)));
                    *rows = 0;
                }
            }
        }
    }

    pub fn finish(self) {
        match self.to {
            To::Csv(mut out) | To::Ndjson(mut out) => out.flush().expect("written"),
            To::Parquet(mut writer, columns, rows) => {
                if rows > 0 {
                    flush(&mut writer, columns);
                }
                writer.close().expect("closed");
            }
        }
    }
}

fn flush(writer: &mut SerializedFileWriter<File>, columns: Vec<Column>) {
    let mut group = writer.next_row_group().expect("a group");
    for column in columns {
        let mut to = group.next_column().expect("a column").expect("as many as there are");
        match column {
            Column::Numbers(values, levels) => to.typed::<Int64Type>().write_batch(&values, Some(&levels), None),
            Column::Texts(values, levels) => to.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None),
        }
        .expect("written");
        to.close().expect("closed");
    }
    group.close().expect("closed");
}
