//! Who approved an EV order: two persons, before signing, and not the one who issues (EVG 5.2.4).

use std::collections::BTreeSet;

use crate::evidence::rules::EV_APPROVALS;
use crate::evidence::story::shown;
use crate::evidence::tally::Remark;
use crate::record::{Approval, IssuanceRecord};

/// The most approvals that a finding tells.
const MOST_TOLD: usize = 20;

/// Judges the approvals of a certificate; of those that are not EV it asks nothing.
pub(super) fn judge(record: &IssuanceRecord) -> Option<Remark> {
    let Some(order) = &record.order else {
        return Some(Remark::gap(&EV_APPROVALS, record.without_order()));
    };
    if !order.vtype.trim().eq_ignore_ascii_case("EV") {
        return None;
    }
    let Some(approvals) = &record.approvals else {
        return Some(Remark::gap(&EV_APPROVALS, "the feed has no table approvals"));
    };
    let persons = |steps: &[&str]| -> BTreeSet<String> {
        let of_step = |a: &&Approval| steps.iter().any(|step| step.eq_ignore_ascii_case(&a.step));
        let in_time = |a: &&Approval| a.decided_at <= record.signed_at;
        approvals.iter().filter(of_step).filter(in_time).map(|a| a.person.trim().to_ascii_lowercase()).collect()
    };
    let (validated, both) = (persons(&["validate"]), persons(&["validate", "cross_check"]));
    let issued = persons(&["issue"]);
    let signed = record.signed_at;
    let why = match (both.len(), validated.intersection(&issued).next()) {
        (0, _) => format!("nobody approved the EV order before it was signed at {signed}"),
        (1, _) => format!("one person alone approved the EV order before it was signed at {signed}"),
        (_, Some(person)) => format!("{} both validated the EV order and issued the certificate", shown(person)),
        _ => return None,
    };
    let told: Vec<String> = approvals
        .iter()
        .take(MOST_TOLD)
        .map(|a| format!("{} by {} at {}", shown(&a.step), shown(&a.person), a.decided_at))
        .collect();
    let told = if told.is_empty() { "no approval".to_string() } else { told.join(", ") };
    let subject = format!("order {}", shown(&order.order_id));
    let finding = EV_APPROVALS.finding(subject, why);
    Some(Remark::Broken(finding.with_evidence("issuance database", format!("{told} (as of {})", record.as_of))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;
    use crate::evidence::tests::{SIGNED, record};

    type Step<'a> = (&'a str, &'a str, i64);

    fn judged(vtype: &str, approvals: &[Step<'_>]) -> Option<String> {
        let mut record = record(None, vec![]);
        let approval = |(step, person, after): &Step<'_>| Approval {
            step: step.to_string(),
            person: person.to_string(),
            decided_at: SIGNED.plus(Span::from_seconds(*after)),
        };
        record.approvals = Some(approvals.iter().map(approval).collect());
        if let Some(order) = &mut record.order {
            order.vtype = vtype.to_string();
        }
        judge(&record).map(|remark| match remark {
            Remark::Broken(finding) => finding.detail,
            Remark::Gap(_, why) => panic!("not evaluable: {why}"),
        })
    }

    #[test]
    fn two_persons_before_signing_and_a_third_or_the_system_issues() {
        let good = [("validate", "a", -9), ("cross_check", "b", 0)];
        assert_eq!(judged("EV", &good), None);
        assert_eq!(judged("EV", &[good[0], good[1], ("issue", "b", -1)]), None);
        assert_eq!(judged("DV", &[]), None);
        let bad: [(&[Step<'_>], &str); 6] = [
            (&[], "nobody"),
            (&[("validate", "a", -9), ("cross_check", "A ", -8)], "one person"),
            (&[("validate", "a", -9), ("issue", "b", -8)], "one person"),
            (&[("validate", "a", -9), ("cross_check", "b", 1)], "one person"),
            (&[("validate", "a", 1), ("cross_check", "b", 1)], "nobody"),
            (&[good[0], good[1], ("issue", "a", -1)], "a both validated"),
        ];
        for (approvals, why) in bad {
            let detail = judged("ev", approvals).unwrap_or_else(|| panic!("{approvals:?} passes"));
            assert!(detail.starts_with(why), "{detail}");
        }
    }
}
