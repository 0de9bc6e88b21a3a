//! The observations of the CA's controls. They are asked for every minute, of a table that only grows: what an earlier
//! answer has shown is kept in short, and only what is newer is asked for.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde_json::Value;

use super::error::SqlError;
use super::mirror::{MOST_ROWS, Rows};
use super::question::Filter;
use super::{Held, Sql};
use crate::clock::{HOUR, Span, Timestamp};
use crate::issuance::tables::{self, Table};

/// The newest observations of one control that are looked at.
const OBSERVATIONS: u64 = 2_000;
/// How often all of them are asked for again: one may have come late, or be gone.
const WHOLE_EVERY: Span = HOUR;
/// How late an observation may come and be seen at once.
const LATE: Span = HOUR;

/// What an answer has shown.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// When all of them were asked for.
    whole_at: Timestamp,
    /// The newest of all observations, in seconds.
    until: i64,
    /// Of each control, by the time: the last one that was in force, the first one after it, the newest.
    rows: BTreeMap<String, BTreeMap<i64, Vec<Value>>>,
}

impl Known {
    /// From when on observations are asked for: those after the given times are wanted, as far as they are not known.
    fn since(&self, after: &[(String, Timestamp)], now: Timestamp) -> i64 {
        let newest = |name: &str| self.rows.get(name).and_then(|rows| rows.keys().next_back().copied());
        let unread = after.iter().filter(|(name, at)| newest(name).is_some_and(|newest| at.seconds() < newest));
        let unread = unread.map(|(_, at)| at.seconds()).min();
        // A clock that is ahead must not hide what others say.
        unread.unwrap_or(i64::MAX).min(self.until.min(now.seconds()) - LATE.seconds())
    }

    /// Puts these rows, all there are from a time on, in the place of what was known of it.
    fn renew(&mut self, table: &Table, since: Option<i64>, rows: &Rows) {
        for known in self.rows.values_mut() {
            known.retain(|at, _| since.is_some_and(|since| *at < since));
        }
        for (_, values) in rows {
            let number = |name: &str| table.value(values, name).and_then(Value::as_i64);
            if let (Some(Value::String(name)), Some(at)) = (table.value(values, "name"), number("observed_at")) {
                self.rows.entry(name.clone()).or_default().insert(at, values.clone());
                self.until = self.until.max(at);
            }
        }
        let is_on = |values: &Vec<Value>| table.value(values, "enabled").and_then(Value::as_i64) != Some(0);
        self.rows.retain(|_, known| {
            let last_on = known.iter().rev().find(|(_, values)| is_on(values)).map(|(at, _)| *at);
            let first_off = known.iter().find(|(at, _)| last_on.is_none_or(|on| **at > on)).map(|(at, _)| *at);
            let newest = known.keys().next_back().copied();
            known.retain(|at, _| [last_on, first_off, newest].contains(&Some(*at)));
            !known.is_empty()
        });
    }
}

impl Sql {
    /// The observations after the given times, the newest of each control, and since when one is off.
    pub(super) async fn controls(&self, held: &mut Held, after: &[(String, Timestamp)]) -> Result<Rows, SqlError> {
        let now = self.shared.clock.now();
        let Some(table) = tables::table("controls").filter(|table| self.settings().feeds(table.name)) else {
            return Ok(Rows::new());
        };
        let lock = || self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner);
        // A time that is text cannot be compared by the server: all are asked for every time.
        let is_comparable = held.link.shape(self.settings(), table).await?.compares("observed_at");
        let known = lock().clone().filter(|known| is_comparable && now < known.whole_at.plus(WHOLE_EVERY));
        let since = known.as_ref().map(|known| known.since(after, now));
        let newest = Some(("name", "observed_at", OBSERVATIONS));
        let times = since.map(|since| ("observed_at", ">=", since)).into_iter().collect();
        let filter = Filter { newest, times, limit: Some(MOST_ROWS), ..Filter::default() };
        let mut rows = self.rows(held, table.name, &filter).await?;
        let mut known = known.unwrap_or(Known { whole_at: now, until: 0, rows: BTreeMap::new() });
        let mut before = known.clone();
        known.renew(table, since, &rows);
        *lock() = Some(known);
        // What is asked for anew counts, and not what was known of it.
        before.renew(table, since, &Rows::new());
        rows.extend(before.rows.into_values().flat_map(BTreeMap::into_values).map(|values| (table, values)));
        Ok(rows)
    }
}
