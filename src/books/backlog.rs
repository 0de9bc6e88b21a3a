//! A log that is read from two places at once, and what it does not serve.

use rusqlite::{OptionalExtension, params};

use super::entries::{Lane, Position};
use super::{Books, BooksError};
use crate::clock::{Span, Timestamp};
use crate::ct::compact_range::CompactRange;
use crate::ct::key::{LogId, LogKey};
use crate::ct::sth::SignedTreeHead;

/// How long until lost entries are asked for again: first, and at most.
const ASK_AGAIN: (Span, Span) = (Span::from_seconds(60), Span::from_seconds(6 * 3600));
/// From how many gaps of one log on none is cut into halves any more.
const MOST_GAPS: u64 = 1000;
/// Whether a position, a row `l` of either table, has a hole.
pub(super) const HAS_HOLE: &str = "EXISTS (SELECT 1 FROM gaps AS g WHERE g.log_id = l.log_id AND NOT g.hashed
    AND g.filled_at IS NULL AND g.start_index >= l.verified_size AND g.start_index < l.downloaded_size)";

/// The part of a log below a proven tree head that is still being read.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Where it stands.
    pub position: Position,
    /// The head up to which it is read, where the live position began.
    pub goal: SignedTreeHead,
}

/// Entries that the log did not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub start: u64,
    /// The first after them.
    pub end: u64,
    /// How often they were asked for again.
    pub attempts: u32,
    /// Whether their hashes are known.
    pub is_hashed: bool,
}

/// How it ended that lost entries were asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The log served them.
    Filled,
    /// It did not.
    Refused,
    /// It did not, and each half is to be asked for by itself from now on.
    Halved,
}

/// The pause after so many attempts to fill a gap.
fn pause(attempts: u32) -> Span {
    Span::from_millis((ASK_AGAIN.0.millis() << attempts.min(10)).min(ASK_AGAIN.1.millis()))
}

/// Whether a log that grows and is read so fast (entries per second) is kept up with. Where nothing is left to read both
/// are the same up to the edges of the time over which they are taken: hence the twentieth.
pub fn keeps_up(growth: f64, read: f64) -> bool {
    read >= growth * 0.95
}

impl Books {
    /// The backlog of a log, if it is read from two places.
    ///
    /// # Errors
    /// Unusable books; also a stored position or head that is not one.
    pub async fn backlog(&self, key: LogKey) -> Result<Option<Backlog>, BooksError> {
        struct Row {
            start_index: u64,
            ranges: [Vec<u8>; 2],
            head: (u64, i64, [u8; 32], Vec<u8>),
            has_hole: bool,
        }
        let log_id = key.log_id();
        let row = self
            .read(move |connection| {
                let sql = format!(
                    "SELECT start_index, downloaded, verified, goal_size, goal_signed_at, goal_root, goal_signature, {}
                     FROM backlogs AS l WHERE log_id = ?1",
                    HAS_HOLE
                );
                connection
                    .query_row(&sql, params![log_id.0], |row| {
                        Ok(Row {
                            start_index: row.get(0)?,
                            ranges: [row.get(1)?, row.get(2)?],
                            head: (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?),
                            has_hole: row.get(7)?,
                        })
                    })
                    .optional()
            })
            .await?;
        let Some(Row { start_index, ranges, head, has_hole }) = row else { return Ok(None) };
        let (size, signed_at, root, signature) = head;
        let goal = SignedTreeHead::reopen(size, Timestamp::from_millis(signed_at), root, signature, &key);
        match (CompactRange::from_bytes(&ranges[0]), CompactRange::from_bytes(&ranges[1]), goal) {
            (Ok(downloaded), Ok(verified), Ok(goal)) => {
                Ok(Some(Backlog { position: Position { start_index, downloaded, verified, has_hole }, goal }))
            }
            _ => {
                let reason = format!("the backlog of log {log_id} is not a position below a signed tree head");
                Err(BooksError::Damaged { path: self.path().to_path_buf(), reason })
            }
        }
    }

    /// Makes the position of a log its backlog below `goal`, and lets the live position begin at `goal`, whose compact
    /// range is `edge`. A backlog of which all was read, and which waits for what the log does not serve, is made part
    /// of the new one; one that is still being read is left alone. Whether the log was split.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn split(&self, goal: SignedTreeHead, edge: CompactRange, now: Timestamp) -> Result<bool, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let split = transaction.execute(
                "INSERT INTO backlogs (log_id, start_index, downloaded_size, downloaded, verified_size, verified,
                                       goal_size, goal_root, goal_signed_at, goal_signature)
                 SELECT log_id, start_index, downloaded_size, downloaded, verified_size, verified, ?2, ?3, ?4, ?5
                 FROM logs WHERE log_id = ?1
                 ON CONFLICT (log_id) DO UPDATE SET downloaded_size = excluded.downloaded_size,
                   downloaded = excluded.downloaded, goal_size = excluded.goal_size, goal_root = excluded.goal_root,
                   goal_signed_at = excluded.goal_signed_at, goal_signature = excluded.goal_signature
                 WHERE downloaded_size = goal_size",
                params![
                    goal.log_id().0,
                    goal.tree_size(),
                    goal.root_hash(),
                    goal.timestamp().millis(),
                    goal.signature()
                ],
            )?;
            if split == 0 {
                return Ok(false);
            }
            transaction.execute(
                "UPDATE logs SET start_index = ?2, downloaded_size = ?2, downloaded = ?3, verified_size = ?2, verified = ?3,
                                 updated_at = ?4 WHERE log_id = ?1",
                params![goal.log_id().0, edge.size(), edge.to_bytes(), now.millis()],
            )?;
            super::entries::insert_head(&transaction, goal.log_id(), &goal, now, "verified")?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// The backlog has reached its goal: the log is one again.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn join(&self, log_id: LogId) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE logs SET start_index = (SELECT start_index FROM backlogs AS b WHERE b.log_id = logs.log_id)
                 WHERE log_id = ?1 AND EXISTS (SELECT 1 FROM backlogs AS b WHERE b.log_id = logs.log_id)",
                params![log_id.0],
            )?;
            transaction.execute("DELETE FROM backlogs WHERE log_id = ?1", params![log_id.0])?;
            transaction.commit()
        })
        .await
    }

    /// Goes back to the verified position in each part of a log whose holes were all filled, so that it is read again
    /// and audited. Whether there was one.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn rewind_filled(&self, log_id: LogId) -> Result<bool, BooksError> {
        let mut any = false;
        for lane in [Lane::Live, Lane::Backlog] {
            let filled = self
                .read(move |connection| {
                    let sql = format!(
                        "SELECT EXISTS (SELECT 1 FROM gaps AS g WHERE g.log_id = l.log_id AND NOT g.hashed
                           AND g.filled_at IS NOT NULL AND g.start_index >= l.verified_size
                           AND g.start_index < l.downloaded_size) AND NOT {HAS_HOLE}
                         FROM {} AS l WHERE log_id = ?1",
                        lane.table()
                    );
                    connection.query_row(&sql, params![log_id.0], |row| row.get(0)).optional()
                })
                .await?;
            if filled == Some(true) {
                self.rewind(log_id, lane).await?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Notes entries that the log does not serve.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn note_gap(&self, log_id: LogId, gap: Gap, now: Timestamp) -> Result<(), BooksError> {
        self.write(move |connection| {
            connection
                .execute(
                    "INSERT INTO gaps (log_id, start_index, end_index, missed_at, next_try_at, hashed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET end_index = excluded.end_index, hashed = excluded.hashed,
                       next_try_at = excluded.missed_at + min(?7, (?5 - ?4) << min(attempts, 10)), filled_at = NULL",
                    params![
                        log_id.0,
                        gap.start,
                        gap.end,
                        now.millis(),
                        now.plus(ASK_AGAIN.0).millis(),
                        gap.is_hashed,
                        ASK_AGAIN.1.millis()
                    ],
                )
                .map(|_| ())
        })
        .await
    }

    /// A gap of the log that is to be asked for again now.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn due_gap(&self, log_id: LogId, now: Timestamp) -> Result<Option<Gap>, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT start_index, end_index, attempts, hashed FROM gaps
                       WHERE log_id = ?1 AND filled_at IS NULL AND next_try_at <= ?2 ORDER BY next_try_at LIMIT 1";
            connection
                .query_row(sql, params![log_id.0, now.millis()], |row| {
                    Ok(Gap { start: row.get(0)?, end: row.get(1)?, attempts: row.get(2)?, is_hashed: row.get(3)? })
                })
                .optional()
        })
        .await
    }

    /// Whether there are entries that the log does not serve.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn has_gaps(&self, log_id: LogId) -> Result<bool, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM gaps WHERE log_id = ?1 AND filled_at IS NULL)";
            connection.query_row(sql, params![log_id.0], |row| row.get(0))
        })
        .await
    }

    /// Notes how asking again ended. At a thousand gaps of one log none is cut any more.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn gap_asked(&self, log_id: LogId, gap: Gap, asked: Asked, now: Timestamp) -> Result<(), BooksError> {
        let next = now.plus(pause(gap.attempts));
        let middle = gap.start + (gap.end - gap.start).div_ceil(2);
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE gaps SET attempts = attempts + 1, next_try_at = ?3,
                        filled_at = CASE WHEN ?4 THEN ?5 ELSE NULL END
                 WHERE log_id = ?1 AND start_index = ?2",
                params![log_id.0, gap.start, next.millis(), asked == Asked::Filled, now.millis()],
            )?;
            let count = "SELECT count(*) FROM gaps WHERE log_id = ?1 AND filled_at IS NULL";
            if asked == Asked::Halved
                && middle < gap.end
                && transaction.query_row(count, params![log_id.0], |row| row.get::<_, u64>(0))? < MOST_GAPS
            {
                transaction.execute(
                    "INSERT INTO gaps (log_id, start_index, end_index, missed_at, next_try_at, attempts, hashed)
                     SELECT log_id, ?3, end_index, missed_at, next_try_at, attempts, hashed
                     FROM gaps WHERE log_id = ?1 AND start_index = ?2
                     ON CONFLICT DO UPDATE SET end_index = excluded.end_index, next_try_at = excluded.next_try_at,
                       hashed = excluded.hashed, filled_at = NULL",
                    params![log_id.0, gap.start, middle],
                )?;
                transaction.execute(
                    "UPDATE gaps SET end_index = ?3 WHERE log_id = ?1 AND start_index = ?2",
                    params![log_id.0, gap.start, middle],
                )?;
            }
            transaction.commit()
        })
        .await
    }

    /// Keeps the rates of growth and of reading, entries per second.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn note_rates(&self, log_id: LogId, growth: f64, read: f64) -> Result<(), BooksError> {
        self.write(move |connection| {
            let sql = "UPDATE logs SET growth_rate = ?2, read_rate = ?3 WHERE log_id = ?1";
            connection.execute(sql, params![log_id.0, growth, read]).map(|_| ())
        })
        .await
    }
}
