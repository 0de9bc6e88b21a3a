//! Whole tables of the embedded database, row by row, in bounded memory.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::issuance::feed::{self, Given};
use crate::issuance::{Embedded, IssuanceError, schema};

impl Embedded {
    /// So many readers of one moment of the database, for as many threads. Nobody writes while they begin.
    ///
    /// # Errors
    /// When SQLite cannot answer, or somebody else writes for too long.
    pub(crate) fn readers(&self, count: usize) -> Result<Readers, IssuanceError> {
        let fault = |error| schema::error(self.path(), error);
        let writer = schema::connect(self.path())?;
        writer.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
        let mut idle = Vec::new();
        for _ in 0..count {
            let reader = schema::connect(self.path())?;
            // The first question of a transaction of SQLite chooses its moment.
            reader.execute_batch("BEGIN; SELECT count(*) FROM feed;").map_err(fault)?;
            idle.push(reader);
        }
        writer.execute_batch("ROLLBACK").map_err(fault)?;
        Ok(Readers { path: self.path().to_path_buf(), idle: Mutex::new(idle) })
    }
}

/// Readers that see one moment of the database, however long they read and whatever is fed meanwhile.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// The tables that were fed, with how many rows each has.
    ///
    /// # Errors
    /// When SQLite cannot answer.
    pub(crate) fn fed(&self) -> Result<Vec<(String, u64)>, IssuanceError> {
        self.with(fed)
    }

    /// Gives every row of a table as the feed had it, the values of `columns` in their order, until `each` says false.
    /// Columns that are not kept are null; a reuse that was fed as a confirmation has its number negated.
    ///
    /// # Errors
    /// When SQLite cannot answer, or more read at once than there are readers.
    pub(crate) fn bulk(
        &self,
        table: &str,
        columns: &[&'static str],
        each: &mut dyn FnMut(u64, &[Given<'_>]) -> bool,
    ) -> Result<(), IssuanceError> {
        self.with(|connection| rows(connection, table, columns, each))
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IssuanceError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let none = || IssuanceError::Stopped("more threads read the record than there are readers".to_string());
        let connection = idle().pop().ok_or_else(none)?;
        let done = read(&connection).map_err(|error| schema::error(&self.path, error));
        idle().push(connection);
        done
    }
}

/// The tables that were fed, with how many rows each has.
pub(super) fn fed(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut names = connection.prepare("SELECT table_name FROM feed ORDER BY table_name")?;
    let names = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let known = names.into_iter().filter(|name| feed::columns(name).is_some());
    let counted = known.map(|name| {
        let rows = connection.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get::<_, i64>(0))?;
        Ok((name, rows.unsigned_abs()))
    });
    counted.collect()
}

/// See [`Readers::bulk`].
pub(super) fn rows(
    connection: &Connection,
    table: &str,
    columns: &[&'static str],
    each: &mut dyn FnMut(u64, &[Given<'_>]) -> bool,
) -> rusqlite::Result<()> {
    let kept: Vec<&str> = columns.iter().map(|name| feed::stored(table, name).unwrap_or("NULL")).collect();
    let mut select = connection.prepare(&format!("SELECT {} FROM {table}", kept.join(", ")))?;
    let mut rows = select.query([])?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        number += 1;
        let mut values = Vec::with_capacity(kept.len());
        for place in 0..kept.len() {
            values.push(match row.get_ref(place)? {
                ValueRef::Null => Given::Null,
                ValueRef::Integer(number) => Given::Number(number),
                ValueRef::Text(text) => Given::bytes(text),
                ValueRef::Real(_) => Given::Other("a fraction"),
                ValueRef::Blob(_) => Given::Other("bytes"),
            });
        }
        if !each(number, &values) {
            break;
        }
    }
    Ok(())
}
