//! What the CA says of itself in its CP/CPS and configuration, and which the requirements leave to it.

use std::collections::BTreeMap;

use crate::clock::{DAY, Span, Timestamp};
use crate::evidence::dated::Dated;
use crate::finding::KeyHash;
use crate::lint::profile::Profile;

/// A rule of the CA's own by which earlier validations are reused, within what the requirements allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReuseRule {
    /// Its name in the record.
    pub name: String,
    /// How long after the validation it may be decided by.
    pub limit: Span,
}

/// A method as the CA practised it for a time, found to be flawed: what was validated by it then proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlawedMethod {
    /// The method, as section or ACME label.
    pub method: String,
    /// First moment of validation that is concerned.
    pub from: Timestamp,
    /// First moment of validation that no longer is; `None`: still.
    pub until: Option<Timestamp>,
    /// What was wrong with it, as findings say it: a bug, an incident.
    pub reason: String,
}

/// The CA's own terms, against which its record is read. The default knows the words of the issuance schema and nothing
/// of the CA: what it leaves empty makes the rules that need it "not evaluable".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The issuer domains of CP/CPS 4.2 that CAA records may name, lower case. Empty: unknown.
    pub issuer_domains: Vec<String>,
    /// What stands before the account's identifier in its account URI (RFC 8657 3). `None`: unknown.
    pub account_uri_prefix: Option<String>,
    /// The channels through which orders may come, by the day of the order. Empty: unknown.
    pub channels: Vec<Dated>,
    /// The countries of the applicants for whom the CA issues, ISO 3166-1 alpha-2, by the day of signing. Empty: unknown.
    pub countries: Vec<Dated>,
    /// The validation methods that the CP/CPS lists, as section or ACME label, by the day of signing. Empty: unknown,
    /// every method of the BR.
    pub methods: Vec<Dated>,
    /// Methods that were flawed for a time.
    pub flawed: Vec<FlawedMethod>,
    /// How the references to evidence begin that was taken over in bulk, from files or another system.
    pub bulk_evidence: Vec<String>,
    /// How long after its completion a validation is written down at the latest.
    pub recorded_within: Span,
    /// The accounts of the CA's own tests.
    pub test_accounts: Vec<String>,
    /// The organizations in the subjects of the CA's own tests.
    pub test_organizations: Vec<String>,
    /// The domains in which test certificates may be issued.
    pub test_zones: Vec<String>,
    /// Under which rule the CA reuses a validation for how long; a rule that is not listed is unknown.
    pub reuse_rules: Vec<ReuseRule>,
    /// What the record calls a resolver that the CA operates itself.
    pub own_resolvers: Vec<String>,
    /// What the record calls the CA's own system, as opposed to a person.
    pub systems: Vec<String>,
    /// The kinds of accounts that act for several applicants, who must not share their validations.
    pub shared_account_kinds: Vec<String>,
    /// What the certificates of an issuer may be, by SHA-256 of its key. An issuer that is absent has no profile.
    pub profiles: BTreeMap<KeyHash, Profile>,
}

impl Default for Policy {
    fn default() -> Policy {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        // The names and limits of Mozilla bug 1718771.
        let reuse_rules = [("recent", 7), ("same_key", 825), ("sticky", 365)];
        let reuse_rule = |(name, days): (&str, i64)| ReuseRule { name: name.into(), limit: Span::from_days(days) };
        Policy {
            reuse_rules: reuse_rules.map(reuse_rule).to_vec(),
            issuer_domains: Vec::new(),
            account_uri_prefix: None,
            channels: Vec::new(),
            countries: Vec::new(),
            methods: Vec::new(),
            flawed: Vec::new(),
            bulk_evidence: Vec::new(),
            recorded_within: DAY,
            test_accounts: Vec::new(),
            test_organizations: Vec::new(),
            test_zones: Vec::new(),
            own_resolvers: words(&["own"]),
            systems: words(&["system"]),
            shared_account_kinds: words(&["reseller", "cdn"]),
            profiles: BTreeMap::new(),
        }
    }
}

/// Whether `word` is one of `list`, whatever its case.
pub(crate) fn lists(list: &[String], word: &str) -> bool {
    list.iter().any(|listed| listed.eq_ignore_ascii_case(word.trim()))
}
