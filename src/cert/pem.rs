//! PEM as it is found in the world: several blocks, text between them, CRLF, old labels; or bare DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::cert::der::single;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// The DER of every certificate in a file, in order; a block that cannot be decoded is an error in its place. Blocks
/// of other things (keys, requests) are passed over; a file with no certificate at all is one error.
pub fn certificates(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut blocks = 0;
    while let Some(at) = memmem::find(rest, BEGIN) {
        blocks += 1;
        rest = &rest[at + BEGIN.len()..];
        let Some(label_end) = memmem::find(rest, DASHES) else {
            found.push(Err(format!("PEM block {blocks}: its BEGIN line has no end")));
            break;
        };
        let label = rest[..label_end].to_vec();
        rest = &rest[label_end + DASHES.len()..];
        // The body ends at END, or where another block begins because END is missing.
        let end = memmem::find(rest, b"-----END ");
        let next = memmem::find(rest, BEGIN);
        let whole = end.is_some_and(|end| next.is_none_or(|next| end < next));
        let body = &rest[..if whole { end } else { next }.unwrap_or(rest.len())];
        rest = &rest[body.len()..];
        if !matches!(label.as_slice(), b"CERTIFICATE" | b"X509 CERTIFICATE" | b"TRUSTED CERTIFICATE") {
            continue;
        }
        found.push(if whole {
            decode(body, &label).map_err(|error| format!("PEM block {blocks}: {error}"))
        } else {
            Err(format!("PEM block {blocks}: its END line is missing"))
        });
    }
    match (blocks, bytes) {
        (0, [0x30, ..]) => found.push(Ok(bytes.to_vec())),
        (0, _) => found.push(Err("neither PEM nor DER: no BEGIN line and not a SEQUENCE".to_string())),
        _ if found.is_empty() => found.push(Err(format!("no certificate in its {blocks} PEM blocks"))),
        _ => {}
    }
    found
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
        assert!(certificates(b"")[0].is_err());
        assert!(certificates(b"-----BEGIN X-----\n-----END X-----")[0].is_err());
        assert!(certificates(b"-----BEGIN CERTIFICATE")[0].is_err());
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
