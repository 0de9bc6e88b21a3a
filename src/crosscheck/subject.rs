//! Is the subject the organization or person that the CA verified (BR 3.2.2.1, 3.2.3)?

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, escape};
use crate::record::{Identity, IssuanceRecord, Presented, SubjectAttribute};

// BR 3.2.2.1: "If the Subject Identity Information is to include the name or address of an organization, the CA SHALL
// verify the identity and address of the organization and that the address is the Applicant's address of existence or
// operation"; BR 4.9.1.1 (13): "any of the information appearing in the Certificate is inaccurate".
pub(super) static SUBJ_VALUES: RuleInfo = RuleInfo {
    id: "subj.values",
    summary: "every attribute of the subject is what the CA verified of the organization or person",
    severity: Severity::Error,
    citation: br("3.2.2.1"),
    clock: RevocationClock::FiveDays(13),
    since: Some(date(2012, 7, 1)),
    until: None,
    needs: Needs::Record,
};

pub(super) fn judge(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    if !SUBJ_VALUES.in_force(record.signed_at) {
        return Verdict::Pass;
    }
    let Some(subject) = &presented.subject else {
        return Verdict::NotEvaluable("the certificate itself is not at hand, so that its subject is not known".into());
    };
    let told: Vec<(&SubjectAttribute, &str)> =
        subject.iter().filter_map(|attribute| Some((attribute, attribute.column?))).collect();
    if told.is_empty() {
        return Verdict::Pass;
    }
    if !record.keeps_identities {
        return Verdict::NotEvaluable("the feed has no table identities".to_string());
    }
    let Some(order) = &record.order else {
        return Verdict::NotEvaluable(record.without_order().to_string());
    };
    let Some(identity) = &record.identity else {
        // BR 3.2.2.3: the country alone may be verified without an identity, as in a DV certificate.
        if told.iter().all(|(_, column)| *column == "country") {
            return Verdict::NotEvaluable("the order names no identity (orders.identity_id)".to_string());
        }
        let why = "the order names no identity: nobody is on record as having verified it (orders.identity_id)";
        let finding = |(attribute, _): &(&SubjectAttribute, &str)| {
            let row = format!("order {} has no identity_id (as of {})", shown(&order.order_id), record.as_of);
            SUBJ_VALUES.finding(text(attribute), why).with_evidence("issuance database", row)
        };
        return Verdict::Fail(told.iter().map(finding).collect());
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (attribute, column) in told {
        match identity.value(column) {
            None => missing.push(format!("identities.{column}")),
            Some(verified) if same(verified, &attribute.value) => {}
            Some(verified) => found.push(differs(attribute, column, verified, identity, record)),
        }
    }
    match (found.is_empty(), missing.is_empty()) {
        (true, false) => {
            missing.sort();
            missing.dedup();
            let id = shown(&identity.identity_id);
            Verdict::NotEvaluable(format!("nothing is recorded in {} of identity {id}", missing.join(", ")))
        }
        _ => Verdict::from_findings(found),
    }
}

fn differs(
    attribute: &SubjectAttribute,
    column: &str,
    verified: &str,
    identity: &Identity,
    record: &IssuanceRecord,
) -> Finding {
    let detail = format!("{} in the certificate, {column} verified as {}", text(attribute), shown(verified));
    let mut finding = SUBJ_VALUES.finding(text(attribute), detail);
    if matches!(column, "given_name" | "surname") {
        finding.citation = br("3.2.3").to_string().into();
    }
    let row = format!(
        "identity {}, verified {} (as of {})",
        shown(&identity.identity_id),
        identity.verified_at,
        record.as_of
    );
    finding.with_evidence("issuance database", row)
}

/// X.520 caseIgnoreMatch, prepared by RFC 4518 2: case, compatibility forms and the number of spaces do not matter.
fn same(verified: &str, presented: &str) -> bool {
    prepared(verified) == prepared(presented)
}

fn prepared(text: &str) -> String {
    let folded = ComposingNormalizerBorrowed::new_nfkc().normalize(text).to_lowercase();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(attribute: &SubjectAttribute) -> String {
    format!("{}={}", attribute.name, shown(&attribute.value))
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn names_are_compared_as_x520_does() {
        for (a, b) in
            [("Udala  Barakaldo", " UDALA barakaldo "), ("Jur\u{ed}dica", "JURI\u{301}DICA"), ("A\u{a0}B", "a b")]
        {
            assert!(same(a, b), "{a} and {b}");
        }
        for (a, b) in [("Udala", "Udal"), ("A B", "AB"), ("Ñ", "N"), ("", "-")] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }
}
