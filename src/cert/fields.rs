//! Finding the fields of a TBSCertificate (RFC 5280 4.1) in bytes that may be badly encoded.

use std::ops::Range;

use super::{Extension, oid};
use crate::cert::der::{Class, DerError, Element, MAX_DEFECTS, Reader, dotted, encoding_defects, tag};
use crate::clock::{Span, Timestamp, days_from_civil};

/// Largest certificate that is read: what RFC 6962 3.1 can carry (ASN.1Cert is `opaque<1..2^24-1>`), in octets.
pub const MAX_CERTIFICATE_BYTES: usize = (1 << 24) - 1;
/// Most extensions that are read; more is a defect. Real certificates have about ten.
const MAX_EXTENSIONS: usize = 256;

/// Why a certificate cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Above the size that a log can carry.
    #[error("the certificate has {0} octets, more than the 16777215 that a log can carry: not read")]
    TooLarge(usize),
    /// A field cannot be reached.
    #[error("not a certificate: cannot reach its {field} ({error}); give DER or PEM of one X.509 certificate")]
    Field {
        /// The field of RFC 5280 4.1.
        field: &'static str,
        /// What stands in the way.
        error: DerError,
    },
    /// What should hold the fields is something else.
    #[error("not a certificate: its {0} is not a SEQUENCE; give DER or PEM of one X.509 certificate")]
    NotSequence(&'static str),
}

/// Where the extensions stand in the TBSCertificate, for taking some out.
#[derive(Clone, Debug, Default)]
pub(super) struct ExtensionList {
    /// The content of the TBSCertificate before `[3]`.
    pub before: Range<usize>,
    /// The full TLV of each extension, in step with `Fields::extensions`.
    pub raw: Vec<Range<usize>>,
    /// What follows the extensions that could be read, within `[3]`.
    pub unread: Range<usize>,
    /// What follows `[3]` in the TBSCertificate; empty when well formed.
    pub after: Range<usize>,
}

/// Places and values of the fields.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub tbs: Range<usize>,
    pub serial: Range<usize>,
    pub issuer: Range<usize>,
    pub subject: Range<usize>,
    pub spki: Range<usize>,
    /// The AlgorithmIdentifier inside the TBSCertificate, full TLV.
    pub algorithm: Range<usize>,
    /// Whether the version field says v3, as its one DER encoding does.
    pub is_v3: bool,
    /// Tag numbers of what stands between subjectPublicKeyInfo and the extensions: 1 issuerUniqueID, 2 subjectUniqueID.
    pub unique_ids: Vec<u32>,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    /// What is wrong with the form of the two times.
    pub time_defects: Vec<String>,
    pub extensions: Vec<Extension>,
    pub extension_list: ExtensionList,
    /// signatureAlgorithm (full TLV) and the octets of signatureValue.
    pub signature: Option<(Range<usize>, Range<usize>)>,
    pub defects: Vec<String>,
}

/// The place of `part` in `whole`, of which it is a slice.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

fn field<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<Element<'a>, ParseError> {
    reader.next().map_err(|error| ParseError::Field { field, error })
}

impl Fields {
    /// Reads `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`.
    pub fn of_certificate(der: &[u8]) -> Result<Fields, ParseError> {
        let mut outer = Reader::new(der);
        let certificate = checked_sequence(&mut outer, der, "Certificate")?;
        let mut reader = certificate.reader();
        let tbs = field(&mut reader, "tbsCertificate")?;
        let mut fields = Fields::of_tbs_element(der, &tbs)?;
        if !outer.is_empty() {
            fields.note(format!("{} octets follow the certificate", outer.rest().len()));
        }
        if certificate.long_header {
            fields.note("the certificate's length is not encoded in the fewest octets");
        }
        let algorithm = reader.next();
        let value = reader.next();
        fields.signature = Some(match (algorithm, value) {
            (Ok(algorithm), Ok(value)) => {
                fields.note_all(encoding_defects(algorithm.raw, "signatureAlgorithm"));
                let bits = match value.content {
                    [0, octets @ ..] if value.is(tag::BIT_STRING, false) => octets,
                    _ => {
                        fields.note("signatureValue is not a BIT STRING of whole octets");
                        &[]
                    }
                };
                (place(der, algorithm.raw), if bits.is_empty() { 0..0 } else { place(der, bits) })
            }
            _ => {
                fields.note("signatureAlgorithm or signatureValue cannot be read");
                (0..0, 0..0)
            }
        });
        if !reader.is_empty() {
            fields.note(format!("{} octets follow signatureValue", reader.rest().len()));
        }
        Ok(fields)
    }

    /// Reads a TBSCertificate alone.
    pub fn of_tbs(der: &[u8]) -> Result<Fields, ParseError> {
        let mut outer = Reader::new(der);
        let tbs = checked_sequence(&mut outer, der, "tbsCertificate")?;
        let mut fields = Fields::of_tbs_element(der, &tbs)?;
        if !outer.is_empty() {
            fields.note(format!("{} octets follow the TBSCertificate", outer.rest().len()));
        }
        Ok(fields)
    }

    fn of_tbs_element(der: &[u8], tbs: &Element<'_>) -> Result<Fields, ParseError> {
        if !tbs.is_sequence() {
            return Err(ParseError::NotSequence("tbsCertificate"));
        }
        let mut defects = encoding_defects(tbs.raw, "tbsCertificate");
        let mut reader = tbs.reader();
        let mut serial = field(&mut reader, "serialNumber")?;
        let mut is_v3 = false;
        if serial.is_context(0) {
            is_v3 = serial.content == [2, 1, 2];
            serial = field(&mut reader, "serialNumber")?;
        }
        if !serial.is(tag::INTEGER, false) {
            defects.push("serialNumber is not an INTEGER".to_string());
        }
        let algorithm = field(&mut reader, "signature")?;
        let issuer = field(&mut reader, "issuer")?;
        let validity = field(&mut reader, "validity")?;
        let subject = field(&mut reader, "subject")?;
        let spki = field(&mut reader, "subjectPublicKeyInfo")?;
        for (element, what) in
            [(&issuer, "issuer"), (&validity, "validity"), (&subject, "subject"), (&spki, "subjectPublicKeyInfo")]
        {
            if !element.is_sequence() {
                defects.push(format!("{what} is not a SEQUENCE"));
            }
        }
        let mut time_defects = Vec::new();
        let mut times = validity.reader();
        let mut time = |what: &str| {
            let (moment, defect) = times.next().map_or((None, Some("is missing")), |element| read_time(&element));
            time_defects.extend(defect.map(|defect| format!("{what} {defect}")));
            moment
        };
        let (not_before, not_after) = (time("notBefore"), time("notAfter"));
        if !times.is_empty() {
            time_defects.push("validity has more than two elements".to_string());
        }
        let mut fields = Fields {
            tbs: place(der, tbs.raw),
            serial: place(der, serial.content),
            issuer: place(der, issuer.raw),
            subject: place(der, subject.raw),
            spki: place(der, spki.raw),
            algorithm: place(der, algorithm.raw),
            is_v3,
            unique_ids: Vec::new(),
            not_before,
            not_after,
            time_defects,
            extensions: Vec::new(),
            extension_list: ExtensionList::default(),
            signature: None,
            defects,
        };
        fields.read_tail(der, tbs, reader);
        fields.defects.truncate(MAX_DEFECTS);
        Ok(fields)
    }

    /// What follows subjectPublicKeyInfo: unique identifiers and extensions.
    fn read_tail(&mut self, der: &[u8], tbs: &Element<'_>, mut reader: Reader<'_>) {
        let content = place(der, tbs.content);
        self.extension_list.before = content.clone();
        self.extension_list.after = content.end..content.end;
        while let Some(element) = reader.peek() {
            let is_extensions = element.is_context(3) && element.constructed;
            if is_extensions {
                self.extension_list.before.end = place(der, element.raw).start;
                self.extension_list.after.start = place(der, element.raw).end;
                if reader.next().is_ok() && !reader.is_empty() {
                    self.note(format!("{} octets follow the extensions", reader.rest().len()));
                }
                return self.read_extensions(der, &element);
            }
            if element.class == Class::Context && matches!(element.tag, 1 | 2) && self.unique_ids.len() < 2 {
                self.unique_ids.push(element.tag);
            } else {
                self.note(format!("{:?} [{}] before the extensions", element.class, element.tag).to_lowercase());
            }
            if reader.next().is_err() {
                break;
            }
        }
        if !reader.is_empty() {
            self.note(format!("{} octets in the place of the extensions cannot be read", reader.rest().len()));
        }
    }

    fn read_extensions(&mut self, der: &[u8], wrapper: &Element<'_>) {
        let mut outer = wrapper.reader();
        let Ok(list) = outer.next() else {
            self.extension_list.unread = place(der, wrapper.content);
            return self.note("the extensions cannot be read");
        };
        if !list.is_sequence() || !outer.is_empty() {
            self.note("the extensions are not one SEQUENCE");
        }
        // RFC 5280 4.1: "Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension".
        if list.content.is_empty() {
            self.note("the SEQUENCE of extensions is empty");
        }
        let mut reader = list.reader();
        while !reader.is_empty() {
            let start = reader.rest();
            if self.extensions.len() >= MAX_EXTENSIONS {
                self.note(format!("more than {MAX_EXTENSIONS} extensions"));
                break;
            }
            match reader.next().ok().and_then(|element| self.read_extension(&element).map(|e| (element, e))) {
                Some((element, extension)) => {
                    self.extension_list.raw.push(place(der, element.raw));
                    self.extensions.push(extension);
                }
                None => {
                    self.note(format!("extension {} cannot be read", self.extensions.len() + 1));
                    reader = Reader::new(start);
                    break;
                }
            }
        }
        let unread = place(der, reader.rest());
        self.extension_list.unread = unread.start..place(der, wrapper.content).end.max(unread.start);
    }

    fn read_extension(&mut self, element: &Element<'_>) -> Option<Extension> {
        let mut reader = element.reader();
        let id = reader.next().ok()?;
        let mut value = reader.next().ok()?;
        let mut critical = false;
        let name = || dotted(id.content);
        if value.is(tag::BOOLEAN, false) {
            critical = value.content.iter().any(|b| *b != 0);
            // X.690 11.5: "The encoding of a set value or sequence value shall not include an encoding for any
            // component value which is equal to its default value."
            if !critical {
                self.note(format!("extension {} encodes the default critical FALSE", name()));
            }
            value = reader.next().ok()?;
        }
        if !element.is_sequence() || !id.is(tag::OID, false) || !value.is(tag::OCTET_STRING, false) {
            self.note(format!("extension {} is not SEQUENCE {{ OID, BOOLEAN, OCTET STRING }}", name()));
        }
        if !reader.is_empty() {
            self.note(format!("octets follow the value of extension {}", name()));
        }
        // The subjectAltName has a rule of its own; of the others, those of X.509 itself are known to hold DER.
        if id.content.starts_with(&[0x55, 0x1d]) && id.content != oid::SUBJECT_ALT_NAME {
            // Nearly all are well formed: the place is only named where one is not.
            if !encoding_defects(value.content, "").is_empty() {
                self.note_all(encoding_defects(value.content, &format!("extension {}", name())));
            }
            let mut inner = Reader::new(value.content);
            if inner.next().is_err() || !inner.is_empty() {
                self.note(format!("the value of extension {} is not one element", name()));
            }
        }
        Some(Extension { oid: id.content.to_vec(), critical, value: value.content.to_vec() })
    }

    fn note(&mut self, defect: impl Into<String>) {
        let defect = defect.into();
        if self.defects.len() < MAX_DEFECTS && !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }
    fn note_all(&mut self, defects: Vec<String>) {
        defects.into_iter().for_each(|defect| self.note(defect));
    }
}

fn checked_sequence<'a>(reader: &mut Reader<'a>, der: &[u8], what: &'static str) -> Result<Element<'a>, ParseError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(ParseError::TooLarge(der.len()));
    }
    let element = field(reader, what)?;
    if element.is_sequence() { Ok(element) } else { Err(ParseError::NotSequence(what)) }
}

/// A Time: the moment, if it can be understood at all, and what is wrong with its form.
pub(super) fn read_time(element: &Element<'_>) -> (Option<Timestamp>, Option<&'static str>) {
    let year_digits = match element.tag {
        tag::UTC_TIME if element.is(tag::UTC_TIME, false) => 2,
        tag::GENERALIZED_TIME if element.is(tag::GENERALIZED_TIME, false) => 4,
        _ => return (None, Some("is neither UTCTime nor GeneralizedTime")),
    };
    match lax_time(element.content, year_digits) {
        None => (None, Some("is not a time")),
        // RFC 5280 4.1.2.5.1 and 4.1.2.5.2: "MUST be expressed in Greenwich Mean Time (Zulu) and MUST include
        // seconds", "MUST NOT include fractional seconds".
        Some(moment) if element.content.len() != year_digits + 11 || !element.content.ends_with(b"Z") => {
            (Some(moment), Some("is not in the form of RFC 5280 4.1.2.5: seconds, Z, no fraction"))
        }
        // RFC 5280 4.1.2.5: "CAs conforming to this profile MUST always encode certificate validity dates through
        // the year 2049 as UTCTime".
        Some(moment) if year_digits == 4 && moment.year() < 2050 => {
            (Some(moment), Some("is GeneralizedTime before 2050"))
        }
        Some(moment) => (Some(moment), None),
    }
}

fn lax_time(text: &[u8], year_digits: usize) -> Option<Timestamp> {
    fn number(text: &[u8]) -> Option<i64> {
        text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    }
    let pair = |at: usize| number(text.get(at..at + 2)?);
    let y = year_digits;
    let year = match number(text.get(..y)?)? {
        // RFC 5280 4.1.2.5.1: "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY".
        yy if y == 2 => yy + if yy >= 50 { 1900 } else { 2000 },
        year => year,
    };
    let (month, day, hour, minute) = (pair(y)?, pair(y + 2)?, pair(y + 4)?, pair(y + 6)?);
    let (second, mut rest) = match pair(y + 8) {
        Some(second) => (second, &text[y + 10..]),
        None => (0, text.get(y + 8..)?),
    };
    if let [b'.' | b',', fraction @ ..] = rest {
        rest = &fraction[fraction.iter().position(|b| !b.is_ascii_digit()).unwrap_or(fraction.len())..];
    }
    let offset_minutes = match rest {
        b"Z" | b"" => 0,
        [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 => {
            let minutes = number(&digits[..2])? * 60 + number(&digits[2..])?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_from_civil(year, month as u8, day as u8) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_seconds(seconds).minus(Span::from_seconds(offset_minutes * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::der::{encode, single};

    fn time(identifier: u8, text: &str) -> (Option<String>, bool) {
        let der = encode(identifier, text.as_bytes());
        let (element, _) = single(&der).expect("own encoding");
        let (moment, defect) = read_time(&element);
        (moment.map(|m| m.to_string()), defect.is_some())
    }

    #[test]
    fn times_in_all_forms_that_issuers_have_used() {
        let at = |text: &str| Some(text.to_string());
        assert_eq!(time(23, "260315000000Z"), (at("2026-03-15T00:00:00Z"), false));
        assert_eq!(time(23, "500101000000Z"), (at("1950-01-01T00:00:00Z"), false));
        assert_eq!(time(24, "99991231235959Z"), (at("9999-12-31T23:59:59Z"), false));
        assert_eq!(time(24, "20260315000000Z"), (at("2026-03-15T00:00:00Z"), true));
        assert_eq!(time(23, "2603150000Z"), (at("2026-03-15T00:00:00Z"), true));
        assert_eq!(time(23, "260315020000+0200"), (at("2026-03-15T00:00:00Z"), true));
        assert_eq!(time(24, "20520315000000.5Z"), (at("2052-03-15T00:00:00Z"), true));
        for bad in
            ["261315000000Z", "260230000000Z", "260315240000Z", "", "2603150000", "26031500000é", "xx0315000000Z"]
        {
            let (moment, defect) = time(23, bad);
            assert!(defect && (moment.is_none() || bad == "2603150000"), "{bad}");
        }
        assert_eq!(time(4, "260315000000Z"), (None, true));
    }
}
