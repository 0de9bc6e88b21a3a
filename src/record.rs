//! What the CA says it did: the issuance record of one certificate, as read from the CA's database.
//!
//! The shape follows the relational schema of the issuance feed. An absent table is `None`, which makes the rules
//! that need it "not evaluable"; an empty table is an empty list, which makes them fail.

use std::net::IpAddr;

use crate::clock::{Span, Timestamp};
use crate::finding::{CaseKey, KeyHash, Serial, escape};

/// What a certificate shows of itself to the rules that compare it with the CA's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// Every SAN in the order of the certificate: dNSNames in lower case and escaped, addresses in their usual text.
    pub names: Vec<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: KeyHash,
    /// Start and end of its validity, when both can be read.
    pub validity: Option<(Timestamp, Timestamp)>,
    /// SHA-256 of its TBSCertificate without poison and SCT list; `None` where the certificate itself is not at hand.
    pub tbs_sha256: Option<KeyHash>,
    /// The attributes of its subject, in their order; `None` where the certificate itself is not at hand.
    pub subject: Option<Vec<SubjectAttribute>>,
}

/// An attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectAttribute {
    /// What it is called: `O`, or dotted.
    pub name: String,
    /// The column of an identity that verifies it, one of [`IDENTITY_COLUMNS`]; `None`: no column does.
    pub column: Option<&'static str>,
    /// Its text as it stands in the certificate; foreign.
    pub value: String,
}

/// The answer to "what do you know of this certificate?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The database knows it.
    Found(Box<IssuanceRecord>),
    /// The database answered and does not know it; `as_of` is how fresh its answer is.
    Unknown {
        /// The newest write that the answer can contain.
        as_of: Timestamp,
    },
    /// No answer: our own outage, never a finding about the certificate.
    Unavailable {
        /// What went wrong, for a person.
        reason: String,
    },
    /// The monitor runs without an issuance source, or with one that was never fed a certificate: rules that need one
    /// are not evaluable.
    NoSource,
}

impl Lookup {
    /// The record, or in words why there is none to compare with.
    pub fn record(&self) -> Result<&IssuanceRecord, String> {
        match self {
            Lookup::Found(record) => Ok(record),
            Lookup::Unknown { as_of } => {
                Err(format!("the issuance database has no row for this certificate (as of {as_of})"))
            }
            Lookup::Unavailable { reason } => {
                Err(format!("no answer from the issuance database: {}", escape(reason.as_bytes(), 300)))
            }
            Lookup::NoSource => Err("no issuance source is configured, or it was never fed".to_string()),
        }
    }
}

/// Everything the CA recorded about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuanceRecord {
    /// Issuer key and serial number.
    pub key: CaseKey,
    /// `public` or `internal`: the hierarchy of the issuer.
    pub issuer_hierarchy: String,
    /// When the CA signed the precertificate, or the certificate where there was none.
    pub signed_at: Timestamp,
    /// SHA-256 of the public key in the certificate.
    pub spki_sha256: Option<String>,
    /// SHA-256 of the TBSCertificate without poison and SCT list, which precertificate and certificate share.
    pub tbs_sha256: Option<String>,
    /// Start and end of the validity in the certificate, when both are recorded.
    pub validity: Option<(Timestamp, Timestamp)>,
    /// `precert_only` or `issued`.
    pub state: String,
    /// The order it was issued for; `None` when the row names none or one that does not exist.
    pub order: Option<Order>,
    /// One row per SAN with the validation and the CAA check relied upon; `None` when the feed has no such table.
    pub authorisations: Option<Vec<SanAuthorisation>>,
    /// The confirmations of the same applicant, completed by the time of signing, for domains that cover one of the
    /// SANs, whether a row names them or not: before "no evidence" is said, these are searched.
    pub other_confirmations: Vec<DcvConfirmation>,
    /// How many more of these there are that are older at signing than BR 4.2.1 allows any validation to be.
    pub aged_confirmations: usize,
    /// Whether the feed has the table of orders: without it a certificate without an order says nothing.
    pub keeps_orders: bool,
    /// Whether the feed has the table of confirmations: without it a name without one says nothing.
    pub keeps_confirmations: bool,
    /// Whether the feed has the table of CAA checks: without it a name without a check says nothing.
    pub keeps_caa_checks: bool,
    /// Who approved the order, in order of time; `None` when the feed has no such table.
    pub approvals: Option<Vec<Approval>>,
    /// The identity that the order names; `None` when it names none, or the feed has no such table.
    pub identity: Option<Identity>,
    /// Whether the feed has the table of identities.
    pub keeps_identities: bool,
    /// What was linted before the signature; `None` when the feed has no such table.
    pub lint_runs: Option<Vec<LintRun>>,
    /// What the CA recorded of its revocation; `None` when it has no row, or the feed has no such table.
    pub revocation: Option<Revocation>,
    /// Whether the feed has the table of revocations.
    pub keeps_revocations: bool,
    /// How fresh the database's answer is.
    pub as_of: Timestamp,
}

impl IssuanceRecord {
    /// That a certificate was issued at this time, and nothing more: as of a feed that keeps certificates alone.
    pub fn bare(key: CaseKey, signed_at: Timestamp) -> IssuanceRecord {
        IssuanceRecord {
            key,
            issuer_hierarchy: "public".to_string(),
            signed_at,
            spki_sha256: None,
            tbs_sha256: None,
            validity: None,
            state: "issued".to_string(),
            order: None,
            authorisations: None,
            other_confirmations: Vec::new(),
            aged_confirmations: 0,
            keeps_orders: false,
            keeps_confirmations: false,
            keeps_caa_checks: false,
            approvals: None,
            identity: None,
            keeps_identities: false,
            lint_runs: None,
            revocation: None,
            keeps_revocations: false,
            as_of: signed_at,
        }
    }

    /// Why there is no order to compare with, for a record that has none.
    pub fn without_order(&self) -> &'static str {
        match self.keeps_orders {
            true => "the certificate's row names no order (certificates.order_id)",
            false => "the feed has no table orders",
        }
    }
}

/// A subscriber's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The CA's identifier of the order.
    pub order_id: String,
    /// The customer account.
    pub account: Account,
    /// Who really asked; under a reseller's account not the account itself.
    pub applicant_id: String,
    /// The applicant's name, if recorded.
    pub applicant_name: Option<String>,
    /// The applicant's country as ISO 3166-1 alpha-2, if recorded.
    pub applicant_country: Option<String>,
    /// `acme`, `api`, `web` or `manual`.
    pub channel: String,
    /// `DV`, `OV`, `IV` or `EV`, as the CA writes it.
    pub vtype: String,
    /// `public` or `internal`: the hierarchy the order was meant for.
    pub hierarchy: String,
    /// SHA-256 of the public key in the CSR.
    pub csr_spki_sha256: Option<String>,
    /// The names as approved, not as in the CSR; `None` when the CA keeps no list of names.
    pub names: Option<Vec<String>>,
    /// When the order was made.
    pub created_at: Timestamp,
}

/// A customer account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The CA's identifier of the account.
    pub account_id: String,
    /// `direct`, `enterprise`, `reseller` or `cdn`.
    pub kind: String,
    /// The account's name, if recorded.
    pub name: Option<String>,
}

/// What the CA relied upon for one SAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanAuthorisation {
    /// The name as the CA wrote it.
    pub name: String,
    /// The validation relied upon.
    pub basis: Basis,
    /// The CAA check relied upon.
    pub caa: Option<CaaCheck>,
}

/// The validation that an authorisation rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A confirmation made for this certificate.
    Confirmation(DcvConfirmation),
    /// An earlier confirmation that was reused.
    Reuse(DcvReuse),
    /// The row names none.
    Missing,
}

/// One act of domain (or IP address) validation. Only this is evidence; a record of reuse never is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcvConfirmation {
    /// The CA's identifier of the confirmation.
    pub dcv_id: i64,
    /// The applicant who was confirmed.
    pub applicant_id: String,
    /// The account of that applicant.
    pub account_id: Option<String>,
    /// The Authorization Domain Name, lower case, as validated.
    pub adn: String,
    /// The method, as `3.2.2.4.7`.
    pub method: String,
    /// When it was completed.
    pub completed_at: Timestamp,
    /// `system`, or the person who did it by hand.
    pub performed_by: String,
    /// `own` or the resolver that was asked, if recorded.
    pub resolver: Option<String>,
    /// When its Random Value or Request Token was made, if recorded.
    pub token_issued_at: Option<Timestamp>,
    /// The outcome of DNSSEC validation at the primary perspective, as RFC 4035 4.3 calls it, if recorded.
    pub dnssec: Option<String>,
    /// What the remote perspectives saw, if recorded.
    pub remote: Option<Perspectives>,
    /// The DNS name that was asked or the URL that was fetched, if recorded; for method 3.2.2.5.3 the domain name that the
    /// reverse look-up of the address gave.
    pub location: Option<String>,
    /// Where its evidence is kept, if recorded.
    pub evidence_ref: Option<String>,
    /// When its row was written, if recorded; long after `completed_at` it was not written by the validation.
    pub recorded_at: Option<Timestamp>,
}

/// What the remote network perspectives of BR 3.2.2.9 saw of one validation or check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perspectives {
    /// How many corroborated what the primary perspective saw.
    pub corroborating: u64,
    /// How many were asked.
    pub total: u64,
    /// In how many RIR regions those that corroborated stand, if recorded.
    pub regions: Option<u64>,
}

/// A decision to rely on an earlier confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcvReuse {
    /// The CA's identifier of the reuse.
    pub reuse_id: i64,
    /// The rule under which it was reused: `recent`, `same_key`, `sticky`, ...
    pub rule: String,
    /// When that was decided.
    pub decided_at: Timestamp,
    /// By whom, if recorded.
    pub decided_by: Option<String>,
    /// The steps the CA stated, nearest first, when the reuse was of a reuse; empty when it was direct.
    pub chain: Vec<ReuseStep>,
    /// The confirmation at the root, or `None` when no confirmation was found there.
    pub root: Option<DcvConfirmation>,
}

impl DcvReuse {
    /// What people call it: `reuse 17`, or `confirmation 4` when the CA had filed a reuse among its confirmations
    /// (the import gives such a row the negated identifier).
    pub fn label(&self) -> String {
        reuse_label(self.reuse_id)
    }
}

/// What people call the reuse with this identifier; see [`DcvReuse::label`].
pub fn reuse_label(reuse_id: i64) -> String {
    if reuse_id < 0 { format!("confirmation {}", reuse_id.unsigned_abs()) } else { format!("reuse {reuse_id}") }
}

/// One step of a stated chain of reuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReuseStep {
    /// What the CA named as the origin: `reuse 17`, `confirmation 4`.
    pub stated_id: String,
    /// When that step was decided, if stated.
    pub stated_at: Option<Timestamp>,
}

/// A CAA check that the CA recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaCheck {
    /// The CA's identifier of the check.
    pub caa_id: i64,
    /// The name that was checked.
    pub name: String,
    /// When.
    pub checked_at: Timestamp,
    /// `permit`, `deny`, `none` or `failed`.
    pub result: String,
    /// The records of the answer in presentation format, one a line, if recorded.
    pub rrset: Option<String>,
    /// The TTL of the answer, if recorded.
    pub ttl: Option<Span>,
    /// The outcome of DNSSEC validation, as RFC 4035 4.3 calls it, if recorded.
    pub dnssec: Option<String>,
    /// `own` or the resolver that was asked.
    pub resolver: String,
    /// `system`, or the person who did it by hand.
    pub performed_by: String,
    /// What the remote perspectives saw, if recorded.
    pub remote: Option<Perspectives>,
}

/// A decision of a person on an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// `validate`, `cross_check` or `issue`.
    pub step: String,
    /// Who.
    pub person: String,
    /// When.
    pub decided_at: Timestamp,
}

/// An organization or person as the CA verified it (BR 3.2.2.1, 3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The CA's identifier of the verification.
    pub identity_id: String,
    /// When the oldest of the data and documents was obtained.
    pub verified_at: Timestamp,
    /// `system` or the person who did it, if recorded.
    pub performed_by: Option<String>,
    /// What was verified, in the order of [`IDENTITY_COLUMNS`]; `None` where nothing is recorded.
    pub values: [Option<String>; 13],
}

/// The columns of an identity that a subject can be compared with, as the feed calls them.
pub const IDENTITY_COLUMNS: [&str; 13] = [
    "organization",
    "country",
    "state",
    "locality",
    "street",
    "postal_code",
    "given_name",
    "surname",
    "registration_number",
    "business_category",
    "jurisdiction_country",
    "jurisdiction_state",
    "jurisdiction_locality",
];

/// A run of a linter before the signature (BR 4.3.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintRun {
    /// The linter.
    pub linter: String,
    /// Its version, if recorded.
    pub version: Option<String>,
    /// When it ran.
    pub ran_at: Timestamp,
    /// `passed` or `failed`.
    pub result: String,
    /// What it found, one finding a line, if recorded.
    pub findings: Option<String>,
}

impl Identity {
    /// What was verified under this name of [`IDENTITY_COLUMNS`].
    pub fn value(&self, column: &str) -> Option<&str> {
        let place = IDENTITY_COLUMNS.iter().position(|known| *known == column)?;
        self.values[place].as_deref()
    }
}

/// What the CA recorded of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When the CA knew that it had to revoke, if recorded.
    pub aware_at: Option<Timestamp>,
    /// When it revoked, if it has.
    pub revoked_at: Option<Timestamp>,
    /// The CRLReason, if recorded.
    pub reason: Option<u64>,
    /// When the CA saw the serial number on its CRL, if recorded.
    pub crl_seen_at: Option<Timestamp>,
}

/// A certificate as the walk through the record by time of signing reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The number of its row: `certificates.cert_id`.
    pub cert_id: i64,
    /// Issuer key and serial number; the serial without its sign octet.
    pub key: CaseKey,
    /// When the precertificate was signed.
    pub signed_at: Timestamp,
    /// The end of its validity, if recorded.
    pub not_after: Option<Timestamp>,
    /// The hierarchy of its issuer: `public` or `internal`.
    pub hierarchy: String,
    /// `precert_only` or `issued`.
    pub state: String,
}

/// What the record says of the revocation of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of its row: `certificates.cert_id`.
    pub cert_id: i64,
    /// Issuer key and serial number; the serial without its sign octet.
    pub key: CaseKey,
    /// The end of its validity, if recorded.
    pub not_after: Option<Timestamp>,
    /// Its row in `revocations`, if it has one.
    pub revocation: Option<Revocation>,
}

/// A revocation as the walk through all of an issuer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The serial number, without its sign octet.
    pub serial: Serial,
    /// The end of its validity, if recorded.
    pub not_after: Option<Timestamp>,
    /// What is recorded; never when the CA saw it on its CRL.
    pub revocation: Revocation,
}

/// What the CA says of one of its own controls at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// When this held.
    pub observed_at: Timestamp,
    /// Whether it was in force.
    pub enabled: bool,
    /// The version of what does the work, if recorded.
    pub version: Option<String>,
    /// The value of a setting or the hash of a profile, if recorded.
    pub value: Option<String>,
    /// How many entries a list had, if recorded.
    pub entries: Option<u64>,
}

/// How many certificates one of the CA's records has of an issuer and an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The record: `audit_log`, ...
    pub source: String,
    /// SHA-256 of the issuer's key.
    pub issuer_key_hash: KeyHash,
    /// The first moment of the hour.
    pub hour: Timestamp,
    /// How many were signed in it.
    pub certificates: u64,
}

/// The domains whose validation can cover `name`, nearest first: the name itself without `*.`, then its ancestors
/// label by label. An IP address is covered by itself alone.
pub fn covering_domains(name: &str) -> Vec<&str> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return vec![bare];
    }
    let ancestors = bare.match_indices('.').map(|(dot, _)| &bare[dot + 1..]).filter(|rest| !rest.is_empty());
    std::iter::once(bare).chain(ancestors).collect()
}

/// Whether a validation or check of `done` was made for `name` itself; `*.` does not matter.
pub fn same_domain(done: &str, name: &str) -> bool {
    let bare = |text: &str| text.strip_prefix("*.").unwrap_or(text).to_ascii_lowercase();
    bare(done) == bare(name)
}

/// Whether a validation of `adn` covers `name`: equal or an ancestor on a label boundary, so that `l.com` does not
/// cover `evil.com`.
pub fn covers(adn: &str, name: &str) -> bool {
    covering_domains(name).iter().any(|domain| domain.eq_ignore_ascii_case(adn))
}

#[cfg(test)]
mod tests;
