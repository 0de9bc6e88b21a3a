//! Whole tables of a source, row by row, in bounded memory.

use rusqlite::types::ValueRef;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::issuance::tables::{self, TABLES, Table};
use crate::issuance::{Embedded, IssuanceDb, IssuanceError, schema};

/// A row of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedRow {
    /// The table it belongs to: that of the stream, or `dcv_reuse` for a "confirmation" whose method means reuse. Such a
    /// row has its number negated, and rows that name the confirmation still name it by its own number in `dcv_id`
    /// (in the embedded database they name the reuse, by the negated number in `reuse_id`).
    pub table: &'static str,
    /// Whole numbers, texts and nulls in the order of [`feed_columns`].
    pub values: Vec<Value>,
}

/// The tables of the feed, parents first.
pub fn feed_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

/// The columns that a [`FeedRow`] of the table has; empty when there is no such table. What only steers an import, the
/// `reused_*` columns of dcv_confirmations, is not among them.
pub fn feed_columns(table: &str) -> Vec<&'static str> {
    tables::table(table).map_or(Vec::new(), |table| table.stored().map(|column| column.name).collect())
}

/// Rows on their way at once, from the thread that reads them.
const CHUNK: usize = 1_000;

impl IssuanceDb {
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

    /// Gives every row of a table to `each`, from one moment of the database, in no particular order. Memory stays
    /// bounded however many there are. Returns how many there were: none where the source does not have the table.
    ///
    /// # Errors
    /// An outage, a row that is not sound (with its key, column and reason), a table that does not exist, or
    /// [`IssuanceError::Stopped`] with what `each` says.
    pub async fn stream(
        &self,
        table: &str,
        each: &mut (dyn FnMut(FeedRow) -> Result<(), String> + Send),
    ) -> Result<u64, IssuanceError> {
        self.stream_where(table, None, each).await
    }

    /// The same for the certificates that were signed from the first time on and before the second.
    ///
    /// # Errors
    /// As [`IssuanceDb::stream`].
    pub async fn stream_signed(
        &self,
        from: Timestamp,
        until: Timestamp,
        each: &mut (dyn FnMut(FeedRow) -> Result<(), String> + Send),
    ) -> Result<u64, IssuanceError> {
        self.stream_where("certificates", Some((from, until)), each).await
    }

    async fn stream_where(
        &self,
        table: &str,
        signed: Option<(Timestamp, Timestamp)>,
        each: &mut (dyn FnMut(FeedRow) -> Result<(), String> + Send),
    ) -> Result<u64, IssuanceError> {
        let Some(table) = tables::table(table) else {
            return Err(IssuanceError::NoSuchTable { name: table.to_string(), known: tables::names() });
        };
        match self {
            IssuanceDb::None => Ok(0),
            IssuanceDb::Embedded(embedded) => embedded.stream(table, signed, each).await,
            // Issuers that the configuration names are not in the database.
            IssuanceDb::Sql(sql) if table.name == "issuers" && !sql.settings().issuers.is_empty() => {
                let issuers = &sql.settings().issuers;
                for issuer in issuers {
                    let texts = [issuer.name.clone(), issuer.key_hash.to_string(), issuer.hierarchy.clone()];
                    let values = std::iter::once(Value::from(issuer.issuer_id)).chain(texts.map(Value::from)).collect();
                    each(FeedRow { table: table.name, values }).map_err(IssuanceError::Stopped)?;
                }
                Ok(issuers.len() as u64)
            }
            IssuanceDb::Sql(sql) if !sql.settings().feeds(table.name) => Ok(0),
            IssuanceDb::Sql(sql) => match sql.stream(table, signed, each).await {
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

    async fn stream(
        &self,
        table: &'static Table,
        signed: Option<(Timestamp, Timestamp)>,
        each: &mut (dyn FnMut(FeedRow) -> Result<(), String> + Send),
    ) -> Result<u64, IssuanceError> {
        let (sender, mut chunks) = mpsc::channel::<Vec<FeedRow>>(2);
        let database = self.clone();
        let reader = tokio::task::spawn_blocking(move || database.read_all(table, signed, &sender));
        let mut count = 0;
        while let Some(chunk) = chunks.recv().await {
            for row in chunk {
                count += 1;
                // The reader ends when nobody takes its rows any more.
                each(row).map_err(IssuanceError::Stopped)?;
            }
        }
        match reader.await {
            Ok(done) => done.map(|()| count),
            Err(error) => {
                Err(IssuanceError::Stopped(format!("the task that reads the issuance database ended: {error}")))
            }
        }
    }

    fn read_all(
        &self,
        table: &'static Table,
        signed: Option<(Timestamp, Timestamp)>,
        sender: &mpsc::Sender<Vec<FeedRow>>,
    ) -> Result<(), IssuanceError> {
        let connection = schema::connect(self.path())?;
        let read = || -> rusqlite::Result<()> {
            let columns: Vec<&str> = table.stored().map(|column| column.stored).collect();
            let mut sql = format!("SELECT {} FROM {}", columns.join(", "), table.name);
            if let Some((from, until)) = signed {
                sql.push_str(&format!(" WHERE signed_at >= {} AND signed_at < {}", from.seconds(), until.seconds()));
            }
            let mut query = connection.prepare(&sql)?;
            let mut rows = query.query([])?;
            let mut chunk = Vec::with_capacity(CHUNK);
            while let Some(row) = rows.next()? {
                let mut values = Vec::with_capacity(columns.len());
                for place in 0..columns.len() {
                    values.push(match row.get_ref(place)? {
                        ValueRef::Integer(number) => Value::from(number),
                        ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
                        _ => Value::Null,
                    });
                }
                chunk.push(FeedRow { table: table.name, values });
                if chunk.len() == CHUNK && sender.blocking_send(std::mem::take(&mut chunk)).is_err() {
                    return Ok(());
                }
            }
            let _ = sender.blocking_send(chunk);
            Ok(())
        };
        read().map_err(|error| schema::error(self.path(), error))
    }
}
