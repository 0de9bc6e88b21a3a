//! Which top-level domains the DNS root had on which day.
//!
//! A list without dates is wrong twice: it misses names issued before a TLD was delegated and accuses names issued
//! before one was removed (rules.md 1.3). The embedded table holds facts of the ICANN gTLD registry and the IANA root
//! zone database; a newer file of the same form can be read in its place.

use crate::clock::{DAY, Timestamp};

/// One delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    tld: Box<str>,
    delegated: Option<Timestamp>,
    /// First moment at which it was no longer delegated: the end of the day of removal.
    gone: Option<Timestamp>,
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
    /// It is not in the table at all.
    Unknown,
}

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TldTableError {
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
        if rows.len() < 1000 {
            return Err(TldTableError::TooShort(rows.len()));
        }
        rows.sort_by(|a: &Row, b: &Row| a.tld.cmp(&b.tld));
        Ok(TldTable { rows, as_of: as_of.ok_or(TldTableError::NoDate)? })
    }

    /// The day of which the table is; a TLD that is younger is unknown to it.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// The rows of a label, whatever the case of its letters; a TLD may have left and come back.
    fn rows(&self, label: &[u8]) -> &[Row] {
        let label = label.to_ascii_lowercase();
        let start = self.rows.partition_point(|row| row.tld.as_bytes() < label.as_slice());
        let end = self.rows.partition_point(|row| row.tld.as_bytes() <= label.as_slice());
        &self.rows[start..end]
    }

    /// Whether the label was a TLD at that moment.
    pub fn valid_at(&self, label: &[u8], moment: Timestamp) -> bool {
        self.state_at(label, moment) == TldState::Delegated
    }

    /// What the label was at that moment: delegated when delegated_on <= moment < removed_on + 1 day.
    pub fn state_at(&self, label: &[u8], moment: Timestamp) -> TldState {
        let mut state = TldState::Unknown;
        for row in self.rows(label) {
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
        self.rows(label).iter().flat_map(|row| [row.delegated, row.gone]).flatten().collect()
    }
}

impl Row {
    fn parse(line: &str) -> Option<Row> {
        let (tld, dates) = line.split_once(',')?;
        let (delegated, removed) = dates.split_once(',')?;
        let date = |text: &str| match text {
            "" => Some(None),
            text => Timestamp::parse(text).map(Some),
        };
        if tld.is_empty() || tld.bytes().any(|b| !b.is_ascii_alphanumeric() && b != b'-') {
            return None;
        }
        let tld = tld.to_ascii_lowercase().into_boxed_str();
        Some(Row { tld, delegated: date(delegated)?, gone: date(removed)?.map(|day| day.plus(DAY)) })
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
