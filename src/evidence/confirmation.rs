//! One confirmation and one name that rests on it: everything the requirements ask of the act of validation.

use std::net::IpAddr;

use crate::clock::{Span, Timestamp};
use crate::evidence::methods::{
    Standing, has_token, is_exact, is_for_addresses, may_be_manual, needs_perspectives, section, standing,
};
use crate::evidence::perspectives::{self, Flaw};
use crate::evidence::policy::{Policy, lists};
use crate::evidence::reuse_limits::reuse_limit;
use crate::evidence::rules::{
    DCV_ADN, DCV_APPLICANT, DCV_EXISTS, DCV_MANUAL, DCV_METHOD, DCV_OWN_LIMIT, DCV_RESOLVER, DCV_REUSE, DCV_TOKEN30,
    DCV_WILDCARD,
};
use crate::evidence::story::{days, plural, shown};
use crate::evidence::tally::Remark;
use crate::finding::{RevocationClock, Severity, br};
use crate::record::{DcvConfirmation, DcvReuse, IssuanceRecord, covers};

/// How long a Random Value or Request Token may be used (BR 3.2.2.4.x).
const TOKEN_LIFE: Span = Span::from_days(30);

/// A name, the confirmation it rests on, and the reuse through which it does.
#[derive(Clone, Copy)]
pub(super) struct Reliance<'a> {
    pub(super) name: &'a str,
    pub(super) confirmation: &'a DcvConfirmation,
    pub(super) reuse: Option<&'a DcvReuse>,
    pub(super) record: &'a IssuanceRecord,
    pub(super) policy: &'a Policy,
}

impl Reliance<'_> {
    /// Everything that is wrong with it or cannot be judged.
    pub(super) fn judge(&self) -> Vec<Remark> {
        let single = [
            self.late(),
            self.adn(),
            self.method(),
            self.wildcard(),
            self.age(),
            self.own_limit(),
            self.token(),
            self.applicant(),
            self.manual(),
            self.resolver(),
        ];
        single.into_iter().flatten().chain(self.network()).collect()
    }

    fn signed(&self) -> Timestamp {
        self.record.signed_at
    }

    fn what(&self) -> String {
        format!("confirmation {} of {}", self.confirmation.dcv_id, shown(&self.confirmation.adn))
    }

    fn late(&self) -> Option<Remark> {
        let (completed, signed) = (self.confirmation.completed_at, self.signed());
        let late = completed.since(signed);
        let why = || format!("{} was completed at {completed}, {late} after signing at {signed}", self.what());
        (completed > signed).then(|| Remark::Broken(DCV_EXISTS.finding(self.name, why())))
    }

    fn adn(&self) -> Option<Remark> {
        let adn = &self.confirmation.adn;
        let why = if !covers(adn, self.name) {
            "which is neither the name nor an ancestor of it; a CNAME that led there would have to be on record"
        } else if !adn.contains('.') && adn.parse::<IpAddr>().is_err() {
            "which is a top-level domain and above every Base Domain Name"
        } else {
            return None;
        };
        Some(Remark::Broken(DCV_ADN.finding(self.name, format!("it rests on {}, {why}", self.what()))))
    }

    fn method(&self) -> Option<Remark> {
        let method = &self.confirmation.method;
        let told = format!("{} was made by method {}", self.what(), shown(method));
        let (completed, signed) = (self.confirmation.completed_at, self.signed());
        let address = self.name.parse::<IpAddr>().is_ok();
        let broken = |why: String| Some(Remark::Broken(DCV_METHOD.finding(self.name, format!("{told}, {why}"))));
        let discouraged = match standing(method, completed, signed) {
            Standing::Unknown => return broken("which is none of the methods of BR 3.2.2.4 and 3.2.2.5".into()),
            Standing::NotYet(day) => {
                return broken(format!("which did not exist before {}; it was completed {completed}", day.day()));
            }
            Standing::Closed(day) => {
                return broken(format!("by which nothing may be validated since {}; it was {completed}", day.day()));
            }
            Standing::Banned(day) => {
                return broken(format!("on which nothing may rest since {}, not even by reuse", day.day()));
            }
            Standing::Discouraged(day) => Some(day),
            Standing::Permitted => None,
        };
        match (address, is_for_addresses(method)) {
            (true, false) => return broken("which validates domain names, not addresses".into()),
            (false, true) => return broken("which validates addresses, not domain names".into()),
            _ => {}
        }
        let practised = |listed: &String| section(listed) == section(method);
        if !self.policy.methods.is_empty() && !self.policy.methods.iter().any(practised) {
            return broken("which the CA's CP/CPS does not list".into());
        }
        let day = discouraged?;
        let why = format!("{told}, on which a name SHOULD NOT rest since {}", day.day());
        let mut finding = DCV_METHOD.finding(self.name, why);
        (finding.severity, finding.clock) = (Severity::Warning, RevocationClock::None);
        Some(Remark::Broken(finding))
    }

    fn wildcard(&self) -> Option<Remark> {
        let (adn, name) = (&self.confirmation.adn, self.name);
        let itself = name.eq_ignore_ascii_case(adn);
        if itself || !covers(adn, name) || !is_exact(&self.confirmation.method, self.signed()) {
            return None;
        }
        let what = if name.starts_with("*.") { "a wildcard" } else { "a name under it" };
        let method = shown(&self.confirmation.method);
        let why = format!("{} was made by method {method}, which proves that name alone, not {what}", self.what());
        Some(Remark::Broken(DCV_WILDCARD.finding(name, why)))
    }

    fn age(&self) -> Option<Remark> {
        let (root, signed) = (self.confirmation, self.signed());
        let limit = reuse_limit(&root.method, signed);
        if signed <= limit.ends(root.completed_at) {
            return None;
        }
        let steps = self.reuse.map_or(0, |reuse| reuse.chain.len().max(1));
        let reused = match self.reuse {
            None => "relied upon directly".to_string(),
            Some(reuse) if reuse.chain.is_empty() => "reused once".to_string(),
            Some(_) => format!("reached through {steps} reuse{}", plural(steps)),
        };
        let age = days(signed.since(root.completed_at));
        let id = root.dcv_id;
        let why =
            format!("its validation (confirmation {id}, {reused}) was {age} old at signing on {signed}; limit {limit}");
        Some(Remark::Broken(DCV_REUSE.finding(self.name, why)))
    }

    fn own_limit(&self) -> Option<Remark> {
        let reuse = self.reuse?;
        let Some(rule) = self.policy.reuse_rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(&reuse.rule)) else {
            let why =
                format!("{} was decided by rule {}, for which no limit is set", reuse.label(), shown(&reuse.rule));
            return Some(Remark::gap(&DCV_OWN_LIMIT, why));
        };
        // What the rule looked at: the nearest origin that the CA stated, be it a reuse itself.
        let stated = reuse.chain.first().and_then(|step| step.stated_at);
        let origin = stated.unwrap_or(self.confirmation.completed_at);
        let age = reuse.decided_at.since(origin);
        if age <= rule.limit {
            return None;
        }
        let (label, name, limit) = (reuse.label(), shown(&rule.name), days(rule.limit));
        let why =
            format!("{label} was decided by rule {name} {} after its origin of {origin}; limit {limit}", days(age));
        Some(Remark::Broken(DCV_OWN_LIMIT.finding(self.name, why)))
    }

    fn token(&self) -> Option<Remark> {
        if !has_token(&self.confirmation.method) {
            return None;
        }
        let Some(made) = self.confirmation.token_issued_at else {
            return Some(Remark::gap(&DCV_TOKEN30, self.lacks("token_issued_at")));
        };
        let completed = self.confirmation.completed_at;
        let why = match () {
            () if made > completed => format!("made {made}, after the validation was completed at {completed}"),
            () if completed.since(made) > TOKEN_LIFE => format!("made {made}, {} before", days(completed.since(made))),
            () => return None,
        };
        let why = format!("the Random Value or token of {} was {why}; it lives for 30 days", self.what());
        Some(Remark::Broken(DCV_TOKEN30.finding(self.name, why)))
    }

    fn applicant(&self) -> Option<Remark> {
        let Some(order) = &self.record.order else {
            let why =
                "the certificate's row names no order, so that its applicant is not known (certificates.order_id)";
            return Some(Remark::gap(&DCV_APPLICANT, why));
        };
        let c = self.confirmation;
        if c.applicant_id == order.applicant_id {
            return None;
        }
        let (other, own) = (shown(&c.applicant_id), shown(&order.applicant_id));
        let (kind, account) = (shown(&order.account.kind), shown(&order.account.account_id));
        let told = format!("{} was made for applicant {other}, the order is of applicant {own}", self.what());
        if c.account_id.as_ref().is_some_and(|other| *other != order.account.account_id) {
            let other = shown(c.account_id.as_deref().unwrap_or_default());
            let why = format!("{told}, of another account ({other} and {account})");
            let mut finding = DCV_APPLICANT.finding(self.name, why);
            (finding.severity, finding.clock) = (Severity::Error, RevocationClock::Day(5));
            finding.citation = br("3.2.2.4").to_string().into();
            return Some(Remark::Broken(finding));
        }
        if lists(&self.policy.shared_account_kinds, &order.account.kind) {
            let why = format!("{told}, and account {account} is one that acts for several ({kind})");
            return Some(Remark::Broken(DCV_APPLICANT.finding(self.name, why)));
        }
        let unknown = || Remark::gap(&DCV_APPLICANT, format!("the account of applicant {other} is not known"));
        c.account_id.is_none().then(unknown)
    }

    fn manual(&self) -> Option<Remark> {
        let (who, method) = (&self.confirmation.performed_by, &self.confirmation.method);
        if lists(&self.policy.systems, who) || may_be_manual(method) {
            return None;
        }
        let (who, method) = (shown(who), shown(method));
        let why = format!("{} was made by hand by {who}, and method {method} needs no person", self.what());
        Some(Remark::Broken(DCV_MANUAL.finding(self.name, why)))
    }

    fn resolver(&self) -> Option<Remark> {
        if may_be_manual(&self.confirmation.method) {
            return None;
        }
        match &self.confirmation.resolver {
            None => Some(Remark::gap(&DCV_RESOLVER, self.lacks("resolver"))),
            Some(resolver) if lists(&self.policy.own_resolvers, resolver) => None,
            Some(resolver) => {
                let why =
                    format!("{} was resolved by {}, not by a resolver of the CA's own", self.what(), shown(resolver));
                Some(Remark::Broken(DCV_RESOLVER.finding(self.name, why)))
            }
        }
    }

    /// What remote perspectives and DNSSEC say of the look-ups behind the confirmation.
    fn network(&self) -> Vec<Remark> {
        let c = self.confirmation;
        if !needs_perspectives(&c.method, self.name) {
            return Vec::new();
        }
        let dnssec = perspectives::judge_dnssec(c.dnssec.as_deref(), c.completed_at);
        let flaws = perspectives::judge(c.remote, c.completed_at).into_iter().chain(dnssec);
        let remark = |flaw| match flaw {
            Flaw::Broken(rule, why) => Remark::Broken(rule.finding(self.name, format!("{}: {why}", self.what()))),
            Flaw::Missing(rule, column) => Remark::gap(rule, self.lacks(column)),
        };
        flaws.map(remark).collect()
    }

    fn lacks(&self, column: &str) -> String {
        format!("no usable dcv_confirmations.{column} for confirmation {}", self.confirmation.dcv_id)
    }
}
