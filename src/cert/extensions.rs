//! What stands inside the extensions of a Subscriber Certificate. Every reader takes the content octets of extnValue and
//! answers `None` when they are not what RFC 5280 4.2 says they are.

use crate::cert::GeneralName;
use crate::cert::der::{Element, Reader, single, tag};

/// Most elements that are read of one extension; real ones have fewer than 10.
const MAX_ELEMENTS: usize = 256;

/// An AccessDescription of RFC 5280 4.2.2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessDescription {
    /// Content octets of accessMethod.
    pub method: Vec<u8>,
    /// accessLocation.
    pub location: GeneralName,
}

/// A PolicyInformation of RFC 5280 4.2.1.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Content octets of policyIdentifier.
    pub oid: Vec<u8>,
    /// Of each qualifier, the content octets of policyQualifierId and the element `qualifier`, full TLV.
    pub qualifiers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A DistributionPoint of RFC 5280 4.2.1.13.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistributionPoint {
    /// fullName; `None` when there is none.
    pub full_name: Option<Vec<GeneralName>>,
    /// Whether there is nameRelativeToCRLIssuer.
    pub relative_name: bool,
    /// Whether there is reasons.
    pub reasons: bool,
    /// Whether there is cRLIssuer.
    pub crl_issuer: bool,
}

/// What basicConstraints encodes (RFC 5280 4.2.1.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasicConstraints {
    /// cA as encoded; `None` when left to its default FALSE.
    pub ca: Option<bool>,
    /// Whether pathLenConstraint is there.
    pub path_len: bool,
}

/// The elements of the one SEQUENCE in `value`.
fn sequence(value: &[u8]) -> Option<Vec<Element<'_>>> {
    let (outer, rest) = single(value)?;
    (outer.is_sequence() && rest.is_empty()).then(|| elements(outer.reader())).flatten()
}

fn elements(mut reader: Reader<'_>) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !reader.is_empty() {
        if found.len() >= MAX_ELEMENTS {
            return None;
        }
        found.push(reader.next().ok()?);
    }
    Some(found)
}

fn oid(element: &Element<'_>) -> Option<Vec<u8>> {
    element.is(tag::OID, false).then(|| element.content.to_vec())
}

fn general_name(e: &Element<'_>) -> GeneralName {
    GeneralName { class: e.class, constructed: e.constructed, tag: e.tag, value: e.content.to_vec() }
}

/// AuthorityInfoAccessSyntax (RFC 5280 4.2.2.1).
pub fn access_descriptions(value: &[u8]) -> Option<Vec<AccessDescription>> {
    let descriptions = sequence(value)?.into_iter().map(|description| {
        let [method, location] = sequence(description.raw)?.try_into().ok()?;
        Some(AccessDescription { method: oid(&method)?, location: general_name(&location) })
    });
    descriptions.collect()
}

/// CertificatePolicies (RFC 5280 4.2.1.4).
pub fn policies(value: &[u8]) -> Option<Vec<Policy>> {
    let policies = sequence(value)?.into_iter().map(|policy| {
        let fields = sequence(policy.raw)?;
        let qualifiers = match fields.get(1) {
            None => Vec::new(),
            Some(list) => sequence(list.raw)?.iter().map(qualifier).collect::<Option<_>>()?,
        };
        (fields.len() <= 2).then_some(())?;
        Some(Policy { oid: oid(fields.first()?)?, qualifiers })
    });
    policies.collect()
}

fn qualifier(element: &Element<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let [id, qualifier] = sequence(element.raw)?.try_into().ok()?;
    Some((oid(&id)?, qualifier.raw.to_vec()))
}

/// CRLDistributionPoints (RFC 5280 4.2.1.13).
pub fn distribution_points(value: &[u8]) -> Option<Vec<DistributionPoint>> {
    sequence(value)?.iter().map(distribution_point).collect()
}

fn distribution_point(element: &Element<'_>) -> Option<DistributionPoint> {
    let mut point = DistributionPoint::default();
    for field in sequence(element.raw)? {
        match field {
            f if f.is_context(0) && f.constructed => {
                for name in elements(f.reader())? {
                    match name {
                        n if n.is_context(0) && n.constructed => {
                            point.full_name = Some(elements(n.reader())?.iter().map(general_name).collect());
                        }
                        n if n.is_context(1) => point.relative_name = true,
                        _ => return None,
                    }
                }
            }
            f if f.is_context(1) => point.reasons = true,
            f if f.is_context(2) => point.crl_issuer = true,
            _ => return None,
        }
    }
    Some(point)
}

/// The bits of keyUsage (RFC 5280 4.2.1.3): bit n of the answer is bit n of the BIT STRING, 0 digitalSignature to
/// 8 decipherOnly. Bits after 15 are not read.
pub fn key_usage(value: &[u8]) -> Option<u16> {
    let (bits, rest) = single(value)?;
    let (_, octets) = bits.content.split_first()?;
    (bits.is(tag::BIT_STRING, false) && rest.is_empty()).then_some(())?;
    let octet = |at: usize| octets.get(at).copied().unwrap_or(0).reverse_bits();
    Some(u16::from_le_bytes([octet(0), octet(1)]))
}

/// BasicConstraints (RFC 5280 4.2.1.9); any BOOLEAN but 00 is TRUE.
pub fn basic_constraints(value: &[u8]) -> Option<BasicConstraints> {
    let mut constraints = BasicConstraints::default();
    for (at, field) in sequence(value)?.iter().enumerate() {
        match field {
            f if at == 0 && f.is(tag::BOOLEAN, false) => constraints.ca = Some(f.content.iter().any(|b| *b != 0)),
            f if f.is(tag::INTEGER, false) && !constraints.path_len => constraints.path_len = true,
            _ => return None,
        }
    }
    Some(constraints)
}

/// Tag numbers of the fields in an AuthorityKeyIdentifier (RFC 5280 4.2.1.1): 0 keyIdentifier, 1 authorityCertIssuer,
/// 2 authorityCertSerialNumber.
pub fn authority_key_id_fields(value: &[u8]) -> Option<Vec<u32>> {
    let fields = sequence(value)?.into_iter();
    fields.map(|field| (field.is_context(field.tag) && field.tag <= 2).then_some(field.tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::der::{Class, encode};
    use proptest::prelude::*;

    fn seq(parts: &[&[u8]]) -> Vec<u8> {
        encode(0x30, &parts.concat())
    }

    #[test]
    fn each_extension_is_read_back() {
        let uri = encode(0x86, b"http://a");
        let ocsp = encode(6, &[0x2b, 6, 1, 5, 5, 7, 48, 1]);
        let access = access_descriptions(&seq(&[&seq(&[&ocsp, &uri])])).expect("AIA");
        assert_eq!((access.len(), access[0].location.tag), (1, 6));
        assert_eq!(access[0].location.class, Class::Context);

        let (dv, cps) = (encode(6, &[0x67, 0x81, 0x0c, 1, 2, 1]), encode(6, &[0x2b, 6, 1, 5, 5, 7, 2, 1]));
        let qualified = seq(&[&seq(&[&dv, &seq(&[&seq(&[&cps, &encode(22, b"http://a")])])])]);
        let found = policies(&qualified).expect("policies");
        assert_eq!((found[0].oid.as_slice(), found[0].qualifiers.len()), (&[0x67, 0x81, 0x0c, 1, 2, 1][..], 1));

        let point = seq(&[&encode(0xa0, &encode(0xa0, &uri)), &encode(0x81, &[1, 2]), &encode(0xa2, &uri)]);
        let points = distribution_points(&seq(&[&point])).expect("points");
        assert_eq!(points[0].full_name.as_ref().map(Vec::len), Some(1));
        assert!(points[0].reasons && points[0].crl_issuer && !points[0].relative_name);

        assert_eq!(key_usage(&[3, 2, 5, 0xa0]), Some(0b101));
        assert_eq!(key_usage(&[3, 3, 7, 0x06, 0x80]), Some(1 << 5 | 1 << 6 | 1 << 8));
        assert_eq!(basic_constraints(&[0x30, 0]), Some(BasicConstraints { ca: None, path_len: false }));
        let full = basic_constraints(&[0x30, 6, 1, 1, 0, 2, 1, 0]);
        assert_eq!(full, Some(BasicConstraints { ca: Some(false), path_len: true }));
        assert_eq!(authority_key_id_fields(&[0x30, 4, 0x80, 0, 0x82, 0]), Some(vec![0, 2]));
    }

    #[test]
    fn what_is_something_else_is_not_read() {
        assert_eq!(access_descriptions(&[5, 0]), None);
        assert_eq!(access_descriptions(&[0x30, 2, 5, 0]), None);
        assert_eq!(policies(&[0x30, 2, 0x30, 0]), None);
        assert_eq!(distribution_points(&[0x30, 4, 0x30, 2, 5, 0]), None);
        assert_eq!(key_usage(&[3, 0]), None);
        assert_eq!(basic_constraints(&[0x30, 2, 5, 0]), None);
        assert_eq!(authority_key_id_fields(&[0x30, 2, 5, 0]), None);
        assert_eq!(authority_key_id_fields(&[0x30, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (access_descriptions(&bytes), policies(&bytes), distribution_points(&bytes));
            let _ = (key_usage(&bytes), basic_constraints(&bytes), authority_key_id_fields(&bytes));
        }
    }
}
