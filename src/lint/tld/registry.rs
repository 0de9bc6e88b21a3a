//! The ICANN registry of generic TLDs, `gtlds/v2/gtlds.json`: the days of delegation and removal.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{FEWEST, Row, TldTable, TldTableError, check_day, check_dropped, label};
use crate::clock::Timestamp;
use crate::finding::escape;

/// The generic TLDs that were ever delegated.
#[derive(Clone, Debug)]
pub struct GtldRegistry {
    rows: BTreeMap<Box<str>, Row>,
    as_of: Timestamp,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "gTLDs")]
    gtlds: Vec<Gtld>,
    #[serde(rename = "updatedOn", default)]
    updated_on: Option<String>,
}

/// `contractTerminated` is not read: a TLD without a contract stays in the root zone until it is removed.
#[derive(Deserialize)]
struct Gtld {
    #[serde(rename = "gTLD")]
    gtld: String,
    #[serde(rename = "delegationDate")]
    delegation_date: Option<String>,
    #[serde(rename = "removalDate")]
    removal_date: Option<String>,
}

impl GtldRegistry {
    /// Reads the JSON. An entry with impossible dates is left out. `read_at` is its day when it names none.
    ///
    /// # Errors
    /// When it is not of the registry's form or has fewer entries than it can have.
    pub fn parse(bytes: &[u8], read_at: Timestamp) -> Result<GtldRegistry, TldTableError> {
        let odd = |e: serde_json::Error| {
            TldTableError::Form(format!("not the gTLD registry's JSON ({})", escape(e.to_string().as_bytes(), 200)))
        };
        let body: Body = serde_json::from_slice(bytes).map_err(odd)?;
        let rows: BTreeMap<Box<str>, Row> =
            body.gtlds.iter().filter_map(Gtld::row).map(|row| (row.tld.clone(), row)).collect();
        if rows.len() < FEWEST {
            return Err(TldTableError::TooShort(rows.len()));
        }
        Ok(GtldRegistry { rows, as_of: body.updated_on.as_deref().and_then(day).unwrap_or(read_at) })
    }

    /// Whether it may take the place of what is in force: the registry that was read last, or the embedded table.
    ///
    /// # Errors
    /// When it is older, of a day to come, or drops too much. A removal that it newly states drops an entry too.
    pub fn check(
        &self,
        before: Option<&GtldRegistry>,
        embedded: &TldTable,
        now: Timestamp,
    ) -> Result<(), TldTableError> {
        check_day(self.as_of, before.map_or(embedded.as_of(), GtldRegistry::as_of), now)?;
        let in_force: BTreeMap<&str, bool> = match before {
            Some(before) => before.rows.values().map(|row| (&*row.tld, row.gone.is_none())).collect(),
            None => embedded.dated().collect(),
        };
        let keeps = |tld: &str| {
            let row = self.rows.get(tld);
            row.is_some_and(|row| row.gone.is_none() || in_force.get(tld) == Some(&false))
        };
        check_dropped(in_force.keys().copied(), keeps)
    }

    /// The day that it states, otherwise when it was read.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }
}

impl Gtld {
    /// The delegation, if it was ever delegated and its dates are dates.
    fn row(&self) -> Option<Row> {
        let delegated = day(self.delegation_date.as_deref()?)?;
        let removed = match self.removal_date.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(day(text).filter(|removed| *removed >= delegated)?),
            None => None,
        };
        Some(Row::stated(label(&self.gtld)?, Some(delegated), removed))
    }
}

/// The day at the head of a date or a time.
fn day(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text.get(..10)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, date};
    use crate::lint::tld::RootList;

    const NOW: Timestamp = date(2026, 11, 22);

    /// The embedded facts in the registry's form, changed.
    fn json(change: impl Fn(&str, bool) -> Option<String>) -> String {
        let embedded = TldTable::embedded();
        let row = |row: &Row| {
            let delegated = row.delegated?.day();
            let removed = row.gone.map(|gone| gone.minus(DAY).day());
            let usual = || {
                let removed = removed.as_ref().map_or("null".to_string(), |day| format!("\"{day}\""));
                format!(r#"{{"gTLD": "{}", "delegationDate": "{delegated}", "removalDate": {removed}}}"#, row.tld)
            };
            match change(&row.tld, row.gone.is_some()) {
                Some(other) if other.is_empty() => None,
                Some(other) => Some(other),
                None => Some(usual()),
            }
        };
        let rows: Vec<String> = embedded.rows.iter().filter_map(row).collect();
        format!(r#"{{"gTLDs": [{}], "updatedOn": "2026-11-22T01:02:03-0700", "version": 2}}"#, rows.join(","))
    }

    fn parsed(text: &str) -> GtldRegistry {
        GtldRegistry::parse(text.as_bytes(), NOW).expect("a registry")
    }

    #[test]
    fn dates_come_from_the_registry() {
        let text = json(|tld, _| match tld {
            "merck" => Some(r#"{"gTLD": "MERCK", "delegationDate": "2026-04-20", "removalDate": "2026-05-01"}"#.into()),
            "web" => Some(r#"{"gTLD": "web", "delegationDate": null, "removalDate": null}"#.into()),
            "eus" => Some(r#"{"gTLD": "eus", "delegationDate": "2016-01-02", "removalDate": "2015-01-02"}"#.into()),
            _ => None,
        });
        let registry = parsed(&text);
        assert_eq!(registry.as_of(), NOW);
        registry.check(None, &TldTable::embedded(), NOW).expect("three of more than a thousand are changed");
        let table = TldTable::embedded().with(Some(&registry), &[]);
        assert_eq!(table.dates(b"merck"), [date(2026, 4, 20), date(2026, 5, 2)]);
        // What it has no usable dates for stays as it was.
        for tld in ["web", "eus", "doosan", "es", "an"] {
            assert_eq!(table.dates(tld.as_bytes()), TldTable::embedded().dates(tld.as_bytes()), "{tld}");
        }
    }

    #[test]
    fn what_the_registry_says_is_gone_is_not_missed_in_the_list() {
        let embedded = TldTable::embedded();
        let gone: Vec<&str> =
            embedded.dated().filter(|(_, delegated)| *delegated).map(|(tld, _)| tld).take(99).collect();
        let row = |tld: &str| {
            let dates = r#""delegationDate": "2015-01-01", "removalDate": "2026-10-01""#;
            gone.contains(&tld).then(|| format!(r#"{{"gTLD": "{tld}", {dates}}}"#))
        };
        let registry = parsed(&json(|tld, _| row(tld)));
        let tlds = embedded.current().filter(|tld| !gone.contains(tld)).map(Into::into).collect();
        let list = RootList { day: NOW, tlds };
        let told = embedded.with(Some(&registry), &[]);
        assert_eq!(list.check(told.delegated_at(NOW), embedded.as_of(), NOW), Ok(()));
        let untold = list.check(embedded.delegated_at(NOW), embedded.as_of(), NOW);
        assert!(matches!(untold, Err(TldTableError::Drops { missing: 99, .. })), "{untold:?}");
    }

    #[test]
    fn what_is_not_the_registry_or_drops_too_much_is_refused() {
        let embedded = TldTable::embedded();
        for text in ["", "{}", "[]", "<html>", r#"{"gTLDs": [{"gTLD": 3}]}"#, r#"{"gTLDs": {}}"#] {
            assert!(matches!(GtldRegistry::parse(text.as_bytes(), NOW), Err(TldTableError::Form(_))), "{text}");
        }
        let whole = json(|_, _| None);
        assert!(GtldRegistry::parse(&whole.as_bytes()[..whole.len() / 2], NOW).is_err(), "cut");
        assert_eq!(GtldRegistry::parse(br#"{"gTLDs": []}"#, NOW).err(), Some(TldTableError::TooShort(0)));
        let total = embedded.dated().count();
        let drop = |count: usize, with: &'static str| {
            let dropped: Vec<&str> =
                embedded.dated().filter(|(_, delegated)| *delegated).map(|(tld, _)| tld).take(count).collect();
            let other = |tld: &str| {
                let of_it = with.replace("THIS", tld);
                dropped.contains(&tld).then_some(of_it)
            };
            parsed(&json(|tld, _| other(tld))).check(None, &embedded, NOW)
        };
        let gone = r#"{"gTLD": "THIS", "delegationDate": "2001-01-01", "removalDate": "2026-11-01"}"#;
        for with in ["", gone] {
            assert_eq!(drop(total / 50, with), Ok(()));
            assert!(matches!(drop(total / 50 + 1, with), Err(TldTableError::Drops { .. })), "{with}");
        }
        let registry = parsed(&whole);
        let older = parsed(&whole.replace("2026-11-22", "2026-11-20"));
        assert!(matches!(older.check(Some(&registry), &embedded, NOW), Err(TldTableError::Older { .. })));
        let future = parsed(&whole.replace("2026-11-22", "2026-11-24"));
        assert!(matches!(future.check(Some(&registry), &embedded, NOW), Err(TldTableError::Future(_))));
    }
}
