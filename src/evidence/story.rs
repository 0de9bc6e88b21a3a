//! The record in words: confirmations, chains of reuse, CAA checks.

use crate::clock::Span;
use crate::finding::escape;
use crate::record::{CaaCheck, DcvConfirmation, DcvReuse};

/// A reuse with every step the CA stated down to its root.
pub(super) fn chain(reuse: &DcvReuse) -> String {
    let by = reuse.decided_by.as_ref().map_or(String::new(), |person| format!(" by {}", shown(person)));
    let mut steps = vec![format!("{} (rule {}, decided {}{by})", reuse.label(), shown(&reuse.rule), reuse.decided_at)];
    let root = reuse.root.as_ref();
    let root_label = root.map(|root| format!("confirmation {}", root.dcv_id));
    for step in &reuse.chain {
        let at = step.stated_at.map_or(String::new(), |at| format!(" ({at})"));
        if Some(&step.stated_id) != root_label.as_ref() {
            steps.push(format!("{}{at}", shown(&step.stated_id)));
        }
    }
    steps.push(root.map_or("origin not found".to_string(), told));
    steps.join(" -> ")
}

/// A confirmation.
pub(super) fn told(c: &DcvConfirmation) -> String {
    let (adn, method, by) = (shown(&c.adn), shown(&c.method), shown(&c.performed_by));
    let resolver = c.resolver.as_ref().map_or(String::new(), |resolver| format!(", resolver {}", shown(resolver)));
    let remote = c.remote.map_or(String::new(), |remote| format!(", remote {}/{}", remote.corroborating, remote.total));
    format!(
        "confirmation {} ({adn}, method {method}, completed {}, by {by}{resolver}{remote})",
        c.dcv_id, c.completed_at
    )
}

/// A CAA check.
pub(super) fn told_check(check: &CaaCheck) -> String {
    let (name, result, by) = (shown(&check.name), shown(&check.result), shown(&check.performed_by));
    let ttl = check.ttl.map_or("not recorded".to_string(), |ttl| ttl.to_string());
    let records = match check.rrset.as_deref().map(str::trim) {
        None | Some("") => "no records on file".to_string(),
        Some(rrset) => format!("records on file: {}", escape(rrset.as_bytes(), 500)),
    };
    let resolver = shown(&check.resolver);
    format!(
        "CAA check {} ({name}, {result}, {}, TTL {ttl}, resolver {resolver}, by {by}); {records}",
        check.caa_id, check.checked_at
    )
}

/// `1 day`, `2 days`.
pub(super) fn days(span: Span) -> String {
    format!("{} day{}", span.days(), plural(span.days().unsigned_abs() as usize))
}

/// The ending of a noun that is counted.
pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Text of the CA's database, safe to show.
pub(super) fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}
