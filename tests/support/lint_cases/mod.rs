//! The fixtures of the rules: what is put into each certificate and what must be found in it, written by hand.

mod fields;
mod names;

use super::certgen::Spec;

/// One fixture, `tests/fixtures/lint/<rule>/<name>.case`.
pub struct Case {
    /// The rule whose boundary it marks.
    pub rule: &'static str,
    /// What is special about it.
    pub name: &'static str,
    /// The time of issuance, when it is not notBefore.
    pub issued_at: Option<&'static str>,
    /// The certificate.
    pub der: Vec<u8>,
    /// Every finding, as `rule severity subject`.
    pub expected: Vec<String>,
}

fn case(rule: &'static str, name: &'static str, spec: Spec, expected: &[&str]) -> Case {
    let expected = expected.iter().map(|line| line.to_string()).collect();
    Case { rule, name, issued_at: None, der: spec.der(), expected }
}

fn issued(mut case: Case, at: &'static str) -> Case {
    case.issued_at = Some(at);
    case
}

/// All fixtures.
pub fn all() -> Vec<Case> {
    [
        names::names(),
        names::syntax(),
        names::wildcards(),
        fields::addresses(),
        fields::alternative_names(),
        fields::common_names(),
        fields::validity(),
        fields::usages(),
        fields::encoding(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
