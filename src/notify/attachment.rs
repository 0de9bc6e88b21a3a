//! `CASE.json`: the case for programs, and for people everything that the page had no room for.

use serde_json::{Value, json};

use crate::case::Notice;
use crate::clock::Timestamp;
use crate::finding::Finding;

/// Largest attachment, in bytes. What a mail server refuses helps nobody, and a hostile certificate can carry many
/// thousands of names.
const FILE_LIMIT_BYTES: usize = 1 << 20;

/// How much of a notice is told.
#[derive(Clone, Copy)]
struct Limits {
    /// Items per list.
    items: usize,
    /// Characters per text.
    characters: usize,
}

/// What is tried in turn until the file is small enough; the last is taken in any case.
const LIMITS: [Limits; 4] = [
    Limits { items: 1000, characters: 4000 },
    Limits { items: 200, characters: 2000 },
    Limits { items: 40, characters: 1000 },
    Limits { items: 10, characters: 500 },
];

/// The whole notice as JSON: times in RFC 3339, hashes and serial in hexadecimal, severities and clocks as words.
pub fn json(notice: &Notice) -> Value {
    json_within(notice, Limits { items: usize::MAX, characters: usize::MAX })
}

/// [`json()`] as a file: indented, small enough to mail (`omitted` counts what is left out, offending names stay
/// longest), and pure ASCII whatever the notice holds. Outside of strings JSON is ASCII anyway; inside, `\uXXXX` means
/// the same character (RFC 8259 7).
pub(super) fn file(notice: &Notice) -> String {
    let mut text = String::new();
    for limits in LIMITS {
        text = ascii(&format!("{:#}\n", json_within(notice, limits)));
        if text.len() <= FILE_LIMIT_BYTES {
            break;
        }
    }
    text
}

fn json_within(notice: &Notice, limits: Limits) -> Value {
    let cut = |text: &str| limits.cut(text);
    let certificate = notice.certificate.as_ref().map(|c| {
        let mut sans: Vec<_> = c.sans.iter().collect();
        sans.sort_by_key(|san| !san.offending);
        json!({
            "issuer": cut(&c.issuer),
            "issuer_key_hash": c.issuer_key_hash.to_string(),
            "serial": cut(&c.serial),
            "precertificate_sha256": c.precertificate_sha256.as_deref().map(cut),
            "certificate_sha256": c.certificate_sha256.as_deref().map(cut),
            "spki_sha256": cut(&c.spki_sha256),
            "subject": cut(&c.subject),
            "not_before": moment(c.not_before),
            "not_after": moment(c.not_after),
            "sans": limits.list(&sans, |san| json!({"name": cut(&san.text), "offending": san.offending})),
        })
    });
    let pairs = |pairs: &[(String, String)], first: &str, second: &str| {
        limits.list(pairs, |(a, b)| json!({first: cut(a), second: cut(b)}))
    };
    json!({
        "case": cut(&notice.case),
        "event": notice.event.word(),
        "event_number": notice.event_number,
        "event_at": moment(Some(notice.event_at)),
        "aware_at": moment(Some(notice.aware_at)),
        "severity": notice.severity.word(),
        "clock": notice.clock.word(),
        "clock_since": moment(notice.clock_since),
        "clock_item": notice.clock.item(),
        "crl_reason": notice.clock.crl_reason().map(|(code, word)| json!({"code": code, "name": word})),
        "due": moment(notice.due),
        "findings": limits.list(&notice.findings, |f| finding(f, limits)),
        "new_findings": notice.new_findings,
        "certificate": certificate,
        "sightings": limits.list(&notice.sightings, |s| json!({
            "log": cut(&s.log),
            "index": s.index,
            "kind": s.kind.word(),
            "logged_at": moment(Some(s.logged_at)),
            "seen_at": moment(Some(s.seen_at)),
            "included": s.included,
        })),
        "record": pairs(&notice.record, "label", "text"),
        "not_evaluable": pairs(&notice.not_evaluable, "rule", "missing"),
        "opinions": pairs(&notice.opinions, "judge", "fact"),
        "omitted": {
            "findings": limits.omitted(notice.findings.len()),
            "sans": limits.omitted(notice.certificate.as_ref().map_or(0, |c| c.sans.len())),
            "sightings": limits.omitted(notice.sightings.len()),
            "record": limits.omitted(notice.record.len()),
            "not_evaluable": limits.omitted(notice.not_evaluable.len()),
            "opinions": limits.omitted(notice.opinions.len()),
        },
    })
}

impl Limits {
    fn cut(self, text: &str) -> String {
        if text.len() <= self.characters {
            return text.to_string();
        }
        match text.char_indices().nth(self.characters) {
            Some((place, _)) => format!("{}...", &text[..place]),
            None => text.to_string(),
        }
    }

    fn list<T>(self, items: &[T], value: impl Fn(&T) -> Value) -> Vec<Value> {
        items.iter().take(self.items).map(value).collect()
    }

    fn omitted(self, items: usize) -> usize {
        items.saturating_sub(self.items)
    }
}

/// The object of `ctwarden lint --format json`, with the evidence.
fn finding(finding: &Finding, limits: Limits) -> Value {
    let mut value = json!(finding.report());
    for (_, field) in value.as_object_mut().into_iter().flatten() {
        if let Value::String(text) = field {
            *text = limits.cut(text);
        }
    }
    let facts =
        limits.list(&finding.evidence, |f| json!({"source": limits.cut(&f.source), "text": limits.cut(&f.text)}));
    value["evidence"] = Value::Array(facts);
    value
}

fn moment(moment: Option<Timestamp>) -> Option<String> {
    moment.map(|moment| moment.to_string())
}

fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::notify::test_notice;

    #[test]
    fn the_file_is_ascii_and_says_the_same() {
        let record = (0..1003).map(|n| (format!("san {n}"), "\u{202e}\u{1f512}\x7f\u{e9}".to_string())).collect();
        let notice = crate::case::Notice { record, ..test_notice(date(2026, 11, 22)) };
        let text = file(&notice);
        assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        let back: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(back["record"].as_array().map(Vec::len), Some(1000));
        assert_eq!(back["omitted"]["record"], 3);
        assert_eq!(back["record"][0]["text"], "\u{202e}\u{1f512}\x7f\u{e9}");
        assert_eq!(back["event_at"], "2026-11-22T00:00:00Z");
        let whole = json(&notice);
        assert_eq!((whole["record"].as_array().map(Vec::len), &whole["omitted"]["record"]), (Some(1003), &json!(0)));
    }

    #[test]
    fn too_much_of_everything_is_cut_until_it_fits() {
        let record = (0..50_000).map(|n| (format!("san {n}"), "x".repeat(3000))).collect();
        let text = file(&crate::case::Notice { record, ..test_notice(date(2026, 11, 22)) });
        assert!(text.len() <= FILE_LIMIT_BYTES, "{}", text.len());
        let back: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(back["record"].as_array().map(Vec::len), Some(200));
        assert_eq!(back["omitted"]["record"], 49_800);
    }
}
