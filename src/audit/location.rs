//! Where a confirmation looked: most say what the method prescribes to the letter, and only the rest of those is kept.

use crate::audit::spool::{Fields, put_small};
use crate::evidence::sieve::{Grade, Prescribed, Seen};

/// A location as it lies on disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Location<'b> {
    /// Not recorded.
    None,
    /// Some text.
    Other(&'b str),
    /// As the method prescribes it, with this where it leaves a choice.
    Plain(&'b [u8]),
}

/// The kinds, above the length.
const OTHER: u32 = 1 << 30;
const PLAIN: u32 = 2 << 30;
const LENGTH: u32 = OTHER - 1;

impl<'b> Location<'b> {
    /// A location that is recorded with a confirmation of a domain by a method of this prescription.
    pub(super) fn of(location: Option<&'b str>, prescribed: Prescribed, adn: &str) -> Location<'b> {
        let Some(location) = location.filter(|location| !location.is_empty()) else { return Location::None };
        prescribed.rest(adn, location).map_or(Location::Other(location), |rest| Location::Plain(rest.as_bytes()))
    }

    /// Writes it.
    pub(super) fn put(self, out: &mut Vec<u8>) {
        let (kind, octets) = match self {
            Location::None => (0, &[][..]),
            Location::Other(text) => (OTHER, text.as_bytes()),
            Location::Plain(rest) => (PLAIN, rest),
        };
        put_small(out, kind | octets.len() as u32);
        out.extend_from_slice(octets);
    }

    /// Reads what [`Location::put`] wrote.
    pub(super) fn read(fields: &mut Fields<'b>) -> Option<Location<'b>> {
        let head = fields.small()?;
        let octets = fields.octets(head & LENGTH)?;
        Some(match head & !LENGTH {
            PLAIN => Location::Plain(octets),
            OTHER => Location::Other(std::str::from_utf8(octets).ok()?),
            _ => Location::None,
        })
    }

    /// What the quick look has to know.
    pub(super) fn seen(self) -> Option<Seen<'b>> {
        match self {
            Location::None => None,
            Location::Other(text) => Some(Seen::At(text)),
            Location::Plain(_) => Some(Seen::Prescribed),
        }
    }

    /// The text that was recorded.
    pub(super) fn text(self, grade: &Grade, adn: &str) -> Option<String> {
        match self {
            Location::None => None,
            Location::Other(text) => Some(text.to_string()),
            Location::Plain(rest) => grade.prescribed().location(adn, std::str::from_utf8(rest).ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Policy;

    #[test]
    fn every_location_comes_back_as_it_was_and_most_are_short() {
        let adn = "www.a.eus";
        let cases = [
            ("dns-01", "_acme-challenge.www.a.eus", Some(0)),
            ("dns-01", "_acme-challenge.a.eus", None),
            ("http-01", "http://www.a.eus/.well-known/acme-challenge/a-B_9", Some(5)),
            ("http-01", "http://www.a.eus/.well-known/acme-challenge/", None),
            ("http-01", "http://www.a.eus/.well-known/acme-challenge/\u{e9}", None),
            ("3.2.2.4.7", "www.a.eus", Some(0)),
            ("3.2.2.4.7", "_x.www.a.eus", Some(2)),
            ("3.2.2.4.7", "x.www.a.eus", None),
            ("3.2.2.4.4", "admin@www.a.eus", None),
            ("3.2.2.4.8", "anything", None),
            ("nothing", "anything", None),
        ];
        for (method, location, kept) in cases {
            let grade = Grade::of(method, "system", None, None, None, &Policy::default());
            let stored = Location::of(Some(location), Prescribed::by(method), adn);
            let mut out = vec![];
            stored.put(&mut out);
            assert_eq!(out.len(), 4 + kept.unwrap_or(location.len()), "{method} {location}");
            let mut fields = Fields(&out);
            let read = Location::read(&mut fields).expect("a location");
            assert_eq!(read.text(&grade, adn).as_deref(), Some(location), "{method}");
            assert_eq!(matches!(read.seen(), Some(Seen::Prescribed)), kept.is_some(), "{method} {location}");
            assert!(fields.0.is_empty() && Location::read(&mut Fields(&out[..out.len() - 1])).is_none());
        }
        let mut out = vec![];
        Location::of(Some(""), Prescribed::by("dns-01"), adn).put(&mut out);
        assert!(matches!(Location::read(&mut Fields(&out)), Some(Location::None)));
    }
}
