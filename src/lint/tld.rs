//! Which top-level domains the DNS root had on which day.
//!
//! A list without dates is wrong twice: it misses names issued before a TLD was delegated and accuses names issued
//! before one was removed (rules.md 1.3). The embedded table holds facts of the ICANN gTLD registry and the IANA root
//! zone database. The table in force ([`TldTable::with`]) lays two newer sources over it, label by label:
//!
//! 1. A gTLD that the ICANN registry ([`GtldRegistry`]) has with a delegation date has the dates of the registry.
//! 2. What our own reading of the IANA list ([`RootList`]) has shown ([`Observed`]) fills in the dates that neither the
//!    registry nor the embedded table states. A label that no list had before day D is delegated from D on; a label that
//!    a later list lacks is gone from the day after it was last seen. Where lists are missing between the last one
//!    without (or with) it and the first one with (or without) it, what was issued between them is for review.

mod history;
mod registry;
mod root_list;

pub use history::Observed;
pub use registry::GtldRegistry;
pub use root_list::RootList;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::clock::{DAY, Timestamp};

/// A list that lacks more of what is in force than this many in a hundred is not believed.
const MOST_DROPPED_PERCENT: usize = 2;
/// Fewer entries than this are not the list: the root zone has had more since 2015.
const FEWEST: usize = 1000;

/// One delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    tld: Box<str>,
    delegated: Option<Timestamp>,
    /// First moment at which it was no longer delegated: the end of the day of removal.
    gone: Option<Timestamp>,
    /// From here until `delegated` no list was read: it may have been delegated already.
    entering: Option<Timestamp>,
    /// From `gone` until here no list was read: it may still have been delegated.
    leaving: Option<Timestamp>,
}

/// The dated table, sorted by TLD.
#[derive(Clone, Debug)]
pub struct TldTable {
    rows: Vec<Row>,
    as_of: Timestamp,
}

/// What the table says about a label at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TldState {
    /// It was in the root zone.
    Delegated,
    /// It entered the root zone only later, at this moment.
    NotYet(Timestamp),
    /// It had left the root zone at this moment.
    Removed(Timestamp),
    /// Of two lists read in a row one had it and the other had not, and the moment lies between them.
    Unsure(Timestamp, Timestamp),
    /// It is not in the table at all.
    Unknown,
}

/// Why a table, a registry or a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TldTableError {
    /// Not of the form of its source.
    #[error("{0}; look at what the source serves, and fetch it again")]
    Form(String),
    /// It is of a day that has not come.
    #[error("it says that it is of {0}, which is still to come; check the clock of this machine, then the source")]
    Future(String),
    /// It is older than what is in force.
    #[error("it is of {found}, the one in force of {in_force}; the source serves an old copy: try again later")]
    Older {
        /// Its day.
        found: String,
        /// The day of the one in force.
        in_force: String,
    },
    /// It lacks too much of what is in force.
    #[error(
        "it lacks {missing} of the {total} entries in force, more than {MOST_DROPPED_PERCENT} %: {examples} ...; look at \
         what the source serves, and upgrade ctwarden if that is right"
    )]
    Drops {
        /// How many.
        missing: usize,
        /// Of how many.
        total: usize,
        /// Some of them.
        examples: String,
    },
    /// A line that is not `tld,delegated_on,removed_on`.
    #[error("line {0} of the TLD table is not `tld,delegated_on,removed_on` with dates like 2026-08-02; correct it")]
    Line(usize),
    /// No `# as-of:` line.
    #[error("the TLD table has no line `# as-of: 2026-08-02` that says of which day it is; add it")]
    NoDate,
    /// Fewer rows than the root zone can have.
    #[error("the TLD table has only {0} rows, the root zone has more than 1000; fetch it again")]
    TooShort(usize),
}

impl TldTable {
    /// The table that is built in.
    pub fn embedded() -> TldTable {
        TldTable::parse(include_str!("tlds.csv")).unwrap_or(TldTable { rows: Vec::new(), as_of: Timestamp::EPOCH })
    }

    /// Reads a table of the same form as the built-in one: comments with `# as-of: DATE`, a heading, rows.
    pub fn parse(text: &str) -> Result<TldTable, TldTableError> {
        let mut as_of = None;
        let mut rows = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(date) = comment.trim().strip_prefix("as-of:") {
                    as_of = Timestamp::parse(date.trim());
                }
                continue;
            }
            if line.is_empty() || line.starts_with("tld,") {
                continue;
            }
            rows.push(Row::parse(line).ok_or(TldTableError::Line(number + 1))?);
        }
        if rows.len() < FEWEST {
            return Err(TldTableError::TooShort(rows.len()));
        }
        rows.sort_by(|a: &Row, b: &Row| a.tld.cmp(&b.tld));
        Ok(TldTable { rows, as_of: as_of.ok_or(TldTableError::NoDate)? })
    }

    /// The table in force: this one under what the registry says, and both under what the lists have shown.
    /// `history` is sorted by label and by first day. See the words on this module for what wins.
    pub fn with(&self, registry: Option<&GtldRegistry>, history: &[Observed]) -> TldTable {
        let mut labels: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        for row in &self.rows {
            labels.entry(&row.tld).or_default().push(row.clone());
        }
        for row in registry.iter().flat_map(|registry| registry.rows()) {
            labels.insert(&row.tld, vec![row.clone()]);
        }
        let mut as_of = self.as_of;
        for observed in history {
            as_of = as_of.max(observed.last_seen);
            let rows = labels.entry(&observed.tld).or_default();
            match rows.iter_mut().find(|row| row.meets(observed)) {
                Some(row) => {
                    if row.gone.is_none() && observed.gone_on.is_some() {
                        (row.gone, row.leaving) = (observed.gone(), observed.gone_on);
                    }
                }
                None => rows.push(Row {
                    tld: observed.tld.clone(),
                    delegated: observed.delegated(),
                    gone: observed.gone(),
                    entering: observed.absent_on.map(|day| day.plus(DAY)),
                    leaving: observed.gone_on,
                }),
            }
        }
        let mut rows: Vec<Row> = labels.into_values().flatten().collect();
        rows.sort_by(|a, b| (&a.tld, a.delegated).cmp(&(&b.tld, b.delegated)));
        TldTable { rows, as_of }
    }

    /// The day of which the table is; a TLD that is younger is unknown to it.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// The labels that are in the root zone on the day of the table.
    pub fn current(&self) -> impl Iterator<Item = &str> {
        self.delegated_at(self.as_of)
    }

    /// The labels that were in the root zone at that moment.
    pub fn delegated_at(&self, moment: Timestamp) -> impl Iterator<Item = &str> {
        let here = move |row: &&Row| {
            row.delegated.is_none_or(|from| from <= moment) && row.gone.is_none_or(|gone| gone > moment)
        };
        self.rows.iter().filter(here).map(|row| &*row.tld)
    }

    /// The labels with a delegation date and whether they are still delegated: the gTLDs.
    pub fn dated(&self) -> impl Iterator<Item = (&str, bool)> {
        let dated = self.rows.iter().filter(|row| row.delegated.is_some());
        dated.map(|row| (&*row.tld, row.gone.is_none()))
    }

    /// The rows of a label, whatever the case of its letters; a TLD may have left and come back.
    fn rows(&self, label: &[u8]) -> &[Row] {
        let label = match label.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(label.to_ascii_lowercase()),
            false => Cow::Borrowed(label),
        };
        let start = self.rows.partition_point(|row| row.tld.as_bytes() < label.as_ref());
        let rows = &self.rows[start..];
        let count = rows.iter().take_while(|row| row.tld.as_bytes() == label.as_ref()).count();
        &rows[..count]
    }

    /// Whether the label was a TLD at that moment.
    pub fn valid_at(&self, label: &[u8], moment: Timestamp) -> bool {
        self.state_at(label, moment) == TldState::Delegated
    }

    /// What the label was at that moment: delegated when delegated_on <= moment < removed_on + 1 day.
    pub fn state_at(&self, label: &[u8], moment: Timestamp) -> TldState {
        let mut state = TldState::Unknown;
        for row in self.rows(label) {
            if let Some(between) = row.unsure_at(moment) {
                return between;
            }
            match (row.delegated, row.gone) {
                (Some(delegated), _) if moment < delegated => {
                    if state == TldState::Unknown {
                        state = TldState::NotYet(delegated);
                    }
                }
                (_, Some(gone)) if moment >= gone => state = TldState::Removed(gone),
                _ => return TldState::Delegated,
            }
        }
        state
    }

    /// The moments at which the label entered or left the root zone.
    pub fn dates(&self, label: &[u8]) -> Vec<Timestamp> {
        let dates = |row: &Row| [row.entering, row.delegated, row.gone, row.leaving];
        self.rows(label).iter().flat_map(dates).flatten().collect()
    }
}

/// What a newer list lacks of what is in force; refused when it is too much for a day.
///
/// # Errors
/// [`TldTableError::Drops`].
fn check_dropped<'a>(in_force: impl Iterator<Item = &'a str>, has: impl Fn(&str) -> bool) -> Result<(), TldTableError> {
    let (mut total, mut missing) = (0, Vec::new());
    for label in in_force {
        total += 1;
        if !has(label) {
            missing.push(label);
        }
    }
    if missing.len() * 100 <= total * MOST_DROPPED_PERCENT {
        return Ok(());
    }
    let examples = missing.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    Err(TldTableError::Drops { missing: missing.len(), total, examples })
}

/// A day on which a list may have been made, seen from `now`: not after tomorrow, for clocks differ.
fn check_day(day: Timestamp, in_force: Timestamp, now: Timestamp) -> Result<(), TldTableError> {
    if day > now.plus(DAY) {
        return Err(TldTableError::Future(day.day()));
    }
    if day < in_force {
        return Err(TldTableError::Older { found: day.day(), in_force: in_force.day() });
    }
    Ok(())
}

/// A label as the root zone has them (RFC 1123 2.1, RFC 5890 2.3.1), in lower case.
fn label(text: &str) -> Option<Box<str>> {
    let good = !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    good.then(|| text.to_ascii_lowercase().into_boxed_str())
}

impl Row {
    /// With dates that a registry states.
    fn stated(tld: Box<str>, delegated: Option<Timestamp>, removed: Option<Timestamp>) -> Row {
        Row { tld, delegated, gone: removed.map(|day| day.plus(DAY)), entering: None, leaving: None }
    }

    /// Whether it is the delegation that was observed: the two have a moment in common.
    fn meets(&self, observed: &Observed) -> bool {
        let begins_before_its_end = self.delegated.is_none_or(|from| observed.gone_on.is_none_or(|gone| from < gone));
        begins_before_its_end && self.gone.is_none_or(|gone| gone > observed.first_seen)
    }

    fn unsure_at(&self, moment: Timestamp) -> Option<TldState> {
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| match (from, to) {
            (Some(from), Some(to)) if (from..to).contains(&moment) => Some((from, to)),
            _ => None,
        };
        let entered = between(self.entering, self.delegated).or(between(self.gone, self.leaving));
        entered.map(|(from, to)| TldState::Unsure(from.minus(DAY), to))
    }

    fn parse(line: &str) -> Option<Row> {
        let (tld, dates) = line.split_once(',')?;
        let (delegated, removed) = dates.split_once(',')?;
        let date = |text: &str| match text {
            "" => Some(None),
            text => Timestamp::parse(text).map(Some),
        };
        Some(Row::stated(label(tld)?, date(delegated)?, date(removed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR, date};

    #[test]
    fn the_embedded_table_knows_its_dates() {
        let table = TldTable::embedded();
        assert!(table.rows.len() > 1500);
        assert_eq!(table.as_of(), date(2026, 8, 2));
        for (label, moment, valid) in [
            ("com", date(2012, 7, 1), true),
            ("COM", date(2026, 7, 1), true),
            ("eus", date(2026, 11, 1), true),
            ("merck", date(2026, 4, 16), false),
            ("merck", date(2026, 4, 17), true),
            ("doosan", date(2016, 2, 24).plus(HOUR), true),
            ("doosan", date(2016, 2, 25), false),
            ("an", date(2015, 7, 31), true),
            ("an", date(2015, 8, 1), false),
            ("dd", date(2012, 7, 1), false),
            ("euskalsarea", date(2026, 11, 1), false),
            ("jaso", date(2016, 5, 1), false),
            ("onion", date(2020, 5, 1), false),
            ("", date(2020, 5, 1), false),
        ] {
            assert_eq!(table.valid_at(label.as_bytes(), moment), valid, "{label} {moment}");
        }
        assert_eq!(table.state_at(b"merck", date(2026, 4, 16)), TldState::NotYet(date(2026, 4, 17)));
        assert_eq!(table.state_at(b"doosan", date(2020, 1, 1)), TldState::Removed(date(2016, 2, 25)));
        assert_eq!(table.dates(b"doosan"), [date(2014, 12, 13), date(2016, 2, 25)]);
    }

    #[test]
    fn a_tld_may_come_back() {
        let mut text = include_str!("tlds.csv").to_string();
        text.push_str("zzz,2014-01-01,2015-01-01\nzzz,2020-01-01,\n");
        let table = TldTable::parse(&text).expect("well formed");
        let states = [2013, 2014, 2016, 2021].map(|year| table.valid_at(b"zzz", date(year, 6, 1)));
        assert_eq!(states, [false, true, false, true]);
    }

    #[test]
    fn a_bad_table_is_refused_with_the_line() {
        assert_eq!(TldTable::parse("tld,a,b\ncom,,\nx y,,\n").err(), Some(TldTableError::Line(3)));
        assert_eq!(TldTable::parse("com,yesterday,\n").err(), Some(TldTableError::Line(1)));
        assert_eq!(TldTable::parse("com,,\n").err(), Some(TldTableError::TooShort(1)));
        let undated = include_str!("tlds.csv").replace("as-of", "as of");
        assert_eq!(TldTable::parse(&undated).err(), Some(TldTableError::NoDate));
    }

    #[test]
    fn it_says_what_the_shared_table_says() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_string();
        let folder = std::env::var("CTWARDEN_SHARED").ok().filter(|_| !std::path::Path::new(&here).exists());
        let Ok(text) = std::fs::read_to_string(format!("{}/tlds.csv", folder.unwrap_or(here))) else {
            return println!("skipped: no ../shared/data");
        };
        let table = TldTable::embedded();
        for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
            let row = Row::parse(line).expect("a row");
            assert_eq!(table.rows(row.tld.as_bytes()), std::slice::from_ref(&row));
        }
    }
}
