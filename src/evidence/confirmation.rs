//! One confirmation and one name that rests on it: everything the requirements ask of the act of validation.

use std::net::IpAddr;

use crate::cert::DnsName;
use crate::clock::{Span, Timestamp};
use crate::evidence::caa;
use crate::evidence::dated;
use crate::evidence::location;
use crate::evidence::methods::{
    Standing, has_token, is_exact, is_for_addresses, is_for_onions, is_onion, looks_up_the_address, may_be_manual,
    may_follow_cname, needs_base_domain, needs_perspectives, needs_the_looked_up_name, proves_onion, section, standing,
};
use crate::evidence::origin;
use crate::evidence::perspectives::{self, Flaw};
use crate::evidence::policy::{Policy, lists};
use crate::evidence::reuse_limits::{ev_domain_limit, reuse_limit};
use crate::evidence::rules::{
    DCV_ADN, DCV_APPLICANT, DCV_EXISTS, DCV_LOCATION, DCV_MANUAL, DCV_METHOD, DCV_OWN_LIMIT, DCV_RESOLVER, DCV_REUSE,
    DCV_TOKEN30, DCV_WILDCARD, DNSSEC, ONION_METHOD,
};
use crate::evidence::story::{days, plural, shown};
use crate::evidence::tally::Remark;
use crate::finding::{RevocationClock, Severity, br};
use crate::lint::SuffixList;
use crate::record::{DcvConfirmation, DcvReuse, IssuanceRecord, covers, same_domain};

/// How long a Random Value or Request Token may be used (BR 3.2.2.4.x).
const TOKEN_LIFE: Span = Span::from_days(30);

/// Top-level domains that cannot be Base Domain Names: those of two letters are countries', these are older than the
/// registry agreements with Specification 13 (BR 1.6.1, "Base Domain Name").
#[rustfmt::skip]
const OLD_GTLDS: [&str; 22] = [
    "aero", "arpa", "asia", "biz", "cat", "com", "coop", "edu", "gov", "info", "int", "jobs", "mil", "mobi", "museum",
    "name", "net", "org", "pro", "tel", "travel", "xxx",
];

/// A name, the confirmation it rests on, and the reuse through which it does.
#[derive(Clone, Copy)]
pub(super) struct Reliance<'a> {
    pub(super) name: &'a str,
    pub(super) confirmation: &'a DcvConfirmation,
    pub(super) reuse: Option<&'a DcvReuse>,
    pub(super) record: &'a IssuanceRecord,
    pub(super) policy: &'a Policy,
    pub(super) suffixes: &'a SuffixList,
}

impl Reliance<'_> {
    /// Everything that is wrong with it or cannot be judged.
    pub(super) fn judge(&self) -> Vec<Remark> {
        self.remarks().collect()
    }

    /// As [`Reliance::judge`], one after the other as they are asked for.
    pub(super) fn remarks(&self) -> impl Iterator<Item = Remark> {
        let single: [fn(&Self) -> Option<Remark>; 14] = [
            Self::late,
            Self::adn,
            Self::method,
            Self::wildcard,
            Self::age,
            Self::own_limit,
            Self::token,
            Self::location,
            |it| origin::flawed(it.name, it.confirmation, it.policy),
            |it| origin::origin(it.name, it.confirmation, it.policy),
            Self::onion,
            Self::applicant,
            Self::manual,
            Self::resolver,
        ];
        let network = std::iter::once_with(|| self.network()).flatten();
        single.into_iter().filter_map(|judge| judge(self)).chain(network)
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
        let (adn, method, completed) =
            (&self.confirmation.adn, &self.confirmation.method, self.confirmation.completed_at);
        let broken = |why: &str| DCV_ADN.finding(self.name, format!("it rests on {}, {why}", self.what()));
        if self.is_looked_up() {
            return self.looked_up();
        }
        if !covers(adn, self.name) && !self.is_led_there() {
            let why = if may_follow_cname(method, self.name.starts_with("*."), completed) {
                "which is neither the name nor an ancestor of it; a CNAME that led there would have to be on record \
                 (caa_checks.rrset)"
            } else {
                "which is neither the name nor an ancestor of it, and no CNAME may lead there since 2026-11-15"
            };
            return Some(Remark::Broken(broken(why)));
        }
        if adn.parse::<IpAddr>().is_ok() {
            return None;
        }
        let suffix = self.suffixes.suffix(&DnsName::new(adn));
        let is_suffix = suffix.as_ref().is_some_and(|suffix| suffix.bytes() == adn.to_ascii_lowercase().as_bytes());
        if !adn.contains('.') {
            let old = adn.len() == 2 || OLD_GTLDS.iter().any(|tld| tld.eq_ignore_ascii_case(adn));
            let mut finding = broken("which is a top-level domain and above every Base Domain Name");
            if is_suffix && !old {
                finding.detail.push_str(", unless its registry agreement has Specification 13 (BR 1.6.1)");
                (finding.severity, finding.clock) = (Severity::Review, RevocationClock::None);
            }
            return Some(Remark::Broken(finding));
        }
        if is_suffix && !same_domain(adn, self.name) {
            let as_of = self.suffixes.as_of().day();
            let why = format!("which is a public suffix (list of {as_of}) and above the Base Domain Name");
            return Some(Remark::Broken(broken(&why)));
        }
        let labels = |name: &str| name.split('.').count();
        let below = suffix.is_some_and(|suffix| labels(adn) > suffix.labels().count() + 1);
        let registrar = below && needs_base_domain(method, completed);
        registrar
            .then(|| Remark::Broken(broken("which is below the Base Domain Name that method 3.2.2.4.12 validates")))
    }

    /// Whether the CAA look-up of the name on record shows a CNAME that leads to a name below the confirmed one, and the
    /// method may follow it. BR 1.6.1, "Authorization Domain Name": "the CA may use the FQDN returned from a DNS CNAME
    /// lookup as the FQDN for the purposes of domain validation".
    fn is_led_there(&self) -> bool {
        let c = self.confirmation;
        let may = may_follow_cname(&c.method, self.name.starts_with("*."), c.completed_at);
        if !may || is_exact(&c.method, self.signed()) {
            return false;
        }
        let rows = self.record.authorisations.iter().flatten();
        let check = rows.filter(|row| row.name.eq_ignore_ascii_case(self.name)).find_map(|row| row.caa.as_ref());
        let records = check.and_then(|check| caa::read(check.rrset.as_deref()?).ok()).unwrap_or_default();
        let name = self.name.strip_prefix("*.").unwrap_or(self.name).to_ascii_lowercase();
        caa::aliases(&name, &records).iter().any(|target| covers(&c.adn, target))
    }

    /// Whether an address rests on the domain name that a reverse look-up gave.
    fn is_looked_up(&self) -> bool {
        let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let c = self.confirmation;
        looks_up_the_address(&c.method) && is_address(self.name) && !is_address(&c.adn)
    }

    /// BR 3.2.2.5.3: control is confirmed "over the FQDN associated with the IP Address"; until ballot SC101 by any
    /// Authorization Domain Name of it. That name stands in `location`.
    fn looked_up(&self) -> Option<Remark> {
        let c = self.confirmation;
        let Some(given) = c.location.as_deref().map(str::trim).filter(|given| !given.is_empty()) else {
            return Some(Remark::gap(&DCV_ADN, self.lacks("location")));
        };
        let given = given.trim_end_matches('.');
        let (fits, must) = match needs_the_looked_up_name(c.completed_at) {
            true => (same_domain(&c.adn, given), "must be that name since 2026-11-15"),
            false => (covers(&c.adn, given), "is neither that name nor an ancestor of it"),
        };
        let why = || format!("the reverse look-up of the address gave {}, and {} {must}", shown(given), self.what());
        (!fits).then(|| Remark::Broken(DCV_ADN.finding(self.name, why())))
    }

    fn method(&self) -> Option<Remark> {
        let method = &self.confirmation.method;
        let told = || format!("{} was made by method {}", self.what(), shown(method));
        let (completed, signed) = (self.confirmation.completed_at, self.signed());
        let address = self.name.parse::<IpAddr>().is_ok();
        let broken = |why: String| Some(Remark::Broken(DCV_METHOD.finding(self.name, format!("{}, {why}", told()))));
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
        if is_for_onions(method) && !is_onion(self.name) {
            return broken("which validates onion services, not other domain names".into());
        }
        match dated::at(&self.policy.methods, signed) {
            Some(listed) if !listed.iter().any(|listed| section(listed) == section(method)) => {
                return broken(format!("which the CA's CP/CPS does not list for {}", signed.day()));
            }
            None if !self.policy.methods.is_empty() => {
                let why = format!("issuance.methods lists no method of the CP/CPS for {}", signed.day());
                return Some(Remark::gap(&DCV_METHOD, why));
            }
            _ => {}
        }
        let day = discouraged?;
        let why = format!("{}, on which a name SHOULD NOT rest since {}", told(), day.day());
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
        let vtype = self.record.order.as_ref().map_or("", |order| order.vtype.as_str());
        let limits = [Some(reuse_limit(&root.method, signed)), ev_domain_limit(vtype, signed)];
        let limit = limits.into_iter().flatten().min_by_key(|limit| limit.ends(root.completed_at))?;
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

    fn location(&self) -> Option<Remark> {
        let c = self.confirmation;
        if !location::is_prescribed(&c.method) {
            return None;
        }
        let Some(place) = c.location.as_deref().map(str::trim).filter(|place| !place.is_empty()) else {
            return Some(Remark::gap(&DCV_LOCATION, self.lacks("location")));
        };
        let prescribed = location::wrong(&c.method, &c.adn, place)?;
        let (method, place) = (shown(&c.method), shown(place));
        let why = format!("{} looked at {place}; by method {method} {}", self.what(), shown(&prescribed));
        let mut finding = DCV_LOCATION.finding(self.name, why);
        if let Some(section) = section(&c.method) {
            finding.citation = br(section).to_string().into();
        }
        Some(Remark::Broken(finding))
    }

    fn onion(&self) -> Option<Remark> {
        let (method, completed) = (&self.confirmation.method, self.confirmation.completed_at);
        let exempt = !is_onion(self.name) || !ONION_METHOD.in_force(self.signed());
        if exempt || proves_onion(method, completed) {
            return None;
        }
        let why = format!("{} was made by method {}, which proves no onion service", self.what(), shown(method));
        Some(Remark::Broken(ONION_METHOD.finding(self.name, why)))
    }

    fn applicant(&self) -> Option<Remark> {
        let Some(order) = &self.record.order else {
            return Some(Remark::gap(&DCV_APPLICANT, self.record.without_order()));
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
            Flaw::Broken(rule, why) => {
                let mut finding = rule.finding(self.name, format!("{}: {why}", self.what()));
                if rule.id == DNSSEC.id && self.signed() < perspectives::CONSOLIDATED {
                    finding.citation = br("3.2.2.4").to_string().into();
                }
                Remark::Broken(finding)
            }
            Flaw::Missing(rule, column) => Remark::gap(rule, self.lacks(column)),
        };
        flaws.map(remark).collect()
    }

    fn lacks(&self, column: &str) -> String {
        format!("no usable dcv_confirmations.{column} for confirmation {}", self.confirmation.dcv_id)
    }
}
