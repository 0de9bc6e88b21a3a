//! RFC 5890 2.3.2.1: a U-label is in Unicode Normalization Form C, and RFC 8399 wants certificates to carry A-labels of
//! such. The BR do not ask for it (name.plabel is what they ask for), but a name that is not in this form is one that
//! nobody can type.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, escape, rfc};
use crate::lint::rules::name_plabel::decoded;
use crate::lint::{Rule, Scope, Subject, no_dates};
use icu_normalizer::ComposingNormalizerBorrowed;

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.plabel_nfc",
        summary: "What a P-Label decodes to is in Unicode Normalization Form C",
        severity: Severity::Warning,
        citation: rfc(5890, "2.3.2.1"),
        clock: RevocationClock::None,
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let names = subject.dns_names().iter();
    let found = names.filter_map(|name| {
        let label = name.labels().find(|label| decoded(label).is_some_and(|text| !nfc.is_normalized(&text)))?;
        Some(RULE.info.finding(name.text(), format!("its label `{}` is not in NFC when decoded", escape(label, 63))))
    });
    found.collect()
}
