//! BR 6.1.1.3 (5): the CA rejects a request whose key is a Debian weak key, one of those that the OpenSSL of Debian could
//! make from 2006 to 2008 (CVE-2008-0166). Everybody has the private keys, hence the clock of 4.9.1.1 (4). The keys are in lists
//! that the CA feeds (`[lint] weak_keys`).

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.weak.debian",
        summary: "The key is on no list of weak keys such as those of Debian's OpenSSL",
        severity: Severity::Error,
        citation: br("6.1.1.3"),
        clock: RevocationClock::Day(4),
        since: Some(date(2024, 11, 15)),
        until: None,
        needs: Needs::KeyList,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let lists = &subject.tables.keys;
    if !lists.is_weak(subject.cert) {
        return Vec::new();
    }
    let source =
        format!("{} keys, as of {}", lists.weak_count(), lists.as_of().map(Timestamp::day).unwrap_or_default());
    let finding = RULE.info.finding("subjectPublicKey", "is on a list of weak keys: its private key is public");
    vec![finding.with_evidence("list of weak keys", source)]
}
