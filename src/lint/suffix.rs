//! Registry-controlled suffixes: the ICANN section of the Public Suffix List.
//!
//! The list is third-party text under the MPL and is not in this repository. The default is the one that the crate
//! `psl` compiles in; a newer list file can be read in its place with `publicsuffix`. BR 3.2.2.6 speaks of
//! registry-controlled labels, which is the ICANN section; `psl` looks rules of both sections up together, so its
//! answer for a privately registered suffix (`github.io`) is walked up until the rule that decides is ICANN's. That
//! is exact: an ICANN rule that a longer private rule hides is a rule for a parent of the private suffix.
//! The default `*` rule is not used: a name under an unknown TLD has no known suffix (rules.md 1.8).

use std::borrow::Cow;
use std::collections::BTreeSet;

use publicsuffix::{IcannList, Psl as _, Type};

use crate::cert::DnsName;
use crate::clock::{DAY, Timestamp, date};

/// Day of the list in the version of `psl` that Cargo.lock names; the crate itself does not say.
const EMBEDDED_AS_OF: Timestamp = date(2026, 11, 5);
/// Version of `psl` to which [`EMBEDDED_AS_OF`] belongs; a test compares it with Cargo.lock.
#[cfg(test)]
const EMBEDDED_VERSION: &str = "2.1.247";
/// A list with fewer ICANN rules than this is not the list; it has had more than 6,000 since 2014.
const MIN_RULES: usize = 5_000;

/// ICANN rules in the list of that version.
const EMBEDDED_RULES: usize = 6_948;
/// A list that lacks more of the rules in force than this many in a hundred is not believed.
const MOST_DROPPED_PERCENT: usize = 2;

/// The longest domain name (RFC 1035 3.1: 255 octets on the wire, 253 in text) with room for what is none.
const MAX_OCTETS: usize = 256;

/// A Public Suffix List, ICANN section.
#[derive(Clone, Debug)]
pub enum SuffixList {
    /// The one that is built in.
    Embedded,
    /// One that was read from a file or fetched.
    Read {
        /// The rules.
        list: Box<IcannList>,
        /// The rules of the ICANN section, as they are written.
        rules: BTreeSet<Box<str>>,
        /// The day in its `// VERSION:` line.
        as_of: Timestamp,
    },
}

/// Why a list file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuffixListError {
    /// It cannot be parsed.
    #[error("not a Public Suffix List ({0}); fetch https://publicsuffix.org/list/public_suffix_list.dat again")]
    Unreadable(String),
    /// It has too few rules.
    #[error("the Public Suffix List has only {0} ICANN rules, it should have more than 5000; fetch it again")]
    TooShort(usize),
    /// It does not say when it was made.
    #[error("the Public Suffix List has no line `// VERSION: 2026-...`; fetch it from publicsuffix.org")]
    NoDate,
    /// It is older than the one that is built in.
    #[error(
        "the Public Suffix List is of {0}, the one in force of {1}; the source serves an old copy: fetch a newer one"
    )]
    Older(String, String),
    /// It is of a day that has not come.
    #[error(
        "the Public Suffix List is of {0}, which is still to come; check the clock of this machine, then the source"
    )]
    Future(String),
    /// It lacks too much of what is in force.
    #[error(
        "the Public Suffix List lacks {missing} of the {total} ICANN rules in force, more than {MOST_DROPPED_PERCENT} %; \
         look at it before you blame the network"
    )]
    Drops {
        /// How many.
        missing: usize,
        /// Of how many.
        total: usize,
    },
}

impl SuffixList {
    /// Reads a `public_suffix_list.dat` that shall take the place of this one.
    ///
    /// # Errors
    /// When it is not the list, cut off, of a day to come, older than this one, or lacks too many of its rules.
    pub fn replaced_by(&self, bytes: &[u8], now: Timestamp) -> Result<SuffixList, SuffixListError> {
        let read = SuffixList::read(bytes)?;
        let (theirs, ours) = (read.as_of(), self.as_of());
        if theirs > now.plus(DAY) {
            return Err(SuffixListError::Future(theirs.day()));
        }
        if theirs < ours {
            return Err(SuffixListError::Older(theirs.day(), ours.day()));
        }
        let SuffixList::Read { rules, .. } = &read else { return Ok(read) };
        let (total, missing) = match self {
            // The embedded list cannot be enumerated: only their number is held against it.
            SuffixList::Embedded => (EMBEDDED_RULES, EMBEDDED_RULES.saturating_sub(rules.len())),
            SuffixList::Read { rules: before, .. } => (before.len(), before.difference(rules).count()),
        };
        if missing * 100 > total * MOST_DROPPED_PERCENT {
            return Err(SuffixListError::Drops { missing, total });
        }
        Ok(read)
    }

    fn read(bytes: &[u8]) -> Result<SuffixList, SuffixListError> {
        let text = std::str::from_utf8(bytes).map_err(|e| SuffixListError::Unreadable(e.to_string()))?;
        let cut = || SuffixListError::Unreadable("it has no line ===END ICANN DOMAINS===: it is cut off".to_string());
        let (icann, _) = text.split_once("===END ICANN DOMAINS===").ok_or_else(cut)?;
        let rules = icann.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        let rules: BTreeSet<Box<str>> = rules.map(Into::into).collect();
        if rules.len() < MIN_RULES {
            return Err(SuffixListError::TooShort(rules.len()));
        }
        let version = text.lines().find_map(|line| line.strip_prefix("// VERSION:")).map(str::trim);
        let day = version.and_then(|version| Timestamp::parse(version.get(..10)?)).ok_or(SuffixListError::NoDate)?;
        let list = IcannList::from_bytes(bytes).map_err(|e| SuffixListError::Unreadable(e.to_string()))?;
        Ok(SuffixList::Read { list: Box::new(list), rules, as_of: day })
    }

    /// The day of which the list is.
    pub fn as_of(&self) -> Timestamp {
        match self {
            SuffixList::Embedded => EMBEDDED_AS_OF,
            SuffixList::Read { as_of, .. } => *as_of,
        }
    }

    /// The registry-controlled suffix of a name, in lower case; `None` when no ICANN rule knows its TLD. A suffix is
    /// its own suffix. The name is looked up without `*.`.
    pub fn suffix(&self, name: &DnsName) -> Option<DnsName> {
        let name = name.strip_wildcard().lower();
        let octets = self.suffix_octets(name.bytes())?;
        Some(DnsName(name.bytes()[name.bytes().len() - octets..].to_vec()))
    }

    /// How many of the last octets of a name in lower case, without `*.`, are its suffix.
    fn suffix_octets(&self, name: &[u8]) -> Option<usize> {
        if name.is_empty() || name.split(|b| *b == b'.').any(<[u8]>::is_empty) {
            return None;
        }
        match self {
            SuffixList::Read { list, .. } => {
                let suffix = list.suffix(name)?;
                (suffix.typ() == Some(Type::Icann)).then(|| suffix.as_bytes().len())
            }
            SuffixList::Embedded => {
                let mut rest = name;
                loop {
                    let suffix = psl::List.suffix(rest)?;
                    match suffix.typ() {
                        Some(Type::Icann) => return Some(suffix.as_bytes().len()),
                        Some(Type::Private) => {
                            let at = suffix.as_bytes().iter().position(|b| *b == b'.')?;
                            rest = &rest[rest.len() - suffix.as_bytes().len() + at + 1..];
                        }
                        None => return None,
                    }
                }
            }
        }
    }

    /// Whether a name, given without `*.`, is a registry-controlled suffix itself.
    pub fn is_suffix(&self, fqdn: &[u8]) -> bool {
        let lower = match fqdn.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(fqdn.to_ascii_lowercase()),
            false => Cow::Borrowed(fqdn),
        };
        self.suffix_octets(&lower).is_some_and(|octets| octets == lower.len())
    }

    /// Whether what stands directly below a domain, given in lower case, is registered by different people: whether it,
    /// or something below it, is a registry-controlled suffix of several labels.
    pub fn splits(&self, domain: &[u8]) -> bool {
        let mut probe = [0; 4 + MAX_OCTETS];
        let Some(space) = probe.get_mut(..4 + domain.len()) else { return false };
        space[..4].copy_from_slice(b"b.a.");
        space[4..].copy_from_slice(domain);
        self.suffix_octets(space).is_some_and(|octets| space[space.len() - octets..].contains(&b'.'))
    }

    /// The Base Domain Name of BR 1.6.1: the suffix and one label more, in lower case; `None` for a suffix itself or
    /// an unknown TLD.
    pub fn base_domain(&self, name: &DnsName) -> Option<DnsName> {
        let suffix = self.suffix(name)?;
        let name = name.strip_wildcard().lower();
        let left = name.bytes().len().checked_sub(suffix.bytes().len() + 1)?;
        let start = name.bytes()[..left].iter().rposition(|b| *b == b'.').map_or(0, |dot| dot + 1);
        Some(DnsName(name.bytes()[start..].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: Option<DnsName>) -> Option<String> {
        name.map(|n| n.text())
    }

    const NOW: Timestamp = date(2026, 12, 1);

    /// A list of our own making with the shapes of rules that matter, long enough to be taken for one.
    fn own_list(version: &str) -> String {
        list_of(version, EMBEDDED_RULES)
    }

    fn list_of(version: &str, rules: usize) -> String {
        let filler: String = (0..rules).map(|n| format!("filler{n}.com\n")).collect();
        format!(
            "// VERSION: {version}\n// ===BEGIN ICANN DOMAINS===\ncom\nio\nuk\nco.uk\n*.ck\n!www.ck\nnet\nes\n{filler}\
             // ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\ngithub.io\nblogspot.com\n\
             // ===END PRIVATE DOMAINS===\n"
        )
    }

    #[test]
    fn both_lists_answer_with_the_icann_section_only() {
        let read = own_list("2026-12-01_00-00-00_UTC");
        let file = SuffixList::Embedded.replaced_by(read.as_bytes(), NOW).expect("a list");
        for list in [&file, &SuffixList::Embedded] {
            for (name, suffix, base) in [
                ("www.example.com", Some("com"), Some("example.com")),
                ("*.Example.CO.UK", Some("co.uk"), Some("example.co.uk")),
                ("co.uk", Some("co.uk"), None),
                ("a.b.github.io", Some("io"), Some("github.io")),
                ("github.io", Some("io"), Some("github.io")),
                ("a.foo.ck", Some("foo.ck"), Some("a.foo.ck")),
                ("foo.ck", Some("foo.ck"), None),
                ("a.www.ck", Some("ck"), Some("www.ck")),
                ("www.barakaldo.euskalsarea", None, None),
                ("a..com", None, None),
                ("", None, None),
            ] {
                let name = DnsName::new(name);
                assert_eq!(text(list.suffix(&name)).as_deref(), suffix, "{list:?} {name}");
                assert_eq!(text(list.base_domain(&name)).as_deref(), base, "{name}");
            }
            let split: Vec<bool> =
                ["co.uk", "foo.ck", "example.com", "github.io", "a.b"].map(|d| list.splits(d.as_bytes())).into();
            assert_eq!(split, [true, true, false, false, false]);
            assert!(list.is_suffix(b"co.uk") && list.is_suffix(b"CO.uk") && !list.is_suffix(b"example.co.uk"));
        }
        assert_eq!(file.as_of(), date(2026, 12, 1));
    }

    #[test]
    fn a_list_that_is_cut_off_old_or_nameless_is_refused() {
        let error = |text: &str| SuffixList::Embedded.replaced_by(text.as_bytes(), NOW).err();
        assert!(matches!(error("com\n"), Some(SuffixListError::Unreadable(_))));
        assert_eq!(error("com\n// ===END ICANN DOMAINS===\n"), Some(SuffixListError::TooShort(1)));
        assert!(matches!(error(&own_list("2020-01-01")), Some(SuffixListError::Older(..))));
        assert_eq!(error(&own_list("2026-12-03")), Some(SuffixListError::Future("2026-12-03".to_string())));
        assert_eq!(error(&own_list("new")), Some(SuffixListError::NoDate));
        assert!(SuffixList::Embedded.replaced_by(&[0xff; 9], NOW).is_err());
        let whole = own_list("2026-12-01");
        assert!(error(&whole[..whole.len() / 2]).is_some(), "cut off");
    }

    #[test]
    fn a_list_that_lacks_too_much_is_refused() {
        let allowed = EMBEDDED_RULES - EMBEDDED_RULES / 50;
        let error =
            |before: &SuffixList, rules: usize| before.replaced_by(list_of("2026-12-01", rules).as_bytes(), NOW).err();
        // The list of our own making has eight rules besides.
        assert_eq!(error(&SuffixList::Embedded, allowed - 8), None);
        let embedded = EMBEDDED_RULES;
        let missing = EMBEDDED_RULES / 50 + 1;
        assert_eq!(
            error(&SuffixList::Embedded, allowed - 9),
            Some(SuffixListError::Drops { missing, total: embedded })
        );
        let before = SuffixList::Embedded.replaced_by(own_list("2026-12-01").as_bytes(), NOW).expect("a list");
        let total = EMBEDDED_RULES + 8;
        assert_eq!(error(&before, EMBEDDED_RULES - total / 50), None);
        let missing = total / 50 + 1;
        assert_eq!(error(&before, EMBEDDED_RULES - missing), Some(SuffixListError::Drops { missing, total }));
    }

    #[test]
    fn the_day_belongs_to_the_locked_version() {
        let lock = include_str!("../../Cargo.lock");
        let entry = format!("name = \"psl\"\nversion = \"{EMBEDDED_VERSION}\"");
        assert!(lock.contains(&entry), "psl was updated: set EMBEDDED_VERSION and EMBEDDED_AS_OF");
    }
}
