//! The methods of domain and IP address validation and their dates (BR 3.2.2.4.x and 3.2.2.5.x).
//!
//! A method is permitted when it was permitted on the day of the validation and still is on the day of signing: a
//! retired method may not even be relied upon by reuse.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::clock::{Timestamp, date};

/// What the requirements say of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub(super) section: &'static str,
    /// Label of RFC 8555, RFC 8737 and their kin.
    acme: &'static str,
    /// First day on which a validation could be made by it.
    begins: Option<Timestamp>,
    /// First day on which no new validation may be made by it; earlier ones may still be reused.
    closed: Option<Timestamp>,
    /// First moment of issuance at which it SHOULD NOT be relied upon.
    discouraged: Option<Timestamp>,
    /// First moment of issuance at which nothing may rest on it, not even by reuse.
    banned: Option<Timestamp>,
    /// First moment of issuance at which it covers the validated name only: no wildcard, nothing under it.
    exact: Option<Timestamp>,
    /// Whether remote perspectives must corroborate it (BR 3.2.2.9).
    pub(super) mpic: bool,
    /// Whether its Random Value or Request Token lives for 30 days.
    pub(super) token: bool,
    /// Whether a CNAME may lead from a name to the one that is validated, for validations since [`SC101`].
    cname: bool,
    /// Whether a person has a part in it by its nature: a letter, a telephone call, the CA's own registrar.
    pub(super) by_person: bool,
}

const fn method(section: &'static str) -> Method {
    Method {
        section,
        acme: "",
        begins: None,
        closed: None,
        discouraged: None,
        banned: None,
        exact: None,
        mpic: false,
        token: false,
        cname: false,
        by_person: false,
    }
}

impl Method {
    const fn acme(self, acme: &'static str) -> Method {
        Method { acme, ..self }
    }
    const fn begins(self, day: Timestamp) -> Method {
        Method { begins: Some(day), ..self }
    }
    const fn closed(self, day: Timestamp) -> Method {
        Method { closed: Some(day), ..self }
    }
    const fn discouraged(self, day: Timestamp) -> Method {
        Method { discouraged: Some(day), ..self }
    }
    const fn banned(self, day: Timestamp) -> Method {
        Method { banned: Some(day), ..self }
    }
    const fn exact(self, day: Timestamp) -> Method {
        Method { exact: Some(day), ..self }
    }
    const fn mpic(self) -> Method {
        Method { mpic: true, ..self }
    }
    const fn token(self) -> Method {
        Method { token: true, ..self }
    }
    const fn cname(self) -> Method {
        Method { cname: true, ..self }
    }
    const fn by_person(self) -> Method {
        Method { by_person: true, ..self }
    }
    /// See [`standing`].
    pub(super) fn standing(&self, completed: Timestamp, signed: Timestamp) -> Standing {
        match (self.banned, self.closed, self.begins, self.discouraged) {
            (Some(day), ..) if signed >= day || completed >= day => Standing::Banned(day),
            (_, Some(day), ..) if completed >= day => Standing::Closed(day),
            (_, _, Some(day), _) if completed < day => Standing::NotYet(day),
            (.., Some(day)) if signed >= day => Standing::Discouraged(day),
            _ => Standing::Permitted,
        }
    }
    /// See [`is_exact`].
    pub(super) fn is_exact(&self, signed: Timestamp) -> bool {
        self.exact.is_some_and(|from| signed >= from)
    }
    /// See [`is_for_addresses`].
    pub(super) fn is_for_addresses(&self) -> bool {
        self.section.starts_with("3.2.2.5.")
    }
    /// See [`is_for_onions`].
    pub(super) fn is_for_onions(&self) -> bool {
        self.section == "B.2.b"
    }
    /// See [`needs_base_domain`].
    pub(super) fn needs_base_domain(&self, completed: Timestamp) -> bool {
        completed >= SC101 && self.section == "3.2.2.4.12"
    }
    /// Whether no perspective looks at an onion service that was validated by it.
    pub(super) fn is_over_tor(&self) -> bool {
        matches!(self.section, "3.2.2.4.18" | "3.2.2.4.19" | "3.2.2.4.20")
    }
}

const ALWAYS: Timestamp = Timestamp::from_millis(i64::MIN);
/// Ballot SC45: file and http methods prove one name only.
const SC45: Timestamp = date(2021, 12, 1);
/// Ballot SC101: which methods follow a CNAME, and which validate the Base Domain Name alone.
const SC101: Timestamp = date(2026, 11, 15);
/// Ballot SC54: what proves the control of an onion service.
const SC54: Timestamp = date(2022, 4, 23);
/// Ballot SC25.
const SC25: Timestamp = date(2020, 3, 3);
const MARCH_2026: Timestamp = date(2026, 3, 15);
const MARCH_2027: Timestamp = date(2027, 3, 15);
const MARCH_2028: Timestamp = date(2028, 3, 15);

static METHODS: [Method; 31] = [
    method("3.2.2.4.1").banned(date(2018, 8, 1)).by_person(),
    method("3.2.2.4.2").banned(date(2025, 7, 15)).by_person(),
    method("3.2.2.4.3").closed(date(2019, 6, 1)).banned(date(2022, 11, 30)).by_person(),
    method("3.2.2.4.4").discouraged(MARCH_2026).banned(MARCH_2028).token().cname(),
    method("3.2.2.4.5").banned(date(2018, 8, 1)).by_person(),
    method("3.2.2.4.6").closed(date(2020, 6, 4)).banned(date(2022, 11, 30)).exact(SC45),
    method("3.2.2.4.7").acme("dns-01").mpic().token().cname(),
    method("3.2.2.4.8").banned(MARCH_2026).exact(ALWAYS),
    method("3.2.2.4.9").banned(date(2019, 3, 16)),
    method("3.2.2.4.10").banned(date(2020, 9, 22)),
    method("3.2.2.4.11").banned(date(2018, 3, 9)),
    method("3.2.2.4.12").by_person(),
    method("3.2.2.4.13").discouraged(MARCH_2026).banned(MARCH_2028).mpic().token().cname(),
    method("3.2.2.4.14").discouraged(MARCH_2026).banned(MARCH_2028).mpic().token().cname(),
    method("3.2.2.4.15").banned(date(2025, 7, 15)).by_person(),
    method("3.2.2.4.16").discouraged(MARCH_2026).banned(MARCH_2027).mpic().token().by_person().cname(),
    method("3.2.2.4.17").discouraged(MARCH_2026).banned(MARCH_2027).mpic().token().by_person().cname(),
    method("3.2.2.4.18").begins(SC25).exact(SC45).mpic().token(),
    method("3.2.2.4.19").acme("http-01").begins(SC25).exact(SC45).mpic().token(),
    method("3.2.2.4.20").acme("tls-alpn-01").begins(date(2020, 9, 22)).exact(ALWAYS).mpic().token(),
    method("3.2.2.4.21").acme("dns-account-01").begins(date(2025, 3, 1)).mpic().token(),
    method("3.2.2.4.22").acme("dns-persist-01").begins(date(2025, 11, 10)).mpic(),
    method("3.2.2.5.1").exact(ALWAYS).mpic(),
    method("3.2.2.5.2").discouraged(MARCH_2026).banned(MARCH_2027).exact(ALWAYS).token().by_person(),
    method("3.2.2.5.3").banned(MARCH_2027).exact(ALWAYS).mpic(),
    method("3.2.2.5.4").banned(date(2019, 8, 1)).exact(ALWAYS),
    method("3.2.2.5.5").discouraged(MARCH_2026).banned(MARCH_2027).exact(ALWAYS).token().by_person(),
    method("3.2.2.5.6").exact(ALWAYS).mpic(),
    method("3.2.2.5.7").exact(ALWAYS).mpic(),
    method("3.2.2.5.8").begins(date(2025, 12, 16)).exact(ALWAYS).mpic(),
    // Appendix B.2.b: a certificate request with nonces, signed with the key of an onion service.
    method("B.2.b").begins(date(2020, 3, 27)).token(),
];

/// The methods by the texts that records mostly have: an audit asks millions of times.
static BY_TEXT: LazyLock<HashMap<&'static str, &'static Method>> = LazyLock::new(|| {
    let texts = |row: &'static Method| [(row.section, row), (row.acme, row)];
    let mut all: HashMap<_, _> = METHODS.iter().rev().flat_map(texts).collect();
    all.remove("");
    all
});

pub(super) fn row(text: &str) -> Option<&'static Method> {
    if let Some(row) = BY_TEXT.get(text) {
        return Some(row);
    }
    let text = text.trim();
    let text = text.strip_prefix("BR ").or_else(|| text.strip_prefix("BR")).unwrap_or(text);
    let text = text.strip_prefix("Appendix ").unwrap_or(text);
    METHODS.iter().find(|row| {
        row.section.eq_ignore_ascii_case(text) || (!row.acme.is_empty() && row.acme.eq_ignore_ascii_case(text))
    })
}

/// The section of a method written as `3.2.2.4.19`, `BR 3.2.2.4.19` or `http-01`; `None` when it is none of the BR's.
pub fn section(method: &str) -> Option<&'static str> {
    row(method).map(|row| row.section)
}

/// Whether and why a method may be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Permitted,
    /// It may, but SHOULD NOT be since this day.
    Discouraged(Timestamp),
    /// The validation was made before the method existed.
    NotYet(Timestamp),
    /// The validation was made after this day, from which on no new one was allowed.
    Closed(Timestamp),
    /// Nothing signed since this day may rest on it, not even by reuse.
    Banned(Timestamp),
    /// It is none of the methods of BR 3.2.2.4 and 3.2.2.5.
    Unknown,
}

/// Whether a certificate signed at `signed` may rest on a validation by `method` that was completed at `completed`.
pub fn standing(method: &str, completed: Timestamp, signed: Timestamp) -> Standing {
    row(method).map_or(Standing::Unknown, |row| row.standing(completed, signed))
}

/// Whether a validation by `method` covers, at `signed`, the validated name alone: no wildcard and no name under it.
pub fn is_exact(method: &str, signed: Timestamp) -> bool {
    row(method).is_some_and(|row| row.is_exact(signed))
}

/// Whether remote perspectives must corroborate a validation of `name` by `method` (BR 3.2.2.9). Over Tor there are no
/// perspectives.
pub fn needs_perspectives(method: &str, name: &str) -> bool {
    row(method).is_some_and(|row| row.mpic && !(row.is_over_tor() && is_onion(name)))
}

/// Whether a validation by `method`, completed at `completed`, may have followed a CNAME from the name (BR 1.6.1,
/// "Authorization Domain Name"; from a wildcard no longer since ballot SC101).
pub fn may_follow_cname(method: &str, wildcard: bool, completed: Timestamp) -> bool {
    completed < SC101 || (!wildcard && row(method).is_some_and(|row| row.cname))
}

/// Whether `method` validates, since ballot SC101, the Base Domain Name and nothing below it: the registrar knows no other.
pub fn needs_base_domain(method: &str, completed: Timestamp) -> bool {
    row(method).is_some_and(|row| row.needs_base_domain(completed))
}

/// Whether `method` validates an address by the domain name that a reverse look-up of it gives.
pub fn looks_up_the_address(method: &str) -> bool {
    section(method) == Some("3.2.2.5.3")
}

/// Whether that domain name must, since ballot SC101, itself be the Authorization Domain Name.
pub fn needs_the_looked_up_name(completed: Timestamp) -> bool {
    completed >= SC101
}

/// Whether `method` proves the control of an onion service (BR Appendix B.2). Before ballot SC54 the older methods of
/// websites were listed there.
pub fn proves_onion(method: &str, completed: Timestamp) -> bool {
    match section(method) {
        Some("3.2.2.4.18" | "3.2.2.4.19" | "3.2.2.4.20" | "B.2.b") => true,
        Some("3.2.2.4.6" | "3.2.2.4.10") => completed < SC54,
        _ => false,
    }
}

/// Whether `method` is for onion services alone.
pub fn is_for_onions(method: &str) -> bool {
    row(method).is_some_and(Method::is_for_onions)
}

/// Whether the Random Value or Request Token of `method` lives for 30 days.
pub fn has_token(method: &str) -> bool {
    row(method).is_some_and(|row| row.token)
}

/// Whether a person has a part in `method` by its nature.
pub fn may_be_manual(method: &str) -> bool {
    row(method).is_some_and(|row| row.by_person)
}

/// Whether `method` validates IP addresses, not domain names.
pub fn is_for_addresses(method: &str) -> bool {
    row(method).is_some_and(Method::is_for_addresses)
}

/// Whether a label of RFC 8657 4 names `method`: the ACME label or `ca-tbr-N` of BR 4.2.2.1.2 (since BR 2.3.0).
pub fn has_label(method: &str, label: &str) -> bool {
    let Some(row) = row(method) else { return false };
    let number = row.section.rsplit('.').next().unwrap_or_default();
    let own = label.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("ca-tbr-")) && label.get(7..) == Some(number);
    own && !is_for_addresses(method) || !row.acme.is_empty() && row.acme.eq_ignore_ascii_case(label)
}

/// Whether a name is an onion service (RFC 7686).
pub fn is_onion(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let end = name.len().checked_sub(".onion".len()).and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(b".onion"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;

    const SECOND: Span = Span::from_seconds(1);

    #[test]
    fn methods_end_at_midnight_of_their_dates() {
        let ends = [
            ("3.2.2.4.1", date(2018, 8, 1)),
            ("3.2.2.4.2", date(2025, 7, 15)),
            ("3.2.2.4.5", date(2018, 8, 1)),
            ("3.2.2.4.8", date(2026, 3, 15)),
            ("3.2.2.4.9", date(2019, 3, 16)),
            ("3.2.2.4.10", date(2020, 9, 22)),
            ("3.2.2.4.11", date(2018, 3, 9)),
            ("3.2.2.4.15", date(2025, 7, 15)),
            ("3.2.2.5.3", date(2027, 3, 15)),
            ("3.2.2.5.4", date(2019, 8, 1)),
        ];
        for (method, day) in ends {
            let before = day.minus(SECOND);
            assert_eq!(standing(method, before, before), Standing::Permitted, "{method}");
            assert_eq!(standing(method, before, day), Standing::Banned(day), "{method} by reuse");
            assert_eq!(standing(method, day, day), Standing::Banned(day), "{method}");
        }
    }

    #[test]
    fn methods_are_discouraged_before_they_end() {
        for (method, day, end) in [
            ("3.2.2.4.4", MARCH_2026, MARCH_2028),
            ("3.2.2.4.13", MARCH_2026, MARCH_2028),
            ("3.2.2.4.14", MARCH_2026, MARCH_2028),
            ("3.2.2.4.16", MARCH_2026, MARCH_2027),
            ("3.2.2.4.17", MARCH_2026, MARCH_2027),
            ("3.2.2.5.2", MARCH_2026, MARCH_2027),
            ("3.2.2.5.5", MARCH_2026, MARCH_2027),
        ] {
            let done = day.minus(SECOND);
            assert_eq!(standing(method, done, done), Standing::Permitted, "{method}");
            assert_eq!(standing(method, done, day), Standing::Discouraged(day), "{method}");
            assert_eq!(standing(method, done, end.minus(SECOND)), Standing::Discouraged(day), "{method}");
            assert_eq!(standing(method, done, end), Standing::Banned(end), "{method}");
        }
    }

    #[test]
    fn some_methods_were_closed_before_they_were_banned_and_some_began_late() {
        for (method, day, end) in
            [("3.2.2.4.3", date(2019, 6, 1), date(2022, 11, 30)), ("3.2.2.4.6", date(2020, 6, 4), date(2022, 11, 30))]
        {
            let signed = end.minus(SECOND);
            assert_eq!(standing(method, day.minus(SECOND), signed), Standing::Permitted, "{method}");
            assert_eq!(standing(method, day, signed), Standing::Closed(day), "{method}");
            assert_eq!(standing(method, day.minus(SECOND), end), Standing::Banned(end), "{method}");
        }
        for (method, day) in [
            ("3.2.2.4.18", SC25),
            ("http-01", SC25),
            ("tls-alpn-01", date(2020, 9, 22)),
            ("dns-account-01", date(2025, 3, 1)),
            ("dns-persist-01", date(2025, 11, 10)),
            ("3.2.2.5.8", date(2025, 12, 16)),
        ] {
            assert_eq!(standing(method, day, day), Standing::Permitted, "{method}");
            assert_eq!(standing(method, day.minus(SECOND), day), Standing::NotYet(day), "{method}");
        }
        for method in ["", "a letter", "3.2.2.4.23", "3.2.2.4"] {
            assert_eq!(standing(method, SC25, SC25), Standing::Unknown, "{method}");
        }
    }

    #[test]
    fn file_and_http_methods_narrow_on_their_date_and_tls_alpn_was_always_narrow() {
        for method in ["3.2.2.4.6", "3.2.2.4.18", "http-01"] {
            assert!(is_exact(method, SC45) && !is_exact(method, SC45.minus(SECOND)), "{method}");
        }
        assert!(is_exact("tls-alpn-01", SC45.minus(SECOND)) && is_exact("3.2.2.4.8", SC25));
        assert!(!is_exact("3.2.2.4.7", MARCH_2028) && !is_exact("a letter", MARCH_2028));
    }

    #[test]
    fn what_else_the_table_says() {
        assert_eq!((section("DNS-01"), section("BR 3.2.2.4.4")), (Some("3.2.2.4.7"), Some("3.2.2.4.4")));
        assert!(needs_perspectives("http-01", "a.eus") && !needs_perspectives("http-01", "a.ONION"));
        assert!(needs_perspectives("3.2.2.4.7", "a.eus") && !needs_perspectives("3.2.2.4.4", "a.eus"));
        assert!(proves_onion("http-01", MARCH_2026) && proves_onion("Appendix B.2.b", MARCH_2026));
        assert!(proves_onion("3.2.2.4.6", SC54.minus(SECOND)) && !proves_onion("3.2.2.4.6", SC54));
        assert!(!proves_onion("dns-01", MARCH_2026) && is_for_onions("b.2.b") && !is_for_onions("http-01"));
        let before = SC101.minus(SECOND);
        assert!(may_follow_cname("http-01", true, before) && !may_follow_cname("http-01", false, SC101));
        assert!(may_follow_cname("dns-01", false, SC101) && !may_follow_cname("dns-01", true, SC101));
        assert!(needs_the_looked_up_name(SC101) && !needs_the_looked_up_name(before));
        assert!(looks_up_the_address("BR 3.2.2.5.3") && !looks_up_the_address("3.2.2.4.3"));
        assert!(needs_base_domain("3.2.2.4.12", SC101) && !needs_base_domain("3.2.2.4.12", before));
        assert!(has_token("dns-01") && !has_token("dns-persist-01") && may_be_manual("3.2.2.4.12"));
        assert!(
            has_label("3.2.2.4.7", "dns-01") && has_label("dns-01", "ca-tbr-7") && !has_label("dns-01", "ca-tbr-1")
        );
        assert!(!has_label("3.2.2.5.7", "ca-tbr-7") && !has_label("dns-01", "") && !has_label("dns-01", "ca-tbr-é"));
    }
}
