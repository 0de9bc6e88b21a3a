//! A quick look at one name and its evidence, over values that were graded once for the many rows that share them.
//!
//! The audit of a whole corpus puts every name through it. What it lets pass, [`super::run`] passes too, and what it
//! calls a gap is "not evaluable" there for the same rules; everything else is doubtful and goes through
//! [`super::run`] itself. A property test below holds the two together.

mod corroboration;
mod gaps;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::clock::{HOUR, Span, Timestamp};
use crate::evidence::caa::{Answer, evaluate, read};
use crate::evidence::dated::Dated;
use crate::evidence::location::{self, Place};
use crate::evidence::methods::{Method, Standing, is_onion, row, section};
use crate::evidence::perspectives::{self, Flaw};
use crate::evidence::policy::{Policy, lists};
use crate::evidence::reuse_limits::{ev_domain_limit, limit_of};
use crate::evidence::rules::{CAA_EXISTS, MARCH_2026};
use crate::record::{Perspectives, same_domain};
use corroboration::Corroboration;
pub use gaps::Gaps;
use gaps::{
    NO_ACCOUNT, NO_CAA_DNSSEC, NO_CAA_TABLE, NO_DNSSEC, NO_ISSUER_DOMAINS, NO_LOCATION, NO_ORDER, NO_RECORDED,
    NO_REFERENCE, NO_RESOLVER, NO_RRSET, NO_RULE_LIMIT, NO_TOKEN, NO_TTL, OF_CHECK,
};

/// The rules that the sieve knows. When [`super::RULES`] has another one, nothing may be let pass.
const KNOWN: [&str; 27] = [
    "dcv.exists",
    "dcv.adn",
    "dcv.method",
    "dcv.wildcard",
    "dcv.reuse",
    "dcv.own_limit",
    "dcv.token30",
    "dcv.location",
    "dcv.flawed",
    "dcv.origin",
    "onion.method",
    "id.reuse",
    "dcv.applicant",
    "dcv.manual",
    "dcv.resolver",
    "dcv.record",
    "mpic.count",
    "mpic.quorum",
    "mpic.rir",
    "dnssec",
    "caa.exists",
    "caa.verdict",
    "caa.params",
    "caa.fresh",
    "caa.resolver",
    "caa.manual",
    "ev.approvals",
];

/// Whether every rule of the room is known to the sieve, so that what it lets pass is good.
pub fn is_complete() -> bool {
    super::RULES.iter().all(|rule| KNOWN.contains(&rule.id))
}

/// Whether a column names one of the values that the CA's terms list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
    Empty,
}

/// What the outcome of DNSSEC validation says, once it must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    Missing,
    Broken,
}

impl Outcome {
    fn of(dnssec: Option<&str>) -> Outcome {
        match perspectives::judge_dnssec(dnssec, MARCH_2026) {
            None => Outcome::Fine,
            Some(Flaw::Missing(..)) => Outcome::Missing,
            Some(Flaw::Broken(..)) => Outcome::Broken,
        }
    }
    /// What is missing of an answer of `asked`; `None` when it is broken.
    fn at(self, asked: Timestamp, missing: Gaps) -> Option<Gaps> {
        match self {
            _ if asked < MARCH_2026 => Some(Gaps::NONE),
            Outcome::Fine => Some(Gaps::NONE),
            Outcome::Missing => Some(missing),
            Outcome::Broken => None,
        }
    }
}

/// What a confirmation shares with many others, graded against the CA's terms.
#[derive(Clone, Debug)]
pub struct Grade {
    text: String,
    method: Option<&'static Method>,
    place: Option<Place>,
    /// When the CP/CPS lists the method; `None`: nothing is known of that.
    listed: Option<Vec<Dated>>,
    /// When the method was flawed.
    flawed: Vec<(Timestamp, Option<Timestamp>)>,
    by_system: bool,
    resolver: Listed,
    dnssec: Outcome,
    remote: Corroboration,
}

impl Grade {
    /// Grades the values of these columns.
    pub fn of(
        method: &str,
        performed_by: &str,
        resolver: Option<&str>,
        dnssec: Option<&str>,
        remote: Option<Perspectives>,
        policy: &Policy,
    ) -> Grade {
        let own = |resolver| if lists(&policy.own_resolvers, resolver) { Listed::Yes } else { Listed::No };
        let known = section(method);
        let same = |listed: &&Dated| section(&listed.word) == known;
        let flawed = policy.flawed.iter().filter(|flaw| section(&flaw.method) == known);
        Grade {
            text: method.to_string(),
            method: row(method),
            place: location::place(method),
            listed: (!policy.methods.is_empty()).then(|| policy.methods.iter().filter(same).cloned().collect()),
            flawed: flawed.map(|flaw| (flaw.from, flaw.until)).collect(),
            by_system: lists(&policy.systems, performed_by),
            resolver: resolver.map_or(Listed::Empty, own),
            dnssec: Outcome::of(dnssec),
            remote: Corroboration::of(remote, 0),
        }
    }
    /// What its method prescribes of the place where it looks.
    pub fn prescribed(&self) -> Prescribed {
        Prescribed(self.place)
    }
}

/// What a method prescribes of the place where it looks.
#[derive(Clone, Copy, Debug)]
pub struct Prescribed(Option<Place>);

impl Prescribed {
    /// What this method prescribes.
    pub fn by(method: &str) -> Prescribed {
        Prescribed(location::place(method))
    }
    /// Of a location that is certainly right, because it is written as prescribed to the letter, what stands where the
    /// method leaves a choice. The domain is in lower case.
    pub fn rest<'l>(self, adn: &str, location: &'l str) -> Option<&'l str> {
        location::plain_rest(self.0?, adn, location)
    }
    /// The location of which [`Prescribed::rest`] gave this; `None` when it gave nothing.
    pub fn location(self, adn: &str, rest: &str) -> Option<String> {
        location::plain(self.0?, adn, rest)
    }
}

/// Where the value was looked for.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// As the method prescribes it, to the letter: [`Prescribed::rest`] gave something.
    Prescribed,
    /// As this says.
    At(&'a str),
}

/// How the applicant of a confirmation stands to the applicant of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// The certificate's row names no order.
    NoOrder,
    /// It is the same one, or another one of an account that acts for itself.
    Holds,
    /// The account of the confirmation's applicant is not known.
    UnknownAccount,
    /// It is another account, or another applicant of an account that acts for several.
    Broken,
}

impl Bond {
    /// `same_account`: whether the account is the same, if known; `shared`: whether the order's acts for several.
    pub fn of(same_applicant: bool, same_account: Option<bool>, shared: bool) -> Bond {
        match (same_applicant, same_account) {
            (true, _) => Bond::Holds,
            (false, Some(false)) => Bond::Broken,
            _ if shared => Bond::Broken,
            (false, Some(true)) => Bond::Holds,
            (false, None) => Bond::UnknownAccount,
        }
    }
}

/// The reuse through which a name rests on a confirmation.
#[derive(Clone, Copy, Debug)]
pub struct Reused {
    /// The limit that the CA set for its rule, if it set one.
    pub limit: Option<Span>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The nearest origin that the CA stated: a reuse or the confirmation itself.
    pub origin: Timestamp,
}

/// A name and the confirmation it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Reliance<'a> {
    /// The name, in lower case.
    pub name: &'a [u8],
    /// The Authorization Domain Name, in lower case.
    pub adn: &'a [u8],
    /// What is graded of the confirmation.
    pub grade: &'a Grade,
    /// When the confirmation was completed.
    pub completed: Timestamp,
    /// When its token was made, if recorded.
    pub token_issued_at: Option<Timestamp>,
    /// When the certificate was signed.
    pub signed: Timestamp,
    /// The reuse between, if any.
    pub reuse: Option<Reused>,
    /// Whose confirmation it is.
    pub bond: Bond,
    /// Whether the domain is a public suffix; may be true where that is not known.
    pub suffix: bool,
    /// Whether the order is for an EV certificate.
    pub ev: bool,
    /// Where the value was looked for, if recorded.
    pub location: Option<Seen<'a>>,
    /// Where the evidence is kept, if recorded.
    pub evidence_ref: Option<&'a str>,
    /// When the row was written, if recorded.
    pub recorded_at: Option<Timestamp>,
}

/// BR 3.2.2.4.x: a Random Value lives for 30 days.
const TOKEN_LIFE: Span = Span::from_days(30);

impl Reliance<'_> {
    /// What is missing when nothing is wrong; `None` when something may be.
    pub fn sift(&self, policy: &Policy) -> Option<Gaps> {
        let (grade, completed, signed) = (self.grade, self.completed, self.signed);
        let method = grade.method?;
        let address = may_be_address(self.name) && text(self.name).parse::<IpAddr>().is_ok();
        let sound = completed <= signed
            && covers(self.adn, self.name)
            && method.standing(completed, signed) == Standing::Permitted
            && method.is_for_addresses() == address
            && grade.listed.as_ref().is_none_or(|listed| listed.iter().any(|dated| dated.holds(signed)))
            && (bare(self.name) == self.adn || !self.suffix)
            && !is_onion(self.name)
            && !method.is_for_onions()
            && !method.needs_base_domain(completed)
            && (!self.ev || ev_domain_limit("EV", signed).is_none_or(|limit| signed <= limit.ends(completed)))
            && !grade
                .flawed
                .iter()
                .any(|(from, until)| completed >= *from && until.is_none_or(|until| completed < until))
            && (self.name == self.adn || !method.is_exact(signed))
            && signed <= limit_of(Some(method.section), signed).ends(completed)
            && (grade.by_system || method.by_person);
        if !sound {
            return None;
        }
        let mut gaps = match self.bond {
            Bond::Holds => Gaps::NONE,
            Bond::NoOrder => NO_ORDER,
            Bond::UnknownAccount => NO_ACCOUNT,
            Bond::Broken => return None,
        };
        match self.reuse {
            None => {}
            Some(Reused { limit: None, .. }) => gaps = gaps.and(NO_RULE_LIMIT),
            Some(Reused { limit: Some(limit), decided_at, origin }) if decided_at.since(origin) > limit => return None,
            Some(_) => {}
        }
        match self.token_issued_at {
            _ if !method.token => {}
            None => gaps = gaps.and(NO_TOKEN),
            Some(made) if made > completed || completed.since(made) > TOKEN_LIFE => return None,
            Some(_) => {}
        }
        gaps = gaps.and(self.place()?).and(self.origin(policy)?);
        match grade.resolver {
            _ if method.by_person => {}
            Listed::Yes => {}
            Listed::Empty => gaps = gaps.and(NO_RESOLVER),
            Listed::No => return None,
        }
        if method.mpic && !(method.is_over_tor() && is_onion(self.name)) {
            gaps = gaps.and(grade.remote.at(completed)?).and(grade.dnssec.at(completed, NO_DNSSEC)?);
        }
        Some(gaps)
    }

    fn place(&self) -> Option<Gaps> {
        if self.grade.place.is_none() {
            return Some(Gaps::NONE);
        }
        let place = match self.location {
            Some(Seen::Prescribed) => return Some(Gaps::NONE),
            Some(Seen::At(place)) => place.trim(),
            None => "",
        };
        match place.is_empty() {
            true => Some(NO_LOCATION),
            false => location::wrong(&self.grade.text, text(self.adn), place).is_none().then_some(Gaps::NONE),
        }
    }

    fn origin(&self, policy: &Policy) -> Option<Gaps> {
        let reference = self.evidence_ref.map(str::trim).filter(|reference| !reference.is_empty());
        if reference.is_some_and(|reference| policy.bulk_evidence.iter().any(|class| reference.starts_with(&**class))) {
            return None;
        }
        match self.recorded_at {
            None => Some(NO_RECORDED),
            Some(recorded) if recorded < self.completed || recorded.since(self.completed) > policy.recorded_within => {
                None
            }
            Some(_) if !policy.bulk_evidence.is_empty() && reference.is_none() => Some(NO_REFERENCE),
            Some(_) => Some(Gaps::NONE),
        }
    }
}

/// Octets that came from text.
fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap_or_default()
}

fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"*.").unwrap_or(name)
}

/// Whether text may be an IP address: something with a colon, or with a last label of digits.
fn may_be_address(name: &[u8]) -> bool {
    // Most names end in a letter.
    if name.last().is_some_and(u8::is_ascii_lowercase) {
        return memchr::memchr(b':', name).is_some();
    }
    let last = name.rsplit(|octet| *octet == b'.').next().unwrap_or_default();
    !last.is_empty() && last.iter().all(u8::is_ascii_digit) || name.contains(&b':')
}

/// Whether `adn` certainly covers `name` and stands below a top-level domain. An address is covered by itself alone.
fn covers(adn: &[u8], name: &[u8]) -> bool {
    let bare = bare(name);
    if adn == bare {
        return adn.iter().any(|octet| matches!(octet, b'.' | b':'));
    }
    let above = bare.len() > adn.len() && bare[bare.len() - adn.len() - 1] == b'.' && bare.ends_with(adn);
    above && adn.contains(&b'.') && !may_be_address(bare)
}

/// What a CAA check shares with many others, graded against the CA's terms.
#[derive(Clone, Debug)]
pub struct CaaGrade {
    result: CaaResult,
    own_resolver: bool,
    by_system: bool,
    dnssec: Outcome,
    remote: Corroboration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CaaResult {
    None,
    Refused,
    Other,
}

impl CaaGrade {
    /// Grades the values of these columns.
    pub fn of(
        result: &str,
        performed_by: &str,
        resolver: &str,
        dnssec: Option<&str>,
        remote: Option<Perspectives>,
        policy: &Policy,
    ) -> CaaGrade {
        let is = |word: &str| result.eq_ignore_ascii_case(word);
        CaaGrade {
            result: match () {
                () if is("none") => CaaResult::None,
                () if is("deny") || is("failed") => CaaResult::Refused,
                () => CaaResult::Other,
            },
            own_resolver: lists(&policy.own_resolvers, resolver),
            by_system: lists(&policy.systems, performed_by),
            dnssec: Outcome::of(dnssec),
            remote: match remote {
                // Left out.
                Some(remote) if remote.total == 0 => Corroboration::default(),
                remote => Corroboration::of(remote, OF_CHECK),
            },
        }
    }
}

/// A CAA check of a name.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The name that was checked, in lower case.
    pub name: &'a str,
    /// What is graded of it.
    pub grade: &'a CaaGrade,
    /// When it was made.
    pub checked_at: Timestamp,
    /// The TTL of the answer, if recorded.
    pub ttl: Option<Span>,
    /// The records of the answer, if recorded.
    pub rrset: Option<&'a str>,
}

/// BR 4.2.2.1: a check holds for its TTL or this long, whichever is greater.
const FLOOR: Span = Span::from_millis(8 * HOUR.millis());

/// What is missing when nothing is wrong with the CAA check of a name; `None` when something may be.
pub fn sift_caa(
    name: &str,
    check: Option<&Check<'_>>,
    signed: Timestamp,
    keeps_checks: bool,
    policy: &Policy,
) -> Option<Gaps> {
    let address = may_be_address(name.as_bytes()) && name.parse::<IpAddr>().is_ok();
    if address || is_onion(name) || !CAA_EXISTS.in_force(signed) {
        return Some(Gaps::NONE);
    }
    let Some(check) = check else { return (!keeps_checks).then_some(NO_CAA_TABLE) };
    let grade = check.grade;
    let sound = (check.name == name || same_domain(check.name, name))
        && check.checked_at <= signed
        && grade.own_resolver
        && grade.by_system;
    if !sound {
        return None;
    }
    let rrset = check.rrset.map(str::trim).filter(|rrset| !rrset.is_empty());
    let verdict = match (grade.result, rrset) {
        (CaaResult::Refused, _) => return None,
        (CaaResult::None, None) => Gaps::NONE,
        (CaaResult::Other, None) => NO_RRSET,
        (_, Some(_)) if policy.issuer_domains.is_empty() => NO_ISSUER_DOMAINS,
        (_, Some(rrset)) => match evaluate(name, &read(rrset).ok()?, &policy.issuer_domains) {
            Answer::NoRecords | Answer::Unrestricted(_) => Gaps::NONE,
            Answer::Permitted(choices) if choices.iter().any(Vec::is_empty) => Gaps::NONE,
            _ => return None,
        },
    };
    let age = signed.since(check.checked_at);
    let fresh = match check.ttl {
        _ if age <= FLOOR => Gaps::NONE,
        None => NO_TTL,
        Some(ttl) if age <= ttl => Gaps::NONE,
        Some(_) => return None,
    };
    let remote = grade.remote.at(check.checked_at)?;
    Some(verdict.and(fresh).and(remote).and(grade.dnssec.at(check.checked_at, NO_CAA_DNSSEC)?))
}
