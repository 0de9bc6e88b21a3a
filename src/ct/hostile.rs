//! Arbitrary bytes, and valid bytes with arbitrary damage, through every parser: none may panic, and what is read from
//! our own encoding is what was written.

use proptest::prelude::*;

use super::compact_range::CompactRange;
use super::key::{DigitallySigned, LogKey};
use super::leaf::{
    ExtraData, LeafEntry, encode_leaf_index, encode_merkle_tree_leaf, leaf_index, parse_merkle_tree_leaf,
};
use super::signer::LogSigner;
use super::tile::{encode_tile_leaf, tile_leaves};
use super::{checkpoint, entries, log_list, note, proof, sct, sth};
use crate::case::EntryKind;
use crate::clock::Timestamp;
use crate::finding::KeyHash;

/// Gives bytes to every parser.
fn through_all(bytes: &[u8], key: &LogKey) {
    let _ = LogKey::from_spki_der(bytes);
    let _ = DigitallySigned::parse(bytes);
    let _ = parse_merkle_tree_leaf(bytes);
    let _ = leaf_index(bytes);
    for kind in [EntryKind::Certificate, EntryKind::Precertificate] {
        let _ = ExtraData::parse(kind, bytes);
    }
    assert!(tile_leaves(bytes).count() <= bytes.len() / 14 + 1);
    let _ = note::parse(bytes);
    let _ = checkpoint::open(bytes, "log.eu", key);
    let _ = sth::parse_get_sth(bytes).and_then(|head| head.verify(key));
    let _ = sct::parse_sct_list(bytes);
    let _ = CompactRange::from_bytes(bytes).map(|range| range.root());
    let _ = proof::parse_consistency(bytes);
    let _ = proof::parse_proof_by_hash(bytes);
    let _ = proof::parse_entry_and_proof(bytes);
    if let Ok(page) = entries::parse_page(bytes) {
        let mut buffer = entries::LeafBuffer::default();
        for entry in page.iter().flatten() {
            let _ = entry.decode_leaf(&mut buffer).map(|leaf| (leaf.parse().is_ok(), leaf.leaf_hash()));
            let _ = (entry.extra_text(), entry.decode_extra().is_ok());
        }
    }
    if let Ok(list) = log_list::parse(bytes) {
        assert!(list.rejected.iter().all(|rejected| rejected.what.is_ascii() && rejected.why.is_ascii()));
    }
}

/// One valid example of everything that is read.
fn examples(signer: &LogSigner) -> Vec<Vec<u8>> {
    let (moment, root) = (Timestamp::from_millis(1_790_000_000_123), [5; 32]);
    let entry = LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: b"tbs" };
    let leaf = encode_merkle_tree_leaf(moment, &entry, &encode_leaf_index(3));
    let extra = ExtraData { pre_certificate: Some(b"pre"), chain: vec![b"issuer"] }.encode();
    let mut tile = Vec::new();
    for index in 0..3 {
        encode_tile_leaf(&mut tile, moment, &entry, &encode_leaf_index(index), b"pre", &[[2; 32]]);
    }
    let head = checkpoint::render("log.eu", signer.log_id(), 7, &root, moment, |message| signer.sign(message));
    let signed = super::to_base64(&signer.sign_tree_head(7, &root, moment));
    let root64 = super::to_base64(&root);
    let sth = format!(
        r#"{{"tree_size":7,"timestamp":{},"sha256_root_hash":"{root64}","tree_head_signature":"{signed}"}}"#,
        moment.millis()
    );
    let list = serde_json::json!({"operators": [{"name": "o", "logs": [{
        "description": "d", "log_id": signer.log_id(), "key": super::to_base64(&signer.spki_der()), "mmd": 60,
        "url": "https://log.eu/x/", "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
        "temporal_interval": {"start_inclusive": "2026-01-01T00:00:00Z", "end_exclusive": "2026-07-01T00:00:00Z"},
    }]}]});
    let mut range = CompactRange::empty();
    range.append(&[[1; 32], [2; 32], [3; 32]]);
    vec![
        entries::encode_page([(leaf.as_slice(), extra.as_slice()); 2].into_iter()).into_bytes(),
        leaf,
        extra,
        tile,
        head.into_bytes(),
        sth.into_bytes(),
        list.to_string().into_bytes(),
        sct::encode_sct_list(&[signer.sign_sct(moment, &entry, b"")]),
        format!(r#"{{"consistency":["{root64}"],"leaf_index":1,"audit_path":["{root64}"]}}"#).into_bytes(),
        signer.spki_der(),
        range.to_bytes(),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = LogKey::from_spki_der(&LogSigner::generate().spki_der()).expect("a log key");
        through_all(&bytes, &key);
    }

    #[test]
    fn no_damage_to_valid_bytes_makes_a_parser_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let signer = LogSigner::generate();
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("a log key");
        for mut bytes in examples(&signer) {
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            through_all(&bytes, &key);
        }
    }

    #[test]
    fn json_of_any_shape_is_survived(
        text in r#"\{"(entries|operators|consistency)":[\[\{]{0,3}("(leaf_input|extra_data|logs|url)":)?[0-9a-z"\\,:\[\]{}]{0,40}"#,
    ) {
        let key = LogKey::from_spki_der(&LogSigner::generate().spki_der()).expect("a log key");
        through_all(text.as_bytes(), &key);
    }

    #[test]
    fn leaves_of_any_content_come_back(
        millis in 0..i64::MAX,
        hash in proptest::option::of(any::<[u8; 32]>()),
        der in proptest::collection::vec(any::<u8>(), 0..300),
        extensions in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let entry = match hash {
            Some(hash) => LeafEntry::Precert { issuer_key_hash: KeyHash(hash), tbs: &der },
            None => LeafEntry::X509 { certificate: &der },
        };
        let bytes = encode_merkle_tree_leaf(Timestamp::from_millis(millis), &entry, &extensions);
        let leaf = parse_merkle_tree_leaf(&bytes).expect("our own leaf");
        prop_assert_eq!((leaf.timestamp.millis(), leaf.entry, leaf.extensions), (millis, entry, extensions.as_slice()));
    }
}

/// The undamaged examples are all accepted by the parser that they are for: the tests above start from good bytes.
#[test]
fn the_examples_are_valid() {
    let signer = LogSigner::generate();
    let key = LogKey::from_spki_der(&signer.spki_der()).expect("a log key");
    let [page, leaf, extra, tile, head, sth, list, scts, nodes, spki, range] =
        <[Vec<u8>; 11]>::try_from(examples(&signer)).expect("eleven examples");
    assert!(entries::parse_page(&page).is_ok_and(|page| page.iter().all(|entry| entry.is_ok()) && page.len() == 2));
    assert!(parse_merkle_tree_leaf(&leaf).is_ok());
    assert!(ExtraData::parse(EntryKind::Precertificate, &extra).is_ok());
    assert_eq!(tile_leaves(&tile).filter(|leaf| leaf.is_ok()).count(), 3);
    assert!(checkpoint::open(&head, "log.eu", &key).is_ok());
    assert!(sth::parse_get_sth(&sth).and_then(|head| head.verify(&key)).is_ok());
    assert!(log_list::parse(&list).is_ok_and(|list| list.logs.len() == 1 && list.rejected.is_empty()));
    assert!(sct::parse_sct_list(&scts).is_ok_and(|scts| scts.iter().all(|sct| sct.is_ok())));
    assert!(proof::parse_consistency(&nodes).is_ok() && proof::parse_proof_by_hash(&nodes).is_ok());
    assert!(LogKey::from_spki_der(&spki).is_ok());
    assert!(CompactRange::from_bytes(&range).is_ok());
}
