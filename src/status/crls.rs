//! Whether a CRL can be relied on. One that cannot is a fault of the CRL and a case of its own, never a finding about a
//! certificate.

use super::{Judged, rule};
use crate::cert::crl::{Crl, CrlError};
use crate::cert::signature::SignatureCheck;
use crate::clock::{Span, Timestamp};
use crate::finding::{Needs, RuleInfo, Verdict, br, escape, rfc};

// BR 4.10.2: "The CA SHALL maintain an online 24x7 Repository that application software can use to automatically check
// the current status of all unexpired Certificates issued by the CA."
pub(super) static AVAILABLE: RuleInfo = rule("crl.available", "a CRL can be fetched", br("4.10.2"), Needs::Crl);

pub(super) static FORM: RuleInfo =
    rule("crl.form", "what is fetched is a complete CRL of its issuer that can be read", rfc(5280, "5.1"), Needs::Crl);

// RFC 5280 6.3.3 (g): "Validate the signature on the complete CRL using the public key validated in step (f)."
pub(super) static SIGNATURE: RuleInfo =
    rule("crl.signature", "a CRL is signed with the key of its issuer", rfc(5280, "6.3.3"), Needs::Crl);

// BR 7.2.2.1: the URI in the distributionPoint of an issuingDistributionPoint is the one of the certificates.
pub(super) static SCOPE: RuleInfo =
    rule("crl.scope", "a CRL names itself by the URL at which certificates find it", br("7.2.2.1"), Needs::Crl);

// BR 4.9.7: CRLs of subscriber certificates are issued "at least once every seven (7) days", and nextUpdate ends them.
pub(super) static FRESH: RuleInfo =
    rule("crl.fresh", "a CRL is at most 7 days old and has not expired", br("4.9.7"), Needs::Crl);

// RFC 5280 5.2.3: the CRL number is "a monotonically increasing sequence number".
pub(super) static NUMBER: RuleInfo =
    rule("crl.number", "the number of a CRL grows with each new one", rfc(5280, "5.2.3"), Needs::Crl);

/// The longest time between two CRLs.
const OLDEST: Span = Span::from_days(7);
/// How much the clocks of a CA and of this machine may differ.
const SKEW: Span = Span::from_seconds(600);

/// A good CRL of this URL that was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its number, without leading zero octets.
    pub number: Vec<u8>,
    /// Its thisUpdate.
    pub this_update: Timestamp,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

/// Where a CRL comes from and what it must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The URL that was asked.
    pub url: &'a str,
    /// The issuer's Name, DER.
    pub name_der: &'a [u8],
    /// The issuer's SubjectPublicKeyInfo, DER.
    pub spki_der: &'a [u8],
    /// The good one before it.
    pub before: Option<&'a Before>,
}

/// Judges what a server gave. All rules pass: it can be relied on.
pub fn judge(
    read: &Result<Crl<'_>, CrlError>,
    sha256: [u8; 32],
    expected: &Expected<'_>,
    now: Timestamp,
) -> Vec<Judged> {
    let fail = |rule: &'static RuleInfo, why: String| Verdict::Fail(vec![rule.finding(shown(expected.url), why)]);
    let verdict = |rule: &'static RuleInfo, fault: Option<String>| match fault {
        Some(why) => (rule, fail(rule, why)),
        None => (rule, Verdict::Pass),
    };
    let crl = match read {
        Ok(crl) => crl,
        Err(error) => return vec![verdict(&FORM, Some(error.to_string()))],
    };
    vec![
        verdict(&FORM, form(crl)),
        verdict(&SIGNATURE, signature(crl, expected)),
        verdict(&SCOPE, scope(crl, expected.url)),
        verdict(&FRESH, fresh(crl, now)),
        verdict(&NUMBER, number(crl, sha256, expected.before)),
    ]
}

/// The verdict on a CRL that cannot be fetched since a time.
pub fn unavailable(url: &str, since: Timestamp, error: &str) -> Judged {
    let detail = format!("it cannot be fetched since {since}: {}", escape(error.as_bytes(), 300));
    (&AVAILABLE, Verdict::Fail(vec![AVAILABLE.finding(shown(url), detail)]))
}

/// The verdict on one that was fetched.
pub fn available() -> Judged {
    (&AVAILABLE, Verdict::Pass)
}

/// The verdict on the age of the last good one, while no newer one can be had.
pub fn kept(url: &str, next_update: Timestamp, now: Timestamp) -> Judged {
    if now <= next_update {
        return (&FRESH, Verdict::Pass);
    }
    let detail = format!("the last one that could be relied on has expired at {next_update}");
    (&FRESH, Verdict::Fail(vec![FRESH.finding(shown(url), detail)]))
}

fn form(crl: &Crl<'_>) -> Option<String> {
    let scope = crl.scope.clone().unwrap_or_default();
    let odd = [
        (crl.delta, "it is a delta CRL"),
        (scope.indirect, "it is an indirect CRL"),
        (scope.attributes_only || scope.some_reasons, "it covers attribute certificates or some reasons only"),
        (crl.unknown_critical, "it has a critical extension that is not known"),
        (crl.this_update.is_none(), "its thisUpdate cannot be read"),
        (crl.next_update.is_none(), "its nextUpdate is missing or cannot be read"),
        // RFC 5280 5.2.3: "CRL issuers conforming to this profile MUST include this extension in all CRLs".
        (crl.number.is_empty(), "it has no CRL number"),
    ];
    let reason = odd.iter().find(|(holds, _)| *holds).map(|(_, why)| why.to_string());
    reason.or_else(|| crl.entry_fault().map(|error| error.to_string()))
}

fn signature(crl: &Crl<'_>, expected: &Expected<'_>) -> Option<String> {
    if crl.issuer != expected.name_der {
        return Some("it names another issuer".to_string());
    }
    match crl.signed_by(expected.spki_der) {
        SignatureCheck::Valid => None,
        SignatureCheck::Invalid => Some("its signature is not by the key of its issuer".to_string()),
        SignatureCheck::Unsupported => Some("its signature is of a kind that cannot be checked".to_string()),
    }
}

fn scope(crl: &Crl<'_>, url: &str) -> Option<String> {
    let scope = crl.scope.as_ref()?;
    // RFC 5280 6.3.3 (b)(2)(i): "one of the names in the IDP matches one of the names in the DP".
    match &scope.uris {
        Some(uris) if !uris.iter().any(|uri| uri == url.as_bytes()) => {
            let named: Vec<String> = uris.iter().take(3).map(|uri| escape(uri, 200)).collect();
            Some(format!("its issuingDistributionPoint names {} instead", named.join(", ")))
        }
        _ => None,
    }
}

fn fresh(crl: &Crl<'_>, now: Timestamp) -> Option<String> {
    let (from, to) = crl.this_update.zip(crl.next_update)?;
    if now > to {
        return Some(format!("it has expired at {to}"));
    }
    if from > now.plus(SKEW) {
        return Some(format!("it is dated {from}, which is to come"));
    }
    (now.since(from) > OLDEST).then(|| format!("it is of {from}, more than 7 days ago"))
}

fn number(crl: &Crl<'_>, sha256: [u8; 32], before: Option<&Before>) -> Option<String> {
    let before = before.filter(|before| before.sha256 != sha256)?;
    let order = (crl.number.len(), crl.number).cmp(&(before.number.len(), &before.number));
    let (new, old) = (hex::encode(crl.number), hex::encode(&before.number));
    let earlier = crl.this_update.is_some_and(|at| at < before.this_update);
    match order {
        std::cmp::Ordering::Less => Some(format!("its number is {new} (hex), after {old}")),
        std::cmp::Ordering::Equal => Some(format!("it has the number {new} (hex) of another CRL")),
        std::cmp::Ordering::Greater if earlier => {
            Some(format!("its number is newer than {old} and its thisUpdate older than {}", before.this_update))
        }
        std::cmp::Ordering::Greater => None,
    }
}

fn shown(url: &str) -> String {
    escape(url.as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, date};
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CrlDistributionPoint,
        CrlIssuingDistributionPoint, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
    };

    const URL: &str = "http://crl.example/1.crl";
    const NOW: Timestamp = date(2026, 11, 22);

    struct Ca(CertifiedIssuer<'static, KeyPair>);

    impl Ca {
        fn new() -> Ca {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
            Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA"))
        }
        fn crl(&self, number: u64, day: u8, idp: Option<&str>) -> Vec<u8> {
            let params = CertificateRevocationListParams {
                this_update: rcgen::date_time_ymd(2026, 11, day),
                next_update: rcgen::date_time_ymd(2026, 11, day + 7),
                crl_number: SerialNumber::from(number),
                issuing_distribution_point: idp.map(|url| CrlIssuingDistributionPoint {
                    distribution_point: CrlDistributionPoint { uris: vec![url.to_string()] },
                    scope: None,
                }),
                revoked_certs: vec![],
                key_identifier_method: KeyIdMethod::Sha256,
            };
            params.signed_by(&self.0).expect("a CRL").der().to_vec()
        }
        fn failing(&self, der: &[u8], before: Option<&Before>, url: &str) -> Vec<&'static str> {
            let issuer = crate::cert::Certificate::parse(self.0.der()).expect("own");
            let (name_der, spki_der) = (issuer.subject_der(), issuer.spki_der());
            let expected = Expected { url, name_der, spki_der, before };
            let judged = judge(&Crl::parse(der), [1; 32], &expected, NOW);
            judged.iter().filter(|(_, verdict)| *verdict != Verdict::Pass).map(|(rule, _)| rule.id).collect()
        }
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_good_crl_passes_and_each_fault_has_its_rule() {
        let (ca, other) = (Ca::new(), Ca::new());
        assert_eq!(ca.failing(&ca.crl(5, 20, Some(URL)), None, URL), NONE);
        assert_eq!(ca.failing(&ca.crl(5, 20, None), None, URL), NONE);
        assert_eq!(ca.failing(&other.crl(5, 20, Some(URL)), None, URL), ["crl.signature"]);
        assert_eq!(ca.failing(&ca.crl(5, 20, Some(URL)), None, "http://crl.example/2.crl"), ["crl.scope"]);
        assert_eq!(ca.failing(&ca.crl(5, 10, Some(URL)), None, URL), ["crl.fresh"]);
        assert_eq!(ca.failing(&ca.crl(5, 23, Some(URL)), None, URL), ["crl.fresh"]);
        assert_eq!(ca.failing(b"<html>", None, URL), ["crl.form"]);
    }

    #[test]
    fn numbers_grow() {
        let ca = Ca::new();
        let before = |number: &[u8], this_update| Before { number: number.to_vec(), this_update, sha256: [2; 32] };
        let of = |before: &Before| ca.failing(&ca.crl(0x100, 20, Some(URL)), Some(before), URL);
        assert_eq!(of(&before(&[0xff], date(2026, 11, 19))), NONE);
        assert_eq!(of(&before(&[1, 1], date(2026, 11, 19))), ["crl.number"]);
        assert_eq!(of(&before(&[1, 0], date(2026, 11, 19))), ["crl.number"]);
        assert_eq!(of(&before(&[0xff], date(2026, 11, 21))), ["crl.number"]);
        let same = Before { sha256: [1; 32], ..before(&[1, 0], date(2026, 11, 20)) };
        assert_eq!(of(&same), NONE);
    }

    #[test]
    fn what_cannot_be_had_is_told_with_its_time() {
        let (_, verdict) = unavailable(URL, NOW, "HTTP 500\n");
        let Verdict::Fail(found) = verdict else { panic!("{verdict:?}") };
        assert!(found[0].detail.contains("HTTP 500\\x0a"), "{}", found[0].detail);
        assert_eq!(kept(URL, NOW, NOW).1, Verdict::Pass);
        assert!(matches!(kept(URL, NOW, NOW.plus(DAY)).1, Verdict::Fail(_)));
        assert_eq!(available().1, Verdict::Pass);
    }
}
