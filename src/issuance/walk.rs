//! The walks through the record: certificates by time of signing, revocations, controls, counts.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{Part, Sql};
use super::{Embedded, IssuanceDb, IssuanceError, schema};
use crate::clock::{Span, Timestamp};
use crate::finding::{CaseKey, KeyHash, Serial};
use crate::record::{Control, Count, Revocation, Revoked, Signed, Standing};

/// Why the record gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// There is no record, or this part of it was never fed.
    #[error("the issuance record has no {0}")]
    NotFed(&'static str),
    /// It does not answer now.
    #[error("the issuance database does not answer: {0}")]
    Unavailable(String),
}

/// What the feed says of one control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlHistory {
    /// The observations that were asked for, in the order of time; at least the newest.
    pub rows: Vec<Control>,
    /// Whether there are newer ones, which were too many to be read at once.
    pub more: bool,
    /// If it is off by the newest observation: since when.
    pub off_since: Option<Timestamp>,
}

/// The most observations of one control that are read at once.
const MOST_ROWS: i64 = 10_000;

impl IssuanceDb {
    /// Certificates signed from `from` to before `to`, in the order of (signed_at, cert_id), after that place; `limit` or
    /// some more. None: there are no more.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn signed_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        after: Option<(Timestamp, i64)>,
        limit: usize,
    ) -> Result<Vec<Signed>, Silence> {
        match self {
            IssuanceDb::Sql(sql) => signed_on_server(sql, from, to, after).await,
            _ => {
                let rows = move |connection: &Connection| signed(connection, from, to, after, limit);
                self.ask("certificates", None, rows).await
            }
        }
    }

    /// Gives `take` the revocations of an issuer's certificates that may still be valid at `valid_at`, in any order, all
    /// from one moment of the record, and hands back `into`. A large CA has millions: they are never all in memory here.
    ///
    /// # Errors
    /// [`Silence`]; what was given until then is lost with `into`.
    pub async fn revocations<T: Send + 'static>(
        &self,
        issuer: KeyHash,
        valid_at: Timestamp,
        mut into: T,
        take: fn(&mut T, Revoked),
    ) -> Result<T, Silence> {
        const TABLE: &str = "revocations";
        let failed = |reason: String| Silence::Unavailable(reason);
        match self {
            IssuanceDb::None => Err(Silence::NotFed(TABLE)),
            IssuanceDb::Embedded(embedded) => {
                // With a connection of its own: the lookups do not wait for it.
                let embedded = Embedded::reading(&embedded.path);
                let work = move |connection: &Connection| {
                    revoked(connection, issuer, valid_at, |row| take(&mut into, row))?;
                    Ok(into)
                };
                let answer = tokio::task::spawn_blocking(move || embedded.ask(TABLE, work)).await;
                let answer = answer.map_err(|_| failed("the task that reads it was stopped".to_string()))?;
                answer.map_err(|error| failed(error.to_string()))?.ok_or(Silence::NotFed(TABLE))
            }
            IssuanceDb::Sql(sql) => {
                if !(sql.settings().feeds(TABLE) && sql.settings().feeds("issuers")) {
                    return Err(Silence::NotFed(TABLE));
                }
                let given = sql.revoked(issuer, valid_at, &mut |row| take(&mut into, row)).await;
                given.map(|()| into).map_err(|error| failed(error.to_string()))
            }
        }
    }

    /// What the record says of the revocation of each certificate, in their order; `None`: it has no such certificate.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn standings(&self, keys: Vec<CaseKey>) -> Result<Vec<Option<Standing>>, Silence> {
        self.ask("revocations", Some(Part::Keys(keys.clone())), move |connection| {
            let sql = format!(
                "{COLUMNS} FROM issuers AS i JOIN certificates AS c USING (issuer_id)
                 LEFT JOIN revocations AS r USING (cert_id) WHERE i.spki_sha256 = ?1 AND c.serial = ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let one = |key: &CaseKey| {
                let given = params![key.issuer_key_hash.to_string(), key.serial.value_hex()];
                statement.query_row(given, standing).optional()
            };
            keys.iter().map(one).collect()
        })
        .await
    }

    /// What the feed says of every control: its observations after the given time, or the newest alone where none is
    /// given.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn controls(&self, after: Vec<(String, Timestamp)>) -> Result<Vec<ControlHistory>, Silence> {
        self.ask("controls", Some(Part::Controls(after.clone())), move |connection| {
            // From name to name by the key: there are few names with very many observations each.
            let sql = "WITH RECURSIVE names (name) AS (SELECT min(name) FROM controls UNION ALL
                         SELECT (SELECT min(c.name) FROM controls AS c WHERE c.name > names.name) FROM names
                         WHERE names.name IS NOT NULL)
                       SELECT name FROM names WHERE name IS NOT NULL";
            let mut statement = connection.prepare_cached(sql)?;
            let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            let known = |name: &str| after.iter().find(|(known, _)| known == name).map(|(_, at)| *at);
            names.iter().map(|name| history(connection, name, known(name))).collect()
        })
        .await
    }

    /// Up to when the record is complete: a replica may be behind.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn complete_until(&self, now: Timestamp) -> Result<Timestamp, Silence> {
        match self {
            IssuanceDb::Sql(sql) => {
                let as_of = sql.as_of().await.map_err(|error| Silence::Unavailable(error.to_string()))?;
                Ok(as_of.min(now))
            }
            IssuanceDb::None | IssuanceDb::Embedded(_) => Ok(now),
        }
    }

    /// How many certificates each of the CA's records counts in the hours from `from` to before `to`.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn counts(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Count>, Silence> {
        self.ask("counts", Some(Part::Counts(from, to)), move |connection| {
            let sql = "SELECT n.source, i.spki_sha256, n.hour, n.certificates FROM counts AS n
                       JOIN issuers AS i USING (issuer_id) WHERE n.hour >= ?1 AND n.hour < ?2 ORDER BY 1, 2, 3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![from.seconds(), to.seconds()], |row| {
                Ok(Count {
                    source: row.get(0)?,
                    issuer_key_hash: key_hash(row, 1)?,
                    hour: Timestamp::from_seconds(row.get(2)?),
                    certificates: row.get::<_, i64>(3)?.unsigned_abs(),
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Puts a question to the embedded database, or to a part of the one on a server that is brought here for it.
    async fn ask<T: Send + 'static>(
        &self,
        table: &'static str,
        part: Option<Part>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Silence> {
        let failed = |reason: String| Silence::Unavailable(reason);
        let stopped = |_| Silence::Unavailable("the task that reads it was stopped".to_string());
        match self {
            IssuanceDb::None => Err(Silence::NotFed(table)),
            IssuanceDb::Embedded(embedded) => {
                let embedded = embedded.clone();
                let answer = tokio::task::spawn_blocking(move || embedded.ask(table, work)).await.map_err(stopped)?;
                answer.map_err(|error| failed(error.to_string()))?.ok_or(Silence::NotFed(table))
            }
            IssuanceDb::Sql(sql) => {
                let fed = sql.settings().feeds(table) && sql.settings().feeds("issuers");
                let part = part.filter(|_| fed).ok_or(Silence::NotFed(table))?;
                let mirror = sql.mirror(part).await.map_err(|error| failed(error.to_string()))?;
                let mirror = mirror.ok_or_else(|| failed("it gives more rows than can be taken".to_string()))?;
                let answer = tokio::task::spawn_blocking(move || work(&mirror)).await.map_err(stopped)?;
                answer.map_err(|error| failed(error.to_string()))
            }
        }
    }
}

/// The most rows that a server is asked for at once, and the longest time of signing that they are from.
const MOST_SIGNED: u64 = 20_000;
const LONGEST: Span = Span::from_days(30);

/// The rows of the first hours in which there are any: a server has no order of ours.
async fn signed_on_server(
    sql: &Sql,
    from: Timestamp,
    to: Timestamp,
    after: Option<(Timestamp, i64)>,
) -> Result<Vec<Signed>, Silence> {
    if !(sql.settings().feeds("certificates") && sql.settings().feeds("issuers")) {
        return Err(Silence::NotFed("certificates"));
    }
    let (mut start, mut length) = (after.map_or(from, |(at, _)| at), Span::from_seconds(3600));
    while start < to {
        let end = start.plus(length).min(to);
        let most = if length.seconds() > 1 { MOST_SIGNED } else { u64::from(u32::MAX) };
        let mirror = sql.mirror(Part::Signed(start, end, most)).await;
        let Some(mirror) = mirror.map_err(|error| Silence::Unavailable(error.to_string()))? else {
            length = Span::from_seconds((length.seconds() / 8).max(1));
            continue;
        };
        let rows = tokio::task::spawn_blocking(move || signed(&mirror, start, end, after, usize::MAX >> 1)).await;
        let rows = rows.map_err(|error| Silence::Unavailable(error.to_string()))?;
        let rows = rows.map_err(|error| Silence::Unavailable(error.to_string()))?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        start = end;
        length = LONGEST.min(length.plus(length));
    }
    Ok(Vec::new())
}

fn signed(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
    after: Option<(Timestamp, i64)>,
    limit: usize,
) -> rusqlite::Result<Vec<Signed>> {
    let sql = "SELECT c.cert_id, i.spki_sha256, c.serial, c.signed_at, c.not_after, i.hierarchy, c.state
               FROM certificates AS c JOIN issuers AS i USING (issuer_id)
               WHERE (c.signed_at, c.cert_id) > (?1, ?2) AND c.signed_at < ?3
               ORDER BY c.signed_at, c.cert_id LIMIT ?4";
    let (at, id) = after.unwrap_or((from.minus(Span::from_seconds(1)), i64::MAX));
    let given = params![at.seconds(), id, to.seconds(), limit as i64];
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(given, |row| {
        Ok(Signed {
            cert_id: row.get(0)?,
            key: key(row, 1, 2)?,
            signed_at: Timestamp::from_seconds(row.get(3)?),
            not_after: moment(row, 4)?,
            hierarchy: row.get(5)?,
            state: row.get(6)?,
        })
    })?;
    rows.collect()
}

impl Embedded {
    /// `None`: nothing was ever fed into this table.
    fn ask<T>(
        &self,
        table: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, IssuanceError> {
        let mut held = self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let connection = match held.take() {
            Some(connection) => connection,
            None => schema::connect(&self.path)?,
        };
        let asked = || {
            let fed = connection.prepare_cached("SELECT 1 FROM feed WHERE table_name = ?1")?.exists([table])?;
            if fed { work(&connection).map(Some) } else { Ok(None) }
        };
        let answer = asked().map_err(|error| schema::error(&self.path, error))?;
        *held = Some(connection);
        Ok(answer)
    }
}

fn revoked(
    connection: &Connection,
    issuer: KeyHash,
    valid_at: Timestamp,
    mut take: impl FnMut(Revoked),
) -> rusqlite::Result<()> {
    // From the revocations to their certificates; the other way would go through all certificates.
    let sql = "SELECT c.serial, c.not_after, r.aware_at, r.revoked_at, r.reason, r.crl_seen_at
               FROM revocations AS r CROSS JOIN certificates AS c USING (cert_id)
               WHERE c.issuer_id = (SELECT issuer_id FROM issuers WHERE spki_sha256 = ?1)
               AND (c.not_after IS NULL OR c.not_after > ?2)";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params![issuer.to_string(), valid_at.seconds()])?;
    while let Some(row) = rows.next()? {
        let revocation = Revocation { crl_seen_at: None, ..revocation(row, 2)? };
        take(Revoked { serial: serial(row, 0)?, not_after: moment(row, 1)?, revocation });
    }
    Ok(())
}

/// The columns of a [`Standing`].
const COLUMNS: &str = "SELECT c.cert_id, i.spki_sha256, c.serial, c.not_after, r.cert_id IS NOT NULL, r.aware_at,
        r.revoked_at, r.reason, r.crl_seen_at";

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let revocation = revocation(row, 5)?;
    Ok(Standing {
        cert_id: row.get(0)?,
        key: key(row, 1, 2)?,
        not_after: moment(row, 3)?,
        revocation: row.get::<_, bool>(4)?.then_some(revocation),
    })
}

/// The four columns of a revocation, from this one on.
fn revocation(row: &Row<'_>, at: usize) -> rusqlite::Result<Revocation> {
    Ok(Revocation {
        aware_at: moment(row, at)?,
        revoked_at: moment(row, at + 1)?,
        reason: row.get::<_, Option<i64>>(at + 2)?.map(i64::unsigned_abs),
        crl_seen_at: moment(row, at + 3)?,
    })
}

fn history(connection: &Connection, name: &str, after: Option<Timestamp>) -> rusqlite::Result<ControlHistory> {
    let columns = "SELECT name, observed_at, enabled, version, value, entries FROM controls";
    let read = |row: &Row<'_>| {
        Ok(Control {
            name: row.get(0)?,
            observed_at: Timestamp::from_seconds(row.get(1)?),
            enabled: row.get::<_, i64>(2)? != 0,
            version: row.get(3)?,
            value: row.get(4)?,
            entries: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        })
    };
    let newest = format!("{columns} WHERE name = ?1 ORDER BY observed_at DESC LIMIT 1");
    let newest = connection.prepare_cached(&newest)?.query_row([name], read)?;
    let (mut rows, newest_at) = (Vec::new(), newest.observed_at);
    if let Some(after) = after {
        let sql = format!("{columns} WHERE name = ?1 AND observed_at > ?2 ORDER BY observed_at LIMIT {MOST_ROWS}");
        let mut statement = connection.prepare_cached(&sql)?;
        rows = statement.query_map(params![name, after.seconds()], read)?.collect::<rusqlite::Result<_>>()?;
    }
    let off_since = match newest.enabled {
        true => None,
        false => {
            let sql = "SELECT min(observed_at) FROM controls WHERE name = ?1 AND observed_at >
                         (SELECT coalesce(max(observed_at), -1) FROM controls WHERE name = ?1 AND enabled <> 0)";
            let since = connection.prepare_cached(sql)?.query_row([name], |row| row.get::<_, Option<i64>>(0))?;
            since.map(Timestamp::from_seconds)
        }
    };
    if rows.is_empty() {
        rows.push(newest);
    }
    let more = rows.last().is_some_and(|last| last.observed_at < newest_at);
    Ok(ControlHistory { rows, more, off_since })
}

fn key_hash(row: &Row<'_>, at: usize) -> rusqlite::Result<KeyHash> {
    // The import takes nothing else.
    Ok(KeyHash::from_hex(&row.get::<_, String>(at)?).unwrap_or_default())
}

fn key(row: &Row<'_>, issuer: usize, at: usize) -> rusqlite::Result<CaseKey> {
    Ok(CaseKey { issuer_key_hash: key_hash(row, issuer)?, serial: serial(row, at)? })
}

fn serial(row: &Row<'_>, at: usize) -> rusqlite::Result<Serial> {
    let serial = Serial::from_hex(&row.get::<_, String>(at)?).unwrap_or(Serial(Vec::new()));
    Ok(Serial(crate::cert::crl::magnitude(&serial.0).to_vec()))
}

fn moment(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_seconds))
}
