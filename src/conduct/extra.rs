//! What a log sends beside an entry: the precertificate and the chain that were submitted. It is not under the Merkle
//! root, and a log that sends what does not belong to the leaf misleads everybody who believes it.

use serde_json::{Value, json};

use super::{EvidenceError, Kind, Misconduct, Worth};
use crate::case::EntryKind;
use crate::cert::Certificate;
use crate::cert::signature::{SignatureCheck, signed_by};
use crate::ct::leaf::{ExtraData, LeafEntry, parse_merkle_tree_leaf};
use crate::ct::{from_base64, hash_from_base64, sha256, to_base64};
use crate::finding::KeyHash;

/// The longest certificate that is put into an evidence file, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// What a log sent beside an entry, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The precertificate.
    pub precertificate: Option<&'a [u8]>,
    /// The first certificate of the chain.
    pub issuer: Option<&'a [u8]>,
    /// Instead of both: extra_data of which nothing can be read.
    pub garbled: Option<&'a [u8]>,
}

/// In what way that does not belong to the leaf; `None` when it does, or when nobody can say.
pub fn difference(leaf: &LeafEntry<'_>, beside: Beside<'_>) -> Option<String> {
    let said = |text: &str| Some(text.to_string());
    let read = match leaf {
        LeafEntry::X509 { certificate } => Certificate::parse(certificate),
        LeafEntry::Precert { tbs, .. } => Certificate::parse_tbs(tbs),
    };
    // With an unreadable leaf nothing can be compared; that the entry is odd is told elsewhere.
    let read = read.ok()?;
    if beside.garbled.is_some() {
        return said("extra_data is not what RFC 6962 4.6 says");
    }
    let issuer = match beside.issuer.map(Certificate::parse) {
        Some(Err(_)) => return said("the first certificate of the chain cannot be read"),
        Some(Ok(issuer)) => Some(issuer),
        None => None,
    };
    match leaf {
        LeafEntry::X509 { .. } => {
            let issuer = issuer.filter(|issuer| issuer.subject_der() != read.issuer_der())?;
            let strange = signed_by(&read, issuer.spki_der()) == SignatureCheck::Invalid;
            strange
                .then(|| "the first certificate of the chain neither bears the issuer's name nor its key".to_string())
        }
        LeafEntry::Precert { issuer_key_hash, .. } => {
            let Ok(submitted) = Certificate::parse(beside.precertificate?) else {
                return said("the precertificate cannot be read");
            };
            precertificate(&read, &submitted, issuer.as_ref(), *issuer_key_hash).map(str::to_string)
        }
    }
}

/// RFC 6962 3.2: the leaf has the TBSCertificate of the precertificate without the poison, and the hash of the issuer's
/// key; with a Precertificate Signing Certificate issuer and AKI are those of the final issuer.
fn precertificate(
    leaf: &Certificate,
    submitted: &Certificate,
    issuer: Option<&Certificate>,
    issuer_key_hash: KeyHash,
) -> Option<&'static str> {
    if submitted.serial() != leaf.serial() {
        return Some("the precertificate has another serial number than the leaf");
    }
    match issuer {
        Some(signer) if signer.is_precert_signing_ca() => {
            let strange = signed_by(submitted, signer.spki_der()) == SignatureCheck::Invalid;
            strange.then_some("the first certificate of the chain did not sign the precertificate")
        }
        // It may be delegated: only the chain tells.
        None if submitted.issuer_der() != leaf.issuer_der() => None,
        _ if submitted.core_sha256() != leaf.core_sha256() => {
            Some("the TBSCertificate of the precertificate less the poison is not the leaf's")
        }
        Some(issuer) if issuer.spki_sha256() != issuer_key_hash => {
            Some("the key of the first certificate of the chain does not hash to issuer_key_hash")
        }
        _ => None,
    }
}

/// The case against a log that sent this beside the entry at an index.
pub fn misconduct(index: u64, leaf_input: &[u8], beside: Beside<'_>, difference: &str) -> Misconduct {
    let kept = |bytes: Option<&[u8]>| bytes.filter(|bytes| bytes.len() <= KEPT_BYTES).map(to_base64);
    let more = json!({
        "index": index,
        "leaf_input": kept(Some(leaf_input)),
        "precertificate": kept(beside.precertificate),
        "chain_first": kept(beside.issuer),
        "extra_data": beside.garbled.map(|bytes| to_base64(&bytes[..bytes.len().min(KEPT_BYTES)])),
        "difference": difference,
    });
    let detail = format!("what the log sends beside entry {index} does not belong to it: {difference}");
    Misconduct { kind: Kind::ExtraData, tree_size: index, detail, heads: Vec::new(), more }
}

/// The case against a static log that gives, under the SHA-256 of an issuer, another certificate.
pub fn wrong_issuer(fingerprint: &[u8; 32], given: &[u8]) -> Misconduct {
    let detail = format!("issuer/{} is another certificate than its name says", hex::encode(fingerprint));
    let more = json!({
        "issuer_sha256": to_base64(fingerprint),
        "issuer": (given.len() <= KEPT_BYTES).then(|| to_base64(given)),
    });
    Misconduct { kind: Kind::ExtraData, tree_size: 0, detail, heads: Vec::new(), more }
}

/// What the evidence of such a case is worth. As extra_data is under no signature, that the log served it is the
/// observer's word; that it does not belong to the leaf is checked.
///
/// # Errors
/// When the bytes in the file belong together.
pub(super) fn weigh(more: &Value) -> Result<Worth, EvidenceError> {
    let bytes = |member: &str| more[member].as_str().and_then(from_base64);
    let stated = |text: &str| Worth::Stated(format!("{text}; that the log served them together is stated"));
    if let Some(name) = more["issuer_sha256"].as_str().and_then(hash_from_base64) {
        return match bytes("issuer") {
            Some(given) if sha256(&[&given]) == name => {
                Err(EvidenceError::Format("the issuer in it hashes to its name".to_string()))
            }
            Some(_) => Ok(stated("the issuer in the file does not hash to its name")),
            None => Ok(stated("the issuer was too long for the file")),
        };
    }
    let leaf_input = bytes("leaf_input").ok_or_else(|| EvidenceError::Format("no leaf_input".to_string()))?;
    let leaf = parse_merkle_tree_leaf(&leaf_input).map_err(|e| EvidenceError::Format(format!("leaf_input: {e}")))?;
    let (precertificate, issuer, garbled) = (bytes("precertificate"), bytes("chain_first"), bytes("extra_data"));
    let readable = |bytes: &Vec<u8>| ExtraData::parse(leaf.entry.kind(), bytes).is_ok();
    let beside = Beside {
        precertificate: precertificate.as_deref(),
        issuer: issuer.as_deref(),
        garbled: garbled.as_deref().filter(|bytes| !readable(&bytes.to_vec())),
    };
    if leaf.entry.kind() == EntryKind::Precertificate && precertificate.is_none() && garbled.is_none() {
        return Ok(stated("the precertificate was too long for the file"));
    }
    let difference = difference(&leaf.entry, beside);
    let difference = difference.ok_or_else(|| EvidenceError::Format("what is in it belongs together".to_string()))?;
    Ok(stated(&difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::ct::leaf::encode_merkle_tree_leaf;
    use crate::demo::ca::Ca;

    struct Pre {
        der: Vec<u8>,
        tbs: Vec<u8>,
    }

    fn pre(ca: &Ca, name: &str) -> Pre {
        let der = ca.draft(&[name], date(2026, 11, 1)).expect("draft").precertificate().expect("signed");
        let tbs = Certificate::parse(&der).expect("our own").core_tbs();
        Pre { der, tbs }
    }

    #[test]
    fn what_belongs_to_the_leaf_is_told_from_what_does_not_and_the_file_shows_it() {
        let now = date(2026, 11, 1);
        let (ca, other) = (Ca::generate(now).expect("CA"), Ca::generate(now).expect("CA"));
        let (one, two) = (pre(&ca, "a.example"), pre(&ca, "b.example"));
        let leaf = LeafEntry::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs: &one.tbs };
        let beside = |precertificate, issuer| Beside { precertificate: Some(precertificate), issuer, garbled: None };
        for good in [
            beside(&one.der[..], Some(ca.issuing_der())),
            beside(&one.der[..], None),
            Beside { issuer: Some(ca.issuing_der()), ..Beside::default() },
            Beside::default(),
        ] {
            assert_eq!(difference(&leaf, good), None);
        }
        let mut changed = one.der.clone();
        let at = changed.windows(9).position(|bytes| bytes == b"a.example").expect("the name");
        changed[at] = b'c';
        let leaf_input = encode_merkle_tree_leaf(now, &leaf, b"");
        for (bad, said) in [
            (beside(&two.der, Some(ca.issuing_der())), "another serial number"),
            (beside(&two.der, None), "another serial number"),
            (beside(&changed, Some(ca.issuing_der())), "less the poison is not the leaf's"),
            (beside(&one.der, Some(other.issuing_der())), "does not hash to issuer_key_hash"),
            (beside(&one.der, Some(b"no certificate")), "chain cannot be read"),
            (beside(b"nothing", Some(ca.issuing_der())), "the precertificate cannot be read"),
            (Beside { garbled: Some(b"\x00\x00"), ..Beside::default() }, "extra_data is not what"),
        ] {
            let difference = difference(&leaf, bad).expect(said);
            assert!(difference.contains(said), "{difference}");
            let more = misconduct(7, &leaf_input, bad, &difference).more;
            assert!(matches!(weigh(&more), Ok(Worth::Stated(text)) if text.contains(said)), "{more}");
        }
        // A file whose bytes belong together accuses nobody.
        let innocent = misconduct(7, &leaf_input, beside(&one.der, Some(ca.issuing_der())), "it differs").more;
        assert!(matches!(weigh(&innocent), Err(EvidenceError::Format(_))), "{innocent}");
    }

    #[test]
    fn a_certificate_may_be_signed_badly_but_its_chain_must_be_about_it() {
        let now = date(2026, 11, 1);
        let (ca, other) = (Ca::generate(now).expect("CA"), Ca::generate(now).expect("CA"));
        let mut der = ca.draft(&["a.example"], now).expect("draft").certificate(&[]).expect("signed");
        let chain = |issuer| Beside { issuer: Some(issuer), ..Beside::default() };
        let of = |der: &[u8], issuer| difference(&LeafEntry::X509 { certificate: der }, chain(issuer));
        assert_eq!(of(&der, ca.issuing_der()), None);
        assert!(of(&der, other.root_der()).is_some());
        // The names of the two CAs are the same: an imposter is a matter of its own.
        let last = der.len() - 1;
        der[last] ^= 1;
        assert_eq!(of(&der, ca.issuing_der()), None);
    }

    #[test]
    fn an_issuer_under_a_wrong_name_is_shown_by_its_hash() {
        let wrong = wrong_issuer(&[1; 32], b"0der").more;
        assert!(matches!(weigh(&wrong), Ok(Worth::Stated(text)) if text.contains("does not hash")));
        let right = wrong_issuer(&sha256(&[b"0der"]), b"0der").more;
        assert!(weigh(&right).is_err());
    }
}
