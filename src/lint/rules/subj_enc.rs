//! BR 7.1.4.2: the string type of each attribute of the subject is one that a table permits, and its octets are of that
//! type. A countryName is a two-letter ISO 3166-1 code or XX (7.1.2.7.2 to 7.1.2.7.4), in capitals as that standard has
//! them.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::{PRINTABLE, form_of, kind};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.enc",
        summary: "The attributes of the subject have the prescribed string type",
        severity: Severity::Error,
        citation: br("7.1.4.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let attributes = subject.attributes();
    let found = attributes.iter().filter_map(|attribute| {
        let form = form_of(attribute.oid)?;
        let text = attribute.text().filter(|text| attribute.tag != PRINTABLE || text.bytes().all(is_printable));
        let country = matches!(attribute.oid, kind::C | kind::JURISDICTION_C);
        let detail = match text {
            _ if !form.strings.contains(&attribute.tag) => {
                format!("is of the string type {}, which is not permitted for it", attribute.tag)
            }
            None => "has octets that its string type does not allow".to_string(),
            Some(text) if country && !(text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())) => {
                "is not a two-letter country code".to_string()
            }
            Some(_) => return None,
        };
        Some(RULE.info.finding(attribute.shown(), detail))
    });
    found.collect()
}

/// X.680 41.4: the characters of PrintableString.
fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}
