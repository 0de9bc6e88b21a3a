//! BR 7.1.2.7.12: "the entry MUST contain ... a Fully-Qualified Domain Name or Wildcard Domain Name", composed of P-Labels and
//! Non-Reserved LDH Labels; before 2021-08-25 the preferred name syntax that RFC 5280 4.2.1.6 takes from RFC 1034 3.5.
//! `_` is left to name.underscore, `*` to wc.form, `--` to name.reserved_ldh and name.plabel.

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape, rfc};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.ldh",
        summary: "Every label of a dNSName has 1 to 63 letters, digits and hyphens, no hyphen first or last",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// Ballot SC048: the BR themselves demand LDH labels.
const LDH_IN_BR: Timestamp = date(2021, 8, 25);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names() {
        let Some(label) = name.labels().find(|label| !is_ldh(label)) else { continue };
        broken.at(|| {
            let mut finding = RULE.info.finding(name.text(), defect(label));
            if subject.moment < LDH_IN_BR {
                finding.citation = rfc(5280, "4.2.1.6").to_string().into();
            }
            finding
        });
    }
    broken.findings()
}

/// Whether the label has nothing that this rule forbids.
fn is_ldh(label: &[u8]) -> bool {
    let edge = label.starts_with(b"-") || label.ends_with(b"-");
    !label.is_empty() && label.len() <= 63 && !edge && label.iter().all(|b| is_known(*b))
}

fn is_known(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*')
}

/// What is wrong with a label that is not [`is_ldh`].
fn defect(label: &[u8]) -> String {
    let shown = escape(label, 63);
    if label.is_empty() {
        return "has an empty label".to_string();
    }
    if label.len() > 63 {
        return format!("has a label of {} octets, 63 are allowed", label.len());
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return format!("its label `{shown}` begins or ends with a hyphen");
    }
    let strange = label.iter().find(|b| !is_known(**b)).copied().unwrap_or_default();
    format!("its label `{shown}` contains `{}`, which is not a letter, digit or hyphen", escape(&[strange], 1))
}
