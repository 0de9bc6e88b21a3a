//! Dates in the books after the machine's clock was put back.

use rusqlite::params;

use super::{Books, BooksError};
use crate::clock::{Span, Timestamp};

/// Less than this is no jump: clocks are corrected by seconds all the time.
const JUMP: Span = Span::from_seconds(60);

impl Books {
    /// Puts back, with the clock, what was to be done at a time to come: or nothing of it would be done before the clock
    /// has come to where it was. `before` is what the clock showed at last; `None`: what the books say it showed. By
    /// how much it was put back; `None` when it was not.
    ///
    /// # Errors
    /// Unusable books; then nothing was changed.
    pub async fn follow_clock(&self, before: Option<Timestamp>, now: Timestamp) -> Result<Option<Span>, BooksError> {
        let before = match before {
            Some(before) => before,
            None => {
                let sql = "SELECT max(updated_at) FROM logs";
                let newest =
                    self.read(move |books| books.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))).await?;
                newest.map_or(now, Timestamp::from_millis)
            }
        };
        let jump = before.since(now);
        if jump < JUMP {
            return Ok(None);
        }
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for sql in [
                "UPDATE gaps SET next_try_at = next_try_at - ?2 WHERE next_try_at > ?1 AND filled_at IS NULL",
                "UPDATE outbox SET next_try_at = next_try_at - ?2 WHERE next_try_at > ?1 AND delivered_at IS NULL",
                "UPDATE hits SET examine_at = examine_at - ?2 WHERE examine_at > ?1",
                "UPDATE promises SET next_check_at = next_check_at - ?2 WHERE next_check_at > ?1 AND state = 'open'",
                "UPDATE promises SET checked_at = checked_at - ?2 WHERE checked_at > ?1 AND state = 'open'",
                // Where the clock was, for the next start; no log has such a date that is later than now.
                "UPDATE logs SET updated_at = min(updated_at, ?1 + 0 * ?2)",
            ] {
                transaction.execute(sql, params![now.millis(), jump.millis()])?;
            }
            transaction.commit()
        })
        .await?;
        Ok(Some(jump))
    }
}
