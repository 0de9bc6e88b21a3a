//! Which top-level domains the lists of IANA had on which days.

use rusqlite::{Connection, params};

use super::{Books, BooksError};
use crate::clock::Timestamp;
use crate::lint::tld::{Observed, RootList, TldTable};

impl Books {
    /// Everything that the lists have shown, sorted by label and first day.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn tld_history(&self) -> Result<Vec<Observed>, BooksError> {
        self.read(|connection| history(connection)).await
    }

    /// Writes down what a list has and lacks, and returns the history with it. The first list is held against the
    /// embedded table, as if that had been the list of its day. A list older than the newest one changes nothing.
    ///
    /// # Errors
    /// Unusable books; then nothing was written.
    pub async fn note_tlds(&self, list: RootList, embedded: TldTable) -> Result<Vec<Observed>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let newest = |connection: &Connection| {
                let sql = "SELECT max(last_seen) FROM tld_history";
                connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
            };
            let mut before = newest(&transaction)?;
            if before.is_none() && embedded.as_of() < list.day {
                let day = embedded.as_of().millis();
                let sql = "INSERT OR IGNORE INTO tld_history (tld, first_seen, last_seen) VALUES (?1, ?2, ?2)";
                let mut insert = transaction.prepare(sql)?;
                for tld in embedded.current() {
                    insert.execute(params![tld, day])?;
                }
                before = Some(day);
            }
            let day = list.day.millis();
            if before.is_none_or(|before| before <= day) {
                let seen = "UPDATE tld_history SET last_seen = ?2 WHERE tld = ?1 AND gone_on IS NULL";
                let came = "INSERT INTO tld_history (tld, absent_on, first_seen, last_seen) VALUES (?1, ?3, ?2, ?2)
                            ON CONFLICT DO UPDATE SET gone_on = NULL";
                let (mut seen, mut came) = (transaction.prepare(seen)?, transaction.prepare(came)?);
                for tld in &list.tlds {
                    if seen.execute(params![tld, day])? == 0 {
                        came.execute(params![tld, day, before])?;
                    }
                }
                let gone = "UPDATE tld_history SET gone_on = ?1 WHERE gone_on IS NULL AND last_seen < ?1";
                transaction.execute(gone, params![day])?;
            }
            let history = history(&transaction)?;
            transaction.commit()?;
            Ok(history)
        })
        .await
    }
}

fn history(connection: &Connection) -> rusqlite::Result<Vec<Observed>> {
    let sql = "SELECT tld, absent_on, first_seen, last_seen, gone_on FROM tld_history ORDER BY tld, first_seen";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Observed {
            tld: row.get::<_, String>(0)?.into_boxed_str(),
            absent_on: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
            first_seen: Timestamp::from_millis(row.get(2)?),
            last_seen: Timestamp::from_millis(row.get(3)?),
            gone_on: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::*;
    use crate::books::SCHEMA;
    use crate::clock::{DAY, date};

    fn list(day: Timestamp, change: impl Fn(&mut BTreeSet<Box<str>>)) -> RootList {
        let mut tlds = TldTable::embedded().current().map(Into::into).collect();
        change(&mut tlds);
        RootList { day, tlds }
    }

    #[tokio::test]
    async fn a_label_comes_and_goes_and_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("books.sqlite");
        let (embedded, day) = (TldTable::embedded(), date(2026, 11, 22));
        let books = Books::open(&path).expect("open");
        let added = |tlds: &mut BTreeSet<Box<str>>| {
            tlds.insert("zzz".into());
        };
        books.note_tlds(list(day, |_| {}), embedded.clone()).await.expect("noted");
        books.note_tlds(list(day.plus(DAY), added), embedded.clone()).await.expect("noted");
        // The same list again, and one that is older, change nothing.
        let first = books.note_tlds(list(day.plus(DAY), added), embedded.clone()).await.expect("noted");
        assert_eq!(books.note_tlds(list(day, |_| {}), embedded.clone()).await.expect("noted"), first);
        let third = day.plus(DAY).plus(DAY);
        books.note_tlds(list(third, |tlds| tlds.retain(|tld| &**tld != "eus")), embedded.clone()).await.expect("noted");
        drop(books);
        let books = Books::open(&path).expect("open again");
        let last = third.plus(DAY);
        assert_eq!(books.tld_history().await.expect("read").len(), embedded.current().count() + 1);
        let history = books.note_tlds(list(last, added), embedded.clone()).await.expect("noted");
        let of = |tld: &str| {
            let rows = history.iter().filter(|row| &*row.tld == tld);
            rows.map(|row| (row.absent_on, row.first_seen, row.last_seen, row.gone_on)).collect::<Vec<_>>()
        };
        assert_eq!(of("com"), [(None, embedded.as_of(), last, None)]);
        let stays = [(Some(day), day.plus(DAY), day.plus(DAY), Some(third)), (Some(third), last, last, None)];
        assert_eq!(of("zzz"), stays);
        assert_eq!(of("eus"), [(None, embedded.as_of(), day.plus(DAY), Some(third)), (Some(third), last, last, None)]);
    }

    #[tokio::test]
    async fn books_of_the_format_before_get_the_table() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("books.sqlite");
        let older = Connection::open(&path).expect("open");
        let steps = SCHEMA.iter().take_while(|step| !step.contains("CREATE TABLE tld_history"));
        let steps: Vec<_> = steps.map(|step| older.execute_batch(step).expect("an older format")).collect();
        older.pragma_update(None, "user_version", steps.len()).expect("its number");
        drop(older);
        let books = Books::open(&path).expect("open");
        assert_eq!(books.tld_history().await.expect("the table is there"), []);
    }
}
