//! What was found in a part, as it is kept until all parts are judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::spool::{Fields, put_number, put_small, put_text};
use crate::finding::Finding;

/// A finding with what it is grouped by. The order is by certificate, name and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Found<T = String> {
    /// The certificate, as the CA numbers it.
    pub cert_id: i64,
    /// The name; empty when it is about the certificate as a whole.
    pub name: T,
    /// The rule.
    pub rule: T,
    /// The severity.
    pub severity: T,
    /// The section.
    pub citation: T,
    /// `24h`, `5d` or `none`.
    pub clock: T,
    /// Why.
    pub detail: T,
    /// The order.
    pub order_id: T,
    /// The account of the order.
    pub account_id: T,
    /// The applicant of the order.
    pub subscriber: T,
    /// What the applicant or the account is called.
    pub subscriber_name: T,
    /// The registrable domain of the name.
    pub registrable_domain: T,
    /// The method of the confirmation that the name rests on.
    pub method: T,
    /// That confirmation.
    pub dcv_id: Option<i64>,
    /// When the certificate was signed, in seconds since 1970.
    pub signed_at: i64,
    /// When it ends, in seconds since 1970, if recorded.
    pub not_after: Option<i64>,
    /// Whether the record knows of no revocation.
    pub still_valid: bool,
    /// The issuer's name.
    pub issuer: T,
    /// The facts on which it rests, one a line.
    pub evidence: T,
}

impl Found {
    /// The same certificate with a finding of one name.
    pub(super) fn of(
        mut self,
        finding: &Finding,
        name: &str,
        domain: &str,
        method: String,
        dcv_id: Option<i64>,
    ) -> Found {
        self.name = name.to_string();
        self.rule = finding.rule.to_string();
        self.severity = finding.severity.word().to_string();
        self.citation = finding.citation.to_string();
        self.clock = finding.clock.word().to_string();
        self.detail = finding.detail.clone();
        self.registrable_domain = domain.to_string();
        self.method = method;
        self.dcv_id = dcv_id;
        let facts: Vec<String> =
            finding.evidence.iter().map(|fact| format!("{}: {}", fact.source, fact.text)).collect();
        self.evidence = facts.join("\n");
        self
    }
}

impl<T: AsRef<str>> Found<T> {
    /// Writes it as the file of a part keeps it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut maybe = |number: Option<i64>| {
            put_small(out, u32::from(number.is_some()));
            put_number(out, number.unwrap_or_default());
        };
        [Some(self.cert_id), self.dcv_id, Some(self.signed_at), self.not_after].into_iter().for_each(&mut maybe);
        put_small(out, u32::from(self.still_valid));
        let Found { name, rule, severity, citation, clock, detail, order_id, account_id, .. } = self;
        let Found { subscriber, subscriber_name, registrable_domain, method, issuer, evidence, .. } = self;
        let head = [name, rule, severity, citation, clock, detail, order_id, account_id];
        let tail = [subscriber, subscriber_name, registrable_domain, method, issuer, evidence];
        head.into_iter().chain(tail).for_each(|text| put_text(out, text.as_ref()));
    }
}

impl<'b> Found<&'b str> {
    /// Reads what [`Found::put`] wrote; `None` when it is something else.
    pub(super) fn read(record: &'b [u8]) -> Option<Found<&'b str>> {
        let mut fields = Fields(record);
        let mut maybe = || {
            let there = fields.small()? == 1;
            let number = fields.number()?;
            Some(there.then_some(number))
        };
        let (cert_id, dcv_id, signed_at, not_after) = (maybe()??, maybe()?, maybe()??, maybe()?);
        let still_valid = fields.small()? == 1;
        let mut text = || std::str::from_utf8(fields.text()?).ok();
        let found = Found {
            name: text()?,
            rule: text()?,
            severity: text()?,
            citation: text()?,
            clock: text()?,
            detail: text()?,
            order_id: text()?,
            account_id: text()?,
            subscriber: text()?,
            subscriber_name: text()?,
            registrable_domain: text()?,
            method: text()?,
            issuer: text()?,
            evidence: text()?,
            ..Found { cert_id, dcv_id, signed_at, not_after, still_valid, ..Found::default() }
        };
        fields.0.is_empty().then_some(found)
    }
}

/// A name that rests on a row of another part, or on one that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Stray {
    pub(super) cert_id: i64,
    pub(super) name: String,
    /// The confirmation; 0: none.
    pub(super) dcv: i64,
    /// The CAA check; 0: none.
    pub(super) caa: i64,
}

/// What judging a part gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) names: u64,
    pub(super) certificates: u64,
    pub(super) findings: Vec<Found>,
    pub(super) strays: Vec<Stray>,
    /// Rule, reason, and of how many names or certificates.
    pub(super) gaps: BTreeMap<String, u64>,
}

impl Outcome {
    /// Counts what could not be judged.
    pub(super) fn gap(&mut self, rule: &str, reason: &str, count: u64) {
        *self.gaps.entry(format!("{rule}: {reason}")).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_read_as_it_was_written_and_nothing_else_is() {
        let text = |text: &str| text.to_string();
        let found = Found {
            cert_id: 7,
            name: text("a.eus"),
            rule: text("dcv.reuse"),
            detail: text("old"),
            evidence: text("a: b\nc: d"),
            dcv_id: Some(-3),
            signed_at: 5,
            still_valid: true,
            ..Found::default()
        };
        let mut bytes = Vec::new();
        found.put(&mut bytes);
        let read = Found::read(&bytes).expect("a finding");
        assert_eq!((read.cert_id, read.dcv_id, read.not_after, read.still_valid), (7, Some(-3), None, true));
        assert_eq!((read.name, read.rule, read.detail, read.evidence), ("a.eus", "dcv.reuse", "old", "a: b\nc: d"));
        let mut again = Vec::new();
        read.put(&mut again);
        assert_eq!(again, bytes);
        assert!((0..bytes.len()).all(|end| Found::read(&bytes[..end]).is_none()));
        bytes.push(0);
        assert!(Found::read(&bytes).is_none());
    }
}
