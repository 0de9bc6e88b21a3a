//! One function per fuzz target. None may panic on any bytes, and what is asserted holds for all of them.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::case::EntryKind;
use crate::cert::crl as crls;
use crate::cert::name::GeneralName;
use crate::cert::{Certificate, pem};
use crate::clock::{Span, Timestamp, date};
use crate::ct::entries::{self, LeafBuffer};
use crate::ct::key::{DigitallySigned, LogKey};
use crate::ct::leaf::{self, ExtraData};
use crate::ct::log_list::Log;
use crate::ct::signer::LogSigner;
use crate::ct::{
    TreeRoot, checkpoint as checkpoints, compact_range, from_base64, log_list as lists, note, proof as proofs, sct,
    sth as heads, tile as tiles, to_base64,
};
use crate::evidence::caa as caas;
use crate::exam::{self, Examinee, Policy};
use crate::finding::{Issued, KeyHash};
use crate::lint::tld::{GtldRegistry, RootList};
use crate::lint::{self, SuffixList, Tables, TldTable};
use crate::promise::{self, KnownLogs};
use crate::record::Lookup;
use crate::status::{self, crls::Expected};
use crate::tail::inflate::{Coding, Inflater};
use crate::tail::{decode, retry_after as waits};
use crate::watch::{Candidate, ChainHead, Form, OwnedEntry, Standing, Watchlist};
use crate::{conduct, issuance, page_scan, rationed};

/// The origin of the log that signs the seeds.
pub const ORIGIN: &str = "log.fuzz.example/2026h2";
/// When everything is looked at.
pub const NOW: Timestamp = date(2026, 11, 21);
/// For readers that keep what they read and little more.
const LEAN: usize = 64;
/// For readers of JSON: a number of one digit and a comma become a value of 32 bytes, in a list that doubles.
const TREE: usize = 256;
const MIB: usize = 1 << 20;

/// The log that signs the seeds; it signs nothing else.
pub static SIGNER: LazyLock<LogSigner> = LazyLock::new(|| {
    let der = from_base64(
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6lFhLfolJITc+2/RBU5hpa8dXWyMIM7+sZPpkvWC6bShRANCAARW3oqngnfhZl\
         I7Kwt6qrwg0wCKvLFBqeIBjzvsvNu9uu7oZDOsZmTqeu+q8lLcv9RaJFzUal2b5K6E6MQ6yxdd",
    );
    LogSigner::from_pkcs8(&der.expect("base64")).expect("a key")
});
static KEY: LazyLock<LogKey> = LazyLock::new(|| LogKey::from_spki_der(&SIGNER.spki_der()).expect("a key"));
static TABLES: LazyLock<Tables> = LazyLock::new(Tables::embedded);
static EVERY: LazyLock<Watchlist> = LazyLock::new(|| Watchlist::new(Vec::new(), true));
static LOGS: LazyLock<KnownLogs> = LazyLock::new(|| {
    let list = serde_json::json!({"operators": [{"name": "Fuzz", "logs": [{
        "description": "fuzz", "log_id": SIGNER.log_id(), "key": to_base64(&SIGNER.spki_der()), "mmd": 60,
        "url": format!("https://{ORIGIN}/"),
    }]}]});
    let list = lists::parse(list.to_string().as_bytes()).expect("a list");
    KnownLogs::new(list.logs.into_iter().map(Log::into))
});

/// MerkleTreeLeaf, TimestampedEntry, extra_data.
pub fn leaf(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        for kind in [EntryKind::Certificate, EntryKind::Precertificate] {
            if let Ok(extra) = ExtraData::parse(kind, bytes) {
                assert_eq!(ExtraData::parse(kind, &extra.encode()), Ok(extra));
            }
        }
        let _ = leaf::leaf_index(bytes);
        let Ok(read) = leaf::parse_merkle_tree_leaf(bytes) else { return };
        let again = leaf::encode_merkle_tree_leaf(read.timestamp, &read.entry, read.extensions);
        // A timestamp beyond 2^63 is read as the last moment, so that its bytes do not come back.
        if read.timestamp != Timestamp::from_millis(i64::MAX) {
            assert_eq!(again, bytes);
        }
        assert_eq!(leaf::leaf_hash(bytes), leaf::leaf_hash_of_entry(&bytes[2..]));
    });
}

/// A data tile, and the same bytes as a hash tile.
pub fn tile(bytes: &[u8]) {
    rationed(bytes, 4 * MIB, LEAN, || {
        let mut at = 0;
        for leaf in tiles::tile_leaves(bytes).flatten() {
            assert_eq!(leaf.entry_bytes.as_ptr(), bytes[at..].as_ptr(), "no byte lies between two entries");
            at += leaf.entry_bytes.len() + leaf.pre_certificate.map_or(0, |pre| 3 + pre.len()) + 2 + leaf.chain.len();
            assert!(leaf.fingerprints().count() <= leaf.chain.len() / 32);
        }
        let count = tiles::tile_leaves(bytes).count() as u64;
        for (from, to) in [(0, count), (count / 2, count), (0, count + 1)] {
            if let Ok(decoded) = decode::tile(bytes, 512, 512 + from, 512 + to, &EVERY) {
                assert_eq!(decoded.leaf_hashes.len() as u64, to - from);
                assert!(decoded.candidates.len() <= decoded.leaf_hashes.len());
            }
        }
        for node in compact_range::nodes_needed(0x3_0fff_0101) {
            let _ = node.hash_in(bytes);
        }
        if let Ok(range) = compact_range::CompactRange::from_bytes(bytes) {
            assert_eq!(range.to_bytes(), bytes);
            let _ = range.root();
        }
    });
}

/// get-entries: what the scanner answers, what the parser answers, and what a parser of any JSON reads are one.
pub fn page(bytes: &[u8]) {
    rationed(bytes, 4 * MIB, TREE, || {
        let plain = serde_json::from_slice::<Value>(bytes);
        if let Some(scanned) = page_scan::scan(bytes) {
            let Ok(plain) = &plain else { panic!("the scanner has read what is not JSON") };
            let entries = plain["entries"].as_array().expect("an array");
            assert_eq!(scanned.len(), entries.len());
            for ((leaf, extra), entry) in scanned.into_iter().zip(entries) {
                assert_eq!(entry["leaf_input"].as_str().map(str::as_bytes), Some(leaf));
                assert_eq!(entry["extra_data"].as_str().map(str::as_bytes), Some(extra));
            }
        }
        let Ok(page) = entries::parse_page(bytes) else { return };
        let mut buffer = LeafBuffer::default();
        if let Ok(plain) = &plain {
            let listed = plain["entries"].as_array().expect("an array");
            assert_eq!(listed.len(), page.len());
            for (value, entry) in listed.iter().zip(&page) {
                let text = |member| value.get(member).and_then(Value::as_str);
                let Ok(entry) = entry else {
                    assert!(text("leaf_input").is_none());
                    continue;
                };
                assert_eq!(text("extra_data").unwrap_or_default(), entry.extra_text());
                let decoded = entry.decode_leaf(&mut buffer).ok().map(|leaf| leaf.leaf_input().to_vec());
                assert_eq!(text("leaf_input").and_then(from_base64), decoded);
                assert_eq!(text("extra_data").and_then(from_base64), entry.decode_extra().ok());
            }
        }
        let decoded = decode::page(bytes, 7, 1000, &EVERY).expect("it was a page a moment ago");
        assert_eq!(decoded.leaf_hashes.len(), page.len().min(1000));
    });
}

/// get-sth.
pub fn sth(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        if let Ok(head) = heads::parse_get_sth(bytes).and_then(|head| head.verify(&KEY)) {
            let again = heads::SignedTreeHead::reopen_json(head.to_json().to_string().as_bytes(), &KEY);
            assert_eq!(again, Ok(head));
        }
        let _ = heads::SignedTreeHead::reopen_json(bytes, &KEY);
        let _ = DigitallySigned::parse(bytes);
    });
}

/// A checkpoint, which is a signed note.
pub fn checkpoint(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        if let Ok(note) = note::parse(bytes) {
            assert!(note.text.ends_with('\n') && bytes.starts_with(note.text.as_bytes()));
            assert!(note.signatures.iter().all(|line| !line.name.is_empty() && !line.signature.is_empty()));
        }
        if let Ok(head) = checkpoints::open(bytes, ORIGIN, &KEY) {
            assert_eq!(head.log_id(), KEY.log_id());
        }
    });
}

/// The list of logs.
pub fn log_list(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        let Ok(list) = lists::parse(bytes) else { return };
        assert!(list.rejected.iter().all(|rejected| rejected.what.is_ascii() && rejected.why.is_ascii()));
        for log in &list.logs {
            assert!(log.description.is_ascii() && log.operator.is_ascii());
            assert!(log.api.read_url().ends_with('/'));
        }
    });
}

/// SignedCertificateTimestampList, SCT, and a log's key.
pub fn scts(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        if let Ok(list) = sct::parse_sct_list(bytes) {
            for sct in list.into_iter().flatten() {
                assert_eq!(sct::SignedCertificateTimestamp::parse(&sct.encode()), Ok(sct));
            }
        }
        let _ = sct::SignedCertificateTimestamp::parse(bytes);
        let _ = LogKey::from_spki_der(bytes);
    });
}

/// The answers with Merkle proofs. The first two octets are sizes, the rest is the JSON.
pub fn proof(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        let [old, new, json @ ..] = bytes else { return };
        let root = |size: u8| TreeRoot { size: size.into(), hash: [size; 32] };
        if let Ok(nodes) = proofs::parse_consistency(json) {
            let _ = proofs::verify_consistency(root(*old), root(*new), &nodes);
        }
        if let Ok(proof) = proofs::parse_proof_by_hash(json) {
            let _ = proofs::verify_inclusion_of_hash(root(*new), (*old).into(), [1; 32], &proof.audit_path);
            let size = u64::from(*new);
            let _ = compact_range::CompactRange::from_right_edge(size, [1; 32], &proof.audit_path);
        }
        let _ = proofs::parse_entry_and_proof(json);
    });
}

/// A certificate through all that reads and judges one.
pub fn certificate(bytes: &[u8]) {
    rationed(bytes, 16 * MIB, 1024, || {
        let entries = [
            OwnedEntry::X509(bytes.to_vec()),
            OwnedEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: bytes.to_vec() },
        ];
        for entry in entries {
            let issuer = ChainHead::Certificate(bytes.to_vec());
            let (precertificate, garbled) = (Some(bytes.to_vec()), Some(bytes.to_vec()));
            let extensions = bytes.to_vec();
            let candidate = Candidate { index: 7, logged_at: NOW, entry, extensions, precertificate, issuer, garbled };
            let hit = EVERY.judge(&candidate, Some(bytes)).expect("every entry is a hit");
            assert!(hit.remark.is_ascii() && hit.issuer.is_ascii());
        }
        let ders = [(Form::Certificate, bytes.to_vec()), (Form::Tbs, bytes.to_vec())];
        let (terms, lookup) = (Default::default(), Lookup::Unknown { as_of: NOW });
        let examinee = Examinee {
            standing: Standing::Ours,
            issuer_key_hash: KeyHash([1; 32]),
            remark: "",
            ders: &ders,
            first_logged_at: NOW,
            siblings: Some(1),
            others: &ders,
            lookup: &lookup,
        };
        let grace = Span::from_days(1);
        let policy = Policy { watchlist: &EVERY, tables: &TABLES, terms: &terms, logs: &LOGS, grace };
        exam::examine(&examinee, policy, NOW);
        for read in [Certificate::parse(bytes), Certificate::parse_tbs(bytes)] {
            if let Ok(certificate) = read {
                read_all(&certificate);
            }
        }
    });
}

fn read_all(certificate: &Certificate) {
    let ends = [date(2012, 7, 1), NOW].map(|moment| Issued { earliest: moment, latest: moment });
    for issued in ends.into_iter().chain([Issued { earliest: ends[0].earliest, latest: NOW }]) {
        for finding in lint::findings(certificate, issued, &TABLES) {
            assert!(finding.subject.is_ascii() && finding.detail.is_ascii(), "{finding:?}");
        }
    }
    let _ = promise::belongs(certificate, KeyHash([1; 32]), &LOGS, ends[1], NOW);
    assert!(certificate.defects().iter().chain(&certificate.general_name_defects()).all(|defect| defect.is_ascii()));
    assert!(certificate.subject_text().is_ascii() && certificate.issuer_text().is_ascii());
    assert!(certificate.general_names().len() <= crate::cert::MAX_NAMES);
    assert!(certificate.general_names().iter().all(|name: &GeneralName| name.text().is_ascii()));
    // Without poison and SCT list there is nothing more to take away, unless there was a second list of extensions.
    let core = certificate.core_tbs();
    if certificate.defects().is_empty()
        && let Ok(again) = Certificate::parse_tbs(&core)
    {
        assert_eq!(again.core_sha256(), certificate.core_sha256());
    }
}

/// PEM, as people give it.
pub fn pem(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        for der in pem::certificates(bytes).into_iter().flatten() {
            assert_eq!(pem::certificates(pem::encode(&der).as_bytes()), vec![Ok(der)]);
        }
    });
}

/// A gzipped body: never more than the cap, and what a plain decompressor makes of it.
pub fn inflate(bytes: &[u8]) {
    const CAP: usize = 64 << 10;
    let inflated = rationed(bytes, MIB, LEAN, || {
        let mut inflater = Inflater::default();
        let inflated = inflater.read(bytes, Coding::Gzip, CAP, <[u8]>::to_vec);
        assert!(
            inflater.read(bytes, Coding::Gzip, 0, <[u8]>::len).is_ok_and(|length| length == 0)
                || inflated.as_ref().map_or(true, |out| !out.is_empty())
        );
        inflated
    });
    let mut plain = Vec::new();
    let decoder = flate2::read::MultiGzDecoder::new(bytes);
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(decoder, CAP as u64 + 1), &mut plain);
    match (inflated, read) {
        (Ok(inflated), Ok(_)) => assert!(inflated == plain, "two decompressors differ"),
        (Ok(_), Err(_)) | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => assert!(plain.len() > CAP, "{error}"),
    }
}

/// An evidence file.
pub fn evidence(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        let _ = conduct::verify::verify(bytes);
    });
}

/// Retry-After.
pub fn retry_after(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        assert!(waits::parse(bytes, NOW).is_none_or(|wait| wait >= Span::default()));
    });
}

/// A row of the feed, and records of the DNS as they stand in it.
pub fn feed(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        if let Ok(row) = serde_json::from_slice::<Map<String, Value>>(bytes) {
            issuance::feed(&row);
        }
    });
}

/// CAA records as a resolver prints them.
pub fn caa(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    rationed(bytes, MIB, TREE, || {
        let Ok(records) = caas::read(text) else { return };
        for name in ["www.example.com", "*.a.b.example.com", "example.com"] {
            let _ = caas::evaluate(name, &records, &["ca.example".to_string()]);
        }
    });
}

/// A certificate revocation list, in DER or PEM. What its entries say costs no memory.
pub fn crl(bytes: &[u8]) {
    rationed(bytes, MIB, LEAN, || {
        let Ok(der) = crls::der(bytes) else { return };
        let read = crls::Crl::parse(&der);
        if let Ok(crl) = &read {
            assert!(crl.number.len() <= 20 && crl.number.first() != Some(&0));
            assert!(crl.revoked().flatten().all(|entry| entry.serial.first() != Some(&0)));
        }
        let expected = Expected { url: "http://crl.example/1.crl", name_der: &[], spki_der: &[], before: None };
        let _ = status::crls::judge(&read, [0; 32], &expected, NOW);
    });
    // Without its entries nothing is a CRL that is none with them.
    let Ok(der) = crls::der(bytes) else { return };
    let head = &der[..der.len().min(crls::HEAD_BYTES as usize)];
    if let Ok(outline) = crls::Outline::read(head, der.len() as u64) {
        let without = outline.without_entries(head, &der[outline.entries_at.end as usize..]);
        assert!(crls::Crl::parse(&without).is_err() || crls::Crl::parse(&der).is_ok());
    }
}

/// The tables of names: Public Suffix List and TLDs.
pub fn tables(bytes: &[u8]) {
    rationed(bytes, MIB, TREE, || {
        let _ = SuffixList::Embedded.replaced_by(bytes, NOW);
        let _ = GtldRegistry::parse(bytes, NOW);
        let _ = RootList::parse(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = TldTable::parse(text);
        }
    });
}
