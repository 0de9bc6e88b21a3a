//! The meaning of the CA's own terms in `[issuance]`: what its CP/CPS and its practice say, and what it found out since.

#[cfg(test)]
mod tests;

use super::address::parse_span;
use super::document::Document;
use super::problem::quote;
use super::raw::{RawFlawed, RawIssuance, RawReuseRule};
use crate::clock::{DAY, Span, Timestamp};
use crate::evidence::caa::issue_value;
use crate::evidence::dated::Dated;
use crate::evidence::methods::section;
use crate::evidence::{FlawedMethod, Policy, ReuseRule};
use crate::lint::profile::NameList;

/// The CA's own terms; what is left out stays unknown.
pub(super) fn build(raw: &RawIssuance, document: &mut Document<'_>) -> Policy {
    let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let odd = |domain: &&String| {
        let read = issue_value(domain.as_bytes()).and_then(|value| value.domain);
        read.is_none_or(|read| !read.eq_ignore_ascii_case(domain))
    };
    for domain in raw.caa_domains.iter().flatten().filter(odd) {
        let reason = format!("{} is no issuer domain name (RFC 8659 4.2)", quote(domain));
        document.refuse::<()>("issuance.caa_domains", reason, "Write it as in CP/CPS 4.2, for instance ca.example.");
    }
    for zone in
        raw.test_zones.iter().flatten().filter(|zone| zone.contains('*') || NameList::default().add(zone).is_err())
    {
        let reason = format!("{} is no domain", quote(zone));
        document.refuse::<()>("issuance.test_zones", reason, "Write it without *, for instance test.ca.example.");
    }
    let methods = dated("issuance.methods", &raw.methods, document);
    for method in methods.iter().filter(|method| section(&method.word).is_none()) {
        refuse_method("issuance.methods", &method.word, document);
    }
    let countries = dated("issuance.countries", &raw.countries, document);
    let country = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    for odd in countries.iter().filter(|dated| !country(&dated.word)) {
        let reason = format!("{} is no country", quote(&odd.word));
        document.refuse::<()>("issuance.countries", reason, "Write the two letters of ISO 3166-1, as ES.");
    }
    let recorded_within = raw.recorded_within.as_deref().and_then(|text| match parse_span(text) {
        Ok(span) => Some(span),
        Err(reason) => document.refuse("issuance.recorded_within", reason, "The default is 1d."),
    });
    let default = Policy::default();
    let reuse_rules: Vec<ReuseRule> = raw.reuse_rule.iter().filter_map(reuse_rule).collect();
    Policy {
        issuer_domains: words(&raw.caa_domains),
        account_uri_prefix: raw.account_uri_prefix.clone(),
        channels: dated("issuance.channels", &raw.channels, document),
        countries,
        methods,
        flawed: raw.flawed.iter().enumerate().filter_map(|(at, raw)| flawed(at, raw, document)).collect(),
        reuse_rules: if reuse_rules.is_empty() { default.reuse_rules.clone() } else { reuse_rules },
        bulk_evidence: words(&raw.bulk_evidence),
        recorded_within: recorded_within.unwrap_or(DAY),
        test_accounts: words(&raw.test_accounts),
        test_organizations: words(&raw.test_organizations),
        test_zones: words(&raw.test_zones).iter().map(|zone| zone.to_ascii_lowercase()).collect(),
        own_resolvers: words(&raw.own_resolvers),
        systems: words(&raw.systems),
        shared_account_kinds: words(&raw.shared_accounts),
        ..default
    }
}

/// Words that hold for a time; those that make no sense are reported.
fn dated(key: &str, texts: &Option<Vec<String>>, document: &mut Document<'_>) -> Vec<Dated> {
    let mut read = Vec::new();
    for text in texts.iter().flatten() {
        match Dated::parse(text) {
            Ok(dated) => read.push(dated),
            Err(reason) => {
                let remedy = "Write a word, or for instance \"web from 2019-11-15 until 2026-03-15\".";
                document.refuse::<()>(key, format!("{} {reason}", quote(text)), remedy);
            }
        }
    }
    read
}

/// A `[[issuance.reuse_rule]]`; a key that is missing was reported.
fn reuse_rule(raw: &RawReuseRule) -> Option<ReuseRule> {
    Some(ReuseRule { name: raw.name.clone()?, limit: Span::from_days(raw.days?) })
}

/// An `[[issuance.flawed]]`.
fn flawed(at: usize, raw: &RawFlawed, document: &mut Document<'_>) -> Option<FlawedMethod> {
    let key = |name: &str| format!("issuance.flawed[{}].{name}", at + 1);
    let method = raw.method.clone()?;
    if section(&method).is_none() {
        refuse_method(&key("method"), &method, document);
    }
    let mut moment = |name: &str, text: &str| match Timestamp::parse(text) {
        Some(moment) => Some(moment),
        None => {
            let reason = format!("{} is neither a day nor a time", quote(text));
            document.refuse(&key(name), reason, "Write it as 2022-01-26 or 2022-01-26T00:48:00Z.")
        }
    };
    let from = moment("from", raw.from.as_deref()?)?;
    let until = match raw.until.as_deref() {
        Some(text) => Some(moment("until", text)?),
        None => None,
    };
    if until.is_some_and(|until| until <= from) {
        return document.refuse(&key("until"), "is not after from", "Write the first moment that is sound again.");
    }
    Some(FlawedMethod { method, from, until, reason: raw.reason.clone()? })
}

fn refuse_method(key: &str, method: &str, document: &mut Document<'_>) {
    let reason = format!("{} is none of the methods of BR 3.2.2.4 and 3.2.2.5", quote(method));
    document.refuse::<()>(key, reason, "Write a section, 3.2.2.4.7, or an ACME label, http-01.");
}
