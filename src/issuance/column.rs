//! What may stand in a column of the feed, and in which form it is kept.

use std::net::IpAddr;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::finding::{KeyHash, Serial, escape};

/// A value as the feed gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    /// Absent, `null`, or an empty field of a CSV file.
    Null,
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Text, trimmed.
    Text(&'a str),
    /// Something else: its name, for the complaint.
    Other(&'static str),
}

impl<'a> Raw<'a> {
    /// The value of a CSV field.
    pub(super) fn field(text: &'a str) -> Raw<'a> {
        let text = text.trim();
        if text.is_empty() { Raw::Null } else { Raw::Text(text) }
    }
    /// The value of a JSON member.
    pub(super) fn member(value: Option<&'a Value>) -> Raw<'a> {
        match value {
            None | Some(Value::Null) => Raw::Null,
            Some(Value::Bool(flag)) => Raw::Flag(*flag),
            Some(Value::String(text)) => Raw::field(text),
            Some(Value::Number(number)) => number.as_i64().map_or(Raw::Other("a fraction or too large"), Raw::Number),
            Some(Value::Array(_)) => Raw::Other("a list"),
            Some(Value::Object(_)) => Raw::Other("an object"),
        }
    }
}

/// A value that a database server gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// NULL, or a column that the question does not give.
    Null,
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Text.
    Text(String),
    /// Something else: its name, for the complaint.
    Other(&'static str),
}

impl Cell {
    /// The value as the rules of the columns read it.
    pub(super) fn raw(&self) -> Raw<'_> {
        match self {
            Cell::Null => Raw::Null,
            Cell::Number(number) => Raw::Number(*number),
            Cell::Flag(flag) => Raw::Flag(*flag),
            Cell::Text(text) => Raw::field(text),
            Cell::Other(what) => Raw::Other(what),
        }
    }
}

/// The kind of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A positive identifier; zero and negative ones are ours.
    Id,
    /// A whole number from 0.
    Count,
    /// 0 or 1.
    Flag,
    /// Seconds since 1970, or RFC 3339.
    Moment,
    /// Text on one line.
    Text,
    /// Text that may have several lines.
    Note,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A domain name (wildcard kept) or IP address, kept in lower case with A-labels.
    Name,
    /// A domain name or IP address without wildcard.
    Domain,
    /// 64 hexadecimal digits, kept in lower case.
    Sha256,
    /// A serial number in hexadecimal, kept as [`Serial::value_hex`].
    Serial,
}

const TEXT_LIMIT: usize = 1_000;
const NOTE_LIMIT: usize = 65_536;
const SERIAL_LIMIT: usize = 128;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

impl Kind {
    /// The value as it is kept, or why it cannot be; `Null` stays null.
    pub(super) fn read(self, raw: Raw<'_>) -> Result<Value, String> {
        if raw == Raw::Null {
            return Ok(Value::Null);
        }
        match self {
            Kind::Id => whole(raw, 1).map(Value::from),
            Kind::Count => whole(raw, 0).map(Value::from),
            Kind::Flag => flag(raw).map(Value::from),
            Kind::Moment => moment(raw).map(Value::from),
            Kind::Text => text(raw, TEXT_LIMIT, false).map(Value::from),
            Kind::Note => text(raw, NOTE_LIMIT, true).map(Value::from),
            Kind::Word(words) => word(raw, words).map(Value::from),
            Kind::Name => name(&text(raw, TEXT_LIMIT, false)?).map(Value::from),
            Kind::Domain => {
                let text = text(raw, TEXT_LIMIT, false)?;
                name(text.strip_prefix("*.").unwrap_or(&text).trim_end_matches('.')).map(Value::from)
            }
            Kind::Sha256 => match raw {
                Raw::Text(text) => KeyHash::from_hex(text).map(|hash| hash.to_string()),
                _ => None,
            }
            .map(Value::from)
            .ok_or_else(|| format!("{} is not 64 hexadecimal digits", told(raw))),
            Kind::Serial => serial(raw).map(Value::from),
        }
    }
}

fn told(raw: Raw<'_>) -> String {
    match raw {
        Raw::Null => "nothing".to_string(),
        Raw::Number(number) => number.to_string(),
        Raw::Flag(flag) => flag.to_string(),
        Raw::Text(text) => format!("\"{}\"", escape(text.as_bytes(), 60)),
        Raw::Other(what) => what.to_string(),
    }
}

fn whole(raw: Raw<'_>, least: i64) -> Result<i64, String> {
    let number = match raw {
        Raw::Number(number) => Some(number),
        Raw::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| *number >= least).ok_or_else(|| format!("{} is not a whole number from {least}", told(raw)))
}

fn flag(raw: Raw<'_>) -> Result<i64, String> {
    match raw {
        Raw::Flag(flag) => Ok(flag.into()),
        Raw::Number(0) | Raw::Text("0" | "false") => Ok(0),
        Raw::Number(1) | Raw::Text("1" | "true") => Ok(1),
        _ => Err(format!("{} is neither 0 nor 1, false nor true", told(raw))),
    }
}

fn moment(raw: Raw<'_>) -> Result<i64, String> {
    let seconds = match raw {
        Raw::Number(number) => Some(number),
        Raw::Text(text) => text.parse().ok().or_else(|| Timestamp::parse(text).map(Timestamp::seconds)),
        _ => None,
    };
    match seconds {
        Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => Ok(seconds),
        Some(_) => Err(format!("{} is outside 1970 to 9999: seconds are expected, not milliseconds", told(raw))),
        None => Err(format!("{} is neither seconds since 1970 nor a time as 2026-11-22T09:14:00Z", told(raw))),
    }
}

fn text(raw: Raw<'_>, limit_bytes: usize, lines: bool) -> Result<String, String> {
    let text = match raw {
        Raw::Text(text) => text.to_string(),
        Raw::Number(number) => number.to_string(),
        _ => return Err(format!("{} is not text", told(raw))),
    };
    if text.len() > limit_bytes {
        return Err(format!("is {} bytes long, {limit_bytes} is the limit", text.len()));
    }
    if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))) {
        return Err(format!("{} holds a control character", told(raw)));
    }
    Ok(text)
}

fn word(raw: Raw<'_>, words: &[&'static str]) -> Result<&'static str, String> {
    let found = match raw {
        Raw::Text(text) => words.iter().find(|word| word.eq_ignore_ascii_case(text)),
        _ => None,
    };
    found.copied().ok_or_else(|| format!("{} is none of {}", told(raw), words.join(", ")))
}

/// Names in an order may be U-labels; in the certificate they are A-labels (RFC 5280 7.2), so that is what is kept.
fn name(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let (star, bare) = text.strip_prefix("*.").map_or(("", text), |bare| ("*.", bare));
    let ascii = match bare.is_ascii() {
        true => bare.to_ascii_lowercase(),
        false => idna::domain_to_ascii(bare).unwrap_or_default(),
    };
    // As A-labels a name is longer than it was.
    if ascii.is_empty() || ascii.contains(' ') || star.len() + ascii.len() > TEXT_LIMIT {
        return Err(format!("{} is not a domain name or an IP address", told(Raw::Text(text))));
    }
    Ok(format!("{star}{ascii}"))
}

fn serial(raw: Raw<'_>) -> Result<String, String> {
    let digits = match raw {
        Raw::Text(text) => text.strip_prefix("0x").unwrap_or(text),
        Raw::Number(_) => return Err("a serial must be hexadecimal text, a number cannot be told from decimal".into()),
        _ => return Err(format!("{} is not a serial in hexadecimal", told(raw))),
    };
    let serial = Serial::from_hex(digits).filter(|serial| (1..=SERIAL_LIMIT / 2).contains(&serial.0.len()));
    serial.map(|serial| serial.value_hex()).ok_or_else(|| format!("{} is not a serial in hexadecimal", told(raw)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: Kind = Kind::Word(&["public", "internal"]);

    #[test]
    fn each_kind_is_kept_in_one_form() {
        let kept = [
            (Kind::Id, Raw::Text("4"), Value::from(4)),
            (Kind::Count, Raw::Number(0), Value::from(0)),
            (Kind::Flag, Raw::Flag(true), Value::from(1)),
            (Kind::Flag, Raw::Text("0"), Value::from(0)),
            (Kind::Moment, Raw::Text("2026-11-22T10:14:00+01:00"), Value::from(1_795_338_840)),
            (Kind::Moment, Raw::Text("1795338840"), Value::from(1_795_338_840)),
            (Kind::Moment, Raw::Text("1970-01-02"), Value::from(86_400)),
            (Kind::Text, Raw::Number(8812), Value::from("8812")),
            (Kind::Note, Raw::Text("a\nb"), Value::from("a\nb")),
            (WORDS, Raw::Text("Public"), Value::from("public")),
            (Kind::Name, Raw::Text("*.WWW.A.eus"), Value::from("*.www.a.eus")),
            (Kind::Name, Raw::Text("*.bücher.example"), Value::from("*.xn--bcher-kva.example")),
            (Kind::Name, Raw::Text("2001:DB8:0::1"), Value::from("2001:db8::1")),
            (Kind::Domain, Raw::Text("*.A.eus."), Value::from("a.eus")),
            (Kind::Serial, Raw::Text("00:0A:ff"), Value::from("0aff")),
            (Kind::Serial, Raw::Text("0xabc"), Value::from("0abc")),
            (Kind::Serial, Raw::Null, Value::Null),
        ];
        for (kind, raw, value) in kept {
            assert_eq!(kind.read(raw), Ok(value), "{kind:?} {raw:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_reason() {
        let long = "a".repeat(1_001);
        // 990 bytes as U-labels, more than 1,000 as A-labels; found by the fuzz target "feed".
        let grows = format!("{}eu", "ųa.".repeat(247));
        let refused = [
            (Kind::Id, Raw::Number(0), "from 1"),
            (Kind::Count, Raw::Text("1.5"), "whole number"),
            (Kind::Flag, Raw::Number(2), "neither 0 nor 1"),
            (Kind::Moment, Raw::Number(1_795_338_840_000), "milliseconds"),
            (Kind::Moment, Raw::Text("yesterday"), "2026-11-22T09:14:00Z"),
            (Kind::Moment, Raw::Other("a list"), "a list is neither"),
            (Kind::Text, Raw::Text("a\x1b[0m"), "control character"),
            (Kind::Text, Raw::Text(&long), "1001 bytes"),
            (Kind::Text, Raw::Flag(true), "not text"),
            (WORDS, Raw::Text("secret"), "public, internal"),
            (Kind::Name, Raw::Text("a b"), "not a domain name"),
            (Kind::Name, Raw::Text("*."), "not a domain name"),
            (Kind::Name, Raw::Text(&grows), "not a domain name"),
            (Kind::Sha256, Raw::Text("abc"), "64 hexadecimal"),
            (Kind::Serial, Raw::Number(12), "hexadecimal text"),
            (Kind::Serial, Raw::Text("xyz"), "not a serial"),
            (Kind::Serial, Raw::Text(":"), "not a serial"),
        ];
        for (kind, raw, why) in refused {
            let reason = kind.read(raw).expect_err("refused");
            assert!(reason.contains(why), "{kind:?} {raw:?}: {reason}");
        }
        assert_eq!(Raw::member(Some(&serde_json::json!(1.5))), Raw::Other("a fraction or too large"));
        assert_eq!(Raw::member(Some(&serde_json::json!({}))), Raw::Other("an object"));
    }

    proptest! {
        #[test]
        fn any_text_is_kept_or_refused_and_what_is_kept_is_kept_again(text in "\\PC{0,40}") {
            let kinds = [Kind::Id, Kind::Moment, Kind::Text, Kind::Name, Kind::Domain, Kind::Sha256, Kind::Serial];
            for kind in kinds {
                if let Ok(Value::String(kept)) = kind.read(Raw::field(&text)) {
                    prop_assert_eq!(kind.read(Raw::field(&kept)), Ok(Value::from(kept.clone())), "{:?}", kind);
                }
            }
        }
    }
}
