//! The record in words: confirmations, chains of reuse, CAA checks.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::clock::Span;
use crate::finding::{escape, escaped};
use crate::record::{CaaCheck, DcvConfirmation, DcvReuse};

/// A reuse with every step the CA stated down to its root.
pub(super) fn chain(reuse: &DcvReuse) -> String {
    let mut out = format!("{} (rule {}, decided {}", reuse.label(), shown(&reuse.rule), reuse.decided_at);
    if let Some(person) = &reuse.decided_by {
        out.extend([" by ", &*shown(person)]);
    }
    out.push(')');
    let root = reuse.root.as_ref();
    let root_label = root.map(|root| format!("confirmation {}", root.dcv_id));
    for step in &reuse.chain {
        if Some(&step.stated_id) != root_label.as_ref() {
            out.extend([" -> ", &*shown(&step.stated_id)]);
            // Writing to a string cannot fail.
            let _ = step.stated_at.map_or(Ok(()), |at| write!(out, " ({at})"));
        }
    }
    out.push_str(" -> ");
    match root {
        Some(root) => tell(root, &mut out),
        None => out.push_str("origin not found"),
    }
    out
}

/// A confirmation.
pub(super) fn told(confirmation: &DcvConfirmation) -> String {
    let mut out = String::new();
    tell(confirmation, &mut out);
    out
}

fn tell(c: &DcvConfirmation, out: &mut String) {
    let (adn, method, by) = (shown(&c.adn), shown(&c.method), shown(&c.performed_by));
    let _ = write!(out, "confirmation {} ({adn}, method {method}, completed {}, by {by}", c.dcv_id, c.completed_at);
    if let Some(resolver) = &c.resolver {
        out.extend([", resolver ", &*shown(resolver)]);
    }
    if let Some(remote) = c.remote {
        let _ = write!(out, ", remote {}/{}", remote.corroborating, remote.total);
    }
    out.push(')');
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
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, 200)
}
