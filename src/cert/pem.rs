//! PEM as it is found in the world: several blocks, text between them, CRLF, old labels; or bare DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::cert::MAX_CERTIFICATE_BYTES;
use crate::cert::der::single;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Longest block: the largest certificate in base64 with its line ends, in octets.
const MAX_BLOCK: usize = 32 << 20;

/// A certificate, or why there is none in its place.
pub type Block = Result<Vec<u8>, String>;

/// The DER of every certificate in a file, in order; a block that cannot be decoded is an error in its place. Blocks
/// of other things (keys, requests) are passed over; a file with no certificate at all is one error.
pub fn certificates(bytes: &[u8]) -> Vec<Block> {
    let mut splitter = Splitter::default();
    let mut found = splitter.push(bytes);
    found.extend(splitter.finish());
    found
}

/// Finds the certificates of a stream that comes piece by piece; keeps one block at most.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    first: Option<u8>,
    blocks: usize,
    any: bool,
}

impl Splitter {
    /// The next piece; answers with the certificates that are complete with it.
    pub fn push(&mut self, piece: &[u8]) -> Vec<Block> {
        self.first = self.first.or(piece.first().copied());
        self.pending.extend_from_slice(piece);
        let found = self.scan(false);
        if self.may_be_der() {
            self.pending.truncate(MAX_CERTIFICATE_BYTES + 1);
        }
        found
    }

    /// The end of the stream; what is left of it.
    pub fn finish(mut self) -> Vec<Block> {
        let mut found = self.scan(true);
        match (self.blocks, self.first) {
            (0, Some(0x30)) => found.push(Ok(self.pending)),
            (0, None) => found.push(Err("it is empty".to_string())),
            (0, _) => found.push(Err("neither PEM nor DER: no BEGIN line and not a SEQUENCE".to_string())),
            (blocks, _) if !self.any => found.push(Err(format!("no certificate in its {blocks} PEM blocks"))),
            _ => {}
        }
        found
    }

    fn may_be_der(&self) -> bool {
        self.blocks == 0 && self.first == Some(0x30)
    }

    /// The blocks that are complete; at the end of the stream all.
    fn scan(&mut self, last: bool) -> Vec<Block> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(begin) = memmem::find(&self.pending[at..], BEGIN) {
            let start = at + begin + BEGIN.len();
            let Some(label_end) = memmem::find(&self.pending[start..], DASHES) else {
                if !last && self.pending.len() - start <= MAX_BLOCK {
                    at += begin;
                    break;
                }
                self.blocks += 1;
                found.push(Err(format!("PEM block {}: its BEGIN line has no end", self.blocks)));
                at = self.pending.len();
                break;
            };
            let label = &self.pending[start..start + label_end];
            let body = &self.pending[start + label_end + DASHES.len()..];
            // The body ends at END, or where another block begins because END is missing.
            let (end, next) = (memmem::find(body, END), memmem::find(body, BEGIN));
            let whole = end.is_some_and(|end| next.is_none_or(|next| end < next));
            let length = match if whole { end } else { next } {
                None if !last && body.len() <= MAX_BLOCK => {
                    at += begin;
                    break;
                }
                length => length.unwrap_or(body.len()),
            };
            self.blocks += 1;
            if matches!(label, b"CERTIFICATE" | b"X509 CERTIFICATE" | b"TRUSTED CERTIFICATE") {
                found.push(match whole {
                    true => {
                        decode(&body[..length], label).map_err(|error| format!("PEM block {}: {error}", self.blocks))
                    }
                    false => Err(format!("PEM block {}: its END line is missing", self.blocks)),
                });
            }
            at = start + label_end + DASHES.len() + length;
        }
        self.any |= !found.is_empty();
        if !self.may_be_der() {
            // What is left may be the beginning of a block; text between blocks is not kept.
            let waiting = self.pending[at..].starts_with(BEGIN);
            let keep = if waiting { at } else { at.max(self.pending.len().saturating_sub(BEGIN.len())) };
            self.pending.drain(..keep);
        }
        found
    }
}

fn decode(body: &[u8], label: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let mut der = STANDARD.decode(digits).map_err(|error| format!("not base64: {error}"))?;
    if der.is_empty() {
        return Err("it is empty".to_string());
    }
    // OpenSSL appends its own trust settings to the certificate of a TRUSTED block.
    if label == b"TRUSTED CERTIFICATE"
        && let Some((element, _)) = single(&der)
    {
        let length = element.raw.len();
        der.truncate(length);
    }
    Ok(der)
}

/// One certificate as PEM with lines of 64 characters (RFC 7468 2).
pub fn encode(der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in digits.as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| *b as char));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn several_blocks_with_bad_ones_in_their_place() {
        let one = encode(&[0x30, 1, 7]);
        let mut file = b"text before\r\n".to_vec();
        file.extend(one.replace('\n', "\r\n").bytes());
        file.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        file.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        file.extend_from_slice(b"-----BEGIN CERTIFICATE-----\nMAEH\n");
        file.extend(encode(&[0x30, 1, 7, 0x30, 0]).replace(" CERT", " TRUSTED CERT").bytes());
        let found = certificates(&file);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0].as_deref(), Ok(&[0x30, 1, 7][..]));
        assert!(found[1].as_ref().is_err_and(|e| e.starts_with("PEM block 3: not base64")), "{found:?}");
        assert!(found[2].as_ref().is_err_and(|e| e.contains("END line is missing")), "{found:?}");
        assert_eq!(found[3].as_deref(), Ok(&[0x30, 1, 7][..]));
    }

    #[test]
    fn der_and_nothing() {
        assert_eq!(certificates(&[0x30, 0]), vec![Ok(vec![0x30, 0])]);
        assert!(certificates(b"hello")[0].is_err());
        assert_eq!(certificates(b""), vec![Err("it is empty".to_string())]);
        assert!(certificates(b"-----BEGIN X-----\n-----END X-----")[0].is_err());
        assert!(certificates(b"-----BEGIN CERTIFICATE")[0].is_err());
    }

    #[test]
    fn a_stream_in_pieces_is_read_like_the_whole() {
        let one = encode(&[0x30, 1, 7]);
        let broken = "-----BEGIN CERTIFICATE-----\nMAEH\n";
        let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for text in
            [format!("text\n{one}{other}{broken}{one}-----"), other.to_string(), "\x30\x01\x07".to_string(), "x".into()]
        {
            for size in [1, 7, 30, 1000] {
                let mut splitter = Splitter::default();
                let mut found: Vec<Block> =
                    text.as_bytes().chunks(size).flat_map(|piece| splitter.push(piece)).collect();
                assert!(text.starts_with('0') || splitter.pending.len() <= one.len() + broken.len());
                found.extend(splitter.finish());
                assert_eq!(found, certificates(text.as_bytes()), "{size}: {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(body in proptest::collection::vec(any::<u8>(), 1..300)) {
            prop_assert_eq!(certificates(encode(&body).as_bytes()), vec![Ok(body)]);
        }
        #[test]
        fn no_bytes_make_it_panic(text in "[-BEGIN CRTF\nMA=]{0,200}") {
            certificates(text.as_bytes());
        }
    }
}
