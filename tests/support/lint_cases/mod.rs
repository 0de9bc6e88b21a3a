//! The fixtures of the rules: what is put into each certificate and what must be found in it, written by hand.

mod extensions;
mod fields;
mod keys;
mod names;
mod subjects;
mod time;

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

/// What every certificate with a commonName has since 2023-09-15.
const CN: &str = "cn.present notice commonName";

fn case(rule: &'static str, name: &'static str, spec: Spec, expected: &[&str]) -> Case {
    let expected = expected.iter().map(|line| line.to_string()).collect();
    Case { rule, name, issued_at: None, der: spec.der(), expected }
}

/// The second before `day`, as [`Spec::new`] takes it.
fn eve(day: &str) -> String {
    let (month, date) = day.rsplit_once('-').expect("a day");
    match date {
        "01" => panic!("write it out"),
        date => format!("{month}-{:02} 23:59:59", date.parse::<u32>().expect("a day") - 1),
    }
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
        time::validity(),
        time::serials(),
        time::precertificates(),
        extensions::access(),
        extensions::policies(),
        extensions::usages(),
        extensions::revocation(),
        extensions::others(),
        keys::rsa_keys(),
        keys::weak_keys(),
        keys::curves(),
        keys::algorithms(),
        subjects::validations(),
        subjects::forms(),
        subjects::extended(),
        names::oddities(),
        names::out_of_scope_elsewhere(),
        fields::unroutable(),
        subjects::onions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
