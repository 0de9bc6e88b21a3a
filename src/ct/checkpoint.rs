//! Checkpoints of static-ct-api logs: a signed note whose text is origin, size and root, signed with the same
//! structure as an RFC 6962 tree head.

use super::key::{LogId, LogKey, note_key_hash};
use super::note::{self, signature_line_of};
use super::sth::{ClaimedTreeHead, SignedTreeHead, TreeHeadError, tree_head_message};
use super::wire::Reader;
use super::{Hash, hash_from_base64, to_base64};
use crate::clock::Timestamp;
use crate::finding::escape;

/// Reads a checkpoint and verifies the log's signature on it. The line is chosen by name and key hash; all other
/// lines, of witnesses or grease, are ignored. When several lines fit, one good one is enough.
pub fn open(bytes: &[u8], origin: &str, key: &LogKey) -> Result<SignedTreeHead, TreeHeadError> {
    let note = note::parse(bytes).map_err(|error| TreeHeadError::Malformed(error.to_string()))?;
    let (tree_size, root_hash) = body(note.text, origin)?;
    let key_hash = note_key_hash(origin, key.log_id());
    let mut verdict =
        Err(TreeHeadError::Unsigned { name: escape(origin.as_bytes(), 200), key_hash: hex::encode(key_hash) });
    for line in note.signatures.iter().filter(|line| line.name == origin && line.key_hash == key_hash) {
        verdict = claimed(tree_size, root_hash, &line.signature).and_then(|head| head.verify(key));
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// Size and root from the text of the note.
fn body(text: &str, origin: &str) -> Result<(u64, Hash), TreeHeadError> {
    let bad = |what: &str| TreeHeadError::Malformed(format!("checkpoint {what}"));
    // "a newline-separated sequence of lines: an origin, the decimal tree size, the base64 root hash, and optional
    // extension lines" (C2SP tlog-checkpoint, "Note text").
    let mut lines = text.lines();
    let found = lines.next().unwrap_or_default();
    if found != origin {
        return Err(TreeHeadError::Origin {
            found: escape(found.as_bytes(), 200),
            expected: escape(origin.as_bytes(), 200),
        });
    }
    let size = lines.next().unwrap_or_default();
    // "the tree size MUST be an ASCII decimal with no leading zeroes, unless it is zero" (the same section).
    if !size.bytes().all(|byte| byte.is_ascii_digit()) || (size.len() > 1 && size.starts_with('0')) {
        return Err(bad("has a second line that is not a tree size"));
    }
    let size = size.parse().map_err(|_| bad("has a second line that is not a tree size"))?;
    let root = lines.next().and_then(hash_from_base64);
    Ok((size, root.ok_or_else(|| bad("has a third line that is not the base64 of a root hash"))?))
}

/// "struct { uint64 timestamp; TreeHeadSignature signature; } RFC6962NoteSignature" (C2SP static-ct-api,
/// "Checkpoints").
fn claimed(tree_size: u64, root_hash: Hash, signature: &[u8]) -> Result<ClaimedTreeHead, TreeHeadError> {
    let mut reader = Reader::new(signature);
    let millis = reader.u64().and_then(|millis| i64::try_from(millis).ok());
    let millis = millis.ok_or_else(|| TreeHeadError::Malformed("checkpoint signature has no timestamp".to_string()))?;
    let (timestamp, signature) = (Timestamp::from_millis(millis), reader.rest().to_vec());
    Ok(ClaimedTreeHead { tree_size, timestamp, root_hash, signature })
}

/// Writes a checkpoint with one signature line. `sign` gets the tree head to be signed and answers with
/// DigitallySigned bytes, as [`super::signer::LogSigner::sign`] does.
pub fn render(
    origin: &str,
    log_id: LogId,
    size: u64,
    root: &Hash,
    timestamp: Timestamp,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let mut signature = (timestamp.millis() as u64).to_be_bytes().to_vec();
    signature.extend(sign(&tree_head_message(size, root, timestamp)));
    let line = signature_line_of(origin, note_key_hash(origin, log_id), &signature);
    format!("{origin}\n{size}\n{}\n\n{line}\n", to_base64(root))
}
