//! The columns of the feed for readers of whole tables: the same values are kept and refused as in an import.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::issuance::column::{Kind, Raw};
use crate::issuance::reuse;
use crate::issuance::tables::{self, Table};

/// A value as a file or a database gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Given<'a> {
    /// Absent, `null`, or an empty text.
    Null,
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Text, trimmed.
    Text(&'a str),
    /// Something else: its name, for the complaint.
    Other(&'static str),
}

impl<'a> Given<'a> {
    /// The value of a text.
    pub(crate) fn text(text: &'a str) -> Given<'a> {
        let edges = text.as_bytes().first().zip(text.as_bytes().last());
        if edges.is_some_and(|(first, last)| first.is_ascii_graphic() && last.is_ascii_graphic()) {
            return Given::Text(text);
        }
        let text = text.trim();
        if text.is_empty() { Given::Null } else { Given::Text(text) }
    }
    /// The value of bytes that should be text.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Given<'a> {
        std::str::from_utf8(bytes).map_or(Given::Other("not UTF-8"), Given::text)
    }
    /// The value of a JSON member.
    pub(crate) fn member(value: Option<&'a Value>) -> Given<'a> {
        match Raw::member(value) {
            Raw::Null => Given::Null,
            Raw::Number(number) => Given::Number(number),
            Raw::Flag(flag) => Given::Flag(flag),
            Raw::Text(text) => Given::Text(text),
            Raw::Other(what) => Given::Other(what),
        }
    }
    fn raw(self) -> Raw<'a> {
        match self {
            Given::Null => Raw::Null,
            Given::Number(number) => Raw::Number(number),
            Given::Flag(flag) => Raw::Flag(flag),
            Given::Text(text) => Raw::Text(text),
            Given::Other(what) => Raw::Other(what),
        }
    }
}

/// A column of a table of the feed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedColumn {
    /// Its name.
    pub(crate) name: &'static str,
    kind: Kind,
    required: bool,
}

/// The columns of a table of the feed in their order; `None` when there is no such table.
pub(crate) fn columns(table: &str) -> Option<Vec<FeedColumn>> {
    let of = |table: &Table| {
        let column = |c: &tables::Column| FeedColumn { name: c.name, kind: c.kind, required: c.required };
        table.columns.iter().map(column).collect()
    };
    tables::table(table).map(of)
}

/// Whether a method means that an earlier validation was reused.
pub(crate) fn means_reuse(method: &str) -> bool {
    reuse::means_reuse(method)
}

/// The column that a table of the feed keeps under another name in the embedded database.
pub(crate) fn stored(table: &str, column: &str) -> Option<&'static str> {
    let found = tables::table(table)?.columns.iter().find(|c| c.name == column)?;
    (!found.stored.is_empty()).then_some(found.stored)
}

impl FeedColumn {
    /// Whether a number, moment or flag is kept as it is.
    pub(crate) fn keeps(&self, number: i64) -> bool {
        match self.kind {
            Kind::Id | Kind::Count => number > 0,
            Kind::Moment => (0..=4_000_000_000).contains(&number),
            _ => false,
        }
    }

    /// Whether all numbers, moments or flags from one to another are kept as they are.
    pub(crate) fn keeps_between(&self, least: i64, most: i64) -> bool {
        // What each kind keeps is a range.
        self.keeps(least) && self.keeps(most)
    }

    /// Whether a row may lack it.
    pub(crate) fn may_lack(&self) -> bool {
        !self.required
    }

    /// Whether a text is certainly kept as it is.
    #[inline]
    pub(crate) fn keeps_text(&self, text: &str) -> bool {
        match self.kind {
            Kind::Name => is_plain(text.strip_prefix("*.").unwrap_or(text)) || text.parse::<Ipv4Addr>().is_ok(),
            // The parser takes no other form of an address of version 4 than the one that is kept.
            Kind::Domain => is_plain(text) || text.parse::<Ipv4Addr>().is_ok(),
            Kind::Text => {
                let octets = text.as_bytes();
                // What begins or ends with a space is kept without.
                let edges = octets.first().zip(octets.last()).is_some_and(|(a, b)| *a != b' ' && *b != b' ');
                edges && octets.len() <= 200 && all(octets, |octet| (0x20..0x7f).contains(&octet))
            }
            _ => false,
        }
    }

    /// A number, moment (seconds since 1970) or flag.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(crate) fn whole(&self, given: Given<'_>) -> Result<Option<i64>, String> {
        match (given, self.kind) {
            (Given::Number(number), _) if self.keeps(number) => return Ok(Some(number)),
            (Given::Null, _) if !self.required => return Ok(None),
            _ => {}
        }
        match self.kind.read(given.raw())? {
            Value::Null if self.required => Err("is missing".to_string()),
            value => Ok(value.as_i64()),
        }
    }

    /// A text in the form in which it is kept.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(crate) fn text<'a>(&self, given: Given<'a>) -> Result<Option<Cow<'a, str>>, String> {
        match given {
            Given::Null if !self.required => return Ok(None),
            Given::Text(text) if self.keeps_text(text) => return Ok(Some(Cow::Borrowed(text))),
            _ => {}
        }
        match self.kind.read(given.raw())? {
            Value::Null if self.required => Err("is missing".to_string()),
            Value::String(text) => Ok(Some(Cow::Owned(text))),
            _ => Ok(None),
        }
    }
}

/// Whether a name is kept as it stands: lower case, no address, no dot at its end.
fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    // A letter, a digit, or one of `-._`: what stands from `-` to `9` is digits, those, and a slash.
    let plain = |octet: u8| {
        (octet.wrapping_sub(b'a') < 26) | ((octet.wrapping_sub(b'-') < 13) & (octet != b'/')) | (octet == b'_')
    };
    bytes.len() <= 253 && bytes.last().is_some_and(u8::is_ascii_lowercase) && all(bytes, plain)
}

/// Whether all octets are such, eight at a time and without an early end: the last eight again where they are not a
/// multiple.
fn all(octets: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let each = |octets: &[u8]| octets.iter().fold(true, |all, octet| all & is(*octet));
    let (chunks, rest) = octets.as_chunks::<8>();
    let last = octets.last_chunk::<8>().map_or_else(|| each(rest), |last| each(last));
    last && chunks.iter().all(|chunk| each(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_keeps_what_the_import_keeps() {
        let names = [
            "a.eus",
            "*.a.eus",
            "A.eus",
            "10.0.0.1",
            "010.0.0.1",
            "10.0.0.1.",
            "2001:DB8:0::1",
            "a.eus.",
            "*.",
            "b\u{fc}cher.eus",
            "a b",
            "",
            "a..b",
        ];
        // Every character at every place of a short name and of a long one.
        let at = |name: &str, place: usize, c: char| format!("{}{c}{}", &name[..place], &name[place + 1..]);
        let all = ["a.b.eus", "abcdefgh.ijkl.nop.eus"].into_iter().flat_map(|name| {
            (0..name.len()).flat_map(move |place| (0..128_u8).map(move |octet| at(name, place, char::from(octet))))
        });
        let names: Vec<String> = names.into_iter().map(str::to_string).chain(all).collect();
        for (table, name) in [("san_authorisations", "name"), ("dcv_confirmations", "adn"), ("orders", "vtype")] {
            let column = columns(table).and_then(|all| all.into_iter().find(|c| c.name == name)).expect("a column");
            for text in &names {
                let long = column.kind.read(Given::text(text).raw());
                let long = long.and_then(|value| value.as_str().map(str::to_string).ok_or("is missing".to_string()));
                let short = column.text(Given::text(text)).map(|text| text.unwrap_or_default().into_owned());
                assert_eq!(short, long, "{table}.{name} {text:?}");
            }
        }
        let id = columns("dcv_confirmations").expect("a table")[0];
        for given in [Given::Number(0), Given::Number(-4), Given::Null, Given::Text("x"), Given::Flag(true)] {
            assert!(id.whole(given).is_err(), "{given:?}");
        }
        assert_eq!(id.whole(Given::Text("17")), Ok(Some(17)));
    }
}
