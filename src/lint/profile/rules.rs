//! The rules of a profile: one row each, and for each kind of demand the places in which a certificate breaks it.

use std::collections::BTreeSet;

use crate::cert::der::dotted;
use crate::cert::extensions::policies;
use crate::cert::key::{PublicKey, bit_length};
use crate::cert::{DnsName, oid};
use crate::clock::Timestamp;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity, escape};
use crate::lint::attributes::kind;
use crate::lint::profile::{Demand, Key, NameList, is_under};
use crate::lint::{Rule, Scope, Subject};

/// Every rule of a profile.
pub static RULES: &[Rule] = &[
    row("policy.san_types", "The subjectAltName has no kind of name but those that the CA's CP/CPS allows", check::<0>),
    row("policy.oids", "The certificate asserts one of the policies of its profile and no other", check::<1>),
    row("policy.validity", "The validity is not longer than the CA's CP/CPS allows", check::<2>),
    row("policy.key", "The key is of a type and size that the CA's CP/CPS allows", check::<3>),
    row("policy.eku", "There is no extended key usage but those that the CA's CP/CPS allows", check::<4>),
    row("policy.subject", "The subject has no attribute but those that the CA's CP/CPS allows", check::<5>),
    row("policy.suffix", "Every dNSName lies under a suffix for which the CA issues", check::<6>),
    row("policy.country", "The subject is in a country for which the CA issues", check::<7>),
    row("policy.forbidden_name", "No name is one that the CA never certifies", check::<8>),
];

/// BR 4.9.1.1 (12): a certificate "was not issued in accordance with these Requirements or the CA's Certificate Policy or
/// Certification Practice Statement".
const fn row(id: &'static str, summary: &'static str, check: fn(&Subject<'_>) -> Vec<Finding>) -> Rule {
    Rule {
        info: RuleInfo {
            id,
            summary,
            severity: Severity::Error,
            citation: Citation { document: Document::OwnPolicy, section: "as the profile says" },
            clock: RevocationClock::FiveDays(12),
            since: None,
            until: None,
            needs: Needs::LogTime,
        },
        scope: Scope::Subscriber,
        check,
        dates: Some(dates),
    }
}

/// Every place in which a constraint of the rule in row `ROW` is broken; of several constraints that are broken in one
/// place the findings are one.
fn check<const ROW: usize>(subject: &Subject<'_>) -> Vec<Finding> {
    let info = &RULES[ROW].info;
    let constraints = subject.profile.iter().flat_map(|profile| &profile.constraints);
    let mut found: Vec<Finding> = Vec::new();
    for constraint in constraints.filter(|c| c.demand.rule() == info.id && c.binds(subject.moment)) {
        let since = constraint.since.map_or(String::new(), |since| format!(", in force since {}", since.day()));
        for (place, why) in places(subject, &constraint.demand) {
            let detail = format!("{why} (by {}{since})", constraint.section);
            if let Some(other) = found.iter_mut().find(|finding| finding.subject == place) {
                other.detail.push_str(&format!("; {detail}"));
                other.severity = other.severity.min(constraint.severity);
                continue;
            }
            let mut finding = info.finding(place, detail);
            finding.citation = constraint.section.clone().into();
            finding.severity = constraint.severity;
            found.push(finding);
        }
    }
    for finding in &mut found {
        if finding.severity > Severity::Error {
            finding.clock = RevocationClock::None;
        }
    }
    found
}

/// The days on which a constraint of the finding's rule begins or ends to bind.
fn dates(subject: &Subject<'_>, finding: &Finding) -> Vec<Timestamp> {
    let constraints = subject.profile.iter().flat_map(|profile| &profile.constraints);
    let of_rule = constraints.filter(|constraint| constraint.demand.rule() == finding.rule);
    of_rule.flat_map(|constraint| [constraint.since, constraint.until]).flatten().collect()
}

/// Where a demand is broken, and why.
type Places = Vec<(String, String)>;

fn places(subject: &Subject<'_>, demand: &Demand) -> Places {
    match demand {
        Demand::SanTypes(kinds) => other_kinds(subject, kinds),
        Demand::PolicyOids(oids) => other_policies(subject, oids),
        Demand::ValidityDays(days) => too_long(subject, *days),
        Demand::Keys(keys) => other_key(subject, keys),
        Demand::ExtendedKeyUsages(usages) => other_usages(subject, usages),
        Demand::SubjectFields(fields) => other_fields(subject, fields),
        Demand::NameSuffixes(suffixes) => outside(subject, suffixes),
        Demand::SubjectCountries(countries) => other_countries(subject, countries),
        Demand::ForbiddenNames(list) => forbidden(subject, list),
    }
}

fn lists(words: &[String], word: &str) -> bool {
    words.iter().any(|listed| listed.eq_ignore_ascii_case(word))
}

fn other_kinds(subject: &Subject<'_>, kinds: &[String]) -> Places {
    let names = subject.cert.general_names();
    let other = names.iter().filter(|name| !lists(kinds, &name.kind()));
    other.map(|name| (name.text(), format!("its kind is none of {}", kinds.join(", ")))).collect()
}

fn other_policies(subject: &Subject<'_>, oids: &[String]) -> Places {
    let extensions = subject.cert.extension(oid::CERTIFICATE_POLICIES);
    let asserted = extensions.flat_map(|extension| policies(&extension.value).unwrap_or_default());
    let asserted: Vec<String> = asserted.map(|policy| dotted(&policy.oid)).collect();
    let other = asserted.iter().filter(|asserted| !lists(oids, asserted));
    let mut found: Places = other.map(|oid| (oid.clone(), "is a policy of no such profile".to_string())).collect();
    if !asserted.iter().any(|asserted| lists(oids, asserted)) {
        found.push(("certificatePolicies".to_string(), format!("asserts none of {}", oids.join(", "))));
    }
    found
}

fn too_long(subject: &Subject<'_>, days: u32) -> Places {
    // BR 6.3.2: "a day is measured as 86,400 seconds. Any amount of time greater than this ... shall represent an
    // additional day"; RFC 5280 4.1.2.5: the period is inclusive.
    let limit = i64::from(days) * 86_400;
    let seconds = subject.inclusive_seconds().filter(|seconds| *seconds > limit);
    let told = |seconds: i64| format!("{seconds} seconds, {} days begun; at most {days}", (seconds + 86_399) / 86_400);
    seconds.map(|seconds| ("validity".to_string(), told(seconds))).into_iter().collect()
}

fn other_key(subject: &Subject<'_>, keys: &[Key]) -> Places {
    let key = subject.cert.public_key();
    let allowed = keys.iter().any(|allowed| match (allowed, key) {
        (Key::Rsa { bits, or_more: false }, PublicKey::Rsa { modulus, .. }) => bit_length(modulus) == *bits,
        (Key::Rsa { bits, or_more: true }, PublicKey::Rsa { modulus, .. }) => bit_length(modulus) >= *bits,
        (Key::Ec(wanted, _), PublicKey::Ec { curve, .. }) => curve == *wanted,
        _ => false,
    });
    if allowed {
        return Vec::new();
    }
    let found = match key {
        PublicKey::Rsa { modulus, .. } => format!("RSA with {} bits", bit_length(modulus)),
        PublicKey::Ec { curve, .. } => format!("a key on the curve {}", dotted(curve)),
        PublicKey::Other(algorithm) => format!("a key of the algorithm {}", dotted(algorithm)),
        PublicKey::Unreadable => "a key that cannot be read".to_string(),
    };
    vec![("subjectPublicKeyInfo".to_string(), format!("is {found}, which the profile does not have"))]
}

fn other_usages(subject: &Subject<'_>, usages: &[String]) -> Places {
    let Some(stated) = subject.cert.extended_key_usages() else {
        return vec![("extKeyUsage".to_string(), "is absent, which permits every usage".to_string())];
    };
    let other = stated.iter().map(|usage| dotted(usage)).filter(|usage| !lists(usages, usage));
    other.map(|usage| (usage, "is an extended key usage that the profile does not have".to_string())).collect()
}

fn other_fields(subject: &Subject<'_>, fields: &[String]) -> Places {
    let attributes = subject.attributes();
    let known = |a: &&crate::cert::name::Attribute<'_>| lists(fields, &a.name()) || lists(fields, &dotted(a.oid));
    let other = attributes.iter().filter(|attribute| !known(attribute));
    other.map(|a| (a.shown(), "is an attribute that the profile does not have".to_string())).collect()
}

fn outside(subject: &Subject<'_>, suffixes: &[String]) -> Places {
    let names = subject.dns_names().iter();
    let outside = names.filter(|name| !suffixes.iter().any(|suffix| is_under(name, suffix)));
    outside.map(|name| (name.text(), format!("is under none of {}", suffixes.join(", ")))).collect()
}

fn other_countries(subject: &Subject<'_>, countries: &[String]) -> Places {
    let attributes = subject.attributes();
    let of_country = attributes.iter().filter(|attribute| attribute.oid == kind::C);
    let other = of_country.filter(|a| !a.text().is_some_and(|country| lists(countries, &country)));
    other.map(|a| (a.shown(), format!("the country is none of {}", countries.join(", ")))).collect()
}

fn forbidden(subject: &Subject<'_>, list: &NameList) -> Places {
    let common = subject.common_names().iter();
    let common = common.map(|cn| DnsName(cn.text().map_or(cn.value.clone(), String::into_bytes)).lower());
    let names: BTreeSet<DnsName> = subject.dns_names().iter().map(DnsName::lower).chain(common).collect();
    let found = names.into_iter().filter_map(|name| {
        let entry = list.forbids(&name)?;
        Some((escape(name.bytes(), 300), format!("`{entry}` is on the list of names that are never certified")))
    });
    found.collect()
}
