//! Verifying an evidence file without believing the one who made it: only the log's own signatures count.

use serde_json::Value;

use super::{FORMAT, Kind, extra};
use crate::clock::{Span, Timestamp};
use crate::ct::compact_range::CompactRange;
use crate::ct::key::{LogId, LogKey};
use crate::ct::leaf::{leaf_index, parse_merkle_tree_leaf};
use crate::ct::sct::{SignedCertificateTimestamp, verify_sct};
use crate::ct::sth::SignedTreeHead;
use crate::ct::{Hash, from_base64, hash_from_base64};
use crate::finding::escape;

/// The largest evidence file that is read, in bytes.
pub const LIMIT_BYTES: usize = 16 << 20;

/// What an evidence file is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// The signatures in it prove the misbehaviour to anybody.
    Proven(String),
    /// Its signatures verify, but the misbehaviour rests on what the observer says.
    Stated(String),
}

/// Why a file is no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Not the format.
    #[error("not an evidence file of {FORMAT} ({0}); give what `ctwarden evidence export` printed, unchanged")]
    Format(String),
    /// The key is not the log's.
    #[error("the key in the file hashes to {found}, the file says log {stated}")]
    Key {
        /// What it hashes to.
        found: LogId,
        /// What the file says.
        stated: String,
    },
    /// A tree head is not signed with the key.
    #[error("tree head {0} in the file is not signed with the log's key: {1}")]
    Head(usize, String),
}

/// Verifies an evidence file: the key belongs to the log, every tree head is signed with it, and the heads (with the
/// hashes in the file) show what the file says.
///
/// # Errors
/// When it is not of the format or something in it is not what it says.
pub fn verify(bytes: &[u8]) -> Result<Worth, EvidenceError> {
    let format = |what: &str| EvidenceError::Format(what.to_string());
    if bytes.len() > LIMIT_BYTES {
        return Err(format("it is larger than 16 MiB"));
    }
    let file: Value = serde_json::from_slice(bytes).map_err(|e| EvidenceError::Format(e.to_string()))?;
    if file["format"] != FORMAT {
        return Err(format("the member \"format\" says otherwise"));
    }
    let kind = file["kind"].as_str().and_then(Kind::parse).ok_or_else(|| format("its kind is not known"))?;
    let observed_at =
        file["observed_at"].as_str().and_then(Timestamp::parse).ok_or_else(|| format("no observed_at"))?;
    let key = file["log"]["key"].as_str().and_then(from_base64).ok_or_else(|| format("no key of the log"))?;
    let key = LogKey::from_spki_der(&key).map_err(|e| EvidenceError::Format(e.to_string()))?;
    let stated = file["log"]["log_id"].as_str().unwrap_or_default();
    if LogId::from_base64(stated) != Some(key.log_id()) {
        return Err(EvidenceError::Key { found: key.log_id(), stated: escape(stated.as_bytes(), 64) });
    }
    let listed = file["tree_heads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut heads = Vec::new();
    for (at, head) in listed.iter().enumerate() {
        let opened = SignedTreeHead::reopen_json(head.to_string().as_bytes(), &key);
        heads.push(opened.map_err(|e| EvidenceError::Head(at + 1, e.to_string()))?);
    }
    if kind == Kind::ExtraData {
        return extra::weigh(&file["more"]);
    }
    if kind == Kind::SctNotHonoured {
        return Ok(promised(&key, &heads, &file["more"]));
    }
    Ok(weigh(kind, &heads, &file["more"], observed_at))
}

fn weigh(kind: Kind, heads: &[SignedTreeHead], more: &Value, observed_at: Timestamp) -> Worth {
    let signed = match heads.len() {
        0 => "nothing in it is signed by the log".to_string(),
        count => format!("{count} tree heads in it are signed by the log"),
    };
    let stated = || Worth::Stated(format!("{signed}, the rest is the observer's word"));
    match (kind, heads) {
        (Kind::Fork, [one, other, ..])
            if one.tree_size() == other.tree_size() && one.root_hash() != other.root_hash() =>
        {
            Worth::Proven(format!("the log signed two roots for size {}", one.tree_size()))
        }
        (Kind::Rollback, [small, large, ..])
            if small.tree_size() < large.tree_size() && small.timestamp() > large.timestamp() =>
        {
            let (from, to) = (large.tree_size(), small.tree_size());
            Worth::Proven(format!("the log signed size {from} at {} and size {to} later", large.timestamp()))
        }
        (Kind::FutureHead, [head, ..]) if head.timestamp() > observed_at => Worth::Stated(format!(
            "the log signed a head of {}; that it was seen at {observed_at} is stated",
            head.timestamp()
        )),
        (Kind::RootMismatch, [head, verified, ..]) => match recomputed(more, verified) {
            Some(range) if range.size() == head.tree_size() && range.root() != head.root_hash() => {
                Worth::Stated(format!(
                    "the leaves in the file, after the signed tree of size {}, do not give the root that the log signed for \
                 size {}; that the log served these leaves is stated",
                    verified.tree_size(),
                    head.tree_size()
                ))
            }
            _ => stated(),
        },
        _ => stated(),
    }
}

/// A promise is proven by the SCT over its leaf. That it was broken is proven when the SCT names the index of the leaf
/// and the log, after the merge delay, signed a tree that ends before it.
fn promised(key: &LogKey, heads: &[SignedTreeHead], more: &Value) -> Worth {
    let bytes = |member: &str| more[member].as_str().and_then(from_base64);
    let read = || {
        let (sct, leaf_input) = (SignedCertificateTimestamp::parse(&bytes("sct")?).ok()?, bytes("leaf_input")?);
        let leaf = parse_merkle_tree_leaf(&leaf_input).ok()?;
        let same = (leaf.timestamp, leaf.extensions) == (sct.timestamp, sct.extensions.as_slice());
        (same && verify_sct(&sct, key, &leaf.entry).is_ok()).then_some(sct)
    };
    let (Some(sct), [head, ..]) = (read(), heads) else {
        return Worth::Stated("the tree heads are signed by the log, the rest is the observer's word".to_string());
    };
    let promise = format!("the log signed at {} that it would include the leaf in the file", sct.timestamp);
    let delay = Span::from_seconds(more["mmd_seconds"].as_i64().unwrap_or(i64::MAX));
    match leaf_index(&sct.extensions) {
        Ok(Some(index)) if head.tree_size() <= index && head.timestamp() >= sct.timestamp.plus(delay) => {
            Worth::Proven(format!(
                "{promise} at index {index}, and at {}, after {delay}, a tree of {} entries",
                head.timestamp(),
                head.tree_size()
            ))
        }
        _ => Worth::Stated(format!("{promise}; that it is not in the tree of {} entries is stated", head.tree_size())),
    }
}

/// The compact range of the verified head, proven by its root, with the leaves of the file appended.
fn recomputed(more: &Value, verified: &SignedTreeHead) -> Option<CompactRange> {
    let hashes = |member: &str| -> Option<Vec<Hash>> {
        more[member].as_array()?.iter().map(|hash| hash_from_base64(hash.as_str()?)).collect()
    };
    let mut range = CompactRange::from_nodes(verified.tree_size(), &hashes("verified_range")?).ok()?;
    if range.root() != verified.root_hash() {
        return None;
    }
    range.append(&hashes("leaf_hashes")?);
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR, date};
    use crate::conduct::{Accused, Misconduct};
    use crate::ct::leaf::{LeafEntry, encode_leaf_index, encode_merkle_tree_leaf};
    use crate::ct::signer::LogSigner;
    use crate::ct::sth::ClaimedTreeHead;
    use crate::ct::to_base64;
    use crate::finding::KeyHash;

    fn signed(signer: &LogSigner, tree_size: u64, root_hash: Hash, at: Timestamp) -> SignedTreeHead {
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("key");
        let signature = signer.sign_tree_head(tree_size, &root_hash, at);
        ClaimedTreeHead { tree_size, timestamp: at, root_hash, signature }.verify(&key).expect("our own")
    }

    fn file(signer: &LogSigner, kind: Kind, heads: Vec<SignedTreeHead>, more: Value) -> Value {
        let accused = Accused {
            log_id: signer.log_id(),
            name: "log.test/a".into(),
            operator: "Tests".into(),
            key_der: signer.spki_der(),
        };
        let misconduct = Misconduct { kind, tree_size: 7, detail: "it did".into(), heads, more };
        misconduct.evidence(&accused, date(2026, 11, 22))
    }

    fn worth(file: &Value) -> Result<Worth, EvidenceError> {
        verify(file.to_string().as_bytes())
    }

    #[test]
    fn two_heads_prove_a_fork_and_a_rollback() {
        let (signer, at) = (LogSigner::generate(), date(2026, 11, 21));
        let fork = vec![signed(&signer, 7, [1; 32], at), signed(&signer, 7, [2; 32], at)];
        let good = file(&signer, Kind::Fork, fork, Value::Null);
        assert!(matches!(worth(&good), Ok(Worth::Proven(_))), "{good}");
        let same = vec![signed(&signer, 7, [1; 32], at), signed(&signer, 7, [1; 32], at.plus(HOUR))];
        assert!(matches!(worth(&file(&signer, Kind::Fork, same, Value::Null)), Ok(Worth::Stated(_))));
        let back = vec![signed(&signer, 5, [1; 32], at.plus(HOUR)), signed(&signer, 7, [2; 32], at)];
        assert!(matches!(worth(&file(&signer, Kind::Rollback, back, Value::Null)), Ok(Worth::Proven(_))));
        let alone = vec![signed(&signer, 7, [1; 32], at)];
        assert!(matches!(worth(&file(&signer, Kind::Fork, alone, Value::Null)), Ok(Worth::Stated(_))));
    }

    #[test]
    fn the_leaves_of_a_mismatch_are_recomputed() {
        let (signer, at) = (LogSigner::generate(), date(2026, 11, 21));
        let mut range = CompactRange::empty();
        range.append(&[[1; 32], [2; 32], [3; 32]]);
        let verified = signed(&signer, 3, range.root(), at);
        let base64 = |hashes: &[Hash]| hashes.iter().map(|hash| to_base64(hash)).collect::<Vec<_>>();
        let more =
            serde_json::json!({"verified_range": base64(range.hashes()), "leaf_hashes": base64(&[[4; 32], [5; 32]])});
        let heads = vec![signed(&signer, 5, [9; 32], at), verified.clone()];
        let Ok(Worth::Stated(text)) = worth(&file(&signer, Kind::RootMismatch, heads, more.clone())) else { panic!() };
        assert!(text.contains("do not give the root"), "{text}");
        range.append(&[[4; 32], [5; 32]]);
        let heads = vec![signed(&signer, 5, range.root(), at), verified];
        let Ok(Worth::Stated(text)) = worth(&file(&signer, Kind::RootMismatch, heads, more)) else { panic!() };
        assert!(text.contains("the observer's word"), "a head that fits is no mismatch: {text}");
    }

    #[test]
    fn a_broken_promise_is_proven_by_the_index_in_the_sct_alone() {
        let (signer, at) = (LogSigner::generate(), date(2026, 11, 21));
        let entry = LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: b"tbs" };
        let judge = |extensions: &[u8], size: u64, signed_at: Timestamp, tbs: &[u8]| {
            let sct = signer.sign_sct(at, &entry, extensions);
            let other = LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs };
            let more = serde_json::json!({
                "sct": to_base64(&sct.encode()), "mmd_seconds": 3600,
                "leaf_input": to_base64(&encode_merkle_tree_leaf(at, &other, extensions)),
            });
            let heads = vec![signed(&signer, size, [1; 32], signed_at)];
            worth(&file(&signer, Kind::SctNotHonoured, heads, more)).expect("evidence")
        };
        let (index, late) = (encode_leaf_index(7), at.plus(HOUR));
        assert!(matches!(judge(&index, 7, late, b"tbs"), Worth::Proven(_)));
        for stated in [
            judge(&index, 8, late, b"tbs"),
            judge(&index, 7, late.minus(Span::from_seconds(1)), b"tbs"),
            judge(b"", 7, late, b"tbs"),
            judge(&index, 7, late, b"another"),
        ] {
            assert!(matches!(stated, Worth::Stated(_)), "{stated:?}");
        }
    }

    #[test]
    fn a_changed_file_is_no_evidence() {
        let (signer, at) = (LogSigner::generate(), date(2026, 11, 21));
        let heads = vec![signed(&signer, 7, [1; 32], at), signed(&signer, 7, [2; 32], at)];
        let good = file(&signer, Kind::Fork, heads, Value::Null);
        let mut other_root = good.clone();
        other_root["tree_heads"][1]["sha256_root_hash"] = to_base64(&[3; 32]).into();
        assert!(matches!(worth(&other_root), Err(EvidenceError::Head(2, _))));
        let mut other_key = good.clone();
        other_key["log"]["key"] = to_base64(&LogSigner::generate().spki_der()).into();
        assert!(matches!(worth(&other_key), Err(EvidenceError::Key { .. })));
        for member in ["format", "kind", "observed_at", "log"] {
            let mut without = good.clone();
            without.as_object_mut().expect("object").remove(member);
            assert!(matches!(worth(&without), Err(EvidenceError::Format(_))), "{member}");
        }
        assert!(matches!(verify(b"{"), Err(EvidenceError::Format(_))));
    }
}
