//! Rows of NDJSON and CSV files, in bounded memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::TABLES;
use crate::audit::AuditError;
use crate::finding::escape;
use crate::issuance::feed::{self, Given};

/// The longest line, in bytes.
const LINE_LIMIT: u64 = 1 << 20;

fn open(path: &Path) -> Result<BufReader<File>, AuditError> {
    let file = File::open(path).map_err(|source| AuditError::File { path: path.to_path_buf(), source })?;
    Ok(BufReader::with_capacity(1 << 18, file))
}

fn bad(path: &Path, line: u64, reason: impl std::fmt::Display) -> AuditError {
    let reason = format!("line {line}: {}", escape(reason.to_string().as_bytes(), 300));
    AuditError::Unreadable { path: path.to_path_buf(), reason }
}

/// The tables that rows of a mixed file name.
pub(super) fn tables(path: &Path) -> Result<BTreeSet<&'static str>, AuditError> {
    let mut found = BTreeSet::new();
    objects(path, &mut |number, row| {
        let named = row.get("table").and_then(Value::as_str);
        let Some(name) = named.filter(|name| feed::columns(name).is_some()) else {
            return Err(bad(path, number, "its member \"table\" names no table of the feed"));
        };
        found.extend(TABLES.into_iter().find(|table| *table == name));
        Ok(())
    })?;
    Ok(found)
}

/// What is called with the number of a line and its values in the order of the columns asked for.
type EachRow<'e> = &'e mut dyn FnMut(u64, &[Given<'_>]) -> Result<(), AuditError>;

type EachObject<'e> = &'e mut dyn FnMut(u64, &Map<String, Value>) -> Result<(), AuditError>;

fn objects(path: &Path, each: EachObject<'_>) -> Result<(), AuditError> {
    let mut input = open(path)?;
    let (mut bytes, mut number) = (Vec::new(), 0);
    loop {
        bytes.clear();
        number += 1;
        let read = input.by_ref().take(LINE_LIMIT + 1).read_until(b'\n', &mut bytes);
        match read.map_err(|source| AuditError::File { path: path.to_path_buf(), source })? {
            0 => return Ok(()),
            long if long as u64 > LINE_LIMIT => return Err(bad(path, number, "is longer than 1 MiB")),
            _ => {}
        }
        let start = if number == 1 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let text = bytes[start..].trim_ascii();
        if !text.is_empty() {
            let row = serde_json::from_slice(text).map_err(|error| bad(path, number, error))?;
            each(number, &row)?;
        }
    }
}

/// Reads NDJSON; of a mixed file the rows of this table.
pub(super) fn ndjson(
    table: &'static str,
    path: &Path,
    mixed: bool,
    wanted: &[&'static str],
    each: EachRow<'_>,
) -> Result<(), AuditError> {
    let known = feed::columns(table).unwrap_or_default();
    objects(path, &mut |number, row| {
        match row.get("table").and_then(Value::as_str) {
            Some(named) if named == table => {}
            None if !mixed => {}
            _ if mixed => return Ok(()),
            _ => return Err(bad(path, number, format!("its member \"table\" is not {table}"))),
        }
        let strange = |name: &&String| *name != "table" && !known.iter().any(|column| column.name == name.as_str());
        if let Some(name) = row.keys().find(strange) {
            return Err(bad(path, number, format!("{name} is no column of {table}")));
        }
        let values: Vec<Given<'_>> = wanted.iter().map(|name| Given::member(row.get(*name))).collect();
        each(number, &values)
    })
}

/// Gives the CSV reader no more than one line's worth of bytes per record, so that a quote that is not closed does not
/// take the whole file into memory.
struct Ration {
    input: BufReader<File>,
    left: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Read for Ration {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.left.get() as usize);
        if most == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("a record is longer than 1 MiB (a quote that is not closed?)"));
        }
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

/// Reads CSV with a header.
pub(super) fn csv(
    table: &'static str,
    path: &Path,
    wanted: &[&'static str],
    each: EachRow<'_>,
) -> Result<(), AuditError> {
    let known = feed::columns(table).unwrap_or_default();
    let left = std::rc::Rc::new(std::cell::Cell::new(LINE_LIMIT));
    let ration = Ration { input: open(path)?, left: left.clone() };
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(ration);
    let header = reader.byte_headers().map_err(|error| bad(path, 1, error))?.clone();
    let names: Vec<&[u8]> = header.iter().map(|name| name.trim_ascii()).collect();
    if let Some(name) = names.iter().find(|name| !known.iter().any(|column| column.name.as_bytes() == **name)) {
        return Err(bad(path, 1, format!("{} is no column of {table}", escape(name, 100))));
    }
    let places: Vec<Option<usize>> =
        wanted.iter().map(|wanted| names.iter().position(|name| *name == wanted.as_bytes())).collect();
    let mut record = csv::ByteRecord::new();
    loop {
        left.set(LINE_LIMIT);
        let line = reader.position().line();
        if !reader.read_byte_record(&mut record).map_err(|error| bad(path, line, error))? {
            return Ok(());
        }
        let value = |place: &Option<usize>| place.and_then(|place| record.get(place)).map_or(Given::Null, Given::bytes);
        let values: Vec<Given<'_>> = places.iter().map(value).collect();
        each(record.position().map_or(line, csv::Position::line), &values)?;
    }
}
