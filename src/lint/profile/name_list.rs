//! Names that must never appear: high-risk names, names of other CAs, internal zones. A list may have millions.

use std::collections::BTreeSet;

use crate::cert::DnsName;
use crate::finding::escape;

/// Most entries with a `*`, each of which is held against every name.
const MOST_PATTERNS: usize = 10_000;

/// A list of forbidden names. An entry forbids the name that it says and every name below it, at label boundaries; a
/// `*` in it stands for any one label. A wildcard in a certificate is forbidden when one of the names that it covers is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList {
    /// Entries without `*`, in lower case.
    plain: BTreeSet<Vec<u8>>,
    /// What is left of each of them without its first label.
    parents: BTreeSet<Vec<u8>>,
    /// Entries with `*`, in lower case.
    patterns: Vec<DnsName>,
}

/// Why an entry is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameListError {
    /// It is no name.
    #[error("{0} is not a name such as bank.example or *.bank.example")]
    NotAName(String),
    /// Too many patterns.
    #[error("has more than {MOST_PATTERNS} entries with *")]
    TooManyPatterns,
}

impl NameList {
    /// Adds one entry.
    ///
    /// # Errors
    /// When it is no name: labels of letters, digits, hyphens and underscores, or `*`.
    pub fn add(&mut self, text: &str) -> Result<(), NameListError> {
        let text = text.trim().trim_start_matches('.').to_ascii_lowercase();
        let label = |label: &[u8]| {
            let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            label == b"*" || (!label.is_empty() && label.len() <= 63 && label.iter().all(good))
        };
        let name = DnsName::new(&text);
        if !name.labels().all(label) || name.labels().all(|label| label == b"*") || text.len() > 253 {
            return Err(NameListError::NotAName(escape(text.as_bytes(), 100)));
        }
        if text.contains('*') {
            if self.patterns.len() == MOST_PATTERNS {
                return Err(NameListError::TooManyPatterns);
            }
            self.patterns.push(name);
            return Ok(());
        }
        if let Some((_, parent)) = text.split_once('.') {
            self.parents.insert(parent.as_bytes().to_vec());
        }
        self.plain.insert(text.into_bytes());
        Ok(())
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.patterns.is_empty()
    }

    /// The entry that forbids a name, as it may be shown.
    pub fn forbids(&self, name: &DnsName) -> Option<String> {
        let mut name = name.lower();
        if name.0.len() > 1 && name.0.ends_with(b".") {
            name.0.pop();
        }
        let shown = |octets: &[u8]| escape(octets, 300);
        let fqdn = name.strip_wildcard();
        let mut rest = fqdn.bytes();
        loop {
            if self.plain.contains(rest) {
                return Some(shown(rest));
            }
            match rest.iter().position(|b| *b == b'.') {
                Some(dot) => rest = &rest[dot + 1..],
                None => break,
            }
        }
        if name.is_wildcard() && self.parents.contains(fqdn.bytes()) {
            return Some(format!("a name directly below {}", shown(fqdn.bytes())));
        }
        self.patterns.iter().find(|pattern| fits(pattern, &name)).map(|pattern| shown(pattern.bytes()))
    }
}

/// Whether the last labels of the name are those of the pattern; `*` on either side is any label.
fn fits(pattern: &DnsName, name: &DnsName) -> bool {
    let mut labels = name.labels().rev();
    pattern
        .labels()
        .rev()
        .all(|wanted| labels.next().is_some_and(|label| wanted == b"*" || label == b"*" || wanted == label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> NameList {
        let mut list = NameList::default();
        entries.iter().for_each(|entry| list.add(entry).expect("an entry"));
        list
    }

    #[test]
    fn names_are_forbidden_at_label_boundaries() {
        let list = list(&["euskalsarea", "Bank.example", "www.other-ca.example", "paypal.*", "*.gov.example"]);
        for (name, forbidden) in [
            ("www.bizkaia.euskalsarea", true),
            ("EUSKALSAREA", true),
            ("neuskalsarea", false),
            ("euskalsarea.eus", false),
            ("bank.example", true),
            ("www.BANK.example.", true),
            ("mybank.example", false),
            ("*.bank.example", true),
            // It covers bank.example.
            ("*.example", true),
            ("*.other-ca.example", true),
            ("other-ca.example", false),
            ("*.com", true),
            ("paypal.com", true),
            ("login.paypal.es", true),
            ("paypal.co.uk", false),
            ("paypal", false),
            ("gov.example", false),
            ("a.gov.example", true),
            ("b.a.gov.example", true),
            ("*.gov.example", true),
            ("", false),
        ] {
            assert_eq!(list.forbids(&DnsName::new(name)).is_some(), forbidden, "{name}");
        }
        assert_eq!(list.forbids(&DnsName::new("a.b.euskalsarea")).as_deref(), Some("euskalsarea"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for entry in ["", "*", "*.*", "a..b", "a b", "a/b", "pä.example", "."] {
            assert!(NameList::default().add(entry).is_err(), "{entry}");
        }
        let mut many = NameList::default();
        (0..MOST_PATTERNS).for_each(|n| many.add(&format!("*.n{n}.example")).expect("an entry"));
        assert_eq!(many.add("*.one.more"), Err(NameListError::TooManyPatterns));
    }
}
