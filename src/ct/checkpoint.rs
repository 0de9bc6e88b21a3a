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
    let mut verdict = Err(TreeHeadError::Unsigned {
        name: escape(origin.as_bytes(), 200),
        key_hash: hex::encode(key_hash),
        size: tree_size,
    });
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
    // "The note text is a sequence of at least three non-empty lines [...] origin [...] tree size [...] root hash [...]
    // Any following lines are extension lines" (C2SP tlog-checkpoint, "Note text"). static-ct-api forbids extension
    // lines, but as its signature does not cover them they are passed over here and change nothing.
    let mut lines = text.lines();
    let found = lines.next().unwrap_or_default();
    if found != origin {
        return Err(TreeHeadError::Origin {
            found: escape(found.as_bytes(), 200),
            expected: escape(origin.as_bytes(), 200),
        });
    }
    let size = lines.next().unwrap_or_default();
    // "the ASCII decimal representation of the number of leaves in the tree, with no leading zeroes (unless the tree is
    // empty, in which case the tree size is 0)" (the same section).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::log_list;
    use crate::ct::signer::LogSigner;
    use crate::ct::vectors::{leaf, read, shared};

    const ORIGIN: &str = "log.test-ca.eu/2026h1";

    struct TestLog {
        signer: LogSigner,
        key: LogKey,
    }

    impl TestLog {
        fn new() -> TestLog {
            let signer = LogSigner::generate();
            let key = LogKey::from_spki_der(&signer.spki_der()).expect("a log key");
            TestLog { signer, key }
        }
        fn checkpoint(&self, size: u64) -> String {
            let (id, moment) = (self.key.log_id(), Timestamp::from_millis(1_790_000_000_123));
            render(ORIGIN, id, size, &leaf(size), moment, |message| self.signer.sign(message))
        }
        fn open(&self, note: &str) -> Result<SignedTreeHead, TreeHeadError> {
            open(note.as_bytes(), ORIGIN, &self.key)
        }
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_whoever_else_has_signed() {
        let log = TestLog::new();
        let note = log.checkpoint(7);
        let head = log.open(&note).expect("our own");
        assert_eq!((head.tree_size(), head.root_hash()), (7, leaf(7)));
        assert_eq!(head.timestamp(), Timestamp::from_millis(1_790_000_000_123));
        let (text, line) = note.split_once("\n\n").expect("a note");
        let line = line.trim_end();
        let hash = note_key_hash(ORIGIN, log.key.log_id());
        let lines = [
            signature_line_of("grease.invalid", [9; 4], b"x"),
            signature_line_of(ORIGIN, [9; 4], b"another key of the same name"),
            signature_line_of("other.name", hash, b"another name with the same hash"),
            signature_line_of(ORIGIN, hash, b"the right name and hash, and rubbish"),
            "\u{2014} short AAAA".to_string(),
        ];
        for at in 0..=lines.len() {
            let mut lines = lines.to_vec();
            lines.insert(at, line.to_string());
            assert_eq!(log.open(&format!("{text}\n\n{}\n", lines.join("\n"))).as_ref(), Ok(&head));
        }
        assert_eq!(log.open(&note.replacen("\n\n", "\nextension line\n\n", 1)).as_ref(), Ok(&head));
    }

    #[test]
    fn a_checkpoint_that_the_log_has_not_signed_is_not_believed() {
        let log = TestLog::new();
        let note = log.checkpoint(7);
        assert!(matches!(log.open(&note.replace("\n7\n", "\n8\n")), Err(TreeHeadError::Signature { size: 8, .. })));
        assert!(matches!(log.open(&log.checkpoint(0)), Err(TreeHeadError::EmptyRoot)));
        assert!(matches!(TestLog::new().open(&note), Err(TreeHeadError::Unsigned { .. })));
        let elsewhere = open(note.as_bytes(), "log.test-ca.eu/2026h2", &log.key);
        assert!(matches!(elsewhere, Err(TreeHeadError::Origin { .. })), "{elsewhere:?}");
        let short = signature_line_of(ORIGIN, note_key_hash(ORIGIN, log.key.log_id()), b"1234567");
        let text = note.split_once("\n\n").expect("a note").0;
        assert!(matches!(log.open(&format!("{text}\n\n{short}\n")), Err(TreeHeadError::Malformed(_))));
    }

    #[test]
    fn what_is_no_checkpoint_is_named() {
        let log = TestLog::new();
        let note = log.checkpoint(7);
        for size in ["", "07", "+7", "-7", "7 ", "0x7", "18446744073709551616"] {
            let changed = note.replace("\n7\n", &format!("\n{size}\n"));
            assert!(matches!(log.open(&changed), Err(TreeHeadError::Malformed(_))), "{size}");
        }
        for bad in ["<html>\n", "", &note.replace(&to_base64(&leaf(7)), "AAAA")] {
            assert!(matches!(log.open(bad), Err(TreeHeadError::Malformed(_))), "{bad}");
        }
        for cut in (0..note.len()).filter(|cut| note.is_char_boundary(*cut)) {
            assert!(matches!(log.open(&note[..cut]), Err(TreeHeadError::Malformed(_))), "{cut}");
        }
    }

    #[test]
    fn real_checkpoints_verify_under_the_keys_of_the_log_list() {
        let Some(shared) = shared() else { return };
        let list = log_list::parse(&read(shared.join("loglists/log_list.composed-2026-09-27.json"))).expect("a list");
        for (file, origin, size) in [
            ("eszigno2026h2.log.ct.e-szigno.hu", "eszigno2026h2.log.ct.e-szigno.hu", 1_780_903),
            ("log.sycamore.ct.letsencrypt.org_2026h2", "log.sycamore.ct.letsencrypt.org/2026h2", 975_308_166),
            ("luoshu2027.trustasia.com_luoshu2027", "luoshu2027.trustasia.com/luoshu2027", 160_598_866),
        ] {
            let note = read(shared.join(format!("checkpoints/{file}.checkpoint")));
            let log = list.logs.iter().find(|log| log.origin == origin).expect(origin);
            let head = open(&note, &log.origin, &log.key).expect(origin);
            assert_eq!((head.tree_size(), head.timestamp().day().as_str()), (size, "2026-09-27"));
            let other = list.logs.iter().find(|other| other.origin != origin).expect("another log");
            assert!(matches!(open(&note, origin, &other.key), Err(TreeHeadError::Unsigned { .. })));
        }
    }
}
