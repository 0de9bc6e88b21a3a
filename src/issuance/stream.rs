//! Whole tables of a source, row by row, in bounded memory, all from one moment.

use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::issuance::bulk;
use crate::issuance::feed::Given;
use crate::issuance::sql::Session;
use crate::issuance::tables::{self, TABLES, Table};
use crate::issuance::{Embedded, IssuanceDb, IssuanceError, schema};

/// The tables of the feed, parents first.
pub fn feed_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

/// The questions that a database server is asked: the tables of the feed, and `revoked`.
pub fn questions() -> impl Iterator<Item = &'static str> {
    feed_tables().chain([tables::REVOKED.name])
}

/// The columns of a table of the feed in their order; empty when there is no such table.
pub fn feed_columns(table: &str) -> Vec<&'static str> {
    tables::table(table).map_or(Vec::new(), |table| table.columns.iter().map(|column| column.name).collect())
}

/// Rows on their way at once, from the thread that reads the embedded database.
const CHUNK: usize = 1_000;

/// What is called with each row of a stream: whole numbers, texts and nulls in the order of [`feed_columns`], or why the
/// row cannot be used, with its key and column. What it answers ends the stream.
pub type EachRow<'e> = &'e mut (dyn FnMut(Result<Vec<Value>, String>) -> Result<(), String> + Send);

/// A source as it is at one moment, however long its tables are read.
pub struct Snapshot {
    /// The newest write that it shows; `None` where the source was never fed.
    pub as_of: Option<Timestamp>,
    from: Origin,
}

enum Origin {
    Nowhere,
    /// With a transaction that has begun to read.
    Embedded(Embedded, Option<Connection>),
    Server(Box<Session>),
}

impl IssuanceDb {
    /// The source as people know it.
    pub fn describe(&self) -> String {
        match self {
            IssuanceDb::None => "none".to_string(),
            IssuanceDb::Embedded(embedded) => format!("embedded {}", embedded.path().display()),
            IssuanceDb::Sql(sql) => sql.settings().server(),
        }
    }

    /// Whether the source has this table of the feed at all; without it its rules are not evaluable.
    ///
    /// # Errors
    /// When the embedded database cannot be read.
    pub fn feeds(&self, table: &str) -> Result<bool, IssuanceError> {
        match self {
            IssuanceDb::None => Ok(false),
            IssuanceDb::Embedded(embedded) => embedded.feeds(table),
            IssuanceDb::Sql(sql) => Ok(sql.settings().feeds(table)),
        }
    }

    /// Holds one moment of the source, on a connection of its own. Nothing is written, and nobody else waits for it.
    ///
    /// # Errors
    /// An outage.
    pub async fn snapshot(&self) -> Result<Snapshot, IssuanceError> {
        Ok(match self {
            IssuanceDb::None => Snapshot { as_of: None, from: Origin::Nowhere },
            IssuanceDb::Embedded(embedded) => {
                let connection = schema::connect(embedded.path())?;
                // The first question of a transaction of SQLite chooses its moment.
                let begun = connection.execute_batch("BEGIN").and_then(|()| {
                    connection.query_row("SELECT max(imported_at_ms) FROM feed", [], |row| row.get::<_, Option<i64>>(0))
                });
                let newest = begun.map_err(|error| schema::error(embedded.path(), error))?;
                let from = Origin::Embedded(embedded.clone(), Some(connection));
                Snapshot { as_of: newest.map(Timestamp::from_millis), from }
            }
            IssuanceDb::Sql(sql) => {
                let session = sql.session().await?;
                Snapshot { as_of: Some(session.as_of()), from: Origin::Server(Box::new(session)) }
            }
        })
    }
}

impl Snapshot {
    /// About how many rows a table has, for the time that is left; nothing where that is not quickly said.
    pub async fn about(&mut self, table: &str) -> Option<u64> {
        match &mut self.from {
            Origin::Nowhere => None,
            Origin::Embedded(_, connection) => {
                let fed = bulk::fed(connection.as_ref()?).ok()?;
                fed.into_iter().find(|(name, _)| name == table).map(|(_, rows)| rows)
            }
            Origin::Server(session) => session.about(tables::table(table)?).await,
        }
    }

    /// Gives every row of a table to `each`, in no particular order. Memory stays bounded however many there are. Returns
    /// how many there were: none where the source does not have the table.
    ///
    /// Rows come as the CA feeds them: a "confirmation" whose method means reuse is still one. The embedded database has
    /// filed it as a reuse by its number negated, and gives it so.
    ///
    /// # Errors
    /// An outage, a table that does not exist, or [`IssuanceError::Stopped`] with what `each` says.
    pub async fn stream(&mut self, table: &str, each: EachRow<'_>) -> Result<u64, IssuanceError> {
        let Some(table) = tables::table(table) else {
            return Err(IssuanceError::NoSuchTable { name: table.to_string(), known: tables::names() });
        };
        match &mut self.from {
            Origin::Nowhere => Ok(0),
            Origin::Embedded(embedded, connection) => {
                // Another connection would show another moment.
                let gone = || IssuanceError::Stopped("an earlier table was not read to its end".to_string());
                let held = connection.take().ok_or_else(gone)?;
                let (count, held) = of_embedded(embedded, held, table, each).await?;
                *connection = Some(held);
                Ok(count)
            }
            Origin::Server(session) => match session.stream(table, each).await {
                Err(super::sql::SqlError::Stopped(reason)) => Err(IssuanceError::Stopped(reason)),
                done => Ok(done?),
            },
        }
    }
}

impl Embedded {
    fn feeds(&self, table: &str) -> Result<bool, IssuanceError> {
        let connection = schema::connect(self.path())?;
        let known = connection.prepare("SELECT 1 FROM feed WHERE table_name = ?1").and_then(|mut q| q.exists([table]));
        known.map_err(|error| schema::error(self.path(), error))
    }
}

/// Reads on a thread of its own, and gives the connection back.
async fn of_embedded(
    embedded: &Embedded,
    connection: Connection,
    table: &'static Table,
    each: EachRow<'_>,
) -> Result<(u64, Connection), IssuanceError> {
    let (sender, mut chunks) = mpsc::channel::<Vec<Vec<Value>>>(2);
    let reader = tokio::task::spawn_blocking(move || {
        let columns = feed_columns(table.name);
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = bulk::rows(&connection, table.name, &columns, &mut |_, values| {
            chunk.push(values.iter().map(value).collect());
            // Nobody takes the rows any more when they were refused.
            chunk.len() < CHUNK || sender.blocking_send(std::mem::take(&mut chunk)).is_ok()
        });
        // As above: without a taker there is nobody to tell.
        let _ = sender.blocking_send(chunk);
        (read, connection)
    });
    let mut count = 0;
    while let Some(chunk) = chunks.recv().await {
        for row in chunk {
            count += 1;
            each(Ok(row)).map_err(IssuanceError::Stopped)?;
        }
    }
    let ended = |error| IssuanceError::Stopped(format!("the task that reads the issuance database ended: {error}"));
    let (read, connection) = reader.await.map_err(ended)?;
    read.map_err(|error| schema::error(embedded.path(), error))?;
    Ok((count, connection))
}

fn value(given: &Given<'_>) -> Value {
    match *given {
        Given::Null | Given::Other(_) => Value::Null,
        Given::Number(number) => Value::from(number),
        Given::Flag(flag) => Value::from(i64::from(flag)),
        Given::Text(text) => Value::from(text),
    }
}
