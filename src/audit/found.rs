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

impl<'f> Found<&'f str> {
    /// The same certificate with a finding of one name, whose facts are told in `evidence`.
    pub(super) fn of(self, finding: &'f Finding, row: Row<'f>, evidence: &'f str) -> Found<&'f str> {
        Found {
            name: row.name,
            rule: &finding.rule,
            severity: finding.severity.word(),
            citation: &finding.citation,
            clock: finding.clock.word(),
            detail: &finding.detail,
            registrable_domain: row.registrable_domain,
            method: row.method,
            dcv_id: row.dcv_id,
            evidence,
            ..self
        }
    }
}

/// What a finding says of the row it is about; nothing when it is about the certificate as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row<'f> {
    pub(super) name: &'f str,
    pub(super) registrable_domain: &'f str,
    pub(super) method: &'f str,
    pub(super) dcv_id: Option<i64>,
}

/// The facts on which a finding rests, one a line.
pub(super) fn told(finding: &Finding) -> String {
    let mut out = String::with_capacity(512);
    for (place, fact) in finding.evidence.iter().enumerate() {
        out.extend([if place == 0 { "" } else { "\n" }, &*fact.source, ": ", &*fact.text]);
    }
    out
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

impl<'b> Found<&'b [u8]> {
    /// Reads what [`Found::put`] wrote, its texts as octets; `None` when it is something else.
    pub(super) fn read(record: &'b [u8]) -> Option<Found<&'b [u8]>> {
        let mut fields = Fields(record);
        let mut maybe = || {
            let there = fields.small()? == 1;
            let number = fields.number()?;
            Some(there.then_some(number))
        };
        let (cert_id, dcv_id, signed_at, not_after) = (maybe()??, maybe()?, maybe()??, maybe()?);
        let still_valid = fields.small()? == 1;
        let mut text = || fields.text();
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

    /// The same with its texts; `None` when one of them is none.
    pub(super) fn text(self) -> Option<Found<&'b str>> {
        let text = |octets| std::str::from_utf8(octets).ok();
        Some(Found {
            cert_id: self.cert_id,
            name: text(self.name)?,
            rule: text(self.rule)?,
            severity: text(self.severity)?,
            citation: text(self.citation)?,
            clock: text(self.clock)?,
            detail: text(self.detail)?,
            order_id: text(self.order_id)?,
            account_id: text(self.account_id)?,
            subscriber: text(self.subscriber)?,
            subscriber_name: text(self.subscriber_name)?,
            registrable_domain: text(self.registrable_domain)?,
            method: text(self.method)?,
            dcv_id: self.dcv_id,
            signed_at: self.signed_at,
            not_after: self.not_after,
            still_valid: self.still_valid,
            issuer: text(self.issuer)?,
            evidence: text(self.evidence)?,
        })
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

/// Findings as they are kept, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    records: Vec<u8>,
    ends: Vec<usize>,
}

impl Findings {
    pub(super) fn add(&mut self, found: &Found<&str>) {
        found.put(&mut self.records);
        self.ends.push(self.records.len());
    }
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// What [`Found::put`] wrote of each, in the order of the findings; `None` when one of them cannot be read.
    pub(super) fn in_order(&self) -> Option<Vec<&[u8]>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let records = starts.zip(&self.ends).map(|(start, end)| &self.records[*start..*end]);
        let mut all = records.map(|record| Some((Found::read(record)?, record))).collect::<Option<Vec<_>>>()?;
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Some(all.into_iter().map(|(_, record)| record).collect())
    }
}

/// What judging a part gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) names: u64,
    pub(super) certificates: u64,
    pub(super) findings: Findings,
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
        let read = Found::read(&bytes).and_then(Found::text).expect("a finding");
        assert_eq!((read.cert_id, read.dcv_id, read.not_after, read.still_valid), (7, Some(-3), None, true));
        assert_eq!((read.name, read.rule, read.detail, read.evidence), ("a.eus", "dcv.reuse", "old", "a: b\nc: d"));
        let mut again = Vec::new();
        read.put(&mut again);
        assert_eq!(again, bytes);
        assert!((0..bytes.len()).all(|end| Found::read(&bytes[..end]).is_none()));
        bytes.push(0);
        assert!(Found::read(&bytes).is_none());
        let mut findings = Findings::default();
        let names = [(9, "b.eus"), (2, "c.eus"), (9, "a.eus")];
        names.iter().for_each(|(cert_id, name)| findings.add(&Found { cert_id: *cert_id, name, ..Found::default() }));
        let sorted = findings
            .in_order()
            .expect("findings")
            .into_iter()
            .map(|record| Found::read(record).expect("a finding").name);
        assert!(sorted.eq([&b"c.eus"[..], b"a.eus", b"b.eus"]) && !findings.is_empty());
        let strange = Found::<&[u8]> { name: b"a.\xff", ..Found::default() };
        assert!(strange.text().is_none());
    }
}
