//! Reads a MIME message (RFC 2045, 2046) strictly enough to notice what does not belong there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A MIME part, taken apart without the crate that put it together.
pub struct Part {
    /// Lower-case names and unfolded values, in order.
    pub headers: Vec<(String, String)>,
    /// As transferred.
    pub body: String,
}

impl Part {
    /// Panics when the headers are not headers.
    pub fn parse(bytes: &[u8]) -> Part {
        let text = std::str::from_utf8(bytes).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line after the headers");
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let headers = unfolded.split("\r\n").map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_ascii_lowercase(), value.to_string())
        });
        Part { headers: headers.collect(), body: body.to_string() }
    }

    /// The value of a header, which must not be there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = all.next();
        assert!(all.next().is_none(), "{name} twice");
        first.map(|(_, value)| value.as_str())
    }

    /// The parts of a multipart.
    pub fn parts(&self) -> Vec<Part> {
        let kind = self.header("content-type").expect("a type");
        let boundary = kind.split_once("boundary=\"").expect("a boundary").1.trim_end_matches('"');
        let delimiter = format!("--{boundary}");
        let mut sections = self.body.split(&delimiter);
        assert_eq!(sections.next(), Some(""), "nothing before the first boundary");
        let mut sections: Vec<&str> = sections.collect();
        assert_eq!(sections.pop(), Some("--\r\n").filter(|_| self.body.ends_with("--\r\n")), "closed");
        sections.iter().map(|s| Part::parse(s.strip_prefix("\r\n").expect("a line of its own").as_bytes())).collect()
    }

    /// The body as text with LF line ends, its transfer encoding undone.
    pub fn decoded(&self) -> String {
        let body = self.body.strip_suffix("\r\n").expect("a last line end");
        let bytes = match self.header("content-transfer-encoding") {
            Some("7bit") => body.as_bytes().to_vec(),
            Some("base64") => STANDARD.decode(body.replace("\r\n", "")).expect("base64"),
            Some("quoted-printable") => {
                let mut out = Vec::new();
                let joined = body.replace("=\r\n", "");
                let mut rest = joined.as_bytes();
                while let [first, tail @ ..] = rest {
                    rest = tail;
                    if *first == b'=' {
                        out.extend(hex::decode(&tail[..2]).expect("two digits"));
                        rest = &tail[2..];
                    } else {
                        out.push(*first);
                    }
                }
                out
            }
            other => panic!("encoding {other:?}"),
        };
        String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
    }
}
