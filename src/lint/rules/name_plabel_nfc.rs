//! RFC 5890 2.3.2.1: a U-label is in Unicode Normalization Form C and has no code point that IDNA2008 disallows (RFC 5891
//! 4.2.2), and RFC 8399 wants certificates to carry A-labels of such. The BR do not ask for it (name.plabel is what they ask for), but a name that is not in this form is one that
//! nobody can type.

use std::collections::HashMap;

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, escape, rfc};
use crate::lint::idna::is_disallowed;
use crate::lint::{Broken, Rule, Scope, Subject};
use icu_normalizer::ComposingNormalizerBorrowed;

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.plabel_nfc",
        summary: "What a P-Label decodes to is in Unicode Normalization Form C and allowed by IDNA2008",
        severity: Severity::Warning,
        citation: rfc(5890, "2.3.2.1"),
        clock: RevocationClock::None,
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let labels = subject.xn_labels();
    let wrong: HashMap<&[u8], String> =
        labels.iter().filter_map(|(label, text)| Some((label.as_slice(), wrong(text.as_deref()?)?))).collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names() {
        if let Some((label, wrong)) = name.labels().find_map(|label| wrong.get_key_value(label)) {
            let detail = || format!("its label `{}` {wrong} when decoded", escape(label, 63));
            broken.at(|| RULE.info.finding(name.text(), detail()));
        }
    }
    broken.findings()
}

/// What keeps a text from being a U-label.
fn wrong(text: &str) -> Option<String> {
    if !ComposingNormalizerBorrowed::new_nfc().is_normalized(text) {
        return Some("is not in NFC".to_string());
    }
    let disallowed = text.chars().find(|c| is_disallowed(*c))?;
    Some(format!("has U+{:04X}, which IDNA2008 disallows,", u32::from(disallowed)))
}
