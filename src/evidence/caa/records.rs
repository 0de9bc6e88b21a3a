//! CAA and CNAME records in presentation format (RFC 1035 5.1, RFC 8659 4.1.1, RFC 3597 5), as dig and the DNS libraries
//! of CAs print them.

use crate::finding::escape;

/// The most records that are read of one text.
const RECORD_LIMIT: usize = 1_000;
/// Types that stand beside CAA records in an answer and say nothing here.
const BESIDE: [&str; 6] = ["RRSIG", "NSEC", "NSEC3", "SOA", "NS", "DNAME"];

/// A record that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner name in lower case without the last dot; `None` when the line has none.
    owner: Option<String>,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    Caa(Property),
    Alias(String),
}

/// A CAA property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Bit 0 of the flags, value 128.
    pub critical: bool,
    /// In lower case.
    pub tag: String,
    /// As it stands in the record.
    pub value: Vec<u8>,
}

impl Record {
    /// The property, if it belongs to this owner.
    pub(super) fn property_of(&self, owner: &str) -> Option<&Property> {
        match (&self.owner, &self.data) {
            (Some(own), Data::Caa(property)) if own == owner => Some(property),
            _ => None,
        }
    }
    /// The target of the CNAME record of this owner.
    pub(super) fn alias_of(&self, owner: &str) -> Option<&str> {
        match (&self.owner, &self.data) {
            (Some(own), Data::Alias(target)) if own == owner => Some(target),
            _ => None,
        }
    }
    /// The property of a line that names no owner: it belongs to the name that was asked for.
    pub(super) fn without_owner(&self) -> Option<&Property> {
        match (&self.owner, &self.data) {
            (None, Data::Caa(property)) => Some(property),
            _ => None,
        }
    }
}

/// Reads records, one a line: `[owner] [TTL] [class] CAA flags tag "value"`, the same without anything before the
/// flags, `owner [TTL] [class] CNAME target`, or `TYPE257 \# length hex`. Comments and records beside are skipped.
///
/// # Errors
/// The first line that cannot be read, and why; escaped.
pub fn read(text: &str) -> Result<Vec<Record>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';'));
    let mut records = Vec::new();
    for line in lines {
        if records.len() == RECORD_LIMIT {
            return Err(format!("there are more than {RECORD_LIMIT} records"));
        }
        records.extend(one(line).ok_or_else(|| format!("no record: {}", escape(line.as_bytes(), 120)))?);
    }
    Ok(records)
}

/// `Some(None)`: a record that does not matter. `None`: no record at all.
fn one(line: &str) -> Option<Option<Record>> {
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((token, after)) = token(rest)? {
        tokens.push(token);
        rest = after;
    }
    let word = |at: usize| tokens.get(at).and_then(|token| std::str::from_utf8(token).ok()).unwrap_or_default();
    let is = |at: usize, words: &[&str]| words.iter().any(|other| word(at).eq_ignore_ascii_case(other));
    // Owner, TTL and class stand before the type, each of them may be left out.
    let place = (0..4).find(|at| is(*at, &["CAA", "CNAME", "TYPE257"]) || is(*at, &BESIDE));
    let (place, owner) = match place {
        Some(place) => (place, owner(&tokens[..place])?),
        None if word(0).parse::<u8>().is_ok() && tokens.len() == 3 => {
            return Some(Some(Record { owner: None, data: Data::Caa(property(&tokens)?) }));
        }
        None => return None,
    };
    if is(place, &BESIDE) {
        return Some(None);
    }
    let data = match () {
        () if is(place, &["CNAME"]) => {
            if tokens.len() != place + 2 || owner.is_none() {
                return None;
            }
            Data::Alias(domain(&tokens[place + 1])?)
        }
        () if word(place + 1) == "#" => Data::Caa(generic(&tokens[place + 2..])?),
        () => Data::Caa(property(&tokens[place + 1..])?),
    };
    Some(Some(Record { owner, data }))
}

/// The owner among what stands before the type: `None` when there is none. The outer `None`: not well formed.
fn owner(before: &[Vec<u8>]) -> Option<Option<String>> {
    let is_class =
        |token: &[u8]| [b"IN".as_slice(), b"CH", b"HS"].iter().any(|class| token.eq_ignore_ascii_case(class));
    let is_ttl = |token: &[u8]| !token.is_empty() && token.iter().all(u8::is_ascii_digit);
    match before {
        [] => Some(None),
        [first, rest @ ..] if is_class(first) || is_ttl(first) => {
            rest.iter().all(|token| is_class(token) || is_ttl(token)).then_some(None)
        }
        [first, rest @ ..] => {
            let name = domain(first)?;
            rest.iter().all(|token| is_class(token) || is_ttl(token)).then_some(Some(name))
        }
    }
}

fn domain(token: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(token).ok()?;
    Some(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase())
}

fn property(tokens: &[Vec<u8>]) -> Option<Property> {
    let [flags, tag, value] = tokens else { return None };
    let flags: u8 = std::str::from_utf8(flags).ok()?.parse().ok()?;
    Some(Property { critical: flags & 0x80 != 0, tag: tag_of(tag), value: value.clone() })
}

/// RFC 3597 5: the length in octets, then the data in hexadecimal, in as many groups as one likes.
fn generic(tokens: &[Vec<u8>]) -> Option<Property> {
    let (length, groups) = tokens.split_first()?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    let data = hex::decode(groups.concat()).ok().filter(|data| data.len() == length)?;
    let (flags, tag_length, rest) = (data.first()?, usize::from(*data.get(1)?), data.get(2..)?);
    let (tag, value) = (rest.get(..tag_length)?, rest.get(tag_length..)?);
    Some(Property { critical: flags & 0x80 != 0, tag: tag_of(tag), value: value.to_vec() })
}

fn tag_of(tag: &[u8]) -> String {
    String::from_utf8_lossy(tag).to_ascii_lowercase()
}

/// The next word or quoted string with its escapes (`\DDD`, `\X`) resolved, and what comes after it. The outer `None`:
/// a quote that is not closed or an escape that is none.
fn token(text: &[u8]) -> Option<Option<(Vec<u8>, &[u8])>> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(mut text) = start.map(|start| &text[start..]) else { return Some(None) };
    let quoted = text[0] == b'"';
    if quoted {
        text = &text[1..];
    }
    let mut token = Vec::new();
    loop {
        match text {
            [] if quoted => return None,
            [] => return Some(Some((token, text))),
            [b'"', rest @ ..] if quoted => return Some(Some((token, rest))),
            [byte, ..] if !quoted && byte.is_ascii_whitespace() => return Some(Some((token, text))),
            [b'\\', a, b, c, rest @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let number = [a, b, c].iter().fold(0_u32, |n, digit| n * 10 + u32::from(**digit - b'0'));
                token.push(u8::try_from(number).ok()?);
                text = rest;
            }
            [b'\\', byte, rest @ ..] => {
                token.push(*byte);
                text = rest;
            }
            [b'\\'] => return None,
            [byte, rest @ ..] => {
                token.push(*byte);
                text = rest;
            }
        }
    }
}
