//! Whom and what the CA issues for, by its own policy: countries by date, and its own tests.

use crate::evidence::{Policy, dated, lists};
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity, Verdict, escape};
use crate::record::{IssuanceRecord, Order, Presented, SubjectAttribute, covers};

const fn own(id: &'static str, summary: &'static str, section: &'static str, clock: RevocationClock) -> RuleInfo {
    RuleInfo {
        id,
        summary,
        severity: Severity::Error,
        citation: Citation { document: Document::OwnPolicy, section },
        clock,
        since: None,
        until: None,
        needs: Needs::Record,
    }
}

// BR 4.9.1.1 (12): "was not issued in accordance with ... the CA's Certificate Policy or Certification Practice
// Statement": an organization outside of the countries for which the CA issues (Mozilla bug 1651026).
pub(super) static ORDER_COUNTRY: RuleInfo = own(
    "order.country",
    "the applicant is in a country for which the CA issues on that day",
    "countries of applicants",
    RevocationClock::FiveDays(12),
);

// BR 3.2.2.4 knows no exception for tests: a certificate that a CA makes for itself in other people's names (Thawte,
// google.com, 2015; Mozilla bug 1712188) has no Applicant who controls them.
pub(super) static ORDER_TEST: RuleInfo = own(
    "order.test",
    "a certificate of the CA's own tests has no name outside of the CA's own test zones",
    "test certificates",
    RevocationClock::Day(5),
);

pub(super) fn country(record: &IssuanceRecord, policy: &Policy) -> Verdict {
    if policy.countries.is_empty() {
        return Verdict::NotEvaluable(
            "the countries for which the CA issues are not configured (issuance.countries)".into(),
        );
    }
    let Some(order) = &record.order else {
        return Verdict::NotEvaluable(record.without_order().to_string());
    };
    let day = record.signed_at;
    let Some(allowed) = dated::at(&policy.countries, day) else {
        return Verdict::NotEvaluable(format!("issuance.countries says nothing of {}", day.day()));
    };
    let Some(country) = order.applicant_country.as_deref().map(str::trim).filter(|country| !country.is_empty()) else {
        let why = format!("applicants.country is empty for applicant {}", shown(&order.applicant_id));
        return Verdict::NotEvaluable(why);
    };
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(country)) {
        return Verdict::Pass;
    }
    let detail = format!(
        "applicant {} is in {}; on {} the CA issues for {} alone",
        shown(&order.applicant_id),
        shown(country),
        day.day(),
        allowed.join(", ")
    );
    Verdict::Fail(vec![with_applicant(&ORDER_COUNTRY, detail, order, record)])
}

pub(super) fn test(presented: &Presented, record: &IssuanceRecord, policy: &Policy) -> Verdict {
    if policy.test_accounts.is_empty() && policy.test_organizations.is_empty() {
        let why = "the CA's own tests are not configured (issuance.test_accounts, issuance.test_organizations)";
        return Verdict::NotEvaluable(why.to_string());
    }
    let account = record.order.as_ref().map(|order| &order.account.account_id);
    let of_account = account.filter(|account| lists(&policy.test_accounts, account));
    let of_subject = |attribute: &&SubjectAttribute| {
        attribute.column == Some("organization") && lists(&policy.test_organizations, &attribute.value)
    };
    let organization = presented.subject.iter().flatten().find(of_subject);
    let why = match (of_account, organization) {
        (Some(account), _) => format!("account {} is one of the CA's own tests", shown(account)),
        (None, Some(organization)) => {
            format!("organization {} is one of the CA's own tests", shown(&organization.value))
        }
        (None, None) if record.order.is_none() && !policy.test_accounts.is_empty() => {
            return Verdict::NotEvaluable(record.without_order().to_string());
        }
        (None, None) if presented.subject.is_none() && !policy.test_organizations.is_empty() => {
            return Verdict::NotEvaluable(
                "the certificate itself is not at hand, so that its subject is not known".into(),
            );
        }
        (None, None) => return Verdict::Pass,
    };
    let foreign = presented.names.iter().filter(|name| !policy.test_zones.iter().any(|zone| covers(zone, name)));
    let zones = if policy.test_zones.is_empty() { "none".to_string() } else { policy.test_zones.join(", ") };
    let finding = |name: &String| {
        let detail = format!("{why}, and the name is outside of its test zones ({zones})");
        let row = match &record.order {
            Some(order) => format!("order {} of account {}", shown(&order.order_id), shown(&order.account.account_id)),
            None => "no order".to_string(),
        };
        ORDER_TEST.finding(name, detail).with_evidence("issuance database", format!("{row} (as of {})", record.as_of))
    };
    Verdict::from_findings(foreign.map(finding).collect())
}

fn with_applicant(rule: &'static RuleInfo, detail: String, order: &Order, record: &IssuanceRecord) -> Finding {
    let name = order.applicant_name.as_deref().unwrap_or("without a name");
    let text = format!("applicant {} ({}) (as of {})", shown(&order.applicant_id), shown(name), record.as_of);
    rule.finding(format!("order {}", shown(&order.order_id)), detail).with_evidence("issuance database", text)
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}
