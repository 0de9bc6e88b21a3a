//! BR 6.1.1.3 (4): the CA rejects a request when it "has previously been notified that the Applicant's Private Key has suffered a
//! Key Compromise"; a certificate for such a key is revoked within 24 hours (4.9.1.1 (3)). The keys are in lists that the CA
//! feeds (`[lint] compromised_keys`).

use crate::clock::Timestamp;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.compromised",
        summary: "The key is not on the CA's list of compromised keys",
        severity: Severity::Error,
        citation: br("6.1.1.3"),
        clock: RevocationClock::Day(3),
        since: None,
        until: None,
        needs: Needs::KeyList,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let lists = &subject.tables.keys;
    let Some(reason) = lists.compromise(subject.cert) else { return Vec::new() };
    let source =
        format!("{} keys, as of {}", lists.compromised_count(), lists.as_of().map(Timestamp::day).unwrap_or_default());
    let finding = RULE.info.finding("subjectPublicKey", format!("is known to be compromised: {reason}"));
    vec![finding.with_evidence("list of compromised keys", source)]
}
