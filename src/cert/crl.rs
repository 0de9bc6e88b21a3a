//! Certificate revocation lists as bytes with places marked in them (RFC 5280 5).
//!
//! A CRL may have 100 MB and millions of entries: everything here borrows from its bytes, and the entries are read one
//! after the other without an allocation for any of them. Nothing here judges.

mod outline;

use std::borrow::Cow;
use std::ops::Range;

use aws_lc_rs::digest::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
pub use outline::{HEAD_BYTES, Outline};

use crate::cert::der::{Class, DerError, Element, Reader, single, tag};
use crate::cert::fields::read_time;
use crate::cert::signature::{SignatureCheck, verify, verify_digest};
use crate::clock::Timestamp;

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const BEGIN: &[u8] = b"-----BEGIN X509 CRL-----";
const END: &[u8] = b"-----END X509 CRL-----";
/// RFC 5280 5.2.3: "CRL verifiers MUST be able to handle CRLNumber values up to 20 octets."
const LONGEST_NUMBER: usize = 20;
/// The most names of an issuing distribution point that are read; real ones have one.
const MOST_NAMES: usize = 64;
/// The most extensions of a CRL that are read.
const MOST_EXTENSIONS: usize = 64;

/// Why bytes are not a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Neither DER nor a PEM block of a CRL.
    #[error("it is neither a CRL in DER nor in PEM")]
    NoCrl,
    /// The structure of RFC 5280 5.1 cannot be followed.
    #[error("its {0} cannot be read")]
    Unreadable(&'static str),
    /// Something stands behind what a CRL holds.
    #[error("{0} bytes stand behind the CRL")]
    Trailing(usize),
}

/// The IssuingDistributionPoint extension (RFC 5280 5.2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The URIs of its distributionPoint; `None` when it has no full name.
    pub uris: Option<Vec<Vec<u8>>>,
    /// onlyContainsUserCerts.
    pub users_only: bool,
    /// onlyContainsCACerts.
    pub cas_only: bool,
    /// onlySomeReasons.
    pub some_reasons: bool,
    /// indirectCRL.
    pub indirect: bool,
    /// onlyContainsAttributeCerts.
    pub attributes_only: bool,
}

/// A CRL. Times that cannot be read are `None`.
#[derive(Clone, Debug)]
pub struct Crl<'a> {
    /// The signed bytes: TBSCertList, full TLV.
    pub tbs: &'a [u8],
    /// The algorithm of the signature, full TLV.
    pub algorithm: &'a [u8],
    /// The octets of the signature.
    pub signature: &'a [u8],
    /// The issuer's Name, full TLV.
    pub issuer: &'a [u8],
    /// thisUpdate.
    pub this_update: Option<Timestamp>,
    /// nextUpdate; RFC 5280 5.1.2.5 demands it.
    pub next_update: Option<Timestamp>,
    /// The CRL number without leading zero octets; empty when it has none.
    pub number: &'a [u8],
    /// The scope it states of itself.
    pub scope: Option<Scope>,
    /// Whether it is a delta CRL.
    pub delta: bool,
    /// Whether a critical extension stands in it that is not one of these.
    pub unknown_critical: bool,
    /// Where the entries stand in the DER; empty when there are none.
    pub entries_at: Range<usize>,
    revoked: &'a [u8],
    /// The digest of the signed bytes and what is wrong with an entry, when both were read elsewhere.
    elsewhere: Option<(Digest, Option<CrlError>)>,
}

/// An entry of a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked<'a> {
    /// The serial number without leading zero octets.
    pub serial: &'a [u8],
    /// revocationDate, when it can be read.
    pub at: Option<Timestamp>,
    /// The CRLReason; unspecified (0) when the entry states none (RFC 5280 5.3.1).
    pub reason: u8,
}

/// The DER of a CRL that may be in PEM.
///
/// # Errors
/// [`CrlError::NoCrl`].
pub fn der(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CrlError> {
    if bytes.first() == Some(&0x30) {
        return Ok(Cow::Borrowed(bytes));
    }
    let start = memmem::find(bytes, BEGIN).ok_or(CrlError::NoCrl)? + BEGIN.len();
    let end = start + memmem::find(&bytes[start..], END).ok_or(CrlError::NoCrl)?;
    let text: Vec<u8> = bytes[start..end].iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map(Cow::Owned).map_err(|_| CrlError::NoCrl)
}

/// An octet string as a number: without leading zero octets.
pub fn magnitude(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len())..]
}

impl<'a> Crl<'a> {
    /// Reads a CRL; its entries are not looked at yet.
    ///
    /// # Errors
    /// Where the structure cannot be followed.
    pub fn parse(der: &'a [u8]) -> Result<Crl<'a>, CrlError> {
        let (whole, rest) = single(der).ok_or(CrlError::NoCrl)?;
        sequence(&whole).ok_or(CrlError::NoCrl)?;
        let mut outer = whole.reader();
        let tbs = next(&mut outer, "tbsCertList").and_then(|tbs| sequence(&tbs).ok_or(CrlError::NoCrl))?;
        let algorithm = next(&mut outer, "signatureAlgorithm")?;
        let signature = next(&mut outer, "signature")?;
        let octets = match signature.content {
            [0, octets @ ..] if signature.is(tag::BIT_STRING, false) => octets,
            _ => return Err(CrlError::Unreadable("signature")),
        };
        match (rest.len(), outer.rest().len()) {
            (0, 0) => {}
            (behind, within) => return Err(CrlError::Trailing(behind + within)),
        }
        let mut reader = tbs.reader();
        if reader.peek().is_some_and(|version| version.is(tag::INTEGER, false)) {
            next(&mut reader, "version")?;
        }
        // RFC 5280 5.1.2.2: the inner algorithm "MUST contain the same algorithm identifier" as the outer one.
        let inner = next(&mut reader, "signature algorithm")?;
        if inner.raw != algorithm.raw {
            return Err(CrlError::Unreadable("signature algorithm"));
        }
        let issuer = next(&mut reader, "issuer").and_then(|name| sequence(&name).ok_or(CrlError::NoCrl))?;
        let this_update = next(&mut reader, "thisUpdate")?;
        let mut crl = Crl {
            tbs: tbs.raw,
            algorithm: algorithm.raw,
            signature: octets,
            issuer: issuer.raw,
            this_update: read_time(&this_update).0,
            next_update: None,
            number: &[],
            scope: None,
            delta: false,
            unknown_critical: false,
            entries_at: 0..0,
            revoked: &[],
            elsewhere: None,
        };
        let is_time = |e: &Element<'_>| e.is(tag::UTC_TIME, false) || e.is(tag::GENERALIZED_TIME, false);
        if reader.peek().as_ref().is_some_and(is_time) {
            crl.next_update = read_time(&next(&mut reader, "nextUpdate")?).0;
        }
        if reader.peek().is_some_and(|list| list.is_sequence()) {
            let list = next(&mut reader, "revokedCertificates")?;
            crl.revoked = list.content;
            // Behind them stand what is left of tbsCertList, signatureAlgorithm and signature, and nothing else.
            let end = der.len() - signature.raw.len() - algorithm.raw.len() - reader.rest().len();
            crl.entries_at = end - list.content.len()..end;
        }
        if !reader.is_empty() {
            let extensions = next(&mut reader, "crlExtensions")?;
            match single(extensions.content) {
                Some((list, [])) if extensions.is_context(0) && list.is_sequence() => crl.read_extensions(&list)?,
                _ => return Err(CrlError::Unreadable("crlExtensions")),
            }
        }
        if reader.is_empty() { Ok(crl) } else { Err(CrlError::Trailing(reader.rest().len())) }
    }

    fn read_extensions(&mut self, list: &Element<'a>) -> Result<(), CrlError> {
        let mut reader = list.reader();
        for _ in 0..MOST_EXTENSIONS {
            if reader.is_empty() {
                return Ok(());
            }
            let (oid, critical, value) = extension(&next(&mut reader, "crlExtensions")?)?;
            match oid {
                CRL_NUMBER => self.number = integer(value).ok_or(CrlError::Unreadable("CRL number"))?,
                DELTA_CRL_INDICATOR => self.delta = true,
                ISSUING_DISTRIBUTION_POINT => {
                    let scope = Scope::parse(value).ok_or(CrlError::Unreadable("issuingDistributionPoint"))?;
                    self.scope = Some(scope);
                }
                _ => self.unknown_critical |= critical,
            }
        }
        Err(CrlError::Unreadable("crlExtensions"))
    }

    /// Whether it was signed with the key of this SubjectPublicKeyInfo (full TLV).
    pub fn signed_by(&self, spki_der: &[u8]) -> SignatureCheck {
        match &self.elsewhere {
            Some((digest, _)) => verify_digest(spki_der, self.algorithm, digest, self.signature),
            None => verify(spki_der, self.algorithm, self.tbs, self.signature),
        }
    }

    /// What is wrong with its first entry that cannot be read.
    pub fn entry_fault(&self) -> Option<CrlError> {
        match self.elsewhere {
            Some((_, fault)) => fault,
            None => self.revoked().find_map(Result::err),
        }
    }

    /// Its entries, in their order, when they are in memory. After an entry that cannot be read there is none.
    pub fn revoked(&self) -> impl Iterator<Item = Result<Revoked<'a>, CrlError>> + use<'a> {
        let (mut reader, mut failed) = (Reader::new(self.revoked), false);
        std::iter::from_fn(move || {
            if failed || reader.is_empty() {
                return None;
            }
            let entry = reader.next().ok().and_then(|entry| entry_of(&entry));
            failed = entry.is_none();
            Some(entry.ok_or(CrlError::Unreadable("revokedCertificates")))
        })
    }
}

fn next<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<Element<'a>, CrlError> {
    reader.next().map_err(|_| CrlError::Unreadable(what))
}

fn sequence<'a>(element: &Element<'a>) -> Option<Element<'a>> {
    element.is_sequence().then_some(*element)
}

/// extnID, critical and the content octets of extnValue.
fn extension<'a>(element: &Element<'a>) -> Result<(&'a [u8], bool, &'a [u8]), CrlError> {
    let read = || {
        let mut fields = sequence(element)?.reader();
        let oid = fields.next().ok().filter(|oid| oid.is(tag::OID, false))?;
        let mut value = fields.next().ok()?;
        let critical = value.is(tag::BOOLEAN, false);
        let is_critical = critical && value.content.iter().any(|octet| *octet != 0);
        if critical {
            value = fields.next().ok()?;
        }
        (value.is(tag::OCTET_STRING, false) && fields.is_empty()).then_some((oid.content, is_critical, value.content))
    };
    read().ok_or(CrlError::Unreadable("extension"))
}

/// A number of at most 20 octets that is not negative.
fn integer(value: &[u8]) -> Option<&[u8]> {
    let (number, rest) = single(value)?;
    let positive = number.content.first().is_some_and(|first| *first < 0x80);
    let octets = magnitude(number.content);
    (number.is(tag::INTEGER, false) && rest.is_empty() && positive && octets.len() <= LONGEST_NUMBER).then_some(octets)
}

/// The first entry of a piece of the entries, and how many octets it takes; `None` when the piece ends before it does.
///
/// # Errors
/// When it is no entry.
pub fn first_entry(piece: &[u8]) -> Result<Option<(Revoked<'_>, usize)>, CrlError> {
    let unreadable = CrlError::Unreadable("revokedCertificates");
    match Reader::new(piece).next() {
        Ok(entry) => entry_of(&entry).map(|revoked| Some((revoked, entry.raw.len()))).ok_or(unreadable),
        Err(DerError::Truncated) => Ok(None),
        Err(_) => Err(unreadable),
    }
}

fn entry_of<'a>(entry: &Element<'a>) -> Option<Revoked<'a>> {
    let mut fields = sequence(entry)?.reader();
    let serial = fields.next().ok().filter(|serial| serial.is(tag::INTEGER, false))?;
    let at = read_time(&fields.next().ok()?).0;
    let mut reason = 0;
    if !fields.is_empty() {
        let mut extensions = fields.next().ok().and_then(|list| sequence(&list))?.reader();
        while !extensions.is_empty() {
            let (oid, _, value) = extension(&extensions.next().ok()?).ok()?;
            if oid == REASON_CODE {
                // CRLReason ::= ENUMERATED (RFC 5280 5.3.1).
                let (code, _) = single(value).filter(|(code, _)| code.class == Class::Universal && code.tag == 10)?;
                reason = *code.content.first()?;
            }
        }
    }
    Some(Revoked { serial: magnitude(serial.content), at, reason })
}

impl Scope {
    /// RFC 5280 5.2.5: IssuingDistributionPoint.
    fn parse(value: &[u8]) -> Option<Scope> {
        let (list, rest) = single(value)?;
        let mut scope = Scope::default();
        let mut reader = sequence(&list).filter(|_| rest.is_empty())?.reader();
        while !reader.is_empty() {
            let field = reader.next().ok()?;
            let set = field.content.iter().any(|octet| *octet != 0);
            match (field.class, field.tag) {
                (Class::Context, 0) => scope.uris = uris(&field)?,
                (Class::Context, 1) => scope.users_only = set,
                (Class::Context, 2) => scope.cas_only = set,
                (Class::Context, 3) => scope.some_reasons = true,
                (Class::Context, 4) => scope.indirect = set,
                (Class::Context, 5) => scope.attributes_only = set,
                _ => return None,
            }
        }
        Some(scope)
    }
}

/// The URIs of a DistributionPointName; `Some(None)` when it is relative to the issuer.
#[allow(clippy::option_option)]
fn uris(point: &Element<'_>) -> Option<Option<Vec<Vec<u8>>>> {
    let (name, rest) = single(point.content)?;
    if !rest.is_empty() || !name.is_context(0) {
        return name.is_context(1).then_some(None);
    }
    let (mut reader, mut found) = (name.reader(), Vec::new());
    while !reader.is_empty() {
        let name = reader.next().ok()?;
        // GeneralName: uniformResourceIdentifier [6] IA5String.
        if name.is_context(6) && found.len() < MOST_NAMES {
            found.push(name.content.to_vec());
        }
    }
    Some(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::der::encode;
    use crate::cert::pem;
    use crate::clock::date;
    use proptest::prelude::*;

    const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

    pub(super) fn seq(parts: &[&[u8]]) -> Vec<u8> {
        encode(0x30, &parts.concat())
    }

    pub(super) fn ext(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
        let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
        seq(&[&encode(6, oid), critical, &encode(4, value)])
    }

    pub(super) fn entry(serial: &[u8], extensions: &[u8]) -> Vec<u8> {
        seq(&[&encode(2, serial), &encode(23, b"261101000000Z"), extensions])
    }

    pub(super) fn crl(entries: &[u8], extensions: &[u8]) -> Vec<u8> {
        let name = seq(&[]);
        let (from, to) = (encode(23, b"261120000000Z"), encode(23, b"261127000000Z"));
        let tbs = seq(&[&[2, 1, 1], ALGORITHM, &name, &from, &to, entries, extensions]);
        seq(&[&tbs, ALGORITHM, &encode(3, &[0, 1, 2])])
    }

    #[test]
    fn a_crl_says_what_stands_in_it() {
        let reason = seq(&[&ext(REASON_CODE, false, &[10, 1, 4])]);
        let entries = seq(&[&entry(&[0, 0xff, 1], &reason), &entry(&[7], &[])]);
        let uri = encode(0xa0, &encode(0xa0, &encode(0x86, b"http://crl.example/1.crl")));
        let idp = ext(ISSUING_DISTRIBUTION_POINT, true, &seq(&[&uri, &[0x81, 1, 0xff]]));
        let list = seq(&[&ext(CRL_NUMBER, false, &[2, 2, 0, 0x90]), &idp]);
        let der = crl(&entries, &encode(0xa0, &list));
        let crl = Crl::parse(&der).expect("a CRL");
        assert_eq!((crl.this_update, crl.next_update), (Some(date(2026, 11, 20)), Some(date(2026, 11, 27))));
        assert_eq!((crl.number, crl.delta, crl.unknown_critical), (&[0x90][..], false, false));
        let scope = crl.scope.as_ref().expect("a scope");
        assert!(scope.users_only && !scope.indirect);
        assert_eq!(scope.uris, Some(vec![b"http://crl.example/1.crl".to_vec()]));
        let found: Vec<_> = crl.revoked().map(|entry| entry.expect("an entry")).collect();
        let at = Some(date(2026, 11, 1));
        let expected = [Revoked { serial: &[0xff, 1], at, reason: 4 }, Revoked { serial: &[7], at, reason: 0 }];
        assert_eq!(found, expected);
        // The same from where they stand, one piece after the other.
        let piece = &der[crl.entries_at.clone()];
        let (first, length) = first_entry(piece).expect("an entry").expect("all of it");
        assert_eq!(first, expected[0]);
        assert_eq!(first_entry(&piece[length..]).map(|found| found.map(|(revoked, _)| revoked)), Ok(Some(expected[1])));
        assert_eq!((first_entry(&piece[..length - 1]), first_entry(&[])), (Ok(None), Ok(None)));
        assert!(first_entry(&[2, 1, 1]).is_err() && first_entry(&[0x30, 0x80]).is_err());
    }

    #[test]
    fn an_empty_crl_and_one_in_pem_are_read() {
        let bytes = crl(&[], &[]);
        assert_eq!(Crl::parse(&bytes).expect("a CRL").revoked().count(), 0);
        let text = format!("text before\r\n{}", pem::encode(&bytes).replace("CERTIFICATE", "X509 CRL"));
        assert_eq!(der(text.as_bytes()).as_deref(), Ok(&bytes[..]));
        assert_eq!(der(b"<html>"), Err(CrlError::NoCrl));
        assert_eq!(der(b"-----BEGIN X509 CRL-----\n????\n-----END X509 CRL-----"), Err(CrlError::NoCrl));
    }

    #[test]
    fn what_is_no_crl_is_said_to_be_none() {
        let good = crl(&[], &[]);
        assert_eq!(Crl::parse(&[]).err(), Some(CrlError::NoCrl));
        assert_eq!(Crl::parse(&[&good[..], &[0, 0]].concat()).err(), Some(CrlError::Trailing(2)));
        let garbled = crl(&seq(&[&entry(&[7], &[]), &[5, 0]]), &[]);
        let read: Vec<_> = Crl::parse(&garbled).expect("its head is good").revoked().collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1], Err(CrlError::Unreadable("revokedCertificates")));
        let number = ext(CRL_NUMBER, false, &[2, 1, 0x90]);
        let negative = crl(&[], &encode(0xa0, &seq(&[&number])));
        assert_eq!(Crl::parse(&negative).err(), Some(CrlError::Unreadable("CRL number")));
        let odd = crl(&[], &encode(0xa0, &seq(&[&ext(&[0x55, 0x1d, 99], true, &[])])));
        assert!(Crl::parse(&odd).expect("readable").unknown_critical);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
            let entries = seq(&[&entry(&[7], &seq(&[&ext(REASON_CODE, false, &[10, 1, 4])]))]);
            let mut bytes = crl(&entries, &encode(0xa0, &seq(&[&ext(CRL_NUMBER, false, &[2, 1, 9])])));
            let at = at.index(bytes.len());
            bytes[at] = octet;
            if let Ok(crl) = Crl::parse(&bytes) {
                let _ = (crl.revoked().count(), crl.signed_by(&[]));
            }
            let _ = der(&bytes);
        }
    }
}
