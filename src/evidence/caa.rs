//! May the CA issue? CAA records judged by RFC 8659 and RFC 8657, from records as a resolver prints them.
//!
//! The records are strangers' bytes: nothing here fails on them, and what is not well formed authorises nobody.

mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::finding::escape;
use crate::record::covering_domains;
pub use records::{Property, Record, read};

/// The longest chain of CNAME records that is followed.
const ALIAS_LIMIT: usize = 16;
/// What a CA that issues for domain names understands of the tags in the IANA registry: the first three it MUST process
/// (BR 4.2.2.1), the others say nothing about certificates for servers.
const KNOWN_TAGS: [&str; 7] = ["issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"];

/// What the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No CAA record applies: every CA may issue.
    NoRecords,
    /// The records at this domain restrict nobody for such a name.
    Unrestricted(String),
    /// The CA may issue, within the parameters of one of these properties.
    Permitted(Vec<Parameters>),
    /// The CA may not issue, for this reason.
    Denied(String),
    /// The records lead in a circle or too far.
    Unusable(String),
}

/// `tag=value` pairs of an issue property, in their order; tags in lower case.
pub type Parameters = Vec<(String, String)>;

/// Judges the records for a name of a certificate; `issuer_domains` are the CA's own, in any case.
pub fn evaluate(name: &str, records: &[Record], issuer_domains: &[String]) -> Answer {
    let (owner, relevant) = match relevant(name, records) {
        Ok(Some(found)) => found,
        Ok(None) => return Answer::NoRecords,
        Err(why) => return Answer::Unusable(why),
    };
    let at = escape(owner.as_bytes(), 253);
    // RFC 8659 4.1: "If the value is set, the CA MUST NOT issue ... unless the CA can process the Property", for a tag
    // that it does not know.
    let strange = |property: &&Property| property.critical && !KNOWN_TAGS.contains(&property.tag.as_str());
    if let Some(property) = relevant.iter().copied().find(strange) {
        let tag = escape(property.tag.as_bytes(), 40);
        return Answer::Denied(format!("at {at} stands a critical property with the unknown tag {tag}"));
    }
    // RFC 8659 4.3: issuewild properties count for wildcard names alone, and then instead of the issue properties.
    let of = |tag: &str| relevant.iter().copied().filter(|p| p.tag == tag).collect::<Vec<_>>();
    let properties = match name.starts_with("*.") {
        true if relevant.iter().any(|p| p.tag == "issuewild") => of("issuewild"),
        _ => of("issue"),
    };
    if properties.is_empty() {
        return Answer::Unrestricted(at);
    }
    let is_ours = |domain: &str| issuer_domains.iter().any(|own| own.eq_ignore_ascii_case(domain));
    let permits = |property: &&Property| {
        let value = issue_value(&property.value)?;
        value.domain.filter(|domain| is_ours(domain)).map(|_| value.parameters)
    };
    let permitted: Vec<Parameters> = properties.iter().filter_map(permits).collect();
    if !permitted.is_empty() {
        return Answer::Permitted(permitted);
    }
    let told: Vec<String> = properties.iter().take(5).map(|p| format!("\"{}\"", escape(&p.value, 80))).collect();
    Answer::Denied(format!("{} at {at} authorises others or nobody: {}", properties[0].tag, told.join(", ")))
}

/// RFC 8659 3: the CAA records of the name or of its closest ancestor that has any, without the root. A CNAME record is
/// followed as a resolver does; the ancestors of its target are not searched.
fn relevant<'r>(name: &str, records: &'r [Record]) -> Result<Option<(String, Vec<&'r Property>)>, String> {
    let bare: Vec<&Property> = records.iter().filter_map(Record::without_owner).collect();
    if !bare.is_empty() {
        let owner = name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase();
        return Ok(Some((owner, bare)));
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    for domain in covering_domains(&name) {
        let found = at(domain, records)?;
        if !found.1.is_empty() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Where the CNAME records lead from a domain in lower case, step by step; empty when it has none. What goes in circles
/// ends where it began.
pub fn aliases<'r>(domain: &str, records: &'r [Record]) -> Vec<&'r str> {
    let mut targets: Vec<&str> = Vec::new();
    let next = |owner: &str| records.iter().find_map(|record| record.alias_of(owner));
    while let Some(target) = next(targets.last().copied().unwrap_or(domain)) {
        if targets.contains(&target) || targets.len() == ALIAS_LIMIT {
            break;
        }
        targets.push(target);
    }
    targets
}

/// The CAA records at a domain or, through CNAME records, at another one.
fn at<'r>(domain: &str, records: &'r [Record]) -> Result<(String, Vec<&'r Property>), String> {
    let (mut owner, mut seen) = (domain.to_string(), BTreeSet::new());
    loop {
        let found: Vec<&Property> = records.iter().filter_map(|record| record.property_of(&owner)).collect();
        let alias = records.iter().find_map(|record| record.alias_of(&owner));
        match alias {
            Some(target) if found.is_empty() => {
                if !seen.insert(owner) || seen.len() > ALIAS_LIMIT {
                    return Err(format!("the CNAME records of {} lead nowhere", escape(domain.as_bytes(), 253)));
                }
                owner = target.to_string();
            }
            _ => return Ok((owner, found)),
        }
    }
}

/// The value of an issue or issuewild property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueValue {
    /// The CA that is authorised, as written; `None`: nobody.
    pub domain: Option<String>,
    /// What narrows it.
    pub parameters: Parameters,
}

/// Reads a value by the grammar of RFC 8659 4.2. `None`: not well formed, which "MUST be treated the same as one
/// specifying an empty Issuer Domain Name". So a trailing dot, a NUL or an underscore in it authorises nobody.
pub fn issue_value(value: &[u8]) -> Option<IssueValue> {
    let text = std::str::from_utf8(value).ok()?;
    let space = [' ', '\t'];
    let (domain, rest) = text.split_once(';').map_or((text, ""), |(domain, rest)| (domain, rest));
    let domain = domain.trim_matches(space);
    if !domain.is_empty() && !domain.split('.').all(is_label) {
        return None;
    }
    let mut parameters = Vec::new();
    let rest = rest.trim_matches(space);
    let listed = if rest.is_empty() { None } else { Some(rest.split(';')) };
    for parameter in listed.into_iter().flatten() {
        let (tag, value) = parameter.split_once('=')?;
        let (tag, value) = (tag.trim_matches(space), value.trim_matches(space));
        if !is_label(tag) || !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return None;
        }
        parameters.push((tag.to_ascii_lowercase(), value.to_string()));
    }
    Some(IssueValue { domain: (!domain.is_empty()).then(|| domain.to_ascii_lowercase()), parameters })
}

/// `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether the request fits into the parameters of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// It does not, for this reason.
    Not(String),
    /// It may: the account's URI is not known.
    Unknown,
}

/// RFC 8657 3 and 4: the account URI and the method of validation that a property demands. `is_method` says whether a
/// label names the method that was used, `is_account` whether a URI names the account, `None` when that is not known.
pub fn fits(
    parameters: &Parameters,
    is_method: impl Fn(&str) -> bool,
    is_account: impl Fn(&str) -> Option<bool>,
) -> Fit {
    let all = |tag: &str| parameters.iter().filter(|(own, _)| own == tag).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    match all("validationmethods")[..] {
        [] => {}
        [labels] if labels.split(',').any(&is_method) => {}
        [labels] => return Fit::Not(format!("validationmethods={}", escape(labels.as_bytes(), 100))),
        _ => return Fit::Not("several validationmethods, which nothing satisfies".to_string()),
    }
    // RFC 8657 3: "A Property with multiple 'accounturi' parameters is unsatisfiable."
    match all("accounturi")[..] {
        [] => Fit::Fits,
        [uri] => match is_account(uri) {
            Some(true) => Fit::Fits,
            Some(false) => Fit::Not(format!("accounturi={}", escape(uri.as_bytes(), 200))),
            None => Fit::Unknown,
        },
        _ => Fit::Not("several accounturi, which nothing satisfies".to_string()),
    }
}
