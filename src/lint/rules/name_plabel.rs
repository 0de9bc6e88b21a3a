//! BR 1.6.1: a P-Label is "A XN-Label that contains valid output of the Punycode algorithm (as defined in RFC 3492, Section 6.3)
//! from the fifth and subsequent positions." Only output that encodes again to itself is output; IDNA is not asked for.
//! Before 2021-10-01 RFC 3490 5: labels that begin with the ACE prefix and are no ACE labels "SHOULD NOT be allowed in DNS zones".

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape, rfc};
use crate::lint::{Rule, Scope, Subject, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.plabel",
        summary: "Every label of a dNSName that begins with xn-- is valid Punycode output",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: |_, _| vec![P_LABELS],
};

/// Ballot SC048: from here on the BR themselves demand it.
const P_LABELS: Timestamp = date(2021, 10, 1);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let names = subject.dns_names().iter();
    let found = names.filter_map(|name| {
        let label = name.labels().find(|label| is_xn(label) && !is_plabel(label))?;
        let detail = format!("its label `{}` is not valid Punycode output", escape(label, 63));
        if subject.moment >= P_LABELS {
            return Some(RULE.info.finding(name.text(), detail));
        }
        let mut finding = warning(&RULE.info, &name.text(), detail);
        finding.citation = rfc(3490, "5").to_string().into();
        Some(finding)
    });
    found.collect()
}

fn is_xn(label: &[u8]) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--"))
}

fn is_plabel(label: &[u8]) -> bool {
    decoded(label).is_some_and(|text| !text.is_ascii())
}

/// What the Punycode of an XN-Label stands for; `None` when it is no XN-Label or not output of the algorithm.
pub(super) fn decoded(label: &[u8]) -> Option<String> {
    let code = std::str::from_utf8(label.get(4..).filter(|_| is_xn(label))?).ok()?;
    // A DNS label has at most 63 octets; longer ones are name.ldh's, and decoding them could be slow.
    if code.is_empty() || code.len() > 59 {
        return None;
    }
    // RFC 3492 5: the digits of Punycode are case-insensitive and only mark the case of what they stand for.
    let text = idna::punycode::decode(&code.to_ascii_lowercase())?;
    let encoded = idna::punycode::encode(&text)?;
    encoded.eq_ignore_ascii_case(code).then(|| text.iter().collect())
}
