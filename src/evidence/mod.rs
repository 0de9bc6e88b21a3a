//! Would an auditor accept the evidence on which the CA relied, on the day it signed?
//!
//! Only a confirmation is evidence. A record of reuse leads to the confirmation at the root of its chain, and the age
//! of that root is what counts, however often it was reused since.

mod approvals;
pub mod caa;
mod caa_checks;
mod confirmation;
pub mod dated;
mod identity;
mod location;
pub mod methods;
mod origin;
mod perspectives;
mod policy;
pub mod reuse_limits;
mod rules;
pub mod sieve;
mod story;
mod tally;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::evidence::caa_checks::Checked;
use crate::evidence::confirmation::Reliance;
pub(crate) use crate::evidence::policy::lists;
pub use crate::evidence::policy::{FlawedMethod, Policy, ReuseRule};
pub use crate::evidence::rules::RULES;
use crate::evidence::rules::{
    DCV_ADN, DCV_APPLICANT, DCV_EXISTS, DCV_FLAWED, DCV_LOCATION, DCV_MANUAL, DCV_METHOD, DCV_ORIGIN, DCV_OWN_LIMIT,
    DCV_RECORD, DCV_RESOLVER, DCV_REUSE, DCV_TOKEN30, DCV_WILDCARD, DNSSEC, EV_APPROVALS, ID_REUSE, MPIC_COUNT,
    MPIC_QUORUM, MPIC_RIR,
};
use crate::evidence::story::{chain, plural, told};
use crate::evidence::tally::{Remark, Tally};
use crate::finding::{Finding, Issued, RuleInfo, Severity, Verdict};
use crate::lint::SuffixList;
use crate::record::{Basis, DcvConfirmation, DcvReuse, IssuanceRecord, Lookup, Presented, SanAuthorisation, covers};

/// The rules that need a confirmation to judge.
static OF_A_CONFIRMATION: [&RuleInfo; 16] = [
    &DCV_ADN,
    &DCV_METHOD,
    &DCV_WILDCARD,
    &DCV_REUSE,
    &DCV_OWN_LIMIT,
    &DCV_TOKEN30,
    &DCV_LOCATION,
    &DCV_FLAWED,
    &DCV_ORIGIN,
    &DCV_APPLICANT,
    &DCV_MANUAL,
    &DCV_RESOLVER,
    &MPIC_COUNT,
    &MPIC_QUORUM,
    &MPIC_RIR,
    &DNSSEC,
];

/// Audits the evidence behind every SAN: one verdict per rule of [`RULES`], in that order. The moment that counts is
/// the CA's own signing time in the record; `issued` is what the logs say of it and stands beside it in the findings.
pub fn run(
    presented: &Presented,
    lookup: &Lookup,
    issued: Issued,
    policy: &Policy,
    suffixes: &SuffixList,
) -> Vec<(&'static RuleInfo, Verdict)> {
    let mut tally = Tally::default();
    match lookup.record() {
        Err(why) => RULES.iter().for_each(|rule| tally.add(Remark::gap(rule, why.clone()))),
        Ok(record) => {
            of_names(presented, record, (issued, policy, suffixes), true, &mut tally);
            approvals::judge(record).into_iter().chain(identity::judge(record)).for_each(|remark| tally.add(remark));
        }
    }
    tally.verdicts()
}

/// As [`run`] of a record that is there, but without what CAA checks, approvals and identities say.
pub fn validations(
    presented: &Presented,
    record: &IssuanceRecord,
    issued: Issued,
    policy: &Policy,
    suffixes: &SuffixList,
) -> Vec<(&'static RuleInfo, Verdict)> {
    let mut tally = Tally::default();
    of_names(presented, record, (issued, policy, suffixes), false, &mut tally);
    tally.verdicts()
}

fn of_names(
    presented: &Presented,
    record: &IssuanceRecord,
    (issued, policy, suffixes): (Issued, &Policy, &SuffixList),
    with_checks: bool,
    tally: &mut Tally,
) {
    match record.authorisations.as_deref() {
        Some(rows) => {
            let rows = ByName::new(rows);
            Audit { record, rows, issued, policy, suffixes }.names(presented, with_checks, tally);
        }
        None => {
            let gap = |rule| Remark::gap(rule, "the feed has no table san_authorisations");
            let of_order = [EV_APPROVALS.id, ID_REUSE.id];
            RULES.iter().filter(|rule| !of_order.contains(&rule.id)).for_each(|rule| tally.add(gap(rule)));
        }
    }
}

/// Rows by their name in lower case, in its order.
struct ByName<'a>(Vec<(Cow<'a, str>, &'a SanAuthorisation)>);

impl<'a> ByName<'a> {
    fn new(rows: &'a [SanAuthorisation]) -> ByName<'a> {
        let lower = |name: &'a str| match name.bytes().any(|octet| octet.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        let mut rows: Vec<_> = rows.iter().map(|row| (lower(&row.name), row)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        ByName(rows)
    }
    /// Of several rows of one name the last counts.
    fn get(&self, name: &str) -> Option<&'a SanAuthorisation> {
        let end = self.0.partition_point(|(other, _)| **other <= *name);
        self.0[..end].last().filter(|(other, _)| other == name).map(|(_, row)| *row)
    }
}

struct Audit<'a> {
    record: &'a IssuanceRecord,
    rows: ByName<'a>,
    issued: Issued,
    policy: &'a Policy,
    suffixes: &'a SuffixList,
}

impl Audit<'_> {
    fn names(&self, presented: &Presented, with_checks: bool, tally: &mut Tally) {
        let mut names: Vec<&str> = presented.names.iter().map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let row = self.rows.get(name);
            self.validation(name, row).into_iter().for_each(|remark| tally.add(remark));
            if !with_checks {
                continue;
            }
            let check = row.and_then(|row| row.caa.as_ref());
            let confirmation = row.and_then(|row| root(&row.basis));
            let (record, policy) = (self.record, self.policy);
            let checked = Checked { name, check, confirmation, record, policy };
            checked.judge().into_iter().for_each(|remark| tally.add(remark));
        }
    }

    /// Everything about the validation that a name rests on. Where it is broken and another one of the same applicant
    /// carries the name, the record has a defect and the certificate has none.
    fn validation(&self, name: &str, row: Option<&SanAuthorisation>) -> Vec<Remark> {
        let remarks = self.relied_upon(name, row);
        let broken: Vec<&Finding> = remarks.iter().filter_map(doubt).collect();
        let other = if broken.is_empty() { None } else { self.other_confirmation(name) };
        if let Some(other) = other {
            let defect = Remark::Broken(self.with_evidence(defect(name, &broken, other), row));
            let rest = self.reliance(name, other, None).judge();
            return rest.into_iter().chain([defect]).collect();
        }
        let told = |remark| match remark {
            Remark::Broken(finding) => Remark::Broken(self.with_evidence(finding, row)),
            gap => gap,
        };
        remarks.into_iter().map(told).collect()
    }

    fn reliance<'r>(
        &'r self,
        name: &'r str,
        confirmation: &'r DcvConfirmation,
        reuse: Option<&'r DcvReuse>,
    ) -> Reliance<'r> {
        Reliance { name, confirmation, reuse, record: self.record, policy: self.policy, suffixes: self.suffixes }
    }

    fn relied_upon(&self, name: &str, row: Option<&SanAuthorisation>) -> Vec<Remark> {
        let (why, more) = match row.map(|row| &row.basis) {
            Some(Basis::Confirmation(confirmation)) => return self.reliance(name, confirmation, None).judge(),
            Some(Basis::Reuse(reuse)) => match &reuse.root {
                Some(root) => return self.reliance(name, root, Some(reuse)).judge(),
                None => {
                    let steps = reuse.chain.len().max(1);
                    let why = format!("the origin of the reuse was not found after {steps} step{}", plural(steps));
                    let nothing = format!("it rests on {}, which leads to no confirmation", reuse.label());
                    (nothing, Some(Remark::Broken(DCV_REUSE.finding(name, why))))
                }
            },
            None => ("no row in san_authorisations: nothing says on what validation the name rests".into(), None),
            Some(Basis::Missing) => ("its row names neither a confirmation nor a reuse".into(), None),
        };
        let of_one = OF_A_CONFIRMATION.iter().filter(|rule| rule.in_force(self.record.signed_at));
        if !self.record.keeps_confirmations {
            let gap = |rule| Remark::gap(rule, "the feed has no table dcv_confirmations");
            return of_one.copied().chain([&DCV_EXISTS]).map(gap).collect();
        }
        let missing = format!("no confirmation of {} is on record (san_authorisations.dcv_id)", story::shown(name));
        let gaps = of_one.map(|rule| Remark::gap(rule, missing.clone()));
        gaps.chain([Remark::Broken(DCV_EXISTS.finding(name, why))]).chain(more).collect()
    }

    /// The newest confirmation of the same applicant that could carry the name although the record does not say so.
    fn other_confirmation(&self, name: &str) -> Option<&DcvConfirmation> {
        let fit = |confirmation: &&DcvConfirmation| {
            self.reliance(name, confirmation, None).remarks().all(|remark| doubt(&remark).is_none())
        };
        let mut newest: Vec<&DcvConfirmation> = self.record.other_confirmations.iter().collect();
        newest.sort_by_key(|c| (c.completed_at, c.dcv_id));
        newest.into_iter().rev().find(fit)
    }

    fn with_evidence(&self, finding: Finding, row: Option<&SanAuthorisation>) -> Finding {
        let record = self.record;
        let said = match row.map(|row| &row.basis) {
            None => "no row in san_authorisations".to_string(),
            Some(Basis::Missing) => "a row in san_authorisations without dcv_id and reuse_id".to_string(),
            Some(Basis::Confirmation(confirmation)) => told(confirmation),
            Some(Basis::Reuse(reuse)) => chain(reuse),
        };
        let (first, last) = (self.issued.earliest, self.issued.latest);
        let times = match first == last {
            true => format!("signed at {} by the record, at {first} by the logs", record.signed_at),
            false => format!("signed at {} by the record, {first} to {last} by the logs", record.signed_at),
        };
        let finding = finding.with_evidence("issuance database", said);
        if finding.rule == DCV_RECORD.id {
            return finding;
        }
        let searched = record.other_confirmations.iter().filter(|other| covers(&other.adn, &finding.subject)).count();
        let searched = searched + record.aged_confirmations;
        let searched = format!(
            "{searched} confirmation{} of the same applicant cover the name, none of them fit at signing (as of {})",
            plural(searched),
            record.as_of
        );
        let finding = match finding.severity {
            Severity::Warning | Severity::Notice => finding,
            _ => finding.with_evidence("issuance database", searched),
        };
        finding.with_evidence("issuance database, logs", times)
    }
}

/// The confirmation at the root.
fn root(basis: &Basis) -> Option<&DcvConfirmation> {
    match basis {
        Basis::Confirmation(confirmation) => Some(confirmation),
        Basis::Reuse(reuse) => reuse.root.as_ref(),
        Basis::Missing => None,
    }
}

/// What makes a validation doubtful or worthless, not what is only advised against.
fn doubt(remark: &Remark) -> Option<&Finding> {
    match remark {
        Remark::Broken(finding) if !matches!(finding.severity, Severity::Warning | Severity::Notice) => Some(finding),
        _ => None,
    }
}

fn defect(name: &str, broken: &[&Finding], other: &DcvConfirmation) -> Finding {
    let why: Vec<&str> = broken.iter().map(|finding| finding.detail.as_str()).collect();
    let detail = format!(
        "record defect, not missing evidence: {}; but confirmation {} of the same applicant carries the name",
        why.join("; "),
        other.dcv_id
    );
    DCV_RECORD.finding(name, detail).with_evidence("issuance database", told(other))
}
