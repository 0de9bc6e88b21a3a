//! A reader of DER elements that is strict about where it may look and lax about form.
//!
//! A certificate that breaks the encoding rules is exactly the one a monitor must still be able to read, so the
//! reader goes on wherever the next element can be found and leaves a sentence about what was wrong. It never
//! allocates by a length it read, never recurses deeper than [`MAX_DEPTH`], and never panics.

/// Deepest nesting that [`encoding_defects`] follows; real certificates stay below 12.
pub const MAX_DEPTH: usize = 24;
/// Most defects that are described; one is enough to be a finding.
pub const MAX_DEFECTS: usize = 16;

/// Tag classes of X.690 8.1.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Universal: the types of ASN.1 itself.
    Universal,
    /// Application.
    Application,
    /// Context-specific: the `[n]` of a definition.
    Context,
    /// Private.
    Private,
}

/// Universal tag numbers that certificates use.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u32 = 1;
    /// INTEGER.
    pub const INTEGER: u32 = 2;
    /// BIT STRING.
    pub const BIT_STRING: u32 = 3;
    /// OCTET STRING.
    pub const OCTET_STRING: u32 = 4;
    /// OBJECT IDENTIFIER.
    pub const OID: u32 = 6;
    /// SEQUENCE.
    pub const SEQUENCE: u32 = 16;
    /// SET.
    pub const SET: u32 = 17;
    /// UTCTime.
    pub const UTC_TIME: u32 = 23;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u32 = 24;
}

/// One element: tag, and content octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Class of the tag.
    pub class: Class,
    /// Whether the constructed bit is set.
    pub constructed: bool,
    /// Tag number.
    pub tag: u32,
    /// The whole element with its header.
    pub raw: &'a [u8],
    /// The content octets.
    pub content: &'a [u8],
    /// Whether the length was encoded in more octets than it needs (X.690 10.1), or the tag number was.
    pub long_header: bool,
}

impl<'a> Element<'a> {
    /// Whether it is a universal element of this tag number with the constructed bit as given.
    pub fn is(&self, tag: u32, constructed: bool) -> bool {
        self.class == Class::Universal && self.tag == tag && self.constructed == constructed
    }
    /// Whether it is a SEQUENCE.
    pub fn is_sequence(&self) -> bool {
        self.is(tag::SEQUENCE, true)
    }
    /// Whether it is context-specific with this number.
    pub fn is_context(&self, number: u32) -> bool {
        self.class == Class::Context && self.tag == number
    }
    /// A reader over the content.
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.content)
    }
}

/// Why the next element cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The input ends inside a header or before the content is complete.
    #[error("the input ends inside an element")]
    Truncated,
    /// X.690 10.1: "The definite form of length encoding shall be used".
    #[error("indefinite length")]
    Indefinite,
    /// A length of more than four octets or a tag number above 2^28.
    #[error("a tag or length too large for any certificate")]
    TooLarge,
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }
    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// The next element without moving on.
    pub fn peek(&self) -> Option<Element<'a>> {
        let mut copy = *self;
        copy.next().ok()
    }
    /// The next element; at an error the reader stays where it is.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Element<'a>, DerError> {
        let bytes = self.rest;
        let first = *bytes.first().ok_or(DerError::Truncated)?;
        let class = match first >> 6 {
            0 => Class::Universal,
            1 => Class::Application,
            2 => Class::Context,
            _ => Class::Private,
        };
        let mut at = 1;
        let mut long_header = false;
        let mut tag = u32::from(first & 0x1f);
        if tag == 0x1f {
            tag = 0;
            loop {
                let octet = *bytes.get(at).ok_or(DerError::Truncated)?;
                if at > 4 {
                    return Err(DerError::TooLarge);
                }
                long_header |= at == 1 && octet == 0x80;
                at += 1;
                tag = tag << 7 | u32::from(octet & 0x7f);
                if octet & 0x80 == 0 {
                    break;
                }
            }
            long_header |= tag < 0x1f;
        }
        let octet = *bytes.get(at).ok_or(DerError::Truncated)?;
        at += 1;
        let length = match octet {
            0..=0x7f => usize::from(octet),
            0x80 => return Err(DerError::Indefinite),
            _ => {
                let count = usize::from(octet & 0x7f);
                let octets = bytes.get(at..at.saturating_add(count)).ok_or(DerError::Truncated)?;
                at += count;
                let significant = octets.iter().position(|b| *b != 0).map_or(&octets[count..], |i| &octets[i..]);
                if significant.len() > 4 {
                    return Err(DerError::TooLarge);
                }
                let length = significant.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
                long_header |= significant.len() != count || length < 0x80;
                usize::try_from(length).map_err(|_| DerError::TooLarge)?
            }
        };
        let end = at.checked_add(length).ok_or(DerError::TooLarge)?;
        let raw = bytes.get(..end).ok_or(DerError::Truncated)?;
        self.rest = &bytes[end..];
        Ok(Element { class, constructed: first & 0x20 != 0, tag, raw, content: &raw[at..], long_header })
    }
}

/// The only element of `bytes`; `None` when there is none. Bytes after it are returned too.
pub fn single(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let mut reader = Reader::new(bytes);
    let element = reader.next().ok()?;
    Some((element, reader.rest()))
}

/// The identifier and length octets of an element in DER, followed by `content`.
pub fn encode(identifier: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(identifier);
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1)..];
    match significant {
        [octet @ 0..=0x7f] => out.push(*octet),
        octets => {
            out.push(0x80 | octets.len() as u8);
            out.extend_from_slice(octets);
        }
    }
    out.extend_from_slice(content);
    out
}

/// Walks through all of `bytes` and describes what breaks the Distinguished Encoding Rules: where a decoder that is
/// less lax than ours would refuse, and two decoders may see different things.
pub fn encoding_defects(bytes: &[u8], place: &str) -> Vec<String> {
    let mut defects = Vec::new();
    walk(bytes, place, 0, &mut defects);
    defects
}

fn walk(bytes: &[u8], place: &str, depth: usize, defects: &mut Vec<String>) {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() && defects.len() < MAX_DEFECTS {
        let element = match reader.next() {
            Ok(element) => element,
            Err(error) => return defects.push(format!("{place}: {error}")),
        };
        // X.690 10.1: "The definite form of length encoding shall be used, encoded in the minimum number of octets."
        if element.long_header {
            defects.push(format!("{place}: a tag or length that is not encoded in the fewest octets"));
        }
        if element.class == Class::Universal
            && let Some(defect) = primitive_defect(&element)
        {
            defects.push(format!("{place}: {defect}"));
        }
        if element.constructed {
            if depth >= MAX_DEPTH {
                return defects.push(format!("{place}: nested more than {MAX_DEPTH} deep"));
            }
            walk(element.content, place, depth + 1, defects);
        }
    }
}

fn primitive_defect(element: &Element<'_>) -> Option<&'static str> {
    let constructed_type = matches!(element.tag, tag::SEQUENCE | tag::SET);
    if element.constructed != constructed_type {
        // X.690 10.2: "For bitstring, octetstring and restricted character string types, the constructed form of
        // encoding shall not be used."
        return Some("a universal type with the wrong constructed bit");
    }
    match (element.tag, element.content) {
        // X.690 11.1: "If the encoding represents the boolean value TRUE, its single contents octet shall have all
        // eight bits set to one."
        (tag::BOOLEAN, [0] | [0xff]) => None,
        (tag::BOOLEAN, _) => Some("a BOOLEAN that is neither 00 nor FF"),
        (tag::INTEGER, []) => Some("an INTEGER without octets"),
        // X.690 8.3.2: the first nine bits "shall not all be ones; and shall not all be zero".
        (tag::INTEGER, [0, next, ..]) if *next < 0x80 => Some("an INTEGER that is not encoded in the fewest octets"),
        (tag::INTEGER, [0xff, next, ..]) if *next >= 0x80 => {
            Some("an INTEGER that is not encoded in the fewest octets")
        }
        (tag::BIT_STRING, []) => Some("a BIT STRING without octets"),
        (tag::BIT_STRING, [8..=255, ..]) => Some("a BIT STRING with more than 7 unused bits"),
        // X.690 11.2.1: "Each unused bit in the final octet of the encoding of a bit string value shall be set to
        // zero."
        (tag::BIT_STRING, [unused @ 1..=7, .., last]) if last & ((1 << unused) - 1) != 0 => {
            Some("a BIT STRING whose unused bits are not zero")
        }
        (tag::OID, []) => Some("an OBJECT IDENTIFIER without octets"),
        (tag::OID, [.., last]) if last & 0x80 != 0 => Some("an OBJECT IDENTIFIER that ends inside a number"),
        _ => None,
    }
}

/// The dotted form of the content octets of an OBJECT IDENTIFIER; numbers above 2^64 are shown as `?`.
pub fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<Option<u64>> = Vec::new();
    let mut number = Some(0u64);
    for octet in oid.iter().take(64) {
        number = number.filter(|n| *n < 1 << 57).map(|n| n << 7 | u64::from(octet & 0x7f));
        if octet & 0x80 == 0 {
            if numbers.is_empty() {
                let first = number.map(|n| (n / 40).min(2));
                numbers.push(first);
                number = number.zip(first).map(|(n, f)| n - 40 * f);
            }
            numbers.push(number);
            number = Some(0);
        }
    }
    let text: Vec<String> = numbers.iter().map(|n| n.map_or("?".to_string(), |n| n.to_string())).collect();
    text.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_all_forms() {
        let (short, rest) = single(&[0x30, 2, 5, 0, 9]).expect("a SEQUENCE");
        assert!(short.is_sequence() && !short.long_header);
        assert_eq!((short.content, rest), (&[5u8, 0][..], &[9u8][..]));
        let (long, _) = single(&[0x04, 0x82, 0, 1, 7]).expect("two length octets where one would do");
        assert!(long.long_header && long.content == [7]);
        let (high, _) = single(&[0x9f, 0x81, 0x00, 0]).expect("tag 128");
        assert_eq!((high.class, high.tag, high.long_header), (Class::Context, 128, false));
        assert_eq!(Reader::new(&[0x30, 0x80, 0, 0]).next(), Err(DerError::Indefinite));
        assert_eq!(Reader::new(&[0x30, 0x85, 1, 0, 0, 0, 0]).next(), Err(DerError::TooLarge));
        assert_eq!(Reader::new(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).next(), Err(DerError::Truncated));
        assert_eq!(Reader::new(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]).next(), Err(DerError::TooLarge));
        assert_eq!(Reader::new(&[]).next(), Err(DerError::Truncated));
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let der = encode(0x30, &vec![5; length]);
            let (element, rest) = single(&der).expect("own encoding");
            assert!(element.content.len() == length && rest.is_empty() && !element.long_header, "{length}");
        }
    }

    #[test]
    fn defects_are_named() {
        for (der, word) in [
            (&[0x01, 1, 1][..], "BOOLEAN"),
            (&[0x02, 2, 0, 1], "INTEGER"),
            (&[0x02, 0], "INTEGER without"),
            (&[0x03, 2, 1, 1], "unused bits"),
            (&[0x06, 2, 0x2a, 0x80], "OBJECT IDENTIFIER"),
            (&[0x24, 2, 4, 0], "constructed"),
            (&[0x30, 0x81, 0], "fewest"),
            (&[0x30, 3, 2, 1], "ends inside"),
        ] {
            let defects = encoding_defects(der, "here");
            assert!(defects.iter().any(|d| d.starts_with("here: ") && d.contains(word)), "{der:?} {defects:?}");
        }
        assert_eq!(encoding_defects(&[0x30, 6, 1, 1, 0xff, 2, 1, 0x80], "here"), Vec::<String>::new());
        let deep = (0..100).fold(vec![5, 0], |inner, _| encode(0x30, &inner));
        assert!(encoding_defects(&deep, "here")[0].contains("nested"));
    }

    #[test]
    fn object_identifiers_are_shown_dotted() {
        assert_eq!(dotted(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        assert_eq!(dotted(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3]), "1.3.6.1.4.1.11129.2.4.3");
        assert_eq!(dotted(&[0x88, 0x37, 1]), "2.999.1");
        assert!(dotted(&[0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).contains('?'));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while reader.next().is_ok() {}
            let _ = (encoding_defects(&bytes, "x"), dotted(&bytes));
        }
    }
}
