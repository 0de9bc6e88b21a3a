//! What the CA itself allows in its certificates, beyond what the requirements do: its profiles, out of its CP/CPS.
//!
//! A profile is a list of constraints. Each has the section of the CP/CPS from which it comes, which its findings cite,
//! and the days from and until which it binds. Where a CA has no constraint of a kind, the rule of that kind says
//! nothing at all.

mod name_list;
mod rules;

pub use name_list::{NameList, NameListError};
pub use rules::RULES;

use crate::cert::{Certificate, DnsName};
use crate::clock::Timestamp;
use crate::finding::{Issued, RuleInfo, Severity, Verdict};
use crate::lint::{Tables, judge};

/// What the certificates of one issuer may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// All that binds it; several of one kind bind it together.
    pub constraints: Vec<Constraint>,
}

/// One sentence of the CP/CPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Where it stands, as findings cite it: `CPS 3.2.2`.
    pub section: String,
    /// First moment of issuance at which it binds; `None`: always.
    pub since: Option<Timestamp>,
    /// First moment of issuance at which it no longer binds; `None`: still in force.
    pub until: Option<Timestamp>,
    /// How bad it is to break it. No revocation follows from what is less than an error.
    pub severity: Severity,
    /// What it demands.
    pub demand: Demand,
}

/// What a constraint demands. Words are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// No GeneralName of another kind in the subjectAltName: names of RFC 5280 4.2.1.6 such as `dNSName`.
    SanTypes(Vec<String>),
    /// No other policyIdentifier, and at least one of these (dotted).
    PolicyOids(Vec<String>),
    /// No longer validity than so many days of 86,400 seconds, both ends included (BR 6.3.2).
    ValidityDays(u32),
    /// No other key.
    Keys(Vec<Key>),
    /// No other extended key usage (dotted).
    ExtendedKeyUsages(Vec<String>),
    /// No other attribute in the subject: short names such as `CN`, or dotted.
    SubjectFields(Vec<String>),
    /// No dNSName that is none of these and not below one of them.
    NameSuffixes(Vec<String>),
    /// No other countryName in the subject.
    SubjectCountries(Vec<String>),
    /// None of these names as dNSName or commonName.
    ForbiddenNames(NameList),
}

/// A kind of key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Bits.
        bits: usize,
        /// Or of more.
        or_more: bool,
    },
    /// An elliptic curve, by the content octets of its namedCurve.
    Ec(&'static [u8], &'static str),
}

/// namedCurve of P-256, P-384 and P-521 (RFC 5480 2.1.1.1) with what people call them.
const CURVES: [Key; 3] = [
    Key::Ec(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "p-256"),
    Key::Ec(&[0x2b, 0x81, 4, 0, 34], "p-384"),
    Key::Ec(&[0x2b, 0x81, 4, 0, 35], "p-521"),
];

impl Key {
    /// From `rsa-2048`, `rsa-3072+` (so many bits or more), `p-256`, `p-384`, `p-521`.
    pub fn parse(text: &str) -> Option<Key> {
        let text = text.to_ascii_lowercase();
        if let Some(size) = text.strip_prefix("rsa-") {
            let (digits, or_more) = size.strip_suffix('+').map_or((size, false), |digits| (digits, true));
            let bits = digits.parse().ok().filter(|bits| (1024..=65_536).contains(bits))?;
            return digits.bytes().all(|b| b.is_ascii_digit()).then_some(Key::Rsa { bits, or_more });
        }
        CURVES.into_iter().find(|curve| matches!(curve, Key::Ec(_, name) if *name == text))
    }
}

impl Demand {
    /// The rule that judges it.
    pub fn rule(&self) -> &'static str {
        match self {
            Demand::SanTypes(_) => "policy.san_types",
            Demand::PolicyOids(_) => "policy.oids",
            Demand::ValidityDays(_) => "policy.validity",
            Demand::Keys(_) => "policy.key",
            Demand::ExtendedKeyUsages(_) => "policy.eku",
            Demand::SubjectFields(_) => "policy.subject",
            Demand::NameSuffixes(_) => "policy.suffix",
            Demand::SubjectCountries(_) => "policy.country",
            Demand::ForbiddenNames(_) => "policy.forbidden_name",
        }
    }
}

impl Constraint {
    fn binds(&self, moment: Timestamp) -> bool {
        self.since.is_none_or(|since| moment >= since) && self.until.is_none_or(|until| moment < until)
    }
}

/// Judges a certificate by the rules for which the profile has a constraint, in the order of [`RULES`].
pub fn run(
    cert: &Certificate,
    issued: Issued,
    tables: &Tables,
    profile: &Profile,
) -> Vec<(&'static RuleInfo, Verdict)> {
    let concerned = |id: &str| profile.constraints.iter().any(|constraint| constraint.demand.rule() == id);
    let rules = RULES.iter().filter(|rule| concerned(rule.info.id));
    rules.map(|rule| (&rule.info, judge(rule, cert, issued, tables, Some(profile)))).collect()
}

/// Whether a name is `zone` or below it; a wildcard is what its FQDN portion is.
fn is_under(name: &DnsName, zone: &str) -> bool {
    name.strip_wildcard().is_under(zone)
}
