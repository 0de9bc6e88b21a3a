//! The IANA list of the root zone, `tlds-alpha-by-domain.txt`: a day and every TLD of it, without dates.

use std::collections::BTreeSet;

use super::{FEWEST, TldTableError, check_day, check_dropped, label};
use crate::clock::Timestamp;
use crate::finding::escape;

/// The TLDs of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootList {
    /// The day of its version.
    pub day: Timestamp,
    /// The labels, in lower case.
    pub tlds: BTreeSet<Box<str>>,
}

impl RootList {
    /// Reads the list: `# Version 2026112200, Last Updated ...`, then one label on each line.
    ///
    /// # Errors
    /// When it is not of that form, ends in the middle of a line, or has fewer labels than the root zone.
    pub fn parse(bytes: &[u8]) -> Result<RootList, TldTableError> {
        let form = |what: &str| TldTableError::Form(format!("not the IANA list of TLDs: {what}"));
        let text = std::str::from_utf8(bytes).map_err(|_| form("it is not text"))?;
        let head = text.lines().next().unwrap_or_default();
        let version = head.strip_prefix("# Version ").and_then(|rest| rest.get(..8));
        let day = version.and_then(|digits| {
            Timestamp::parse(&format!("{}-{}-{}", digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?))
        });
        let day = day.ok_or_else(|| form("its first line is not `# Version 2026112200, ...`"))?;
        if !text.ends_with('\n') {
            return Err(form("it ends in the middle of a line"));
        }
        let mut tlds = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let odd = || form(&format!("{:?} is not a label", escape(line.as_bytes(), 63)));
            tlds.insert(label(line.trim()).ok_or_else(odd)?);
        }
        if tlds.len() < FEWEST {
            return Err(TldTableError::TooShort(tlds.len()));
        }
        Ok(RootList { day, tlds })
    }

    /// Whether it may follow a list of the day `in_force` that had the labels `current`.
    ///
    /// # Errors
    /// When it is older, of a day to come, or lacks too many of them.
    pub fn check<'a>(
        &self,
        current: impl Iterator<Item = &'a str>,
        in_force: Timestamp,
        now: Timestamp,
    ) -> Result<(), TldTableError> {
        check_day(self.day, in_force, now)?;
        check_dropped(current, |tld| self.tlds.contains(tld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, date};
    use crate::lint::tld::TldTable;

    fn text(version: &str, without: usize) -> String {
        let embedded = TldTable::embedded();
        let tlds = embedded.current().skip(without).map(|tld| format!("{}\n", tld.to_ascii_uppercase()));
        format!("# Version {version}, Last Updated Sun Nov 22 07:07:01 2026 UTC\n{}", tlds.collect::<String>())
    }

    #[test]
    fn the_list_is_read_and_held_against_the_one_in_force() {
        let embedded = TldTable::embedded();
        let list = RootList::parse(text("2026112200", 0).as_bytes()).expect("a list");
        assert_eq!((list.day, list.tlds.len()), (date(2026, 11, 22), embedded.current().count()));
        assert!(list.tlds.contains("eus") && list.tlds.contains("xn--p1ai") && !list.tlds.contains("doosan"));
        let check = |list: &RootList, in_force| list.check(embedded.current(), in_force, date(2026, 11, 22));
        assert_eq!(check(&list, date(2026, 11, 22)), Ok(()));
        assert!(matches!(check(&list, date(2026, 11, 23)), Err(TldTableError::Older { .. })));
        let future = RootList { day: date(2026, 11, 22).plus(DAY).plus(DAY), ..list };
        assert!(matches!(check(&future, date(2026, 11, 22)), Err(TldTableError::Future(_))));
        let total = embedded.current().count();
        let lacking = |count| RootList::parse(text("2026112200", count).as_bytes()).expect("a list");
        assert_eq!(check(&lacking(total / 50), embedded.as_of()), Ok(()));
        let refused = check(&lacking(total / 50 + 1), embedded.as_of()).expect_err("too few").to_string();
        assert!(refused.contains("more than 2 %") && refused.contains("aaa"), "{refused}");
    }

    #[test]
    fn what_is_not_the_list_is_refused() {
        let whole = text("2026112200", 0);
        for (bad, says) in [
            ("<html>".to_string(), "first line"),
            (whole.replace("2026112200", "20261"), "first line"),
            (whole.replace("2026112200", "2026139900"), "first line"),
            (whole[..whole.len() - 2].to_string(), "middle of a line"),
            (whole.replace("\nEUS\n", "\nE US\n"), "is not a label"),
            ("# Version 2026112200\nCOM\n".to_string(), "only 1 rows"),
        ] {
            let error = RootList::parse(bad.as_bytes()).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(RootList::parse(&[0xff, 0xfe]).is_err());
    }
}
