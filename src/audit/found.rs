//! What was found in a part, as it is kept until all parts are judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// A finding with what it is grouped by. The order is by certificate, name and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Found {
    /// The certificate, as the CA numbers it.
    pub cert_id: i64,
    /// The name; empty when it is about the certificate as a whole.
    pub name: String,
    /// The rule.
    pub rule: String,
    /// The severity.
    pub severity: String,
    /// The section.
    pub citation: String,
    /// `24h`, `5d` or `none`.
    pub clock: String,
    /// Why.
    pub detail: String,
    /// The order.
    pub order_id: String,
    /// The account of the order.
    pub account_id: String,
    /// The applicant of the order.
    pub subscriber: String,
    /// What the applicant or the account is called.
    pub subscriber_name: String,
    /// The registrable domain of the name.
    pub registrable_domain: String,
    /// The method of the confirmation that the name rests on.
    pub method: String,
    /// That confirmation.
    pub dcv_id: Option<i64>,
    /// When the certificate was signed, in seconds since 1970.
    pub signed_at: i64,
    /// When it ends, in seconds since 1970, if recorded.
    pub not_after: Option<i64>,
    /// Whether the record knows of no revocation.
    pub still_valid: bool,
    /// The issuer's name.
    pub issuer: String,
    /// The facts on which it rests, one a line.
    pub evidence: String,
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
