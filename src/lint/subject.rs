//! What a rule judges: a certificate as issued at a moment, with what it holds decoded once for all rules.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use crate::cert::key::Curve;
use crate::cert::{Attribute, Certificate, CommonName, DnsName, GeneralName, Identifier, PublicKey};
use crate::clock::{Timestamp, date};
use crate::lint::Tables;
use crate::lint::factors::RsaFacts;
use crate::lint::idna;
use crate::lint::policy::{self, Validation};
use crate::lint::profile::Profile;

/// Most XN-Labels of one certificate that are decoded, which takes microseconds for one. More are a finding.
pub const MAX_XN_LABELS: usize = 1_000;
/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// From here on short-lived meant 7 days and not 10 (BR 1.6.1).
pub(super) const SHORT_LIVED_SINCE: Timestamp = date(2026, 3, 15);

/// Whether a certificate issued at a moment is a Short-lived Subscriber Certificate, which need not be revoked (BR 4.9.1.1).
/// BR 1.6.1: at most 10 days (864,000 seconds) when issued before 2026-03-15, 7 days (604,800 seconds) after.
pub fn is_short_lived(cert: &Certificate, issued: Timestamp) -> bool {
    let most = if issued < SHORT_LIVED_SINCE { 864_000 } else { 604_800 };
    inclusive_seconds(cert).is_some_and(|seconds| seconds <= most)
}

fn inclusive_seconds(cert: &Certificate) -> Option<i64> {
    let (start, end) = (cert.not_before()?.seconds(), cert.not_after()?.seconds());
    Some(end.saturating_sub(start).saturating_add(1))
}

/// What a certificate holds, each part decoded when the first rule asks for it.
pub struct Decoded<'a> {
    /// The certificate.
    pub cert: &'a Certificate,
    general_names: OnceCell<(Vec<GeneralName>, Vec<String>)>,
    identifiers: OnceCell<Vec<Identifier>>,
    dns_names: OnceCell<Vec<DnsName>>,
    odd_names: OnceCell<Vec<DnsName>>,
    lower_names: OnceCell<HashSet<Vec<u8>>>,
    xn_labels: OnceCell<HashMap<Vec<u8>, Option<String>>>,
    common_names: OnceCell<Vec<CommonName>>,
    attributes: OnceCell<Vec<Attribute<'a>>>,
    key: OnceCell<PublicKey<'a>>,
    on_curve: OnceCell<bool>,
    rsa: OnceCell<RsaFacts>,
    validations: OnceCell<Vec<Validation>>,
    refusal: OnceCell<Option<String>>,
}

impl<'a> Decoded<'a> {
    /// Nothing yet.
    pub fn new(cert: &'a Certificate) -> Decoded<'a> {
        Decoded {
            cert,
            general_names: OnceCell::new(),
            identifiers: OnceCell::new(),
            dns_names: OnceCell::new(),
            odd_names: OnceCell::new(),
            lower_names: OnceCell::new(),
            xn_labels: OnceCell::new(),
            common_names: OnceCell::new(),
            attributes: OnceCell::new(),
            key: OnceCell::new(),
            on_curve: OnceCell::new(),
            rsa: OnceCell::new(),
            validations: OnceCell::new(),
            refusal: OnceCell::new(),
        }
    }
}

/// What a rule judges: a certificate as issued at a moment.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The certificate or precertificate.
    pub cert: &'a Certificate,
    /// What it holds.
    pub decoded: &'a Decoded<'a>,
    /// The dated facts.
    pub tables: &'a Tables,
    /// The moment of issuance that is assumed.
    pub moment: Timestamp,
    /// What the CA allows; only the rules of a profile look at it.
    pub profile: Option<&'a Profile>,
}

impl<'a> Subject<'a> {
    /// Whether the profile of BR 7.1.2.7 (Subscriber Certificate) applies: not to a CA certificate (7.1.2.1 to
    /// 7.1.2.6) nor to an OCSP Responder Certificate (7.1.2.8). Whoever names a server in the subjectAltName is
    /// judged as a subscriber even when cA says TRUE: that defect must not hide the others.
    pub fn is_subscriber(&self) -> bool {
        let responder = || self.cert.extended_key_usages().is_some_and(|u| u.len() == 1 && u[0] == OCSP_SIGNING);
        !self.identifiers().is_empty() || !(self.cert.is_ca() || responder())
    }
    /// Length of the validity in seconds, both ends included (RFC 5280 4.1.2.5, BR 6.3.2).
    pub fn inclusive_seconds(&self) -> Option<i64> {
        inclusive_seconds(self.cert)
    }
    fn names_as_read(&self) -> &'a (Vec<GeneralName>, Vec<String>) {
        self.decoded.general_names.get_or_init(|| self.cert.read_names())
    }
    /// The GeneralNames of all subjectAltName extensions, as encoded, in order.
    pub fn general_names(&self) -> &'a [GeneralName] {
        &self.names_as_read().0
    }
    /// What is wrong with the encoding of the subjectAltName extensions, each in one sentence.
    pub fn general_name_defects(&self) -> &'a [String] {
        &self.names_as_read().1
    }
    /// The well-formed dNSNames and iPAddresses, in order.
    pub fn identifiers(&self) -> &'a [Identifier] {
        let all = || self.general_names().iter().filter_map(GeneralName::identifier).collect();
        self.decoded.identifiers.get_or_init(all)
    }
    /// The well-formed dNSNames, each once, sorted.
    pub fn dns_names(&self) -> &'a [DnsName] {
        self.decoded.dns_names.get_or_init(|| {
            let dns = |identifier: &Identifier| match identifier {
                Identifier::Dns(name) => Some(name.clone()),
                Identifier::Ip(_) => None,
            };
            let mut names: Vec<DnsName> = self.identifiers().iter().filter_map(dns).collect();
            names.sort_unstable();
            names.dedup();
            names
        })
    }
    /// Those of the dNSNames that are not [`DnsName::is_plain`]: a rule about how names are written needs no others.
    pub fn odd_names(&self) -> &'a [DnsName] {
        let odd = || self.dns_names().iter().filter(|name| !name.is_plain()).cloned().collect();
        self.decoded.odd_names.get_or_init(odd)
    }
    /// The dNSNames in lower case.
    pub fn lower_names(&self) -> &'a HashSet<Vec<u8>> {
        let lower = || self.dns_names().iter().map(|name| name.bytes().to_ascii_lowercase()).collect();
        self.decoded.lower_names.get_or_init(lower)
    }
    /// The XN-Labels of the dNSNames and what their Punycode stands for, `None` when it is no output of the algorithm;
    /// a thousand of them at most.
    pub fn xn_labels(&self) -> &'a HashMap<Vec<u8>, Option<String>> {
        self.decoded.xn_labels.get_or_init(|| {
            let mut labels = HashMap::new();
            for label in self.odd_names().iter().flat_map(DnsName::labels).filter(|label| idna::is_xn(label)) {
                if labels.len() < MAX_XN_LABELS && !labels.contains_key(label) {
                    labels.insert(label.to_vec(), idna::decoded(label));
                }
            }
            labels
        })
    }
    /// The commonNames of the subject, in order.
    pub fn common_names(&self) -> &'a [CommonName] {
        self.decoded.common_names.get_or_init(|| self.cert.common_names())
    }
    /// The attributes of the subject, in order.
    pub fn attributes(&self) -> &'a [Attribute<'a>] {
        self.decoded.attributes.get_or_init(|| self.cert.subject_attributes())
    }
    /// The subject's key.
    pub fn public_key(&self) -> PublicKey<'a> {
        *self.decoded.key.get_or_init(|| self.cert.public_key())
    }
    /// Whether the point of an elliptic curve key lies on this curve, which is the one that it names.
    pub fn has_point(&self, curve: Curve, point: &[u8]) -> bool {
        *self.decoded.on_curve.get_or_init(|| curve.has_point(point))
    }
    /// What is wrong with the modulus of an RSA key.
    pub fn rsa_facts(&self, modulus: &[u8]) -> RsaFacts {
        *self.decoded.rsa.get_or_init(|| RsaFacts::of(modulus))
    }
    /// The kinds of validation that its policies assert.
    pub fn validations(&self) -> &'a [Validation] {
        self.decoded.validations.get_or_init(|| policy::asserted(self.cert))
    }
    /// Why another parser does not take it, as `read` says.
    pub fn refusal(&self, read: impl FnOnce() -> Option<String>) -> Option<&'a String> {
        self.decoded.refusal.get_or_init(read).as_ref()
    }
}
