//! Findings by what they have in common: 96,002 certificates can be one subscriber and one cause.

use std::hash::BuildHasher;
use std::path::Path;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use serde::{Deserialize, Serialize};

use crate::audit::{AuditError, Found, write_whole};
use crate::finding::escape;

/// What the findings of a group have in common, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The rule.
    pub rule: String,
    /// The applicant of the orders.
    pub subscriber: String,
    /// What the applicant or the account is called.
    pub subscriber_name: String,
    /// The registrable domain of the names.
    pub registrable_domain: String,
    /// The method of the confirmations that they rest on.
    pub method: String,
    /// Certificates.
    pub certificates: u64,
    /// Names, each counted once in each certificate.
    pub names: u64,
    /// Certificates of which the record knows no revocation.
    pub still_valid: u64,
}

/// A group, with the certificate and the name that were counted last.
struct Counted {
    group: Group,
    certificate: i64,
    name: String,
}

fn key(group: &Group) -> [&str; 4] {
    [&group.rule, &group.subscriber, &group.registrable_domain, &group.method]
}

/// Groups that are being counted.
#[derive(Default)]
pub(super) struct Groups {
    groups: HashTable<Counted>,
    hasher: DefaultHashBuilder,
    rules: Vec<String>,
    /// The rules that each certificate breaks, a bit each, and whether it is still valid.
    certificates: HashMap<i64, (u64, bool)>,
    names: Vec<u64>,
    pub(super) findings: u64,
}

impl Groups {
    /// Counts a finding; those of a group come in the order of certificate and name.
    pub(super) fn add(&mut self, found: &Found<&str>) {
        self.findings += 1;
        let of = [found.rule, found.subscriber, found.registrable_domain, found.method];
        let new = || {
            let [rule, subscriber, registrable_domain, method] = of.map(str::to_string);
            let group = Group { rule, subscriber, registrable_domain, method, ..Group::default() };
            Counted { group, certificate: i64::MIN, name: String::new() }
        };
        let hash = |counted: &Counted| self.hasher.hash_one(key(&counted.group));
        let same = |counted: &Counted| key(&counted.group) == of;
        let entry = self.groups.entry(self.hasher.hash_one(of), same, hash).or_insert_with(new);
        let Counted { group, certificate, name } = entry.into_mut();
        let other = *certificate != found.cert_id;
        if other || *name != found.name {
            group.names += 1;
            name.clear();
            name.push_str(found.name);
            let rule = rule(&mut self.rules, found.rule);
            self.names.resize(self.names.len().max(rule + 1), 0);
            self.names[rule] += 1;
        }
        if other {
            group.certificates += 1;
            group.still_valid += u64::from(found.still_valid);
            *certificate = found.cert_id;
            if group.subscriber_name != found.subscriber_name {
                group.subscriber_name = found.subscriber_name.to_string();
            }
            let bit = 1 << rule(&mut self.rules, found.rule).min(63);
            let entry = self.certificates.entry(found.cert_id).or_insert((0, found.still_valid));
            entry.0 |= bit;
        }
    }

    /// All groups, the largest first.
    pub(super) fn largest(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.groups.iter().map(|counted| counted.group.clone()).collect();
        groups.sort_by(|a, b| b.certificates.cmp(&a.certificates).then_with(|| a.cmp(b)));
        groups
    }

    /// Per rule: names, certificates, and certificates still valid; by rule.
    pub(super) fn by_rule(&self) -> Vec<(String, u64, u64, u64)> {
        let mut rows: Vec<(String, u64, u64, u64)> = Vec::new();
        for (bit, rule) in self.rules.iter().enumerate() {
            let of = self.certificates.values().filter(|(bits, _)| bits & 1 << bit.min(63) != 0);
            let (all, valid) = of.fold((0, 0), |(all, valid), (_, still)| (all + 1, valid + u64::from(*still)));
            rows.push((rule.clone(), self.names.get(bit).copied().unwrap_or(0), all, valid));
        }
        rows.sort();
        rows
    }

    /// Certificates with a finding, and those of them that are still valid.
    pub(super) fn certificates(&self) -> (u64, u64) {
        let valid = self.certificates.values().filter(|(_, still)| *still).count();
        (self.certificates.len() as u64, valid as u64)
    }
}

fn rule(rules: &mut Vec<String>, rule: &str) -> usize {
    match rules.iter().position(|known| known == rule) {
        Some(place) => place,
        None => {
            rules.push(rule.to_string());
            rules.len() - 1
        }
    }
}

/// Writes all groups as CSV.
pub(super) fn write(path: &Path, groups: &[Group]) -> Result<(), AuditError> {
    write_whole(path, true, |file| {
        let mut csv = csv::Writer::from_writer(file);
        groups.iter().try_for_each(|group| csv.serialize(group)).map_err(std::io::Error::other)?;
        csv.flush()
    })
}

/// Reads the groups of an earlier output.
pub(super) fn read(path: &Path) -> Result<Vec<Group>, AuditError> {
    let fault = |error: csv::Error| AuditError::Output {
        path: path.to_path_buf(),
        reason: format!("not the groups of an audit ({})", escape(error.to_string().as_bytes(), 200)),
    };
    let mut csv = csv::Reader::from_path(path).map_err(fault)?;
    csv.deserialize().collect::<Result<_, _>>().map_err(fault)
}
