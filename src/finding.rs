//! What the monitor says about a certificate: [`Finding`], its [`Severity`], [`Citation`] and [`RevocationClock`],
//! and the [`CaseKey`] under which findings are folded into one case.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::{DAY, Span, Timestamp};

/// How bad a finding is. The order is from worst to mildest, so `min()` of several is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Page a person now: the CA's key or process may be out of control.
    Critical,
    /// A MUST of a requirement is broken.
    Error,
    /// A SHOULD is broken.
    Warning,
    /// The certificate alone cannot decide it; the detail says which evidence would.
    Review,
    /// Worth knowing; no requirement is broken.
    Notice,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Severity; 5] =
        [Severity::Critical, Severity::Error, Severity::Warning, Severity::Review, Severity::Notice];

    /// The word used in JSON, metrics and mails.
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Review => "review",
            Severity::Notice => "notice",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The revocation deadline of BR 4.9.1.1 that a finding starts, with the item of that list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RevocationClock {
    /// Items 1 to 5: revoke within 24 hours.
    Day(u8),
    /// Items 6 to 16: SHOULD revoke within 24 hours, MUST within 5 days.
    FiveDays(u8),
    /// No revocation follows from it.
    None,
}

impl RevocationClock {
    /// The word used in JSON and mails: `24h`, `5d` or `none`.
    pub const fn word(self) -> &'static str {
        match self {
            RevocationClock::Day(_) => "24h",
            RevocationClock::FiveDays(_) => "5d",
            RevocationClock::None => "none",
        }
    }
    /// The time from awareness to published revocation.
    pub const fn span(self) -> Option<Span> {
        match self {
            RevocationClock::Day(_) => Some(DAY),
            RevocationClock::FiveDays(_) => Some(Span::from_days(5)),
            RevocationClock::None => None,
        }
    }
    /// The item of the list in BR 4.9.1.1.
    pub const fn item(self) -> Option<u8> {
        match self {
            RevocationClock::Day(item) | RevocationClock::FiveDays(item) => Some(item),
            RevocationClock::None => None,
        }
    }
    /// The CRLReason that goes with the item (BR 4.9.1.1 and 7.2.2): 1 keyCompromise, 4 superseded,
    /// 5 cessationOfOperation, 9 privilegeWithdrawn, 0 unspecified.
    pub const fn crl_reason(self) -> Option<(u8, &'static str)> {
        match self.item() {
            Some(3 | 4 | 16) => Some((1, "keyCompromise")),
            Some(5 | 6 | 12) => Some((4, "superseded")),
            Some(9) => Some((5, "cessationOfOperation")),
            Some(2 | 7 | 8 | 10 | 11 | 13) => Some((9, "privilegeWithdrawn")),
            Some(_) => Some((0, "unspecified")),
            None => None,
        }
    }
    /// The stricter of two clocks.
    pub fn strictest(self, other: RevocationClock) -> RevocationClock {
        match (self, other) {
            (RevocationClock::Day(_), _) | (_, RevocationClock::None) => self,
            (_, RevocationClock::Day(_)) | (RevocationClock::None, _) => other,
            _ => self,
        }
    }
}

/// A document that binds the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Document {
    /// CA/Browser Forum Baseline Requirements for TLS server certificates.
    Br,
    /// CA/Browser Forum EV Guidelines.
    Evg,
    /// Mozilla Root Store Policy.
    Mrsp,
    /// Chrome Root Program Policy.
    Chrome,
    /// Chrome Certificate Transparency Policy; it names its sections.
    ChromeCt,
    /// An RFC by number.
    Rfc(u16),
    /// The CA's own CP or CPS; a finding cites the section that the profile names.
    OwnPolicy,
    /// A rule of this product: the section is a sentence, not a number.
    Monitor,
}

/// A document and the section of it that a rule enforces, printed as `BR 4.2.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Citation {
    /// The document.
    pub document: Document,
    /// The section, as the document numbers it.
    pub section: &'static str,
}

/// A section of the Baseline Requirements.
pub const fn br(section: &'static str) -> Citation {
    Citation { document: Document::Br, section }
}

/// A section of an RFC.
pub const fn rfc(number: u16, section: &'static str) -> Citation {
    Citation { document: Document::Rfc(number), section }
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            Document::Br => write!(f, "BR {}", self.section),
            Document::Evg => write!(f, "EVG {}", self.section),
            Document::Mrsp => write!(f, "MRSP {}", self.section),
            Document::Chrome => write!(f, "Chrome Root Program Policy {}", self.section),
            Document::ChromeCt => write!(f, "Chrome CT Policy, {}", self.section),
            Document::Rfc(number) => write!(f, "RFC {number} {}", self.section),
            Document::OwnPolicy => write!(f, "CP/CPS {}", self.section),
            Document::Monitor => write!(f, "ctwarden {}", self.section),
        }
    }
}

/// One fact that supports a finding: where it was read and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where the fact comes from: `certificate`, `issuance database`, `TLD list`, ...
    pub source: Cow<'static, str>,
    /// What it says, in plain words, names already escaped.
    pub text: String,
}

/// A rule that a certificate breaks, with all that a person needs to judge it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Rule identifier of rules.md, such as `name.internal`.
    pub rule: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// The section that is broken, as printed: `BR 4.2.2`.
    pub citation: Cow<'static, str>,
    /// The revocation deadline it starts.
    pub clock: RevocationClock,
    /// What it is about: the name, the address, the field; escaped ASCII.
    pub subject: String,
    /// Why, in one sentence; escaped ASCII.
    pub detail: String,
    /// The facts on which it rests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// The same finding with one more fact.
    pub fn with_evidence(mut self, source: &'static str, text: impl Into<String>) -> Finding {
        self.evidence.push(Evidence { source: Cow::Borrowed(source), text: text.into() });
        self
    }
    /// The JSON object of `ctwarden lint --format json`.
    pub fn report(&self) -> FindingReport<'_> {
        FindingReport {
            rule: &self.rule,
            severity: self.severity.word(),
            citation: &self.citation,
            clock: self.clock.word(),
            subject: &self.subject,
            detail: &self.detail,
        }
    }
}

/// A finding as programs read it; the fields in this order.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FindingReport<'a> {
    /// Rule identifier.
    pub rule: &'a str,
    /// `critical`, `error`, `warning`, `review` or `notice`.
    pub severity: &'static str,
    /// The section, as printed.
    pub citation: &'a str,
    /// `24h`, `5d` or `none`.
    pub clock: &'static str,
    /// What it is about.
    pub subject: &'a str,
    /// Why.
    pub detail: &'a str,
}

/// What a rule needs to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// The certificate or precertificate alone.
    Certificate,
    /// The time of logging or of an SCT as well.
    LogTime,
    /// The certificate of its issuer as well.
    Issuer,
    /// The precertificate, with the certificate that follows it or the one that signed it.
    Pair,
    /// The issuer's key and the keys of the logs as well.
    LogKeys,
    /// A list of keys that the CA feeds.
    KeyList,
    /// Many certificates of its issuer.
    Many,
    /// The CA's issuance record.
    Record,
    /// The record and what was read of all logs.
    RecordAndLogs,
    /// The CRLs of the issuer.
    Crl,
    /// The CRLs of the issuer and the record.
    RecordAndCrl,
    /// What the CA feeds of its own controls.
    Controls,
}

impl Needs {
    /// Whether a source of the record must have what the rule needs.
    pub const fn is_of_record(self) -> bool {
        matches!(self, Needs::Record | Needs::RecordAndLogs | Needs::RecordAndCrl | Needs::Controls)
    }
    /// The words used in `ctwarden rules`.
    pub const fn word(self) -> &'static str {
        match self {
            Needs::Certificate => "certificate",
            Needs::LogTime => "certificate, log time",
            Needs::Issuer => "certificate, issuer certificate",
            Needs::Pair => "precertificate with its certificate or signer",
            Needs::LogKeys => "certificate, issuer key, log keys",
            Needs::KeyList => "certificate, key list",
            Needs::Many => "many certificates of the issuer",
            Needs::Record => "issuance record",
            Needs::RecordAndLogs => "issuance record, all logs",
            Needs::Crl => "CRLs of the issuer",
            Needs::RecordAndCrl => "issuance record, CRLs of the issuer",
            Needs::Controls => "feed of the CA's controls",
        }
    }
}

/// A row of the rule table: what every rule says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Identifier, `area.name`.
    pub id: &'static str,
    /// What the rule demands, in one sentence.
    pub summary: &'static str,
    /// The severity of its findings, unless a finding says otherwise.
    pub severity: Severity,
    /// The section it enforces.
    pub citation: Citation,
    /// The revocation clock its findings start.
    pub clock: RevocationClock,
    /// First moment of issuance at which it binds; `None`: always.
    pub since: Option<Timestamp>,
    /// First moment of issuance at which it no longer binds; `None`: still in force.
    pub until: Option<Timestamp>,
    /// What it needs.
    pub needs: Needs,
}

impl RuleInfo {
    /// A finding of this rule. `subject` and `detail` must already be escaped.
    pub fn finding(&self, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            rule: Cow::Borrowed(self.id),
            severity: self.severity,
            citation: Cow::Owned(self.citation.to_string()),
            clock: self.clock,
            subject: subject.into(),
            detail: detail.into(),
            evidence: Vec::new(),
        }
    }
    /// Whether the rule binds a certificate issued at `moment`.
    pub fn in_force(&self, moment: Timestamp) -> bool {
        self.since.is_none_or(|since| moment >= since) && self.until.is_none_or(|until| moment < until)
    }
}

/// The time of issuance as far as it is known: an interval, a point when the two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Not before this.
    pub earliest: Timestamp,
    /// Not after this.
    pub latest: Timestamp,
}

impl Issued {
    /// Issued at exactly this moment.
    pub fn at(moment: Timestamp) -> Issued {
        Issued { earliest: moment, latest: moment }
    }
}

/// What a rule says about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule holds.
    Pass,
    /// The rule is broken, in these places.
    Fail(Vec<Finding>),
    /// The rule could not be judged; the text names what is missing.
    NotEvaluable(String),
}

impl Verdict {
    /// `Fail` with the findings, or `Pass` when there are none.
    pub fn from_findings(findings: Vec<Finding>) -> Verdict {
        if findings.is_empty() { Verdict::Pass } else { Verdict::Fail(findings) }
    }
    /// The word used in metrics: `pass`, `fail` or `not_evaluable`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "fail",
            Verdict::NotEvaluable(_) => "not_evaluable",
        }
    }
}

/// SHA-256 of a DER SubjectPublicKeyInfo; for an issuer this is the issuer_key_hash of RFC 6962 3.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<KeyHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.trim(), &mut hash).ok()?;
        Some(KeyHash(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        KeyHash::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// The content octets of a certificate's serialNumber INTEGER, as they stand in the certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub Vec<u8>);

impl Serial {
    /// From lower- or upper-case hexadecimal, with or without colons. Leading zero octets are kept as given.
    pub fn from_hex(text: &str) -> Option<Serial> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        hex::decode(if digits.len() % 2 == 1 { format!("0{digits}") } else { digits }).ok().map(Serial)
    }
    /// Lower-case hexadecimal of the value without the sign octet: the form in which CAs keep serials.
    pub fn value_hex(&self) -> String {
        let skip = self.0.iter().take(self.0.len().saturating_sub(1)).take_while(|b| **b == 0).count();
        hex::encode(&self.0[skip..])
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value_hex())
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a case is about: one serial number of one issuer key. A precertificate, its certificate and every sighting
/// of both have the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseKey {
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    pub issuer_key_hash: KeyHash,
    /// The serial number.
    pub serial: Serial,
}

/// As [`escape`]; what is safe as it stands stays where it is.
pub(crate) fn escaped(text: &str, limit_bytes: usize) -> Cow<'_, str> {
    let plain = is_plain(text.as_bytes(), limit_bytes);
    if plain { Cow::Borrowed(text) } else { Cow::Owned(escape(text.as_bytes(), limit_bytes)) }
}

fn is_plain(bytes: &[u8], limit_bytes: usize) -> bool {
    bytes.len() <= limit_bytes && bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'\\')
}

/// Bytes chosen by strangers as text that is safe to print, log and mail: printable ASCII stays, everything else
/// (controls, bidi marks, non-ASCII, backslash) becomes `\xNN`; cut at `limit_bytes` of input.
pub fn escape(bytes: &[u8], limit_bytes: usize) -> String {
    let plain = is_plain(bytes, limit_bytes);
    if let Some(text) = plain.then(|| std::str::from_utf8(bytes).ok()).flatten() {
        return text.to_string();
    }
    let mut out = String::with_capacity(bytes.len().min(limit_bytes));
    for byte in bytes.iter().take(limit_bytes) {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(*byte as char),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    if bytes.len() > limit_bytes {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_clock_wins() {
        let (day, five, none) = (RevocationClock::Day(5), RevocationClock::FiveDays(12), RevocationClock::None);
        assert_eq!(five.strictest(day), day);
        assert_eq!(day.strictest(five), day);
        assert_eq!(none.strictest(five), five);
        assert_eq!(five.strictest(none), five);
        assert_eq!(day.crl_reason(), Some((4, "superseded")));
        assert!(Severity::Critical < Severity::Notice);
    }

    #[test]
    fn serials_as_people_write_them() {
        assert_eq!(Serial::from_hex("04:AB:cd"), Some(Serial(vec![4, 0xab, 0xcd])));
        assert_eq!(Serial(vec![0, 0xff]).to_string(), "ff");
        assert_eq!(Serial(vec![0]).to_string(), "00");
        assert_eq!(Serial(vec![]).to_string(), "");
        assert_eq!(Serial::from_hex("xyz"), None);
    }

    #[test]
    fn escaping_leaves_nothing_that_a_terminal_or_a_mail_would_obey() {
        assert_eq!(escape(b"a\r\nBcc: x\x1b[0m\\", 100), "a\\x0d\\x0aBcc: x\\x1b[0m\\\\");
        assert_eq!(escape("\u{202e}e".as_bytes(), 100), "\\xe2\\x80\\xaee");
        assert_eq!(escape(b"abcdef", 3), "abc...");
    }
}
