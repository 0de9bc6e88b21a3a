//! Words of the CA's own terms that hold for a time: `3.2.2.4.4 until 2026-03-15`, `ES from 2019-11-15`.

use crate::clock::Timestamp;

/// A word and the days of issuance on which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The word.
    pub word: String,
    /// First moment at which it holds; `None`: always.
    pub from: Option<Timestamp>,
    /// First moment at which it no longer holds; `None`: still.
    pub until: Option<Timestamp>,
}

impl From<&str> for Dated {
    fn from(word: &str) -> Dated {
        Dated { word: word.to_string(), from: None, until: None }
    }
}

impl Dated {
    /// Reads `WORD [from DAY] [until DAY]`; the days are UTC, `until` is the first on which it no longer holds.
    ///
    /// # Errors
    /// What is wrong with it, to stand after the text.
    pub fn parse(text: &str) -> Result<Dated, &'static str> {
        let mut words = text.split_whitespace();
        let mut dated = Dated::from(words.next().ok_or("is empty")?);
        while let Some(key) = words.next() {
            let day = words.next().and_then(Timestamp::parse).filter(|day| (1990..2100).contains(&day.year()));
            let day = day.ok_or("has no day such as 2026-03-15 after from or until")?;
            let place = match key {
                "from" => &mut dated.from,
                "until" => &mut dated.until,
                _ => return Err("has more words than WORD from DAY until DAY"),
            };
            if place.replace(day).is_some() {
                return Err("says from or until twice");
            }
        }
        match (dated.from, dated.until) {
            (Some(from), Some(until)) if until <= from => Err("ends before it begins"),
            _ => Ok(dated),
        }
    }

    /// Whether it holds at this moment.
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.from.is_none_or(|from| moment >= from) && self.until.is_none_or(|until| moment < until)
    }
}

/// What a list says of a moment: the words that hold then; `None` when none does, so that it says nothing.
pub fn at(list: &[Dated], moment: Timestamp) -> Option<Vec<&str>> {
    let holding: Vec<&str> = list.iter().filter(|dated| dated.holds(moment)).map(|dated| dated.word.as_str()).collect();
    (!holding.is_empty()).then_some(holding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Span, date};

    #[test]
    fn words_hold_from_midnight_of_a_day_until_midnight_of_another() {
        let dated = Dated::parse(" http-01  from 2020-03-03 until 2026-03-15 ").expect("reads");
        let second = Span::from_seconds(1);
        for (moment, holds) in [
            (date(2020, 3, 3).minus(second), false),
            (date(2020, 3, 3), true),
            (date(2026, 3, 15).minus(second), true),
            (date(2026, 3, 15), false),
        ] {
            assert_eq!(dated.holds(moment), holds, "{moment}");
        }
        assert_eq!(Dated::parse("web"), Ok(Dated::from("web")));
        let list = [Dated::parse("ES from 2019-11-15").expect("reads")];
        assert_eq!((at(&list, date(2019, 11, 14)), at(&list, date(2019, 11, 15))), (None, Some(vec!["ES"])));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let odd = ["", "a b", "a from", "a from soon", "a from 2020-01-01 from 2021-01-01", "a since 2020-01-01"];
        for text in odd.into_iter().chain(["a from 2021-01-01 until 2020-01-01", "a until 1019-01-01"]) {
            assert!(Dated::parse(text).is_err(), "{text}");
        }
    }
}
