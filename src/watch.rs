//! Which entries are ours: by issuer key, never by issuer name alone.
//!
//! [`Watchlist::selects`] is asked for every entry of every log and must cost next to nothing: a precertificate entry
//! carries the SHA-256 of its issuer's key, a certificate entry is skipped through to its issuer Name and its
//! authorityKeyIdentifier. Only what is selected is parsed ([`Watchlist::judge`]). What cannot be read far enough to
//! tell is selected: fail safe.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use sha2::{Digest, Sha256};

use crate::case::EntryKind;
use crate::cert::oid::AUTHORITY_KEY_ID;
use crate::cert::signature::{SignatureCheck, signed_by};
use crate::cert::{Certificate, ParseError};
use crate::clock::Timestamp;
use crate::ct::leaf::LeafEntry;
use crate::finding::{CaseKey, KeyHash, Serial, escape};

/// The remark on a precertificate that a Precertificate Signing CA signed.
pub const DELEGATED: &str = "a Precertificate Signing CA signed the precertificate";
/// Identifier octet of a BOOLEAN.
const BOOLEAN: u8 = 1;

/// An issuer of the CA.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The configured name, shown to people and used as a metric label.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_hash: KeyHash,
    /// Its certificate; without it only precertificates can be matched.
    pub certificate: Option<Certificate>,
}

impl Issuer {
    /// From the issuer's certificate.
    ///
    /// # Errors
    /// When the bytes are not a certificate.
    pub fn from_certificate(name: &str, der: &[u8]) -> Result<Issuer, ParseError> {
        let certificate = Certificate::parse(der)?;
        Ok(Issuer { name: name.to_string(), key_hash: certificate.spki_sha256(), certificate: Some(certificate) })
    }
}

/// How an entry came to be a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Signed with a key of ours, or bound to it by issuer_key_hash.
    Ours,
    /// Names one of our issuers as its issuer, but is not signed with a key of ours.
    Imposter,
    /// Someone else's, kept because every entry is (`[watch] all_issuers`).
    Trial,
    /// Cannot be read far enough to know whose it is.
    Unreadable,
}

impl Standing {
    /// The word kept in the books.
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Ours => "ours",
            Standing::Imposter => "imposter",
            Standing::Trial => "trial",
            Standing::Unreadable => "unreadable",
        }
    }
    /// The standing a word of the books means.
    pub fn parse(word: &str) -> Option<Standing> {
        [Standing::Ours, Standing::Imposter, Standing::Trial, Standing::Unreadable]
            .into_iter()
            .find(|s| s.word() == word)
    }
}

/// A selected entry with what the log sent beside it, which is not under the Merkle root.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Index in the log.
    pub index: u64,
    /// Timestamp of the entry.
    pub logged_at: Timestamp,
    /// The entry's own bytes.
    pub entry: OwnedEntry,
    /// CtExtensions of the entry.
    pub extensions: Vec<u8>,
    /// The precertificate that the log says was submitted.
    pub precertificate: Option<Vec<u8>>,
    /// The first certificate of the chain that the log says was submitted.
    pub issuer: ChainHead,
    /// Instead of both: what the log sent, at most 64 kB of it, when nothing of it can be read.
    pub garbled: Option<Vec<u8>>,
}

impl OwnedEntry {
    /// The same entry, borrowed.
    pub fn leaf(&self) -> LeafEntry<'_> {
        match self {
            OwnedEntry::X509(certificate) => LeafEntry::X509 { certificate },
            OwnedEntry::Precert { issuer_key_hash, tbs } => {
                LeafEntry::Precert { issuer_key_hash: *issuer_key_hash, tbs }
            }
        }
    }
}

/// The signed part of an entry, copied out of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedEntry {
    /// A certificate.
    X509(Vec<u8>),
    /// A TBSCertificate without poison and the hash of the issuer's key.
    Precert {
        /// SHA-256 of the key of the issuer of the final certificate.
        issuer_key_hash: KeyHash,
        /// The TBSCertificate.
        tbs: Vec<u8>,
    },
}

impl OwnedEntry {
    /// The certificate or TBSCertificate.
    pub fn bytes(&self) -> &[u8] {
        match self {
            OwnedEntry::X509(der) => der,
            OwnedEntry::Precert { tbs, .. } => tbs,
        }
    }
}

/// Where the certificate of the (claimed) issuer can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainHead {
    /// The log sent it (RFC 6962 get-entries).
    Certificate(Vec<u8>),
    /// The log names it by SHA-256 (static-ct-api); it is fetched from issuer/.
    Fingerprint([u8; 32]),
    /// The log sent no chain.
    Absent,
}

/// The bytes that are kept and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole certificate or precertificate.
    Certificate,
    /// A TBSCertificate alone: the log's precertificate is missing or does not belong to the leaf.
    Tbs,
}

/// An entry that matters to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Index in the log.
    pub index: u64,
    /// Timestamp of the entry.
    pub logged_at: Timestamp,
    /// Precertificate or certificate.
    pub kind: EntryKind,
    /// How it came to be a hit.
    pub standing: Standing,
    /// The issuer's configured name, or the issuer Name of the certificate, escaped.
    pub issuer: String,
    /// Issuer key and serial.
    pub key: CaseKey,
    /// SHA-256 of the TBSCertificate less poison and SCT list.
    pub core_sha256: [u8; 32],
    /// Whether `der` is a certificate or a TBSCertificate.
    pub form: Form,
    /// The bytes that are judged.
    pub der: Vec<u8>,
    /// What is odd about the entry, for a person; empty when nothing is.
    pub remark: String,
}

/// The issuers we watch.
#[derive(Clone, Debug, Default)]
pub struct Watchlist {
    issuers: Vec<Issuer>,
    // Ordered, not hashed: a few comparisons cost less than hashing the key, and this is asked for every entry.
    by_key: BTreeMap<KeyHash, usize>,
    names: BTreeSet<Vec<u8>>,
    key_ids: BTreeSet<Vec<u8>>,
    /// SHA-256 of the certificates of our issuers.
    fingerprints: BTreeMap<[u8; 32], KeyHash>,
    all_issuers: bool,
}

impl Watchlist {
    /// Watches these issuers; with `all_issuers` every entry is a hit.
    pub fn new(issuers: Vec<Issuer>, all_issuers: bool) -> Watchlist {
        let by_key = issuers.iter().enumerate().map(|(at, issuer)| (issuer.key_hash, at)).collect();
        let names = issuers.iter().filter_map(|i| Some(i.certificate.as_ref()?.subject_der().to_vec())).collect();
        let key_ids = issuers.iter().filter_map(|i| Some(i.key_id()?.to_vec())).collect();
        let certificates = issuers.iter().filter_map(|i| Some((i.certificate.as_ref()?, i.key_hash)));
        let fingerprints = certificates.map(|(ca, key_hash)| (Sha256::digest(ca.der()).into(), key_hash)).collect();
        Watchlist { issuers, by_key, names, key_ids, fingerprints, all_issuers }
    }

    /// Whether the certificate with this SHA-256 is known to be one of the issuer with this key.
    pub fn is_certificate_of(&self, fingerprint: &[u8; 32], key_hash: &KeyHash) -> bool {
        self.fingerprints.get(fingerprint) == Some(key_hash)
    }

    /// The issuers watched.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer with this key, if it is ours.
    pub fn by_key(&self, key_hash: &KeyHash) -> Option<&Issuer> {
        self.by_key.get(key_hash).map(|at| &self.issuers[*at])
    }

    /// Whether an entry must be looked at. Allocates nothing.
    pub fn selects(&self, entry: &LeafEntry<'_>) -> bool {
        if self.all_issuers {
            return true;
        }
        match entry {
            LeafEntry::Precert { issuer_key_hash, .. } => self.by_key.contains_key(issuer_key_hash),
            // A certificate of ours whose issuer Name is misspelt, or encoded in another way, still has our key
            // identifier.
            LeafEntry::X509 { certificate } => match skim(certificate) {
                Some((name, rest)) => {
                    self.names.contains(name) || key_id(rest).is_some_and(|key_id| self.key_ids.contains(key_id))
                }
                None => true,
            },
        }
    }

    /// Decides whose a selected entry is. `issuer` is the certificate at the head of its chain, where it could be had.
    /// `None` when it is nobody's business of ours after all.
    pub fn judge(&self, candidate: &Candidate, issuer: Option<&[u8]>) -> Option<Hit> {
        match &candidate.entry {
            OwnedEntry::Precert { issuer_key_hash, tbs } => {
                self.judge_precert(candidate, *issuer_key_hash, tbs, issuer)
            }
            OwnedEntry::X509(der) => self.judge_x509(candidate, der, issuer),
        }
    }

    /// What becomes of a candidate whose judging came to an end by a panic: a hit that says no more than that. Its bytes
    /// are left out, so that whoever reads hits later is not brought down as well.
    pub fn unjudged(&self, candidate: &Candidate) -> Hit {
        let (kind, key, known) = match &candidate.entry {
            OwnedEntry::X509(_) => (EntryKind::Certificate, KeyHash::default(), None),
            OwnedEntry::Precert { issuer_key_hash, .. } => {
                (EntryKind::Precertificate, *issuer_key_hash, self.by_key(issuer_key_hash))
            }
        };
        let hit = unreadable(candidate, kind, key, candidate.entry.bytes(), known);
        let remark = "the monitor failed to read this certificate, which is kept with the malformed entries of the \
                      log; the SHA-256 of its bytes stands in for its serial number";
        Hit { der: Vec::new(), remark: remark.to_string(), ..hit }
    }

    fn judge_precert(
        &self,
        candidate: &Candidate,
        issuer_key_hash: KeyHash,
        tbs: &[u8],
        issuer: Option<&[u8]>,
    ) -> Option<Hit> {
        let known = self.by_key(&issuer_key_hash);
        if known.is_none() && !self.all_issuers {
            return None;
        }
        let Ok(leaf) = Certificate::parse_tbs(tbs) else {
            return Some(unreadable(candidate, EntryKind::Precertificate, issuer_key_hash, tbs, known));
        };
        // RFC 6962 3.1: extra_data is not under the Merkle root, so the precertificate in it is believed only when
        // its TBSCertificate less the poison is the leaf's.
        let precertificate = candidate.precertificate.as_deref().and_then(|der| Certificate::parse(der).ok());
        // RFC 6962 3.2: with a Precertificate Signing Certificate "the TBSCertificate is the same except for the issuer
        // and the AKI", so that it cannot be compared; what stands in the leaf is judged then.
        let delegated = || {
            let signer = Certificate::parse(issuer?).ok().filter(Certificate::is_precert_signing_ca)?;
            Some(signed_by(precertificate.as_ref()?, signer.spki_der()) == SignatureCheck::Valid)
        };
        let delegated = delegated() == Some(true);
        let believed = precertificate.filter(|pre| pre.core_sha256() == leaf.core_sha256());
        let remark = match (&believed, &candidate.precertificate) {
            (Some(_), _) => "",
            (None, Some(_)) if delegated => DELEGATED,
            (None, None) => "the log sent no precertificate for this entry",
            (None, Some(_)) => "the precertificate that the log sent does not belong to this entry",
        };
        let (form, der) = match &believed {
            Some(pre) => (Form::Certificate, pre.der().to_vec()),
            None => (Form::Tbs, tbs.to_vec()),
        };
        Some(Hit {
            index: candidate.index,
            logged_at: candidate.logged_at,
            kind: EntryKind::Precertificate,
            standing: if known.is_some() { Standing::Ours } else { Standing::Trial },
            issuer: known.map_or_else(|| leaf.issuer_text(), |issuer| issuer.name.clone()),
            key: CaseKey { issuer_key_hash, serial: leaf.serial() },
            core_sha256: leaf.core_sha256(),
            form,
            der,
            remark: remark.to_string(),
        })
    }

    fn judge_x509(&self, candidate: &Candidate, der: &[u8], issuer: Option<&[u8]>) -> Option<Hit> {
        let issuer = issuer.and_then(|der| Certificate::parse(der).ok());
        let Ok(certificate) = Certificate::parse(der) else {
            // No signature can be checked, so chain and name are no more than what the certificate claims.
            let by_chain = issuer.as_ref().and_then(|issuer| self.by_key(&issuer.spki_sha256()));
            let by_name = || self.issuers.iter().find(|ours| skim(der).is_some_and(|(name, _)| ours.is_named(name)));
            let mut hit = unreadable(candidate, EntryKind::Certificate, KeyHash::default(), der, None);
            if let Some(claimed) = by_chain.or_else(by_name) {
                (hit.issuer, hit.key.issuer_key_hash) = (claimed.name.clone(), claimed.key_hash);
            }
            return Some(hit);
        };
        // The chain is not under the Merkle root: it names the issuer's key only when that key made the signature.
        let signer = issuer.filter(|issuer| signed_by(&certificate, issuer.spki_der()) == SignatureCheck::Valid);
        let signer_key = signer.map(|signer| signer.spki_sha256());
        let hit = |standing, issuer: String, issuer_key_hash| Hit {
            index: candidate.index,
            logged_at: candidate.logged_at,
            kind: EntryKind::Certificate,
            standing,
            issuer,
            key: CaseKey { issuer_key_hash, serial: certificate.serial() },
            core_sha256: certificate.core_sha256(),
            form: Form::Certificate,
            der: der.to_vec(),
            remark: String::new(),
        };
        if let Some(ours) = signer_key.as_ref().and_then(|key| self.by_key(key)) {
            return Some(hit(Standing::Ours, ours.name.clone(), ours.key_hash));
        }
        // Name and AKI select, the signature decides: first the issuers whose key identifier fits, then the others of
        // that name, because an AKI is a hint that the signer wrote.
        let aki = certificate.authority_key_id();
        let has_key_id = |ours: &Issuer| aki.is_some() && ours.key_id() == aki;
        let is_named = |ours: &Issuer| ours.is_named(certificate.issuer_der());
        let mut claimed: Vec<&Issuer> = self.issuers.iter().filter(|i| is_named(i) || has_key_id(i)).collect();
        claimed.sort_by_key(|ours| !has_key_id(ours));
        let mut undecided = false;
        for ours in &claimed {
            let Some(ca) = &ours.certificate else { continue };
            match signed_by(&certificate, ca.spki_der()) {
                SignatureCheck::Valid => return Some(hit(Standing::Ours, ours.name.clone(), ours.key_hash)),
                SignatureCheck::Unsupported => undecided = true,
                SignatureCheck::Invalid => {}
            }
        }
        if let Some(ours) = claimed.iter().find(|ours| is_named(ours)) {
            let mut imposter = hit(Standing::Imposter, ours.name.clone(), signer_key.unwrap_or_default());
            imposter.remark = match undecided {
                true => {
                    format!("names {} as its issuer, and its signature is of a kind that cannot be checked", ours.name)
                }
                false => format!("names {} as its issuer, but no key of that issuer signed it", ours.name),
            };
            return Some(imposter);
        }
        if !self.all_issuers {
            return None;
        }
        let mut trial = hit(Standing::Trial, certificate.issuer_text(), signer_key.unwrap_or_default());
        if signer_key.is_none() {
            trial.remark =
                "no certificate of its issuer could be had that verifies it, so its issuer key is not known".into();
        }
        Some(trial)
    }
}

/// Does something with foreign bytes that must not fail, whatever they are: the text of the panic when it does.
///
/// # Errors
/// When `work` panics.
pub fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("reading it failed within the monitor: {}", escape(text.unwrap_or("no reason given").as_bytes(), 300))
    })
}

impl Issuer {
    fn is_named(&self, name_der: &[u8]) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.subject_der() == name_der)
    }
    fn key_id(&self) -> Option<&[u8]> {
        self.certificate.as_ref()?.subject_key_id()
    }
}

/// A hit for bytes that cannot be read: its serial is unknown, so the hash of the bytes stands for it.
fn unreadable(candidate: &Candidate, kind: EntryKind, key: KeyHash, der: &[u8], known: Option<&Issuer>) -> Hit {
    let digest: [u8; 32] = Sha256::digest(der).into();
    Hit {
        index: candidate.index,
        logged_at: candidate.logged_at,
        kind,
        standing: if known.is_some() { Standing::Ours } else { Standing::Unreadable },
        issuer: known.map_or("unknown issuer".to_string(), |issuer| issuer.name.clone()),
        key: CaseKey { issuer_key_hash: key, serial: Serial(digest.to_vec()) },
        core_sha256: digest,
        form: if kind == EntryKind::Certificate { Form::Certificate } else { Form::Tbs },
        der: der.to_vec(),
        remark: "the certificate cannot be read; the SHA-256 of its bytes stands in for its serial number".to_string(),
    }
}

/// The issuer Name (the whole TLV) of a DER certificate and what follows it in the TBSCertificate, found by skipping:
/// RFC 5280 4.1, Certificate ::= SEQUENCE { TBSCertificate ::= SEQUENCE { \[0\] version, serialNumber INTEGER,
/// signature SEQUENCE, issuer Name, ...
fn skim(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, certificate, _) = element(der)?;
    let (_, tbs, _) = element(certificate)?;
    let (tag, _, after) = element(tbs)?;
    let at_serial = if tag == 0xa0 { after } else { tbs };
    let (_, _, at_signature) = element(at_serial)?;
    let (_, _, at_issuer) = element(at_signature)?;
    let (tag, _, after) = element(at_issuer)?;
    (tag == 0x30).then(|| (&at_issuer[..at_issuer.len() - after.len()], after))
}

/// The keyIdentifier of the authorityKeyIdentifier (RFC 5280 4.2.1.1), found by skipping on from the issuer: ...
/// extensions \[3\] SEQUENCE OF SEQUENCE { extnID, critical, extnValue OCTET STRING { SEQUENCE { \[0\] keyIdentifier
fn key_id(mut rest: &[u8]) -> Option<&[u8]> {
    let (_, mut extensions, _) = loop {
        let (tag, content, after) = element(rest)?;
        if tag == 0xa3 {
            break element(content)?;
        }
        rest = after;
    };
    while let Some((_, extension, after)) = element(extensions) {
        let (_, oid, value) = element(extension)?;
        if oid == AUTHORITY_KEY_ID {
            let (tag, content, after_critical) = element(value)?;
            let content = if tag == BOOLEAN { element(after_critical)?.1 } else { content };
            let (tag, key_id, _) = element(element(content)?.1)?;
            return (tag == 0x80).then_some(key_id);
        }
        extensions = after;
    }
    None
}

/// Splits the first element off: its tag octet, its content, what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (first as usize, rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked((first & 0x7f) as usize)?;
            (digits.iter().fold(0usize, |sum, digit| sum << 8 | *digit as usize), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_the_judging_down_is_a_hit_all_the_same() {
        let ours = KeyHash([1; 32]);
        let watchlist = Watchlist::new(vec![Issuer { name: "Ours".into(), key_hash: ours, certificate: None }], false);
        let entry = OwnedEntry::Precert { issuer_key_hash: ours, tbs: b"hostile".to_vec() };
        let (logged_at, issuer) = (Timestamp::EPOCH, ChainHead::Absent);
        let (extensions, garbled) = (Vec::new(), None);
        let candidate = Candidate { index: 7, logged_at, entry, extensions, precertificate: None, issuer, garbled };
        let broken: Result<Option<Hit>, String> = guard(|| panic!("byte {:#x} of a \u{7} name", 0x80));
        let why = broken.expect_err("it panicked");
        assert!(why.contains("byte 0x80 of a ") && why.is_ascii() && !why.contains('\u{7}'), "{why}");
        let hit = watchlist.unjudged(&candidate);
        assert_eq!((hit.index, hit.standing, hit.issuer.as_str()), (7, Standing::Ours, "Ours"));
        assert!(hit.der.is_empty() && hit.remark.contains("failed to read"), "{}", hit.remark);
        assert_eq!(hit.core_sha256, <[u8; 32]>::from(Sha256::digest(b"hostile")), "another one is another hit");
        assert_eq!(guard(|| watchlist.judge(&candidate, None).map(|hit| hit.standing)), Ok(Some(Standing::Ours)));
    }
}
