//! Ballot 144 (EVG Appendix F): from 2015-02-18 until SC027 came into force on 2020-03-27 onion names were allowed in
//! EV certificates only. In those years an EV policy could be one of the CA's own, which the certificate does not
//! explain; then this is for review.

use crate::cert::extensions::policies;
use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::policy::{Validation, is_extended};
use crate::lint::{Broken, Rule, Scope, Subject, without_edges};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "onion.ev",
        summary: "Onion names are in EV certificates only",
        severity: Severity::Error,
        citation: Citation { document: Document::Evg, section: "Appendix F" },
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2015, 2, 18)),
        until: Some(date(2020, 3, 27)),
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if is_extended(subject) {
        return Vec::new();
    }
    let stated = subject.cert.extension(oid::CERTIFICATE_POLICIES);
    let mut stated = stated.flat_map(|extension| policies(&extension.value).unwrap_or_default());
    let own = stated.any(|policy| Validation::of_policy(&policy.oid).is_none());
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names().iter().filter(|name| without_edges(name).is_under("onion")) {
        broken.at(|| {
            let mut finding = RULE.info.finding(name.text(), "is an onion name in a certificate that is not EV");
            if own {
                finding.severity = Severity::Review;
                finding.detail.push_str(", unless one of the CA's own policies in it says so");
            }
            finding
        });
    }
    broken.findings()
}
