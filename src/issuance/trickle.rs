//! Rows that come one after another: each is taken, waits for a row that it names, or is refused, and none of them
//! stops the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use crate::clock::{Span, Timestamp};
use crate::finding::escape;
use crate::issuance::import::{self, ImportSummary};
use crate::issuance::staging::{Fault, Staging};
use crate::issuance::{Embedded, IssuanceError, lines, schema, tables};

/// How long a row waits for the rows that it names.
pub(super) const PATIENCE: Span = Span::from_days(1);
/// How many rows of one feed wait at most, and how many refused ones are kept: the newest.
const WAITING_LIMIT: i64 = 50_000;
const KEPT_LIMIT: i64 = 100_000;
/// How much of a refused row is kept, in bytes.
const TEXT_LIMIT: usize = 65_536;

/// A row on its way into the record.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The line it came from, from 1.
    pub(super) line: u64,
    /// The row, with its table.
    pub(super) row: Map<String, Value>,
    /// It says less than another source may, and never replaces a row that is there.
    pub(super) only_if_absent: bool,
    /// Since when it waits; `None` when it is new.
    since: Option<Timestamp>,
}

impl Candidate {
    /// A new row.
    pub(super) fn new(line: u64, row: Map<String, Value>) -> Candidate {
        Candidate { line, row, only_if_absent: false, since: None }
    }

    /// A new row that never replaces one that is there.
    pub(super) fn if_absent(line: u64, row: Map<String, Value>, only_if_absent: bool) -> Candidate {
        Candidate { only_if_absent, ..Candidate::new(line, row) }
    }
}

/// Something that cannot be taken. All text is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line of the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Something that was refused and is kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub feed: String,
    /// The line of the file, from 1.
    pub line: u64,
    /// Why; escaped.
    pub reason: String,
    /// The row as JSON, or the line, escaped and cut.
    pub text: String,
    /// When it was refused.
    pub refused_at: Timestamp,
}

impl Embedded {
    /// Gives `take` what followed files brought and was refused, oldest first. Returns the place of the last of them.
    ///
    /// # Errors
    /// When SQLite cannot answer, or what `take` says.
    pub fn each_refused<E: From<IssuanceError>>(&self, mut take: impl FnMut(Kept) -> Result<(), E>) -> Result<i64, E> {
        let fault = |error| E::from(schema::error(self.path(), error));
        let connection = schema::connect(self.path())?;
        let sql = "SELECT feed, line, reason, text, refused_at_ms, seq FROM refused ORDER BY seq";
        let mut last = 0;
        let mut query = connection.prepare(sql).map_err(fault)?;
        let mut rows = query.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let read = || -> rusqlite::Result<Kept> {
                let line = row.get::<_, i64>(1)?.unsigned_abs();
                let refused_at = Timestamp::from_millis(row.get(4)?);
                Ok(Kept { feed: row.get(0)?, line, reason: row.get(2)?, text: row.get(3)?, refused_at })
            };
            take(read().map_err(fault)?)?;
            last = row.get(5).map_err(fault)?;
        }
        Ok(last)
    }

    /// Forgets what is kept aside up to this place, and nothing that came since; how much that was.
    ///
    /// # Errors
    /// When SQLite cannot do it.
    pub fn forget_refused(&self, last: i64) -> Result<u64, IssuanceError> {
        let forgotten = schema::connect(self.path())?.execute("DELETE FROM refused WHERE seq <= ?1", [last]);
        forgotten.map(|count| count as u64).map_err(|error| schema::error(self.path(), error))
    }
}

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) summary: ImportSummary,
    pub(super) refused: Vec<Refusal>,
}

/// Takes what can be taken. New rows that name a missing row wait; those that have waited too long are refused.
pub(super) fn take(
    tx: &Transaction<'_>,
    feed: &str,
    mut candidates: Vec<Candidate>,
    now: Timestamp,
) -> Result<Taken, Fault> {
    drop_outdone(tx, &mut candidates)?;
    let mut taken = Taken::default();
    while !candidates.is_empty() {
        let mut staging = Staging::one_by_one(tx)?;
        for (place, candidate) in candidates.iter().enumerate() {
            lines::object(place as u64, &candidate.row, None, &mut staging)?;
        }
        let complaints = staging.complaints()?;
        let keys: BTreeMap<u64, (String, String)> =
            staging.keys()?.into_iter().map(|(place, table, key)| (place, (table, key))).collect();
        for (table, key) in keys.values() {
            // What waits under the same key is older than what comes now.
            let sql = "DELETE FROM waiting WHERE feed = ?1 AND tab = ?2 AND key = ?3";
            tx.prepare_cached(sql)?.execute([feed, table, key])?;
        }
        if complaints.is_empty() {
            let fed = staging.tables();
            taken.summary = import::merge(tx, &fed, now)?;
            break;
        }
        // The rows without a complaint are staged again: one of them may name a row that is now left out.
        let mut out = BTreeSet::new();
        let mut hopeless: BTreeMap<u64, String> = BTreeMap::new();
        let mut hopeful: BTreeMap<u64, String> = BTreeMap::new();
        for (error, may_come) in complaints {
            out.insert(error.line);
            let reason = match &error.column {
                Some(column) => format!("column {column}: {}", error.reason),
                None => error.reason,
            };
            let reasons = if may_come { &mut hopeful } else { &mut hopeless };
            reasons.entry(error.line).or_insert(reason);
        }
        for (place, candidate) in (0_u64..).zip(&candidates).filter(|(place, _)| out.contains(place)) {
            let since = candidate.since.unwrap_or(now);
            let place_of = keys.get(&place);
            match (hopeless.remove(&place), hopeful.remove(&place), place_of) {
                (None, Some(reason), Some((table, key))) if now.since(since) < PATIENCE => {
                    wait(tx, feed, candidate, (table, key), &reason, since)?;
                }
                (None, Some(reason), _) => {
                    let reason = format!("{reason}, and none came within {PATIENCE}");
                    taken.refused.push(refuse(tx, feed, candidate, reason, now)?);
                }
                (reason, _, _) => {
                    let reason = reason.unwrap_or_else(|| "cannot be read".to_string());
                    taken.refused.push(refuse(tx, feed, candidate, reason, now)?);
                }
            }
        }
        let mut place = 0;
        candidates.retain(|_| {
            place += 1;
            !out.contains(&(place - 1))
        });
    }
    tx.execute_batch("DROP TABLE IF EXISTS temp.stage")?;
    taken.refused.extend(overflow(tx, feed, now)?);
    Ok(taken)
}

/// The rows of a feed that wait, oldest first.
pub(super) fn waiting(connection: &Connection, feed: &str) -> rusqlite::Result<Vec<Candidate>> {
    let sql = "SELECT line, row, only_if_absent, since_ms FROM waiting WHERE feed = ?1 ORDER BY seq";
    let mut rows = connection.prepare_cached(sql)?;
    let rows = rows.query_map([feed], |row| {
        Ok(Candidate {
            line: row.get::<_, i64>(0)?.unsigned_abs(),
            row: serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default(),
            only_if_absent: row.get(2)?,
            since: Some(Timestamp::from_millis(row.get(3)?)),
        })
    })?;
    rows.collect()
}

/// Refuses what waits, because nothing more will come.
pub(super) fn give_up(tx: &Transaction<'_>, feed: &str, now: Timestamp) -> rusqlite::Result<Vec<Refusal>> {
    let reasons = "SELECT reason FROM waiting WHERE feed = ?1 ORDER BY seq";
    let reasons: Vec<String> = tx.prepare(reasons)?.query_map([feed], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let waiting = waiting(tx, feed)?.into_iter().zip(reasons);
    let refused = waiting.map(|(candidate, reason)| refuse(tx, feed, &candidate, reason, now)).collect();
    tx.execute("DELETE FROM waiting WHERE feed = ?1", [feed])?;
    refused
}

/// How many rows of a feed wait.
pub(super) fn waiting_count(connection: &Connection, feed: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM waiting WHERE feed = ?1";
    connection.query_row(sql, [feed], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// Keeps a line aside that cannot be taken.
pub(super) fn refuse_line(
    tx: &Transaction<'_>,
    feed: &str,
    line: u64,
    text: &[u8],
    reason: String,
    now: Timestamp,
) -> rusqlite::Result<Refusal> {
    keep(tx, feed, line, &escape(text, TEXT_LIMIT), &reason, now)?;
    Ok(Refusal { line, reason })
}

fn refuse(
    tx: &Transaction<'_>,
    feed: &str,
    candidate: &Candidate,
    reason: String,
    now: Timestamp,
) -> rusqlite::Result<Refusal> {
    let text = Value::Object(candidate.row.clone()).to_string();
    let text = if text.len() <= TEXT_LIMIT { text } else { escape(text.as_bytes(), TEXT_LIMIT) };
    keep(tx, feed, candidate.line, &text, &reason, now)?;
    Ok(Refusal { line: candidate.line, reason })
}

fn keep(tx: &Transaction<'_>, feed: &str, line: u64, text: &str, reason: &str, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO refused (feed, line, reason, text, refused_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
    tx.prepare_cached(sql)?.execute(params![feed, line as i64, reason, text, now.millis()])?;
    let sql = "DELETE FROM refused WHERE seq <= (SELECT max(seq) FROM refused) - ?1";
    tx.prepare_cached(sql)?.execute([KEPT_LIMIT])?;
    Ok(())
}

fn wait(
    tx: &Transaction<'_>,
    feed: &str,
    candidate: &Candidate,
    (table, key): (&str, &str),
    reason: &str,
    since: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO waiting (feed, line, tab, key, row, only_if_absent, reason, since_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (feed, tab, key) DO UPDATE SET line = excluded.line, row = excluded.row,
                   only_if_absent = excluded.only_if_absent, reason = excluded.reason";
    let row = Value::Object(candidate.row.clone()).to_string();
    let line = candidate.line as i64;
    tx.prepare_cached(sql)?.execute(params![
        feed,
        line,
        table,
        key,
        row,
        candidate.only_if_absent,
        reason,
        since.millis()
    ])?;
    Ok(())
}

/// Refuses the oldest of too many that wait.
fn overflow(tx: &Transaction<'_>, feed: &str, now: Timestamp) -> rusqlite::Result<Vec<Refusal>> {
    let too_many = waiting_count(tx, feed)? as i64 - WAITING_LIMIT;
    if too_many <= 0 {
        return Ok(Vec::new());
    }
    let oldest = waiting(tx, feed)?.into_iter().take(too_many.unsigned_abs() as usize);
    let reason = || format!("names a row that is not there, and more than {WAITING_LIMIT} rows wait");
    let refused = oldest.map(|candidate| refuse(tx, feed, &candidate, reason(), now)).collect::<Result<_, _>>()?;
    let sql = "DELETE FROM waiting WHERE seq IN (SELECT seq FROM waiting WHERE feed = ?1 ORDER BY seq LIMIT ?2)";
    tx.execute(sql, params![feed, too_many])?;
    Ok(refused)
}

/// Leaves out rows that say less than what is there already or comes with them.
fn drop_outdone(tx: &Connection, candidates: &mut Vec<Candidate>) -> rusqlite::Result<()> {
    if !candidates.iter().any(|candidate| candidate.only_if_absent) {
        return Ok(());
    }
    let key = |candidate: &Candidate| {
        let table = tables::table(candidate.row.get("table")?.as_str()?)?;
        let value = candidate.row.get(table.columns[0].name)?;
        Some((table.name, table.columns[0].stored, value.as_str().map_or_else(|| value.to_string(), str::to_string)))
    };
    let full: HashSet<_> = candidates.iter().filter(|one| !one.only_if_absent).filter_map(key).collect();
    let mut outdone = Vec::new();
    for candidate in candidates.iter() {
        let there = match key(candidate) {
            Some(place) if candidate.only_if_absent => {
                let sql = format!("SELECT 1 FROM main.{} WHERE {} = ?1", place.0, place.1);
                full.contains(&place) || tx.prepare_cached(&sql)?.exists([place.2])?
            }
            _ => false,
        };
        outdone.push(there);
    }
    let mut outdone = outdone.into_iter();
    candidates.retain(|_| !outdone.next().unwrap_or_default());
    Ok(())
}
