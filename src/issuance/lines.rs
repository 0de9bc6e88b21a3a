//! Reads an import line by line, in bounded memory: NDJSON with a table name in every row, or CSV of one table.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::finding::escape;
use crate::issuance::column::Raw;
use crate::issuance::staging::{Fault, Staging};
use crate::issuance::tables::{self, Table};

/// The longest line, in bytes.
pub(super) const LINE_LIMIT: usize = 1 << 20;

/// What the input is.
#[derive(Clone, Copy)]
pub(super) enum Format {
    /// One JSON object a line; the table for rows that name none.
    Ndjson(Option<&'static Table>),
    /// CSV with a header, of one table.
    Csv(&'static Table),
}

/// Reads all rows into the staging table until the end or until there are too many complaints.
pub(super) fn read(input: &mut dyn BufRead, format: Format, staging: &mut Staging<'_>) -> Result<(), Fault> {
    if let Some(reason) = foreign(input.fill_buf()?) {
        staging.refuse(1, None, reason.to_string());
        return Ok(());
    }
    match format {
        Format::Ndjson(table) => ndjson(input, table, staging),
        Format::Csv(table) => csv(input, table, staging),
    }
}

/// What a file is that is no text in UTF-8, by its first octets, and what to do about it.
fn foreign(start: &[u8]) -> Option<&'static str> {
    match start {
        // RFC 1952 2.3.1: "ID1 = 31 (0x1f, \037), ID2 = 139 (0x8b, \213)".
        [0x1f, 0x8b, ..] => Some("is packed with gzip: unpack it, or send it with Content-Encoding: gzip"),
        [b'P', b'K', 3, 4, ..] => Some("is an archive or a spreadsheet: export its table as CSV in UTF-8"),
        [b'P', b'A', b'R', b'1', ..] => Some("is Parquet, which only an audit reads: export it as CSV or NDJSON"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is text in UTF-16: write it in UTF-8"),
        _ => None,
    }
}

fn ndjson(input: &mut dyn BufRead, table: Option<&'static Table>, staging: &mut Staging<'_>) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    let mut line = 0;
    while !staging.is_full() {
        line += 1;
        match next_line(input, &mut bytes)? {
            Line::End => break,
            Line::TooLong => staging.refuse(line, None, format!("longer than {LINE_LIMIT} bytes")),
            Line::Text => {
                let start = if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                let text = bytes[start..].trim_ascii();
                match serde_json::from_slice::<Map<String, Value>>(text) {
                    _ if text.is_empty() => {}
                    Ok(row) => object(line, &row, table, staging)?,
                    Err(error) => {
                        staging.refuse(line, None, format!("not a JSON object: {}", shown(&error.to_string())))
                    }
                }
            }
        }
    }
    Ok(())
}

/// One row; what is wrong with it is told as of `line`.
pub(super) fn object(
    line: u64,
    row: &Map<String, Value>,
    table: Option<&'static Table>,
    staging: &mut Staging<'_>,
) -> Result<(), Fault> {
    let table = match (Raw::member(row.get("table")), table) {
        (Raw::Null, Some(table)) => table,
        (Raw::Null, None) => {
            staging.refuse(line, Some("table"), format!("is missing: name one of {}", tables::names()));
            return Ok(());
        }
        (Raw::Text(name), _) if tables::table(name).is_some_and(|named| table.is_none_or(|t| t.name == named.name)) => {
            tables::table(name).unwrap_or(&tables::TABLES[0])
        }
        _ => {
            let expected = table.map_or(tables::names(), |table| table.name.to_string());
            staging.refuse(line, Some("table"), format!("is none of {expected}"));
            return Ok(());
        }
    };
    for name in row.keys().filter(|name| *name != "table") {
        if !table.columns.iter().any(|column| column.name == name) {
            staging.refuse(line, Some(name), unknown_column(table));
        }
    }
    let raws: Vec<Raw<'_>> = table.columns.iter().map(|column| Raw::member(row.get(column.name))).collect();
    staging.row(line, table, &raws)
}

fn unknown_column(table: &Table) -> String {
    let known: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    format!("is no column of {}, which has {}", table.name, known.join(", "))
}

enum Line {
    End,
    TooLong,
    Text,
}

/// The next line without its newline; a line above the limit is skipped, not kept.
fn next_line(input: &mut dyn BufRead, bytes: &mut Vec<u8>) -> io::Result<Line> {
    bytes.clear();
    let (mut too_long, mut begun) = (false, false);
    loop {
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() && !begun {
            return Ok(Line::End);
        }
        let end = memchr::memchr(b'\n', chunk);
        let (part, used) = (&chunk[..end.unwrap_or(chunk.len())], end.map_or(chunk.len(), |end| end + 1));
        too_long |= bytes.len() + part.len() > LINE_LIMIT;
        if !too_long {
            bytes.extend_from_slice(part);
        }
        begun = true;
        let last = end.is_some() || chunk.is_empty();
        input.consume(used);
        if last {
            return Ok(if too_long { Line::TooLong } else { Line::Text });
        }
    }
}

/// Gives the CSV reader no more than one line's worth of bytes per record, so that an unclosed quote does not swallow
/// the whole file into memory.
struct Ration<'a> {
    input: &'a mut dyn BufRead,
    left: Rc<Cell<usize>>,
}

impl Read for Ration<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left.get());
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other("ration"));
        }
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}

fn csv(input: &mut dyn BufRead, table: &'static Table, staging: &mut Staging<'_>) -> Result<(), Fault> {
    let left = Rc::new(Cell::new(LINE_LIMIT));
    let ration = Ration { input, left: left.clone() };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(ration);
    let mut record = csv::ByteRecord::new();
    let mut places: Option<Vec<Option<usize>>> = None;
    let mut width = 0;
    while !staging.is_full() {
        left.set(LINE_LIMIT);
        let started = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if left.get() == 0 => {
                staging.refuse(started, None, format!("longer than {LINE_LIMIT} bytes (a quote that is not closed?)"));
                return Ok(());
            }
            Err(error) => return Err(Fault::Read(io::Error::other(error))),
        }
        let line = record.position().map_or(started, csv::Position::line);
        let Some(places) = &places else {
            width = record.len();
            places = header(line, &record, table, staging);
            if places.is_none() {
                return Ok(());
            }
            staging.declare(table);
            continue;
        };
        if record.len() != width {
            staging.refuse(line, None, format!("has {} fields, the header has {width}", record.len()));
            continue;
        }
        let raw = |place: &Option<usize>| match place.and_then(|place| record.get(place)).map(std::str::from_utf8) {
            None => Raw::Null,
            Some(Ok(text)) => Raw::field(text),
            Some(Err(_)) => Raw::Other("not UTF-8"),
        };
        let raws: Vec<Raw<'_>> = places.iter().map(raw).collect();
        staging.row(line, table, &raws)?;
    }
    if places.is_none() && !staging.is_full() {
        staging.refuse(1, None, "there is no header".to_string());
    }
    Ok(())
}

/// Where each column of the table stands in the file; `None` when the header was refused.
fn header(
    line: u64,
    record: &csv::ByteRecord,
    table: &'static Table,
    staging: &mut Staging<'_>,
) -> Option<Vec<Option<usize>>> {
    let names: Vec<String> = record.iter().map(|name| shown_bytes(name.trim_ascii())).collect();
    let only = record.get(0).filter(|_| record.len() == 1).unwrap_or_default();
    if let Some(other) = only.iter().find(|octet| b";\t|".contains(octet)) {
        let other = if *other == b'\t' { "tabs".to_string() } else { format!("'{}'", char::from(*other)) };
        staging.refuse(line, None, format!("its columns are separated by {other}: export it with commas"));
        return None;
    }
    let mut sound = true;
    let mut refuse = |name: &str, reason: String| {
        staging.refuse(line, Some(name), reason);
        sound = false;
    };
    for (place, name) in names.iter().enumerate().take(100) {
        if !table.columns.iter().any(|column| column.name == name) {
            refuse(name, unknown_column(table));
        } else if names[..place].contains(name) {
            refuse(name, "stands twice in the header".to_string());
        }
    }
    for column in table.columns.iter().filter(|column| column.required) {
        if !names.iter().any(|name| name == column.name) {
            refuse(column.name, "is missing in the header".to_string());
        }
    }
    sound.then(|| table.columns.iter().map(|column| names.iter().position(|name| name == column.name)).collect())
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}

fn shown_bytes(bytes: &[u8]) -> String {
    escape(bytes, 100)
}
