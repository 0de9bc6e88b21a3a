//! Would an auditor accept the evidence on which the CA relied, on the day it signed?
//!
//! Only a confirmation is evidence. A record of reuse leads to the confirmation at the root of its chain, and the age
//! of that root is what counts, however often it was reused since.

pub mod dcv_tables;

use std::collections::{BTreeSet, HashMap};

use crate::clock::Span;
use crate::evidence::dcv_tables::{may_rely, reuse_limit};
use crate::finding::{Finding, Issued, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, escape};
use crate::record::{
    Basis, DcvConfirmation, DcvReuse, IssuanceRecord, Lookup, Presented, SanAuthorisation, covering_domains, covers,
};

// BR 3.2.2.4: "The CA SHALL confirm that prior to issuance, the CA has validated each Fully-Qualified Domain Name
// (FQDN) listed in the Certificate".
static DCV_EXISTS: RuleInfo = RuleInfo {
    id: "dcv.exists",
    summary: "every subject alternative name rests on a validation that covers it and was completed before signing",
    severity: Severity::Error,
    citation: br("3.2.2.4"),
    clock: RevocationClock::Day(5),
    since: None,
    until: None,
    needs: Needs::Record,
};

// BR 4.2.1: "In no case may a prior validation be reused if any data or document used in the prior validation was
// obtained more than the maximum time permitted for reuse of the data or document prior to issuing the Certificate."
static DCV_REUSE: RuleInfo = RuleInfo {
    id: "dcv.reuse",
    summary: "the confirmation at the root of every reuse is known and within the reuse limit at signing",
    severity: Severity::Error,
    citation: br("4.2.1"),
    clock: RevocationClock::Day(5),
    since: None,
    until: None,
    needs: Needs::Record,
};

// BR 5.4.1 (2): "All verification activities stipulated in these Requirements and the CA's Certification Practice
// Statement" are to be recorded.
static DCV_RECORD: RuleInfo = RuleInfo {
    id: "dcv.record",
    summary: "the record of each name points at the validation that carries it",
    severity: Severity::Warning,
    citation: br("5.4.1"),
    clock: RevocationClock::None,
    since: None,
    until: None,
    needs: Needs::Record,
};

/// The rules of this room.
pub static RULES: &[&RuleInfo] = &[&DCV_EXISTS, &DCV_REUSE, &DCV_RECORD];

/// Audits the evidence behind every SAN: one verdict per rule of [`RULES`], in that order. The moment that counts is
/// the CA's own signing time in the record; `issued` is what the logs say of it and stands beside it in the findings.
pub fn run(presented: &Presented, lookup: &Lookup, issued: Issued) -> Vec<(&'static RuleInfo, Verdict)> {
    let audit = match lookup.record().map(|record| (record, record.authorisations.as_deref())) {
        Ok((record, Some(rows))) => Audit { record, rows: by_name(rows), issued },
        Ok((_, None)) => return not_evaluable("the feed has no table san_authorisations"),
        Err(why) => return not_evaluable(&why),
    };
    let (mut exists, mut reuse, mut defects) = (Vec::new(), Vec::new(), Vec::new());
    for name in presented.names.iter().collect::<BTreeSet<_>>() {
        let row = audit.rows.get(name.as_str()).copied();
        let broken: Vec<Finding> = [audit.existence(name, row), audit.age(name, row)].into_iter().flatten().collect();
        if broken.is_empty() {
            continue;
        }
        match audit.other_confirmation(name) {
            Some(other) => defects.push(audit.defect(name, &broken, other)),
            None => broken.into_iter().for_each(|finding| match finding.rule == DCV_EXISTS.id {
                true => exists.push(finding),
                false => reuse.push(finding),
            }),
        }
    }
    vec![
        (&DCV_EXISTS, Verdict::from_findings(exists)),
        (&DCV_REUSE, Verdict::from_findings(reuse)),
        (&DCV_RECORD, Verdict::from_findings(defects)),
    ]
}

fn not_evaluable(why: &str) -> Vec<(&'static RuleInfo, Verdict)> {
    RULES.iter().map(|rule| (*rule, Verdict::NotEvaluable(why.to_string()))).collect()
}

fn by_name(rows: &[SanAuthorisation]) -> HashMap<String, &SanAuthorisation> {
    rows.iter().map(|row| (row.name.to_ascii_lowercase(), row)).collect()
}

struct Audit<'a> {
    record: &'a IssuanceRecord,
    rows: HashMap<String, &'a SanAuthorisation>,
    issued: Issued,
}

impl Audit<'_> {
    /// dcv.exists for one name.
    fn existence(&self, name: &str, row: Option<&SanAuthorisation>) -> Option<Finding> {
        let why = match row.map(|row| &row.basis) {
            None => "no row in san_authorisations: nothing says on what validation the name rests".to_string(),
            Some(Basis::Missing) => "its row names neither a confirmation nor a reuse".to_string(),
            Some(Basis::Reuse(reuse)) => match &reuse.root {
                None => format!("it rests on {}, which leads to no confirmation", reuse.label()),
                Some(root) => self.unfit(name, root)?,
            },
            Some(Basis::Confirmation(confirmation)) => self.unfit(name, confirmation)?,
        };
        Some(self.with_evidence(DCV_EXISTS.finding(name, why), row))
    }

    /// Why a confirmation says nothing about the name, if so.
    fn unfit(&self, name: &str, confirmation: &DcvConfirmation) -> Option<String> {
        let what = format!("confirmation {} of {}", confirmation.dcv_id, shown(&confirmation.adn));
        let (completed, signed) = (confirmation.completed_at, self.record.signed_at);
        if !covers(&confirmation.adn, name) {
            return Some(format!("it rests on {what}, which does not cover it"));
        }
        let late = completed.since(signed);
        (completed > signed).then(|| format!("{what} was completed at {completed}, {late} after signing at {signed}"))
    }

    /// dcv.reuse for one name.
    fn age(&self, name: &str, row: Option<&SanAuthorisation>) -> Option<Finding> {
        let (root, reuse) = match row.map(|row| &row.basis)? {
            Basis::Missing => return None,
            Basis::Confirmation(confirmation) => (Some(confirmation), None),
            Basis::Reuse(reuse) => (reuse.root.as_ref(), Some(reuse)),
        };
        let steps = reuse.map_or(0, |reuse| reuse.chain.len().max(1));
        let why = match root {
            None => format!("the origin of the reuse was not found after {steps} step{}", plural(steps)),
            Some(root) => {
                let limit = reuse_limit(&root.method, self.record.signed_at);
                if self.record.signed_at <= limit.ends(root.completed_at) {
                    return None;
                }
                let reused = match reuse {
                    None => "relied upon directly".to_string(),
                    Some(reuse) if reuse.chain.is_empty() => "reused once".to_string(),
                    Some(_) => format!("reached through {steps} reuse{}", plural(steps)),
                };
                let age = days(self.record.signed_at.since(root.completed_at));
                let (id, signed) = (root.dcv_id, self.record.signed_at);
                format!(
                    "its validation (confirmation {id}, {reused}) was {age} old at signing on {signed}; limit {limit}"
                )
            }
        };
        Some(self.with_evidence(DCV_REUSE.finding(name, why), row))
    }

    /// The newest confirmation of the same applicant that could carry the name although the record does not say so.
    fn other_confirmation(&self, name: &str) -> Option<&DcvConfirmation> {
        let signed = self.record.signed_at;
        let fit = |c: &&DcvConfirmation| {
            let bare = covering_domains(name).first().is_some_and(|own| own.eq_ignore_ascii_case(&c.adn));
            let alone = bare && !name.starts_with("*.");
            covers(&c.adn, name)
                && c.completed_at <= signed
                && signed <= reuse_limit(&c.method, signed).ends(c.completed_at)
                && may_rely(&c.method, signed, alone)
        };
        self.record.other_confirmations.iter().filter(fit).max_by_key(|c| c.completed_at)
    }

    fn defect(&self, name: &str, broken: &[Finding], other: &DcvConfirmation) -> Finding {
        let why: Vec<&str> = broken.iter().map(|finding| finding.detail.as_str()).collect();
        let detail = format!(
            "record defect, not missing evidence: {}; but confirmation {} of the same applicant carries the name",
            why.join("; "),
            other.dcv_id
        );
        let mut finding = DCV_RECORD.finding(name, detail).with_evidence("issuance database", told(other));
        finding.evidence.extend(broken.iter().take(1).flat_map(|finding| finding.evidence.clone()));
        finding
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
        let searched = record.other_confirmations.iter().filter(|other| covers(&other.adn, &finding.subject)).count();
        let searched = format!(
            "{searched} confirmation{} of the same applicant cover the name, none of them fit at signing (as of {})",
            plural(searched),
            record.as_of
        );
        let finding = finding.with_evidence("issuance database", said);
        finding.with_evidence("issuance database", searched).with_evidence("issuance database, logs", times)
    }
}

/// A reuse with every step the CA stated down to its root.
fn chain(reuse: &DcvReuse) -> String {
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

fn told(c: &DcvConfirmation) -> String {
    let (adn, method, by) = (shown(&c.adn), shown(&c.method), shown(&c.performed_by));
    format!("confirmation {} ({adn}, method {method}, completed {}, by {by})", c.dcv_id, c.completed_at)
}

fn days(span: Span) -> String {
    format!("{} day{}", span.days(), plural(span.days().unsigned_abs() as usize))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}

#[cfg(test)]
mod tests;
