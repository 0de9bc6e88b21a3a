//! BR 1.6.1: a P-Label is "A XN-Label that contains valid output of the Punycode algorithm (as defined in RFC 3492, Section 6.3)
//! from the fifth and subsequent positions." Only output that encodes again to itself is output; IDNA is not asked for.
//! Before 2021-10-01 RFC 3490 5: labels that begin with the ACE prefix and are no ACE labels "SHOULD NOT be allowed in DNS zones".

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape, rfc};
use crate::lint::subject::MAX_XN_LABELS;
use crate::lint::{Broken, Rule, Scope, Subject, warning};

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
    dates: Some(|_, _| vec![P_LABELS]),
};

/// Ballot SC048: from here on the BR themselves demand it.
const P_LABELS: Timestamp = date(2021, 10, 1);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let labels = subject.xn_labels();
    let wrong = |label: &&[u8]| labels.get(*label).is_some_and(|text| text.as_ref().is_none_or(|text| text.is_ascii()));
    let level = |finding: Finding| {
        if subject.moment >= P_LABELS {
            return finding;
        }
        let mut finding = warning(&RULE.info, &finding.subject, finding.detail);
        finding.citation = rfc(3490, "5").to_string().into();
        finding
    };
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names() {
        if let Some(label) = name.labels().find(wrong) {
            let detail = || format!("its label `{}` is not valid Punycode output", escape(label, 63));
            broken.at(|| level(RULE.info.finding(name.text(), detail())));
        }
    }
    let mut found = broken.findings();
    if labels.len() == MAX_XN_LABELS {
        let detail = format!("has {MAX_XN_LABELS} XN-Labels or more: these were decoded, judge the others by hand");
        found.push(level(RULE.info.finding("subjectAltName", detail)));
    }
    found
}
