//! Door 3: the outbox. A message is written in the transaction of its event, sent at least once, and marked.

use rusqlite::{Connection, OptionalExtension, params};

use super::cases::from_json;
use super::{Books, BooksError};
use crate::case::Notice;
use crate::clock::Timestamp;

/// A message that waits to be sent to one recipient.
#[derive(Clone, Debug)]
pub struct OutboxItem {
    /// Its number in the books.
    pub outbox_id: i64,
    /// The channel: `mail`.
    pub channel: String,
    /// Whom to tell.
    pub recipient: String,
    /// What to say: a snapshot, so that sending it again sends the same.
    pub notice: Notice,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The next hop took it.
    Delivered,
    /// It did not; try again then.
    Deferred {
        /// When.
        until: Timestamp,
        /// Why, for a person.
        error: String,
    },
    /// The configuration no longer names its recipient: it goes to these (channel, recipient) instead, unless they
    /// were told already.
    Redirected(Vec<(String, String)>),
}

/// What still waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Messages not yet delivered.
    pub length: u64,
    /// When the oldest of them was written.
    pub oldest: Option<Timestamp>,
    /// When the next attempt is due.
    pub next_try_at: Option<Timestamp>,
}

impl Books {
    /// Messages whose next attempt is due, oldest first.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxItem>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT outbox_id, channel, recipient, notice, created_at, attempts FROM outbox
                 WHERE delivered_at IS NULL AND next_try_at <= ?1 ORDER BY next_try_at, outbox_id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![now.millis(), limit as i64], |row| {
                Ok(OutboxItem {
                    outbox_id: row.get(0)?,
                    channel: row.get(1)?,
                    recipient: row.get(2)?,
                    notice: from_json(&row.get::<_, String>(3)?)?,
                    created_at: Timestamp::from_millis(row.get(4)?),
                    attempts: row.get(5)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Door 3: marks how an attempt ended.
    ///
    /// # Errors
    /// Unusable books; then the message will be sent again with the same Message-ID.
    pub async fn commit_delivery(&self, outbox_id: i64, delivery: Delivery, now: Timestamp) -> Result<(), BooksError> {
        self.write(move |connection| {
            match delivery {
                Delivery::Redirected(recipients) => return redirect(connection, outbox_id, &recipients, now),
                Delivery::Delivered => connection.execute(
                    "UPDATE outbox SET delivered_at = ?2, attempts = attempts + 1, last_error = NULL WHERE outbox_id = ?1",
                    params![outbox_id, now.millis()],
                ),
                Delivery::Deferred { until, error } => connection.execute(
                    "UPDATE outbox SET next_try_at = ?2, attempts = attempts + 1, last_error = ?3 WHERE outbox_id = ?1",
                    params![outbox_id, until.millis(), error],
                ),
            }
            .map(|_| ())
        })
        .await
    }

    /// Messages delivered with a number above `outbox_id`, in the order of their numbers, up to the first that waits.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn delivered_after(&self, outbox_id: i64) -> Result<Vec<(i64, Notice, Timestamp)>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT outbox_id, notice, delivered_at FROM outbox
                 WHERE delivered_at IS NOT NULL AND outbox_id > ?1 AND outbox_id <
                   coalesce((SELECT min(outbox_id) FROM outbox WHERE delivered_at IS NULL), 9223372036854775807)
                 ORDER BY outbox_id LIMIT 100",
            )?;
            let rows = statement.query_map(params![outbox_id], |row| {
                let notice = from_json(&row.get::<_, String>(1)?)?;
                Ok((row.get(0)?, notice, Timestamp::from_millis(row.get(2)?)))
            })?;
            rows.collect()
        })
        .await
    }

    /// What still waits.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn queue_state(&self) -> Result<QueueState, BooksError> {
        self.read(|connection| {
            connection.query_row(
                "SELECT count(*), min(created_at), min(next_try_at) FROM outbox WHERE delivered_at IS NULL",
                [],
                |row| {
                    Ok(QueueState {
                        length: row.get(0)?,
                        oldest: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
                        next_try_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                    })
                },
            )
        })
        .await
    }
}

fn redirect(
    connection: &mut Connection,
    outbox_id: i64,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let row = transaction
        .prepare_cached("SELECT message_key, notice FROM outbox WHERE outbox_id = ?1")?
        .query_row(params![outbox_id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    if let Some((message_key, notice)) = row {
        enqueue(&transaction, &message_key, &notice, recipients, now)?;
        transaction.execute("DELETE FROM outbox WHERE outbox_id = ?1", params![outbox_id])?;
    }
    transaction.commit()
}

pub(super) fn enqueue(
    connection: &Connection,
    message_key: &str,
    notice: &str,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    for (channel, recipient) in recipients {
        connection
            .prepare_cached(
                "INSERT INTO outbox (message_key, channel, recipient, notice, created_at, next_try_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![message_key, channel, recipient, notice, now.millis()])?;
    }
    Ok(())
}
