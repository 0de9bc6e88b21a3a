//! C2SP signed-note: a text and signature lines below it. Nothing here verifies anything.

use super::from_base64;

/// The largest note that is read, in bytes. Post-quantum cosignatures make lines of 3 kB, and there may be many.
pub const MAX_NOTE_BYTES: usize = 1 << 20;

/// Why bytes are not a signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`MAX_NOTE_BYTES`].
    #[error("note has {0} bytes, more than the 1048576 that are read")]
    Size(usize),
    /// Not UTF-8, or with control characters.
    #[error("note is not UTF-8 text without control characters")]
    Text,
    /// The last line has no newline: the rest has not arrived.
    #[error("note does not end with a newline: it is cut; ask again")]
    Cut,
    /// No empty line, or nothing that is a signature line after it.
    #[error("note has no empty line with signature lines after it")]
    NoSignatures,
    /// A line among the signatures that is not one.
    #[error("note has a line among its signatures that does not start with an em dash and a space")]
    Line,
}

/// A text with claims of who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text that is signed, with its last newline.
    pub text: &'a str,
    /// The signature lines that can be read.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// One signature line: `— name base64(key hash || signature)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// Four bytes that tell keys of one name apart.
    pub key_hash: [u8; 4],
    /// The signature, whose form depends on the key; at least one byte.
    pub signature: Vec<u8>,
}

/// Splits a note. Lines with no name, no base64 or fewer than five bytes are ignored, as unknown keys are: logs add
/// such lines on purpose so that readers stay tolerant.
pub fn parse(bytes: &[u8]) -> Result<Note<'_>, NoteError> {
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Size(bytes.len()));
    }
    // "Signed notes MUST be valid UTF-8 and MUST NOT contain any ASCII control characters (those below U+0020) other
    // than newline" (C2SP signed-note, "Format").
    let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
    if bytes.iter().any(|byte| *byte < 0x20 && *byte != b'\n') {
        return Err(NoteError::Text);
    }
    if !whole.ends_with('\n') {
        return Err(NoteError::Cut);
    }
    // "the text is separated from the signatures by the last empty line in the note" (the same section).
    let (text, lines) = match whole.rfind("\n\n") {
        Some(at) => (&whole[..at + 1], &whole[at + 2..]),
        None => return Err(NoteError::NoSignatures),
    };
    let mut signatures = Vec::new();
    for line in lines.lines() {
        let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::Line)?;
        signatures.extend(signature_line(rest));
    }
    if lines.is_empty() {
        return Err(NoteError::NoSignatures);
    }
    Ok(Note { text, signatures })
}

fn signature_line(rest: &str) -> Option<NoteSignature<'_>> {
    let (name, encoded) = rest.split_once(' ')?;
    let bytes = from_base64(encoded)?;
    let (key_hash, signature) = bytes.split_first_chunk::<4>()?;
    // "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus" (the same section).
    let valid = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace) && !signature.is_empty();
    valid.then(|| NoteSignature { name, key_hash: *key_hash, signature: signature.to_vec() })
}

/// Writes a signature line without its newline.
pub fn signature_line_of(name: &str, key_hash: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}", super::to_base64(&[&key_hash, signature].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_can_be_read_are_kept_and_grease_is_passed_over() {
        let good = signature_line_of("log.eu/x", [1, 2, 3, 4], b"s");
        let text = "first\n\nsecond\n";
        let bad =
            ["\u{2014} ", "\u{2014} log.eu/x", "\u{2014} log.eu/x AQIDBA==", "\u{2014} x *", "\u{2014} a+b AQIDBAU="];
        let note = format!("{text}\n{}\n{good}\n\u{2014} grease.invalid AQIDBAU=\n", bad.join("\n"));
        let read = parse(note.as_bytes()).expect("a note");
        assert_eq!(read.text, text);
        let names: Vec<&str> = read.signatures.iter().map(|line| line.name).collect();
        assert_eq!(names, ["log.eu/x", "grease.invalid"]);
        assert_eq!(
            (read.signatures[0].key_hash, read.signatures[0].signature.as_slice()),
            ([1, 2, 3, 4], b"s".as_slice())
        );
    }

    #[test]
    fn what_is_no_note_is_named() {
        for (bytes, error) in [
            (b"".as_slice(), NoteError::Cut),
            (b"text\n\n\xe2\x80\x94 a AQIDBAU=", NoteError::Cut),
            (b"text\n", NoteError::NoSignatures),
            (b"text\n\n", NoteError::NoSignatures),
            (b"text\n\nrest\n", NoteError::Line),
            (b"te\rxt\n\n", NoteError::Text),
            (b"\xff\n\n", NoteError::Text),
        ] {
            assert_eq!(parse(bytes), Err(error), "{bytes:?}");
        }
        assert_eq!(parse(&vec![b'a'; MAX_NOTE_BYTES + 1]), Err(NoteError::Size(MAX_NOTE_BYTES + 1)));
    }
}
