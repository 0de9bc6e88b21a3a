//! BR 7.1.2.7.2 to 7.1.2.7.4 (7.1.4.2.2 before them, 9.2.5 at first): the countryName is "the two-letter ISO 3166-1 country code"
//! of the country of the subject; "If a Country is not represented by an official ISO 3166-1 country code, the CA MAY specify
//! the ISO 3166-1 user-assigned code of XX". Codes that are reserved but not assigned (UK, EU) are no official ones. What is not
//! two letters is left to `subj.enc`.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::kind;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.country",
        summary: "Every country of the subject is an assigned code of ISO 3166-1, or XX",
        severity: Severity::Error,
        citation: br("7.1.2.7"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// The officially assigned codes of ISO 3166-1 alpha-2, sorted; none was assigned or withdrawn since 2011-08.
#[rustfmt::skip]
const ASSIGNED: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ",
    "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW",
    "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX",
    "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM",
    "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU",
    "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE",
    "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK",
    "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP",
    "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP",
    "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA",
    "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO",
    "SR", "SS", "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR",
    "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS",
    "YE", "YT", "ZA", "ZM", "ZW",
];
/// What stands for a country without a code.
const NONE: &str = "XX";

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for attribute in subject.attributes() {
        let is_jurisdiction = attribute.oid == kind::JURISDICTION_C;
        if !(is_jurisdiction || attribute.oid == kind::C) {
            continue;
        }
        let Some(code) = attribute.text().filter(|text| text.len() == 2) else { continue };
        let code = code.to_ascii_uppercase();
        if ASSIGNED.binary_search(&code.as_str()).is_ok() || (code == NONE && !is_jurisdiction) {
            continue;
        }
        let mut finding = RULE.info.finding(attribute.shown(), "is no country code that ISO 3166-1 assigns");
        // BR allow XX for countryName; EVG 7.1.4.2.4 repeats the ISO code for jurisdictionCountry without that sentence.
        if code == NONE {
            finding.severity = Severity::Review;
            finding.detail.push_str("; XX is provided for countryName alone");
        }
        found.push(finding);
    }
    found
}
