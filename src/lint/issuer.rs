//! What a certificate must have in common with the certificate of its issuer.

use crate::cert::key::Curve;
use crate::cert::signature::{SignatureCheck, signed_by};
use crate::cert::{Certificate, PublicKey};
use crate::clock::date;
use crate::finding::{Finding, Issued, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, rfc};
use crate::lint::ends;
use crate::lint::rules::{alg_sig, ext_aki};

/// BR 7.1.4.1: "the encoded content of the Issuer Distinguished Name field of a Certificate SHALL be byte-for-byte identical
/// with the encoded form of the Subject Distinguished Name field of the Issuing CA certificate."
static ISSUER_BYTES: RuleInfo = RuleInfo {
    id: "cert.issuer_bytes",
    summary: "The issuer Name is byte for byte the subject of the issuer's certificate",
    severity: Severity::Error,
    citation: br("7.1.4.1"),
    clock: RevocationClock::FiveDays(12),
    since: Some(date(2023, 9, 15)),
    until: None,
    needs: Needs::Issuer,
};

/// RFC 5280 4.1.1.3: the signatureValue is "a digital signature computed upon the ASN.1 DER encoded tbsCertificate" by the CA.
static SIGNATURE: RuleInfo = RuleInfo {
    id: "cert.signature",
    summary: "The signature is by the key of the issuer's certificate",
    severity: Severity::Error,
    citation: rfc(5280, "4.1.1.3"),
    clock: RevocationClock::None,
    since: None,
    until: None,
    needs: Needs::Issuer,
};

/// The rules of this file; `ext.aki` and `alg.sig` have a second part here.
pub static RULES: &[&RuleInfo] = &[&ISSUER_BYTES, &SIGNATURE];

/// Prefix of ecdsa-with-SHA2 as an AlgorithmIdentifier: SEQUENCE, OID; one octet follows.
const ECDSA_SHA2: [u8; 11] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];

/// Judges Name, keyIdentifier and signature algorithm against the issuer's certificate.
pub fn run(cert: &Certificate, issuer: &Certificate, issued: Issued) -> Vec<(&'static RuleInfo, Verdict)> {
    let one = |info: &'static RuleInfo, finding: Option<Finding>| {
        let found: Vec<Finding> = finding.into_iter().collect();
        let at = |moment| if info.in_force(moment) { found.clone() } else { Vec::new() };
        (info, ends::judge(info, issued, at, ends::NO_STEPS))
    };
    let named = (cert.issuer_der() != issuer.subject_der()).then(|| {
        let detail = format!("is not byte for byte the subject of the issuer's certificate, {}", issuer.subject_text());
        ISSUER_BYTES.finding(cert.issuer_text(), detail)
    });
    // BR 7.1.2.11.1: keyIdentifier "MUST be identical to the subjectKeyIdentifier field of the Issuing CA."
    let key_id = cert.authority_key_id().zip(issuer.subject_key_id()).filter(|(aki, ski)| aki != ski);
    let key_id = key_id.map(|(_, ski)| {
        let shown = hex::encode(&ski[..ski.len().min(32)]);
        ext_aki::RULE.info.finding("keyIdentifier", format!("is not {shown}, the subjectKeyIdentifier of the issuer"))
    });
    vec![
        one(&ISSUER_BYTES, named),
        one(&ext_aki::RULE.info, key_id),
        one(&alg_sig::RULE.info, wrong_hash(cert, issuer)),
    ]
}

/// Judges the signature; nothing is said of a TBSCertificate alone.
pub fn signature(cert: &Certificate, issuer: &Certificate) -> (&'static RuleInfo, Verdict) {
    let verdict = match signed_by(cert, issuer.spki_der()) {
        SignatureCheck::Valid => Verdict::Pass,
        SignatureCheck::Invalid => {
            let detail = format!("is not by the key of {}", issuer.subject_text());
            Verdict::Fail(vec![SIGNATURE.finding("signatureValue", detail)])
        }
        SignatureCheck::Unsupported => {
            Verdict::NotEvaluable("the signature is of a kind that cannot be checked".to_string())
        }
    };
    (&SIGNATURE, verdict)
}

/// BR 7.1.3.2.2: "If the signing key is P-256, the signature MUST use ECDSA with SHA-256", P-384 with SHA-384, P-521 with
/// SHA-512. An RSA key leaves the choice of the hash.
fn wrong_hash(cert: &Certificate, issuer: &Certificate) -> Option<Finding> {
    let PublicKey::Ec { curve, .. } = issuer.public_key() else { return None };
    let curve = Curve::of_oid(curve)?;
    let (hash, octet) = match curve {
        Curve::P256 => ("SHA-256", 2),
        Curve::P384 => ("SHA-384", 3),
        Curve::P521 => ("SHA-512", 4),
    };
    let used = *cert.inner_algorithm().strip_prefix(&ECDSA_SHA2)?.first()?;
    let detail = format!("the key of the issuer is on {curve:?}, which signs with {hash}");
    (used != octet).then(|| alg_sig::RULE.info.finding("signature of this key", detail))
}
