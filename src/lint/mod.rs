//! The rules that a certificate is judged by on its own: one rule is one file in `rules/` and one row of [`RULES`].
//!
//! Every name is judged alone and as the octets it is; nothing is normalised first, so that one bad name masks no
//! other (rules.md 1.5, 1.6). When the moment of issuance is only known as an interval, every rule is judged at both
//! ends: what is found at both is certain, what is found at one end is for review and says which date decides.

mod attributes;
#[cfg(test)]
#[path = "../../tests/support/certgen.rs"]
pub(crate) mod certgen;
pub mod ends;
mod factors;
mod idna;
pub mod ip_registry;
pub mod issuer;
pub mod key_list;
pub mod pair;
pub mod policy;
pub mod profile;
mod rules;
mod subject;
pub mod suffix;
#[cfg(test)]
mod tests;
pub mod tld;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::cert::{Certificate, DnsName, GeneralName, oid};
use crate::clock::Timestamp;
use crate::finding::{Finding, Issued, RevocationClock, RuleInfo, Severity, Verdict, escape};
pub use key_list::KeyLists;
pub use rules::RULES;
use subject::Decoded;
pub use subject::{Subject, is_short_lived};
pub use suffix::SuffixList;
pub use tld::TldTable;

/// Most findings of one rule about one certificate; the rest are counted in one more.
const MAX_FINDINGS: usize = 200;
/// What the finding about the rest is about.
const OTHERS: &str = "all other names";
/// Most octets of a certificate that is judged by its parts. No CA signs a larger one, and no log of today takes it.
const MAX_JUDGED_BYTES: usize = 512 << 10;
/// Most defects that one finding lists.
const MAX_LISTED: usize = 8;

/// The dated facts that rules read.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Top-level domains with their dates.
    pub tlds: TldTable,
    /// Registry-controlled suffixes.
    pub suffixes: SuffixList,
    /// Keys that must not be certified; shared, since there may be millions.
    pub keys: Arc<KeyLists>,
}

impl Tables {
    /// The tables that are built in; no key is listed in them.
    pub fn embedded() -> Tables {
        Tables { tlds: TldTable::embedded(), suffixes: SuffixList::Embedded, keys: Arc::default() }
    }
}

/// Which certificates a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, CA certificates too.
    Every,
    /// Subscriber Certificates, see [`Subject::is_subscriber`].
    Subscriber,
}

/// A rule: what it says of itself, and how it is judged.
pub struct Rule {
    /// Its row in the rule table.
    pub info: RuleInfo,
    /// Which certificates it is about.
    pub scope: Scope,
    /// Finds every place in which the certificate breaks it, assuming that it is in force at `Subject::moment`. Two
    /// findings of one rule that have their subject in common are one.
    pub check: fn(&Subject<'_>) -> Vec<Finding>,
    /// The dates besides `since` and `until` on which the answer for this finding changes: steps of its table. `None`
    /// when there are none: then both ends of an interval in which the rule is in force are one.
    pub dates: Option<fn(&Subject<'_>, &Finding) -> Vec<Timestamp>>,
}

/// Judges a certificate by all rules, in the order of [`RULES`].
pub fn run(cert: &Certificate, issued: Issued, tables: &Tables) -> Vec<(&'static RuleInfo, Verdict)> {
    if cert.der().len() > MAX_JUDGED_BYTES {
        let detail = format!(
            "has {} octets; one of more than {MAX_JUDGED_BYTES} is not read: judge it by hand",
            cert.der().len()
        );
        return vec![(unparsable_rule(), Verdict::Fail(vec![unparsable_rule().finding("certificate", detail)]))];
    }
    let decoded = Decoded::new(cert);
    RULES.iter().map(|rule| (&rule.info, judge(rule, &decoded, issued, tables, None))).collect()
}

/// All findings of [`run`], worst first.
pub fn findings(cert: &Certificate, issued: Issued, tables: &Tables) -> Vec<Finding> {
    let mut found = Vec::new();
    for (_, verdict) in run(cert, issued, tables) {
        if let Verdict::Fail(findings) = verdict {
            found.extend(findings);
        }
    }
    found.sort_by(|a: &Finding, b| (a.severity, &a.rule, &a.subject).cmp(&(b.severity, &b.rule, &b.subject)));
    found
}

/// The rule about certificates with cA TRUE; whether a CA certificate is in the CA's inventory is judged elsewhere.
pub fn is_ca_rule() -> &'static RuleInfo {
    &rules::cert_is_ca::RULE.info
}

/// The rule about the poison of a precertificate.
pub fn poison_rule() -> &'static RuleInfo {
    &rules::pre_poison::RULE.info
}

/// The rule about bytes that cannot be read.
pub fn unparsable_rule() -> &'static RuleInfo {
    &rules::cert_unparsable::RULE.info
}

/// The finding about bytes that cannot be read as a certificate at all; `error` is a [`crate::cert::ParseError`] or
/// what was wrong with the PEM around it.
pub fn unparsable(error: &dyn std::fmt::Display) -> Finding {
    rules::cert_unparsable::RULE.info.finding("certificate", escape(error.to_string().as_bytes(), 500))
}

fn judge<'a>(
    rule: &Rule,
    decoded: &'a Decoded<'a>,
    issued: Issued,
    tables: &'a Tables,
    profile: Option<&'a profile::Profile>,
) -> Verdict {
    let at = |moment| Subject { cert: decoded.cert, decoded, tables, moment, profile };
    let last = ends::ordered(issued).1;
    let steps = rule.dates.map(|dates| {
        move |finding: &Finding| catch_unwind(AssertUnwindSafe(|| dates(&at(last), finding))).unwrap_or_default()
    });
    ends::judge(&rule.info, issued, |moment| guarded(rule, &at(moment)), steps)
}

/// What the rule finds at one moment; a panic of the rule is a finding of its own and the other rules still run.
fn guarded(rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    let applies = || {
        let scoped = rule.scope == Scope::Every || subject.is_subscriber();
        scoped && rule.info.in_force(subject.moment)
    };
    let judged = catch_unwind(AssertUnwindSafe(|| if applies() { (rule.check)(subject) } else { Vec::new() }));
    judged.map(|found| distinct_subjects(rule, found)).unwrap_or_else(|_| {
        let detail = "the rule stopped with an error of its own: judge this certificate by hand and report the bug";
        let mut finding = rule.info.finding("rule", detail);
        finding.severity = Severity::Critical;
        vec![finding]
    })
}

/// One finding per subject, and not so many that nobody can read them.
fn distinct_subjects(rule: &Rule, mut found: Vec<Finding>) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    found.retain(|finding| seen.insert(finding.subject.clone()));
    if found.len() > MAX_FINDINGS && found.last().is_none_or(|last| last.subject != OTHERS) {
        let more = found.len() - MAX_FINDINGS;
        found.truncate(MAX_FINDINGS);
        found.push(others(&rule.info, more));
    }
    found
}

fn others(info: &RuleInfo, more: usize) -> Finding {
    info.finding(OTHERS, format!("breaks the rule in {more} more places"))
}

/// The places in which a certificate breaks a rule: the first [`MAX_FINDINGS`] are told, the others cost no more than to
/// be counted.
struct Broken {
    info: &'static RuleInfo,
    told: Vec<Finding>,
    more: usize,
}

impl Broken {
    fn new(info: &'static RuleInfo) -> Broken {
        Broken { info, told: Vec::new(), more: 0 }
    }
    /// One more place; `tell` makes the finding about it.
    fn at(&mut self, tell: impl FnOnce() -> Finding) {
        match self.told.len() < MAX_FINDINGS {
            true => self.told.push(tell()),
            false => self.more += 1,
        }
    }
    fn findings(mut self) -> Vec<Finding> {
        if self.more > 0 {
            self.told.push(others(self.info, self.more));
        }
        self.told
    }
    /// Every one of `names` that is `bad`, told by `detail`.
    fn names<'n>(
        info: &'static RuleInfo,
        names: &'n [DnsName],
        mut bad: impl FnMut(&'n DnsName) -> bool,
        detail: impl Fn(&DnsName) -> String,
    ) -> Vec<Finding> {
        let mut broken = Broken::new(info);
        for name in names {
            if bad(name) {
                broken.at(|| info.finding(name.text(), detail(name)));
            }
        }
        broken.findings()
    }
}

/// A name for judging its right end: without `*.` and without one root dot, which have rules of their own.
fn without_edges(name: &DnsName) -> DnsName {
    DnsName(name.without_edges().to_vec())
}

/// Whether a dNSName is an address literal: it is no Internal Name then ("not an IP address", BR 1.6.1).
fn is_ip_literal(name: &[u8]) -> bool {
    // One of version 4 ends with a number, one of version 6 has colons.
    if !name.last().is_some_and(u8::is_ascii_digit) && !name.contains(&b':') {
        return false;
    }
    let text = std::str::from_utf8(name).unwrap_or_default();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse::<std::net::IpAddr>().is_ok()
}

/// Whether the certificate has an extension of this OID that is marked critical.
fn is_critical(cert: &Certificate, oid: &[u8]) -> bool {
    cert.extension(oid).any(|extension| extension.critical)
}

/// On a list of which day a finding rests, and how much older that is than the certificate.
fn rests_on(list: &str, as_of: Timestamp, moment: Timestamp) -> String {
    let day = as_of.day();
    match moment.since(as_of).days() {
        days if days > 0 => {
            format!("by the {list} of {day}, {days} day{} older than the certificate", if days == 1 { "" } else { "s" })
        }
        _ => format!("by the {list} of {day}"),
    }
}

/// One finding that lists all that is wrong with one thing; none when nothing is.
fn listed(info: &RuleInfo, subject: &str, wrong: Vec<String>) -> Vec<Finding> {
    let mut told: Vec<String> = Vec::new();
    let count = wrong.len();
    for detail in wrong {
        if told.len() < MAX_LISTED && !told.contains(&detail) {
            told.push(detail);
        }
    }
    let more = if count > MAX_LISTED { format!("; and more, {count} in all") } else { String::new() };
    if told.is_empty() { Vec::new() } else { vec![info.finding(subject, told.join("; ") + &more)] }
}

/// A finding of a rule of MUSTs about one of its SHOULDs: no revocation follows from it.
fn warning(info: &RuleInfo, subject: &str, detail: impl Into<String>) -> Finding {
    let finding = info.finding(subject, detail);
    Finding { severity: Severity::Warning, clock: RevocationClock::None, ..finding }
}

/// Whether a GeneralName is a URI whose scheme is http; "the scheme is case-insensitive" (RFC 3986 3.1).
fn is_http(name: &GeneralName) -> bool {
    let uri = name.tag == 6 && name.is_well_formed();
    uri && name.value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"http://"))
}

/// Whether there is a subjectAltName extension.
fn has_san(cert: &Certificate) -> bool {
    cert.extension(oid::SUBJECT_ALT_NAME).next().is_some()
}
