//! How the CA says it validated the subject: the Reserved Certificate Policy Identifiers of BR 7.1.6.1.

use crate::cert::extensions::policies;
use crate::cert::{Certificate, oid};
use crate::lint::Subject;

/// A kind of validation, asserted by a policy identifier under 2.23.140.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// domain-validated, 2.23.140.1.2.1.
    Domain,
    /// organization-validated, 2.23.140.1.2.2.
    Organization,
    /// individual-validated, 2.23.140.1.2.3.
    Individual,
    /// ev-guidelines, 2.23.140.1.1.
    Extended,
}

impl Validation {
    /// What a policyIdentifier (content octets) stands for; `None` when it is not a reserved one.
    pub fn of_policy(oid: &[u8]) -> Option<Validation> {
        match oid.strip_prefix(&[0x67, 0x81, 0x0c, 1])? {
            [2, 1] => Some(Validation::Domain),
            [2, 2] => Some(Validation::Organization),
            [2, 3] => Some(Validation::Individual),
            [1] => Some(Validation::Extended),
            _ => None,
        }
    }
}

/// All that a certificate asserts.
pub fn asserted(cert: &Certificate) -> Vec<Validation> {
    let extensions = cert.extension(oid::CERTIFICATE_POLICIES);
    let stated = extensions.flat_map(|extension| policies(&extension.value).unwrap_or_default());
    stated.filter_map(|policy| Validation::of_policy(&policy.oid)).collect()
}

/// Whether it asserts EV.
pub fn is_extended(subject: &Subject<'_>) -> bool {
    subject.validations().contains(&Validation::Extended)
}

/// The one validation that it asserts; `None` when it asserts none or several, which `ext.cp` reports.
pub fn validation(subject: &Subject<'_>) -> Option<Validation> {
    let all = subject.validations();
    let first = *all.first()?;
    all.iter().all(|other| *other == first).then_some(first)
}
