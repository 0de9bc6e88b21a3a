//! The meaning of `[[profile]]`: one section of the CP/CPS, and what it allows in certificates.

use std::collections::BTreeMap;

use super::Issuer;
use super::document::Document;
use super::problem::{quote, read_file};
use super::raw::RawProfile;
use crate::clock::Timestamp;
use crate::finding::{KeyHash, Severity};
use crate::lint::profile::{Constraint, Demand, Key, NameList, Profile};

/// The longest list of forbidden names that is read, in bytes.
const NAMES_LIMIT_BYTES: u64 = 64 << 20;
/// The longest name of a section, in bytes: it stands in every finding.
const SECTION_LIMIT_BYTES: usize = 100;
/// The keys of which a `[[profile]]` has at least one.
const DEMANDS: [&str; 10] = [
    "san_types",
    "policy_oids",
    "max_validity_days",
    "keys",
    "ekus",
    "subject_fields",
    "name_suffixes",
    "subject_countries",
    "forbidden_names",
    "forbidden_names_file",
];
/// id-kp of RFC 5280 4.2.1.12.
const USAGES: [(&str, &str); 6] = [
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("codeSigning", "1.3.6.1.5.5.7.3.3"),
    ("emailProtection", "1.3.6.1.5.5.7.3.4"),
    ("timeStamping", "1.3.6.1.5.5.7.3.8"),
    ("OCSPSigning", "1.3.6.1.5.5.7.3.9"),
];
/// The short names of subject attributes, as `ctwarden lint` shows them.
#[rustfmt::skip]
const FIELDS: [&str; 18] = [
    "CN", "SN", "serialNumber", "C", "L", "ST", "street", "O", "OU", "businessCategory", "postalCode", "GN",
    "organizationIdentifier", "DC", "emailAddress", "jurisdictionL", "jurisdictionST", "jurisdictionC",
];

/// Every `[[profile]]`, gathered by issuer; those with problems are left out, and the problems reported.
pub(super) fn build(
    raw: Vec<RawProfile>,
    issuers: &[Issuer],
    document: &mut Document<'_>,
) -> BTreeMap<KeyHash, Profile> {
    let mut profiles: BTreeMap<KeyHash, Profile> = BTreeMap::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let mut section = Section { shown: format!("profile[{}]", at + 1), document };
        let bound = section.issuers(raw.issuers.as_deref(), issuers);
        let constraints = section.constraints(&raw);
        for key_hash in bound {
            profiles.entry(key_hash).or_default().constraints.extend(constraints.iter().cloned());
        }
    }
    profiles
}

/// One `[[profile]]`.
struct Section<'d, 't> {
    shown: String,
    document: &'d mut Document<'t>,
}

impl Section<'_, '_> {
    fn refuse<T>(&mut self, key: &str, reason: impl Into<String>, remedy: &str) -> Option<T> {
        let key = format!("{}.{key}", self.shown);
        self.document.refuse(&key, reason, remedy)
    }

    fn issuers(&mut self, names: Option<&[String]>, issuers: &[Issuer]) -> Vec<KeyHash> {
        let Some(names) = names else { return issuers.iter().map(|issuer| issuer.key_hash).collect() };
        let mut bound = Vec::new();
        for name in names {
            match issuers.iter().find(|issuer| issuer.name == *name) {
                Some(issuer) => bound.push(issuer.key_hash),
                None => {
                    let remedy = "Write the name of an [[issuer]], or leave issuers out to bind them all.";
                    self.refuse::<()>("issuers", format!("{} is the name of no [[issuer]]", quote(name)), remedy);
                }
            }
        }
        bound
    }

    fn constraints(&mut self, raw: &RawProfile) -> Vec<Constraint> {
        let section = raw.section.clone().unwrap_or_default();
        if section.len() > SECTION_LIMIT_BYTES || !section.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            self.refuse::<()>("section", "is too long or not one line of ASCII", "Write for instance \"CPS 3.2.2\".");
        }
        let (since, until) = (self.day("since", raw.since.as_deref()), self.day("until", raw.until.as_deref()));
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            self.refuse::<()>(
                "until",
                "is not after since",
                "The constraint binds from since to the day before until.",
            );
        }
        let demands = self.demands(raw);
        if !DEMANDS.iter().any(|key| self.document.has(&format!("{}.{key}", self.shown))) {
            let remedy = format!("Write one of {}, or remove the section.", DEMANDS.join(", "));
            self.document.missing(&format!("{}.{}", self.shown, DEMANDS[0]), &remedy);
        }
        let severity = match raw.severity.as_deref() {
            Some("warning") => Severity::Warning,
            Some("review") => Severity::Review,
            _ => Severity::Error,
        };
        let constraint = |demand| Constraint { section: section.clone(), since, until, severity, demand };
        demands.into_iter().map(constraint).collect()
    }

    fn day(&mut self, key: &str, text: Option<&str>) -> Option<Timestamp> {
        let text = text?;
        match Timestamp::parse(text).filter(|time| (1990..2100).contains(&time.year())) {
            Some(time) => Some(time),
            None => self.refuse(key, format!("{} is not a day", quote(text)), "Write it as 2019-11-15; it is UTC."),
        }
    }

    fn demands(&mut self, raw: &RawProfile) -> Vec<Demand> {
        let mut demands = Vec::new();
        demands.extend(raw.san_types.clone().map(Demand::SanTypes));
        demands.extend(self.each("policy_oids", &raw.policy_oids, oid).map(Demand::PolicyOids));
        demands.extend(raw.max_validity_days.map(Demand::ValidityDays));
        demands.extend(self.each("keys", &raw.keys, key).map(Demand::Keys));
        demands.extend(self.each("ekus", &raw.ekus, usage).map(Demand::ExtendedKeyUsages));
        demands.extend(self.each("subject_fields", &raw.subject_fields, field).map(Demand::SubjectFields));
        demands.extend(self.each("name_suffixes", &raw.name_suffixes, suffix).map(Demand::NameSuffixes));
        demands.extend(self.each("subject_countries", &raw.subject_countries, country).map(Demand::SubjectCountries));
        let mut names = NameList::default();
        for text in raw.forbidden_names.iter().flatten() {
            if let Err(error) = names.add(text) {
                self.refuse::<()>("forbidden_names", error.to_string(), "Write bank.example or *.bank.example.");
            }
        }
        if let Some(file) = &raw.forbidden_names_file {
            self.names_of_file(file, &mut names);
        }
        if !names.is_empty() {
            demands.push(Demand::ForbiddenNames(names));
        }
        demands
    }

    /// Every text as `read` understands it; what it does not is reported.
    fn each<T>(
        &mut self,
        key: &str,
        texts: &Option<Vec<String>>,
        read: fn(&str) -> Result<T, Refused>,
    ) -> Option<Vec<T>> {
        let mut found = Vec::new();
        for text in texts.as_ref()? {
            match read(text) {
                Ok(value) => found.push(value),
                Err(Refused(what, remedy)) => {
                    self.refuse::<()>(key, format!("{} is {what}", quote(text)), remedy);
                }
            }
        }
        Some(found)
    }

    /// One name per line; empty lines and what follows a `#` do not count.
    fn names_of_file(&mut self, file: &str, names: &mut NameList) {
        const KEY: &str = "forbidden_names_file";
        let path = self.document.path(file);
        let shown = path.display().to_string();
        let bytes = match read_file(&path, NAMES_LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(reason) => {
                self.refuse::<()>(KEY, reason, "Name a readable file with one name on each line.");
                return;
            }
        };
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default();
            let text = String::from_utf8_lossy(line);
            if text.trim().is_empty() {
                continue;
            }
            if let Err(error) = names.add(&text) {
                let remedy = "Write one name on each line, bank.example or *.bank.example; # begins a remark.";
                self.refuse::<()>(KEY, format!("{shown} line {}: {error}", at + 1), remedy);
                return;
            }
        }
    }
}

/// What a text is instead, and what to write.
struct Refused(&'static str, &'static str);

fn oid(text: &str) -> Result<String, Refused> {
    let arc = |arc: &str| !arc.is_empty() && arc.len() <= 20 && arc.bytes().all(|b| b.is_ascii_digit());
    let good = text.split('.').count() >= 3 && text.split('.').all(arc);
    if good {
        Ok(text.to_string())
    } else {
        Err(Refused("no object identifier", "Write it dotted, as 2.23.140.1.2.1."))
    }
}

fn key(text: &str) -> Result<Key, Refused> {
    const REMEDY: &str = "Write rsa-2048, rsa-3072+ for so many bits or more, p-256, p-384 or p-521.";
    Key::parse(text).ok_or(Refused("no kind of key", REMEDY))
}

fn usage(text: &str) -> Result<String, Refused> {
    if let Some((_, oid)) = USAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok((*oid).to_string());
    }
    const REMEDY: &str = "Write serverAuth, clientAuth, or another id-kp by name or dotted.";
    oid(text).map_err(|_| Refused("no extended key usage", REMEDY))
}

fn field(text: &str) -> Result<String, Refused> {
    if FIELDS.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        return Ok(text.to_string());
    }
    const REMEDY: &str = "Write it as C, O, CN, serialNumber, organizationIdentifier, or dotted as 2.5.4.10.";
    oid(text).map_err(|_| Refused("no attribute of a subject", REMEDY))
}

fn suffix(text: &str) -> Result<String, Refused> {
    let bare = text.trim_start_matches('.');
    match NameList::default().add(bare) {
        Ok(()) if !bare.contains('*') => Ok(bare.to_ascii_lowercase()),
        _ => Err(Refused("no suffix of names", "Write a domain without *, for instance eus or gov.example.")),
    }
}

fn country(text: &str) -> Result<String, Refused> {
    let good = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    if good { Ok(text.to_string()) } else { Err(Refused("no country", "Write the two letters of ISO 3166-1, as ES.")) }
}
