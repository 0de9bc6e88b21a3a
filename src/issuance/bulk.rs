//! Whole tables of the embedded database, row by row, in bounded memory.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::issuance::feed::{self, Given};
use crate::issuance::{Embedded, IssuanceError, schema};

impl Embedded {
    /// The tables that were fed, with how many rows each has.
    ///
    /// # Errors
    /// When SQLite cannot answer.
    pub fn fed(&self) -> Result<Vec<(String, u64)>, IssuanceError> {
        let connection = schema::connect(self.path())?;
        fed(&connection).map_err(|error| schema::error(self.path(), error))
    }

    /// Gives every row of a table as the feed had it, the values of `columns` in their order, until `each` says false.
    /// Columns that are not kept are null; a reuse that was fed as a confirmation has its number negated.
    pub(crate) fn bulk(
        &self,
        table: &str,
        columns: &[&'static str],
        each: &mut dyn FnMut(u64, &[Given<'_>]) -> bool,
    ) -> Result<(), IssuanceError> {
        let connection = schema::connect(self.path())?;
        rows(&connection, table, columns, each).map_err(|error| schema::error(self.path(), error))
    }
}

/// See [`Embedded::fed`].
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

/// See [`Embedded::bulk`].
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
