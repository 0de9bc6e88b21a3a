//! The CAA check that the CA recorded for each domain name: was it made, in time, by the CA's own means, and do the
//! records on file permit what was issued?

use std::net::IpAddr;

use crate::clock::{HOUR, Span, Timestamp, date};
use crate::evidence::caa::{Answer, Fit, evaluate, fits, read};
use crate::evidence::methods::{has_label, is_onion};
use crate::evidence::perspectives::{self, CONSOLIDATED, Flaw};
use crate::evidence::policy::{Policy, lists};
use crate::evidence::rules::{CAA_EXISTS, CAA_FRESH, CAA_MANUAL, CAA_PARAMS, CAA_RESOLVER, CAA_VERDICT, DNSSEC};
use crate::evidence::story::{shown, told_check};
use crate::evidence::tally::Remark;
use crate::finding::{Finding, RevocationClock, RuleInfo, Severity, br};
use crate::record::{CaaCheck, DcvConfirmation, IssuanceRecord, same_domain};

/// BR 4.2.2.1: a check holds for its TTL or this long, whichever is greater.
const FLOOR: Span = Span::from_millis(8 * HOUR.millis());
/// BR 2.2.8 moved the section on CAA.
const MOVED: Timestamp = date(2026, 6, 16);
/// Until when CAA checking was optional for a CA that was the DNS operator of the domain (BR 3.2.2.8).
const OPERATORS: Timestamp = date(2021, 7, 1);
/// From when CAA may not be delegated (BR 1.3.2).
const NOT_DELEGATED: Timestamp = date(2026, 3, 15);
/// From when RFC 8657 is a MUST (BR 4.2.2.1.2).
const PARAMETERS_BIND: Timestamp = date(2027, 3, 15);

/// The rules that need a check to judge.
static OF_A_CHECK: [&RuleInfo; 5] = [&CAA_VERDICT, &CAA_PARAMS, &CAA_FRESH, &CAA_RESOLVER, &CAA_MANUAL];

/// A domain name of a certificate, its check, and the confirmation it rests on.
pub(super) struct Checked<'a> {
    pub(super) name: &'a str,
    pub(super) check: Option<&'a CaaCheck>,
    pub(super) confirmation: Option<&'a DcvConfirmation>,
    pub(super) record: &'a IssuanceRecord,
    pub(super) policy: &'a Policy,
}

impl Checked<'_> {
    /// Everything that is wrong with it or cannot be judged. CAA is for domain names in the DNS: not for addresses, not
    /// for onion services.
    pub(super) fn judge(&self) -> Vec<Remark> {
        let exempt = self.name.parse::<IpAddr>().is_ok() || is_onion(self.name);
        if exempt || !CAA_EXISTS.in_force(self.record.signed_at) {
            return Vec::new();
        }
        let Some(check) = self.check else { return self.absent() };
        if !same_domain(&check.name, self.name) {
            let why = format!("its row names CAA check {}, which is of {}", check.caa_id, shown(&check.name));
            return vec![self.broken(&CAA_EXISTS, why)];
        }
        let single =
            [self.verdict(check), self.fresh(check), self.resolver(check), self.manual(check), self.dnssec(check)];
        let mut remarks: Vec<Remark> = single.into_iter().flatten().collect();
        remarks.extend(self.network(check));
        remarks
    }

    fn absent(&self) -> Vec<Remark> {
        if !self.record.keeps_caa_checks {
            let gap = |rule: &&'static RuleInfo| Remark::gap(rule, "the feed has no table caa_checks");
            return [&CAA_EXISTS].iter().chain(&OF_A_CHECK).map(gap).collect();
        }
        let gap = |rule: &&'static RuleInfo| {
            Remark::gap(rule, format!("no CAA check of {} is on record (san_authorisations.caa_id)", shown(self.name)))
        };
        let mut finding = self.finding(&CAA_EXISTS, "no CAA check is on record for the name".to_string());
        if self.record.signed_at < OPERATORS {
            finding.detail.push_str("; until 2021-07-01 none was needed where the CA was the operator of its DNS");
            (finding.severity, finding.clock) = (Severity::Review, RevocationClock::None);
        }
        std::iter::once(Remark::Broken(finding)).chain(OF_A_CHECK.iter().map(gap)).collect()
    }

    fn verdict(&self, check: &CaaCheck) -> Option<Remark> {
        let denied = |why: String| Some(self.broken(&CAA_VERDICT, why));
        let gap = |why: String| Some(Remark::gap(&CAA_VERDICT, format!("CAA check {}: {why}", check.caa_id)));
        let rrset = check.rrset.as_deref().map(str::trim).filter(|rrset| !rrset.is_empty());
        match (check.result.to_ascii_lowercase().as_str(), rrset) {
            ("deny", _) => return denied("the CA's own check said deny, and the certificate was issued".into()),
            ("failed", _) => return self.failed(check),
            ("none", None) => return None,
            (_, None) => return gap("caa_checks.rrset is empty, the verdict cannot be judged anew".into()),
            _ => {}
        }
        if self.policy.issuer_domains.is_empty() {
            return gap("the issuer domains of the CA (CP/CPS 4.2) are not configured (issuance.caa_domains)".into());
        }
        let records = match read(rrset.unwrap_or_default()) {
            Ok(records) => records,
            Err(why) => return gap(format!("caa_checks.rrset cannot be read, {why}")),
        };
        match evaluate(self.name, &records, &self.policy.issuer_domains) {
            Answer::NoRecords | Answer::Unrestricted(_) => None,
            Answer::Denied(why) => denied(format!("the CA's check said {}, but {why}", shown(&check.result))),
            Answer::Unusable(why) => gap(why),
            Answer::Permitted(choices) => self.parameters(check, &choices),
        }
    }

    // BR 4.2.2.1: "CAs are permitted to treat a record lookup failure as permission to issue if: the failure is outside
    // the CA's infrastructure; and the lookup has been retried at least once; and the domain's zone does not have a
    // DNSSEC validation chain to the ICANN root."
    fn failed(&self, check: &CaaCheck) -> Option<Remark> {
        let gap = |why: &str| Some(Remark::gap(&CAA_VERDICT, format!("CAA check {} failed: {why}", check.caa_id)));
        match check.dnssec.as_deref().map(|dnssec| dnssec.trim().to_ascii_lowercase()).as_deref() {
            None | Some("") => gap("caa_checks.dnssec is empty, so that it is not known whether that permits"),
            Some("insecure") => gap("caa_checks has no column that says whether it was retried"),
            Some(other) => {
                let why = format!("the look-up failed and the zone is not insecure ({}): no permission", shown(other));
                Some(self.broken(&CAA_VERDICT, why))
            }
        }
    }

    /// caa.params: one of the properties that permit must fit.
    fn parameters(&self, check: &CaaCheck, choices: &[Vec<(String, String)>]) -> Option<Remark> {
        let method = self.confirmation.map(|confirmation| confirmation.method.as_str());
        let account = self.record.order.as_ref().map(|order| order.account.account_id.as_str());
        let is_method = |label: &str| method.is_some_and(|method| has_label(method, label.trim()));
        let is_account = |uri: &str| match (account, &self.policy.account_uri_prefix) {
            (Some(account), _) if account == uri => Some(true),
            (Some(account), Some(prefix)) => Some(uri.strip_prefix(prefix.as_str()) == Some(account)),
            _ => None,
        };
        let found: Vec<Fit> = choices.iter().map(|choice| fits(choice, is_method, is_account)).collect();
        if found.contains(&Fit::Fits) {
            return None;
        }
        if method.is_none() || found.contains(&Fit::Unknown) {
            let why = "the account's URI or the method of validation is not known (accounts, san_authorisations)";
            return Some(Remark::gap(&CAA_PARAMS, format!("CAA check {}: {why}", check.caa_id)));
        }
        let told: Vec<String> = found
            .into_iter()
            .filter_map(|fit| match fit {
                Fit::Not(why) => Some(why),
                Fit::Fits | Fit::Unknown => None,
            })
            .take(5)
            .collect();
        let (method, account) = (shown(method.unwrap_or_default()), shown(account.unwrap_or("unknown")));
        let why = format!("the records permit {} only; it was {method} for account {account}", told.join(" or "));
        let mut finding = self.finding(&CAA_PARAMS, why);
        if self.record.signed_at < PARAMETERS_BIND {
            (finding.severity, finding.clock) = (Severity::Warning, RevocationClock::None);
        }
        Some(Remark::Broken(finding))
    }

    fn fresh(&self, check: &CaaCheck) -> Option<Remark> {
        let (checked, signed) = (check.checked_at, self.record.signed_at);
        let age = signed.since(checked);
        let id = check.caa_id;
        if checked > signed {
            let late = checked.since(signed);
            return Some(self.broken(&CAA_FRESH, format!("CAA check {id} was made {late} after signing at {signed}")));
        }
        if age <= FLOOR || check.ttl.is_some_and(|ttl| age <= ttl) {
            return None;
        }
        let Some(ttl) = check.ttl else {
            let why = format!("caa_checks.ttl is empty for CAA check {id}, which was {age} old at signing");
            return Some(Remark::gap(&CAA_FRESH, why));
        };
        let why = format!("CAA check {id} was {age} old at signing on {signed}; it held for 8 hours, its TTL is {ttl}");
        Some(self.broken(&CAA_FRESH, why))
    }

    fn resolver(&self, check: &CaaCheck) -> Option<Remark> {
        if lists(&self.policy.own_resolvers, &check.resolver) {
            return None;
        }
        let (id, resolver) = (check.caa_id, shown(&check.resolver));
        let why = format!("CAA check {id} asked {resolver}, not a resolver of the CA's own");
        let mut finding = self.finding(&CAA_RESOLVER, why);
        if self.record.signed_at < NOT_DELEGATED {
            (finding.severity, finding.clock) = (Severity::Warning, RevocationClock::None);
        }
        Some(Remark::Broken(finding))
    }

    fn manual(&self, check: &CaaCheck) -> Option<Remark> {
        let by = &check.performed_by;
        let why = || format!("CAA check {} was made by hand by {}", check.caa_id, shown(by));
        (!lists(&self.policy.systems, by)).then(|| self.broken(&CAA_MANUAL, why()))
    }

    // BR 3.2.2.9: the corroboration of CAA "MAY" be left out where an earlier one of the same applicant holds for 398
    // days: a check that says that no perspective was asked is not judged, one that says nothing is not evaluable.
    fn network(&self, check: &CaaCheck) -> Vec<Remark> {
        let remote = match check.remote {
            Some(remote) if remote.total == 0 => return Vec::new(),
            remote => remote,
        };
        let flaws = perspectives::judge(remote, check.checked_at).into_iter();
        let remark = |flaw: Flaw| match flaw {
            Flaw::Broken(rule, why) => self.broken(rule, format!("CAA check {}: {why}", check.caa_id)),
            Flaw::Missing(rule, column) => {
                Remark::gap(rule, format!("no usable caa_checks.{column} for CAA check {}", check.caa_id))
            }
        };
        flaws.map(remark).collect()
    }

    /// DNSSEC of an answer; of a look-up that failed the verdict speaks.
    fn dnssec(&self, check: &CaaCheck) -> Option<Remark> {
        if check.result.eq_ignore_ascii_case("failed") {
            return None;
        }
        let id = check.caa_id;
        perspectives::judge_dnssec(check.dnssec.as_deref(), check.checked_at).map(|flaw| match flaw {
            Flaw::Broken(rule, why) => self.broken(rule, format!("CAA check {id}: {why}")),
            Flaw::Missing(rule, column) => {
                Remark::gap(rule, format!("no usable caa_checks.{column} for CAA check {id}"))
            }
        })
    }

    fn broken(&self, rule: &'static RuleInfo, why: String) -> Remark {
        Remark::Broken(self.finding(rule, why))
    }

    fn finding(&self, rule: &'static RuleInfo, why: String) -> Finding {
        let mut finding = rule.finding(self.name, why);
        let signed = self.record.signed_at;
        if signed < MOVED && rule.citation.section.starts_with("4.2.2.1") {
            finding.citation = br("3.2.2.8").to_string().into();
        }
        if signed < CONSOLIDATED && rule.id == DNSSEC.id {
            finding.citation = br("3.2.2.8.1").to_string().into();
        }
        let said = self.check.map_or("no row in caa_checks".to_string(), told_check);
        finding.with_evidence("issuance database", format!("{said} (as of {})", self.record.as_of))
    }
}
