//! Names in certificates: the bytes as found, never normalised before they are judged.

use crate::cert::der::{Class, Reader, dotted, tag};
use crate::finding::escape;

/// Most octets of one name that are shown to people.
const SHOWN_OCTETS: usize = 300;
/// Most attributes of a distinguished name that are read; real ones have fewer than 20.
const MAX_ATTRIBUTES: usize = 256;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// The octets of a dNSName, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(pub Vec<u8>);

impl DnsName {
    /// From text, for names that do not come from a certificate.
    pub fn new(text: &str) -> DnsName {
        DnsName(text.as_bytes().to_vec())
    }
    /// The octets.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// The labels between the dots, from left to right; an empty name has one empty label, and a trailing dot
    /// leaves an empty label at the end.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'.')
    }
    /// The label farthest right.
    pub fn last_label(&self) -> &[u8] {
        self.labels().next_back().unwrap_or_default()
    }
    /// Whether it is `zone` or a name below it, at a label boundary and whatever the case of ASCII letters.
    pub fn is_under(&self, zone: &str) -> bool {
        let (name, zone) = (&self.0, zone.as_bytes());
        let Some(start) = name.len().checked_sub(zone.len()) else { return false };
        name[start..].eq_ignore_ascii_case(zone) && (start == 0 || name[start - 1] == b'.')
    }
    /// The FQDN portion of a wildcard name, or the name itself.
    pub fn strip_wildcard(&self) -> DnsName {
        DnsName(self.0.strip_prefix(b"*.").unwrap_or(&self.0).to_vec())
    }
    /// Whether it begins with `*.`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"*.")
    }
    /// Without `*.` before it and without one root dot behind it.
    pub fn without_edges(&self) -> &[u8] {
        let fqdn = self.0.strip_prefix(b"*.").unwrap_or(&self.0);
        if fqdn.len() > 1 { fqdn.strip_suffix(b".").unwrap_or(fqdn) } else { fqdn }
    }
    /// Whether there is nothing remarkable in how it is written: at most 253 octets, without `*.` nothing but labels of
    /// 1 to 63 letters, digits and hyphens, no hyphen first, last or twice at the third place, the last label of
    /// letters and neither `onion` nor `arpa`. Such a name is no address, no pattern and nobody's special case.
    pub fn is_plain(&self) -> bool {
        let fqdn = self.0.strip_prefix(b"*.").unwrap_or(&self.0);
        let ldh = |label: &[u8]| {
            let (Some(first), Some(last)) = (label.first(), label.last()) else { return false };
            let edges = *first != b'-' && *last != b'-' && label.get(2..4) != Some(b"--");
            edges && label.len() <= 63 && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        };
        let top = self.last_label();
        let special = top.eq_ignore_ascii_case(b"onion") || top.eq_ignore_ascii_case(b"arpa");
        self.0.len() <= 253
            && !special
            && top.iter().all(u8::is_ascii_alphabetic)
            && fqdn.split(|b| *b == b'.').all(ldh)
    }
    /// With ASCII letters in lower case; other octets stay.
    pub fn lower(&self) -> DnsName {
        DnsName(self.0.to_ascii_lowercase())
    }
    /// Safe to print: escaped and cut at 300 octets.
    pub fn text(&self) -> String {
        escape(&self.0, SHOWN_OCTETS)
    }
}

impl std::fmt::Display for DnsName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// A name that a subscriber certificate may be for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// A dNSName.
    Dns(DnsName),
    /// The octets of an iPAddress; 4 or 16 when well formed.
    Ip(Vec<u8>),
}

impl Identifier {
    /// Safe to print; an address of another length than 4 or 16 octets is shown in hexadecimal.
    pub fn text(&self) -> String {
        match self {
            Identifier::Dns(name) => name.text(),
            Identifier::Ip(octets) => ip_text(octets),
        }
    }
}

/// The text of an iPAddress: RFC 3986 3.2.2 for 4 octets, RFC 5952 4 for 16, hexadecimal for anything else.
pub fn ip_text(octets: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return std::net::Ipv4Addr::from(v4).to_string();
    }
    if let Ok(v6) = <[u8; 16]>::try_from(octets) {
        return std::net::Ipv6Addr::from(v6).to_string();
    }
    let shown = &octets[..octets.len().min(40)];
    format!("0x{}{}", hex::encode(shown), if shown.len() < octets.len() { "..." } else { "" })
}

/// A GeneralName of RFC 5280 4.2.1.6 as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralName {
    /// Class of its tag; context-specific when well formed.
    pub class: Class,
    /// The constructed bit.
    pub constructed: bool,
    /// The number of its tag: 2 dNSName, 7 iPAddress, ...
    pub tag: u32,
    /// Its content octets.
    pub value: Vec<u8>,
}

impl GeneralName {
    /// The identifier, when it is a well-formed dNSName or iPAddress: context class, primitive, tag 2 or 7.
    pub fn identifier(&self) -> Option<Identifier> {
        match (self.class, self.constructed, self.tag) {
            (Class::Context, false, 2) => Some(Identifier::Dns(DnsName(self.value.clone()))),
            (Class::Context, false, 7) => Some(Identifier::Ip(self.value.clone())),
            _ => None,
        }
    }
    /// The name of the choice in RFC 5280, or what stands in its place.
    pub fn kind(&self) -> String {
        const KINDS: [&str; 9] = [
            "otherName",
            "rfc822Name",
            "dNSName",
            "x400Address",
            "directoryName",
            "ediPartyName",
            "uniformResourceIdentifier",
            "iPAddress",
            "registeredID",
        ];
        match KINDS.get(self.tag as usize) {
            Some(kind) if self.class == Class::Context => (*kind).to_string(),
            _ => format!("{:?} tag {}", self.class, self.tag).to_lowercase(),
        }
    }
    /// Whether class, number and constructed bit are those of RFC 5280: IMPLICIT tags 0 to 8, constructed for
    /// otherName, x400Address, ediPartyName and for directoryName (a CHOICE, hence EXPLICIT).
    pub fn is_well_formed(&self) -> bool {
        self.class == Class::Context && self.tag <= 8 && self.constructed == matches!(self.tag, 0 | 3 | 4 | 5)
    }
    /// Safe to print: `dNSName www.example.com`.
    pub fn text(&self) -> String {
        match self.identifier() {
            Some(Identifier::Ip(octets)) => format!("iPAddress {}", ip_text(&octets)),
            _ if self.class == Class::Context && matches!(self.tag, 1 | 2 | 6) => {
                format!("{} {}", self.kind(), escape(&self.value, SHOWN_OCTETS))
            }
            _ => format!("{} {}", self.kind(), ip_text(&self.value)),
        }
    }
}

/// A commonName of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonName {
    /// The universal tag number of its string type: 12 UTF8String, 19 PrintableString, ...
    pub tag: u32,
    /// Its octets.
    pub value: Vec<u8>,
}

impl CommonName {
    /// The characters, or `None` when the octets are not of the string type they claim to be.
    pub fn text(&self) -> Option<String> {
        decode(self.tag, &self.value)
    }
    /// Safe to print.
    pub fn shown(&self) -> String {
        shown(self.tag, &self.value)
    }
}

/// Reads a DirectoryString or IA5String; TeletexString is taken as Latin-1, as every implementation does.
fn decode(string_tag: u32, octets: &[u8]) -> Option<String> {
    match string_tag {
        12 => String::from_utf8(octets.to_vec()).ok(),
        18 | 19 | 22 | 26 => octets.is_ascii().then(|| octets.iter().map(|b| *b as char).collect()),
        20 => Some(octets.iter().map(|b| *b as char).collect()),
        30 if octets.len().is_multiple_of(2) => {
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        28 if octets.len().is_multiple_of(4) => {
            octets.chunks_exact(4).map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]]))).collect()
        }
        _ => None,
    }
}

fn shown(string_tag: u32, octets: &[u8]) -> String {
    match decode(string_tag, octets) {
        Some(text) => escape(text.as_bytes(), SHOWN_OCTETS),
        None => escape(octets, SHOWN_OCTETS),
    }
}

/// An attribute of a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Content octets of its type.
    pub oid: &'a [u8],
    /// The universal tag number of its string type: 12 UTF8String, 19 PrintableString, 22 IA5String, ...
    pub tag: u32,
    /// Its octets.
    pub value: &'a [u8],
    /// Whether it is the first (by rights the only one) of its RelativeDistinguishedName.
    pub first_of_rdn: bool,
}

impl Attribute<'_> {
    /// The characters, or `None` when the octets are not of the string type they claim to be.
    pub fn text(&self) -> Option<String> {
        decode(self.tag, self.value)
    }
    /// Its short name (`CN`, `O`, ...) or the dotted form of its type.
    pub fn name(&self) -> String {
        attribute_name(self.oid)
    }
    /// Safe to print: `O=Example`.
    pub fn shown(&self) -> String {
        format!("{}={}", self.name(), shown(self.tag, self.value))
    }
}

/// The attributes of a Name (full TLV), in order; what cannot be read is left out (the defects say so).
pub fn attributes(name_der: &[u8]) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    let Some(name) = Reader::new(name_der).peek() else { return found };
    let mut rdns = name.reader();
    while let Ok(rdn) = rdns.next() {
        let mut pairs = rdn.reader();
        let mut first_of_rdn = true;
        while let Ok(pair) = pairs.next() {
            let mut reader = pair.reader();
            if let (Ok(oid), Ok(value)) = (reader.next(), reader.next())
                && oid.is(tag::OID, false)
            {
                found.push(Attribute { oid: oid.content, tag: value.tag, value: value.content, first_of_rdn });
                first_of_rdn = false;
            }
            if found.len() >= MAX_ATTRIBUTES {
                return found;
            }
        }
    }
    found
}

/// All commonNames of a Name, in order.
pub(super) fn common_names(name_der: &[u8]) -> Vec<CommonName> {
    let names = attributes(name_der).into_iter().filter(|a| a.oid == COMMON_NAME);
    names.map(|a| CommonName { tag: a.tag, value: a.value.to_vec() }).collect()
}

/// A Name as people write it, in the order of the certificate: `C=ES, O=Example, CN=www.example.com`; escaped.
pub fn name_text(name_der: &[u8]) -> String {
    let mut out = String::new();
    for attribute in attributes(name_der) {
        if !out.is_empty() {
            out.push_str(if attribute.first_of_rdn { ", " } else { " + " });
        }
        out.push_str(&attribute_name(attribute.oid));
        out.push('=');
        out.push_str(&shown(attribute.tag, attribute.value));
    }
    out
}

fn attribute_name(oid: &[u8]) -> String {
    let known = match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 4] => "SN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "street",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 15] => "businessCategory",
        [0x55, 4, 17] => "postalCode",
        [0x55, 4, 42] => "GN",
        [0x55, 4, 97] => "organizationIdentifier",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1] => "jurisdictionL",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2] => "jurisdictionST",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3] => "jurisdictionC",
        other => return dotted(other),
    };
    known.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_end_at_label_boundaries() {
        assert!(DnsName::new("4.3.2.1.IN-ADDR.ARPA").is_under("in-addr.arpa"));
        assert!(DnsName::new("in-addr.arpa").is_under("in-addr.arpa"));
        assert!(!DnsName::new("xin-addr.arpa").is_under("in-addr.arpa"));
        assert!(!DnsName::new("arpa").is_under("in-addr.arpa"));
        assert_eq!(DnsName::new("*.a.b").strip_wildcard(), DnsName::new("a.b"));
        assert_eq!(DnsName::new("a.b.").last_label(), b"");
        assert_eq!(DnsName::new("").labels().count(), 1);
        assert_eq!(DnsName(vec![b'A', 0xc3, b'\n']).lower().text(), "a\\xc3\\x0a");
    }

    #[test]
    fn addresses_are_shown_in_their_one_form() {
        assert_eq!(ip_text(&[192, 0, 2, 1]), "192.0.2.1");
        let mut v6 = [0; 16];
        (v6[0], v6[1], v6[15]) = (0x20, 0x01, 1);
        assert_eq!(ip_text(&v6), "2001::1");
        assert_eq!(ip_text(&[1, 2, 3, 4, 5]), "0x0102030405");
    }

    #[test]
    fn strings_of_all_types() {
        assert_eq!(decode(12, "ü".as_bytes()).as_deref(), Some("ü"));
        assert_eq!(decode(20, &[0xfc]).as_deref(), Some("ü"));
        assert_eq!(decode(30, &[0, b'a', 0, b'b']).as_deref(), Some("ab"));
        assert_eq!(decode(28, &[0, 0, 0, b'a']).as_deref(), Some("a"));
        assert_eq!(decode(30, &[0xd8, 0]), None);
        assert_eq!(decode(12, &[0xff]), None);
        assert_eq!(decode(19, &[0xff]), None);
        assert_eq!(decode(2, &[1]), None);
        assert_eq!(shown(12, &[0xff, b'a']), "\\xffa");
    }
}
