//! A scanner for the one shape in which logs write get-entries.
//!
//! `{"entries":[{"leaf_input":"...","extra_data":"..."},...]}`, with white space between tokens and the two members in
//! either order, is read at the speed of memory, copying nothing. Whatever differs from it, were it only an escape in
//! a text, is left to a JSON parser: where the scanner answers, the parser would have answered the same.

use memchr::memchr2;

const LEAF_INPUT: &[u8] = b"\"leaf_input\"";
const EXTRA_DATA: &[u8] = b"\"extra_data\"";

/// Gives `entry` the leaf_input and extra_data of each entry, both printable ASCII without a backslash, so that the
/// text between the quotes is the text meant. `None`: `body` is not of the shape, or has more than `most` entries;
/// what `entry` was given until then means nothing.
pub(super) fn scan_page<'a>(body: &'a [u8], most: usize, mut entry: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut scanner = Scanner { rest: body };
    for token in [b"{".as_slice(), b"\"entries\"", b":", b"["] {
        scanner.token(token)?;
    }
    if scanner.token(b"]").is_none() {
        let mut count = 0;
        loop {
            let (leaf_input, extra_data) = scanner.entry()?;
            count += 1;
            if count > most {
                return None;
            }
            entry(leaf_input, extra_data);
            if scanner.token(b",").is_none() {
                break scanner.token(b"]")?;
            }
        }
    }
    scanner.token(b"}")?;
    scanner.skip_space();
    scanner.rest.is_empty().then_some(())
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// "ws = *( %x20 / %x09 / %x0A / %x0D )" (RFC 8259 2).
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn token(&mut self, token: &[u8]) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn entry(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.token(b"{")?;
        let leaf_first = self.token(LEAF_INPUT).is_some();
        if !leaf_first {
            self.token(EXTRA_DATA)?;
        }
        let first = self.value()?;
        self.token(b",")?;
        self.token(if leaf_first { EXTRA_DATA } else { LEAF_INPUT })?;
        let second = self.value()?;
        self.token(b"}")?;
        Some(if leaf_first { (first, second) } else { (second, first) })
    }

    /// A colon and a text.
    fn value(&mut self) -> Option<&'a [u8]> {
        self.token(b":")?;
        self.token(b"\"")?;
        let end = memchr2(b'"', b'\\', self.rest)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\"")?;
        is_printable(text).then_some(text)
    }
}

/// Neither control characters, which JSON forbids in a text, nor bytes beyond ASCII, which may not be UTF-8.
fn is_printable(text: &[u8]) -> bool {
    // With the high bit flipped both are below the space. Without an early end the compiler compares many at once.
    text.iter().fold(u8::MAX, |least, byte| least.min(byte ^ 0x80)) >= b' ' ^ 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        let text = |bytes| std::str::from_utf8(bytes).expect("ASCII");
        scan_page(body.as_bytes(), 3, |leaf, extra| found.push((text(leaf), text(extra))))?;
        Some(found)
    }

    #[test]
    fn the_shape_is_read_with_any_white_space_and_order() {
        assert_eq!(scan(r#"{"entries":[]}"#), Some(vec![]));
        assert_eq!(scan(r#"{"entries":[{"leaf_input":"AA==","extra_data":""}]}"#), Some(vec![("AA==", "")]));
        let spaced = " {\t\"entries\" :\r\n[ { \"extra_data\" : \"x\" , \"leaf_input\" : \"l\" } ,\
                      {\"leaf_input\":\"m\",\"extra_data\":\"y\"}\n]\n}\n";
        assert_eq!(scan(spaced), Some(vec![("l", "x"), ("m", "y")]));
    }

    #[test]
    fn what_only_a_parser_may_judge_is_left_to_it() {
        let entry = r#"{"leaf_input":"a","extra_data":"b"}"#;
        let page = |inside: &str| format!(r#"{{"entries":[{inside}]}}"#);
        assert!(scan(&page(&[entry; 3].join(","))).is_some());
        let of_entries = [
            [entry; 4].join(","),
            format!("{entry},"),
            format!(",{entry}"),
            format!("{entry}{entry}"),
            entry.replace("\"a\"", "7"),
            entry.replace("\"a\"", "null"),
            entry.replace('a', "\\u0041"),
            entry.replace("\"b\"", "\"\\\"\""),
            entry.replace("\"b\"", "\"\\/\""),
            entry.replace("\"b\"", "\"\n\""),
            entry.replace("\"b\"", "\"\u{e9}\""),
            entry.replace("extra_data", "leaf_input"),
            entry.replace("extra_data", "extra"),
            entry.replace("\"}", "\",\"more\":1}"),
            r#"{"leaf_input":"a"}"#.to_string(),
            "{}".to_string(),
            "null".to_string(),
        ];
        for inside in of_entries {
            assert_eq!(scan(&page(&inside)), None, "{inside}");
        }
        let whole = page(entry);
        for cut in 0..whole.len() {
            assert_eq!(scan(&whole[..cut]), None, "cut at {cut}");
        }
        for bad in [format!("{whole}x"), format!("\u{feff}{whole}"), whole.replace("entries", "entry"), "[]".into()] {
            assert_eq!(scan(&bad), None, "{bad}");
        }
    }
}
