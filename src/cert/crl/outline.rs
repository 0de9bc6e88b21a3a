//! Where the parts of a CRL stand, told from its first bytes, so that one of 100 MB need not be in memory: what is left
//! when its entries are taken out is read as a CRL without entries.

use std::ops::Range;

use super::{Crl, CrlError};
use crate::cert::der::{Element, Reader, encode, tag};

/// How many of the first bytes are needed, all of them if there are less: what stands before the entries has some hundred.
pub const HEAD_BYTES: u64 = 64 << 10;
/// The most bytes behind the entries: extensions and signature have some hundred.
const MOST_BEHIND: u64 = 1 << 20;

/// Where the parts of a CRL stand, in bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// TBSCertList, the signed bytes.
    pub tbs_at: Range<u64>,
    /// The entries; empty when there are none.
    pub entries_at: Range<u64>,
    /// The fields before the list of the entries.
    fields_at: Range<u64>,
    has_list: bool,
}

/// Where the content of a SEQUENCE begins and ends; `from`: where it begins itself.
fn sequence(head: &[u8], from: u64) -> Option<Range<u64>> {
    let bytes = head.get(usize::try_from(from).ok()?..)?;
    let (identifier, first, rest) = (bytes.first()?, *bytes.get(1)?, bytes.get(2..)?);
    // X.690 8.1.3: the short form of a length, or as many octets of it as the first one says.
    let (octets, length) = match first {
        0..=0x7f => (0, u64::from(first)),
        0x81..=0x84 => {
            let octets = usize::from(first & 0x7f);
            (octets, rest.get(..octets)?.iter().fold(0, |length, octet| length << 8 | u64::from(*octet)))
        }
        _ => return None,
    };
    let start = from + 2 + octets as u64;
    (*identifier == 0x30).then_some(start..start + length)
}

impl Outline {
    /// Reads the first [`HEAD_BYTES`] of a CRL of `size` bytes.
    ///
    /// # Errors
    /// Where the structure cannot be followed.
    pub fn read(head: &[u8], size: u64) -> Result<Outline, CrlError> {
        let whole = sequence(head, 0).filter(|whole| whole.end <= size).ok_or(CrlError::NoCrl)?;
        if whole.end < size {
            return Err(CrlError::Trailing(usize::try_from(size - whole.end).unwrap_or(usize::MAX)));
        }
        let tbs = sequence(head, whole.start).filter(|tbs| tbs.end <= whole.end);
        let tbs = tbs.ok_or(CrlError::Unreadable("tbsCertList"))?;
        let seen = (tbs.end as usize).min(head.len());
        let mut reader = Reader::new(&head[tbs.start as usize..seen]);
        let unreadable = |what| move |_| CrlError::Unreadable(what);
        if reader.peek().is_some_and(|version| version.is(tag::INTEGER, false)) {
            reader.next().map_err(unreadable("version"))?;
        }
        for what in ["signature algorithm", "issuer", "thisUpdate"] {
            reader.next().map_err(unreadable(what))?;
        }
        let is_time = |e: &Element<'_>| e.is(tag::UTC_TIME, false) || e.is(tag::GENERALIZED_TIME, false);
        if reader.peek().as_ref().is_some_and(is_time) {
            reader.next().map_err(unreadable("nextUpdate"))?;
        }
        let list_at = (seen - reader.rest().len()) as u64;
        let fields_at = tbs.start..list_at;
        let has_list = list_at < tbs.end && reader.rest().first() == Some(&0x30);
        let entries_at = match has_list {
            true => sequence(head, list_at).filter(|list| list.end <= tbs.end),
            false => Some(list_at..list_at),
        };
        let entries_at = entries_at.ok_or(CrlError::Unreadable("revokedCertificates"))?;
        if size - entries_at.end > MOST_BEHIND {
            return Err(CrlError::Unreadable("crlExtensions"));
        }
        Ok(Outline { tbs_at: whole.start..tbs.end, entries_at, fields_at, has_list })
    }

    /// The CRL without its entries, for [`Crl::parse`]. `head` is what was read, `behind` all that stands behind them.
    pub fn without_entries(&self, head: &[u8], behind: &[u8]) -> Vec<u8> {
        let fields = &head[self.fields_at.start as usize..self.fields_at.end as usize];
        let list: &[u8] = if self.has_list { &[0x30, 0] } else { &[] };
        let (of_tbs, of_whole) = behind.split_at(((self.tbs_at.end - self.entries_at.end) as usize).min(behind.len()));
        encode(0x30, &[&encode(0x30, &[fields, list, of_tbs].concat()), of_whole].concat())
    }
}

impl<'a> Crl<'a> {
    /// The same CRL, of which the signed bytes and the entries were read elsewhere: their digest, and what is wrong with an
    /// entry.
    pub fn with_entries(
        mut self,
        outline: &Outline,
        digest: aws_lc_rs::digest::Digest,
        fault: Option<CrlError>,
    ) -> Crl<'a> {
        if outline.has_list {
            self.entries_at = outline.entries_at.start as usize..outline.entries_at.end as usize;
        }
        self.elsewhere = Some((digest, fault));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{crl, entry, ext, seq};
    use super::*;

    /// The parts of a CRL as the outline tells them, or that there are none.
    fn parts(der: &[u8]) -> Option<(Range<u64>, Range<u64>, Vec<u8>)> {
        let outline = Outline::read(&der[..der.len().min(HEAD_BYTES as usize)], der.len() as u64).ok()?;
        let without = outline.without_entries(der, &der[outline.entries_at.end as usize..]);
        Some((outline.tbs_at, outline.entries_at, without))
    }

    fn agree(der: &[u8]) -> bool {
        let found = parts(der);
        let (short, whole) = (found.as_ref().map(|(.., without)| Crl::parse(without)), Crl::parse(der));
        match (short, whole) {
            (Some(Ok(short)), Ok(whole)) => {
                let (tbs_at, entries_at, _) = found.as_ref().expect("parts");
                assert_eq!(&der[tbs_at.start as usize..tbs_at.end as usize], whole.tbs);
                if !whole.entries_at.is_empty() {
                    assert_eq!(*entries_at, whole.entries_at.start as u64..whole.entries_at.end as u64);
                }
                let told = |crl: &Crl<'_>| {
                    let bytes = [crl.algorithm, crl.signature, crl.issuer, crl.number].map(<[u8]>::to_vec);
                    let scope = (crl.scope.clone(), crl.delta, crl.unknown_critical);
                    (bytes, crl.this_update, crl.next_update, scope)
                };
                assert_eq!(told(&short), told(&whole));
                true
            }
            (None | Some(Err(_)), Err(_)) => false,
            (short, whole) => panic!("{short:?} is not {whole:?}: {}", hex::encode(der)),
        }
    }

    #[test]
    fn a_crl_is_read_alike_with_its_entries_and_without() {
        let number = encode(0xa0, &seq(&[&ext(super::super::CRL_NUMBER, false, &[2, 1, 9])]));
        let many: Vec<u8> = (0..20_u8).flat_map(|serial| entry(&[serial + 1], &[])).collect();
        for entries in [Vec::new(), seq(&[]), seq(&[&entry(&[7], &[])]), seq(&[&many])] {
            for extensions in [Vec::new(), number.clone()] {
                let good = crl(&entries, &extensions);
                assert!(agree(&good));
                let mut read = 0;
                for at in 0..good.len() {
                    assert!(!agree(&good[..at]), "cut at {at}");
                    for octet in [0, 1, 2, 0x17, 0x18, 0x30, 0x7f, 0x80, 0x81, 0x82, 0xa0, 0xff, good[at] ^ 1] {
                        let mut changed = good.clone();
                        changed[at] = octet;
                        read += usize::from(agree(&changed));
                    }
                }
                assert!(read > 100, "{read}");
                assert!(!agree(&[&good[..], &[0]].concat()));
            }
        }
    }

    #[test]
    fn what_stands_behind_the_entries_is_bounded() {
        let good = crl(&seq(&[&entry(&[7], &[])]), &[]);
        let long = encode(0x30, &[&good[4..], &vec![0; 2 << 20]].concat());
        assert!(Outline::read(&long[..HEAD_BYTES as usize], long.len() as u64).is_err());
    }
}
