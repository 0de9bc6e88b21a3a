//! Writes the first inputs of every target: `seeds FOLDER` makes FOLDER/TARGET/NAME from the fixtures of the repository
//! and from a log that signs for nobody else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctwarden_fuzz::case::EntryKind;
use ctwarden_fuzz::cert::{Certificate, pem};
use ctwarden_fuzz::clock::Timestamp;
use ctwarden_fuzz::conduct::{Accused, Kind, Misconduct};
use ctwarden_fuzz::ct::compact_range::CompactRange;
use ctwarden_fuzz::ct::key::LogKey;
use ctwarden_fuzz::ct::leaf::{ExtraData, LeafEntry, encode_leaf_index, encode_merkle_tree_leaf};
use ctwarden_fuzz::ct::sth::{ClaimedTreeHead, SignedTreeHead};
use ctwarden_fuzz::ct::{checkpoint, entries, sct, tile, to_base64};
use ctwarden_fuzz::finding::KeyHash;
use ctwarden_fuzz::targets::{NOW, ORIGIN, SIGNER};
// The instrumented code asks the fuzzer's runtime for its counters.
use libfuzzer_sys as _;
use serde_json::{Value, json};

struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    fn put(&self, target: &str, name: impl AsRef<str>, bytes: impl AsRef<[u8]>) {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder).expect("a folder for the seeds");
        fs::write(folder.join(name.as_ref().replace('/', "-")), bytes).expect("a seed");
    }
}

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: seeds FOLDER"));
    let seeds = Seeds { folder };
    let certificates = fixtures(&seeds);
    log(&seeds, &certificates);
    heads(&seeds);
    texts(&seeds);
}

/// Every file below the fixtures of this name, with its name.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let (mut open, mut found) = (vec![root.clone()], Vec::new());
    while let Some(path) = open.pop() {
        for path in fs::read_dir(&path).expect("fixtures").map(|entry| entry.expect("a fixture").path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found.sort();
    found
}

/// All texts in a JSON value, with their member.
fn strings<'a>(value: &'a Value, member: &'a str, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((member, text)),
        Value::Array(values) => values.iter().for_each(|value| strings(value, member, found)),
        Value::Object(members) => members.iter().for_each(|(member, value)| strings(value, member, found)),
        _ => {}
    }
}

fn fixtures(seeds: &Seeds) -> Vec<Vec<u8>> {
    let mut certificates = Vec::new();
    for (name, text) in files("lint") {
        for der in pem::certificates(text.as_bytes()).into_iter().flatten() {
            seeds.put("certificate", &name, &der);
            certificates.push(der);
        }
        if name.starts_with("cert.") {
            seeds.put("pem", name, text);
        }
    }
    for (name, text) in files("exam") {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let mut found = Vec::new();
        strings(&value, "", &mut found);
        for (at, (_, text)) in found.iter().filter(|(member, _)| *member == "der").enumerate() {
            seeds.put("certificate", format!("{name}-{at}"), hex::decode(text).expect("hex"));
        }
    }
    for (name, text) in files("status") {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let mut found = Vec::new();
        strings(&value, "", &mut found);
        for (_, text) in found.iter().filter(|(member, _)| *member == "der") {
            seeds.put("crl", &name, hex::decode(text).expect("hex"));
        }
    }
    for (name, text) in files("issuance") {
        if name.ends_with(".ndjson") {
            for (at, line) in text.lines().enumerate() {
                seeds.put("feed", format!("{name}-{at}"), line);
            }
        }
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let mut found = Vec::new();
        strings(&value, "", &mut found);
        for (at, (_, text)) in found.iter().filter(|(_, text)| text.contains(" CAA ")).enumerate() {
            seeds.put("caa", format!("{name}-{at}"), text);
        }
    }
    certificates
}

/// Leaves, tiles and pages of real size, with a certificate and a precertificate each.
fn log(seeds: &Seeds, certificates: &[Vec<u8>]) {
    for (at, der) in certificates.iter().step_by(60).enumerate() {
        let Ok(certificate) = Certificate::parse(der) else { continue };
        let (tbs, name) = (certificate.core_tbs(), at.to_string());
        let (mut tile, mut page) = (Vec::new(), Vec::new());
        for (index, entry) in [
            LeafEntry::X509 { certificate: der },
            LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: &tbs },
            LeafEntry::X509 { certificate: b"rubbish" },
        ]
        .iter()
        .enumerate()
        {
            let extensions = encode_leaf_index(512 + index as u64);
            let leaf = encode_merkle_tree_leaf(NOW, entry, &extensions);
            let pre_certificate = (entry.kind() == EntryKind::Precertificate).then_some(der.as_slice());
            let extra = ExtraData { pre_certificate, chain: vec![b"issuer", b"root"] }.encode();
            seeds.put("leaf", format!("{name}-{index}"), &leaf);
            seeds.put("leaf", format!("{name}-{index}-extra"), &extra);
            tile::encode_tile_leaf(&mut tile, NOW, entry, &extensions, der, &[[2; 32]]);
            page.push((leaf, extra));
            seeds.put(
                "scts",
                format!("{name}-{index}"),
                sct::encode_sct_list(&[SIGNER.sign_sct(NOW, entry, &extensions)]),
            );
        }
        let page = entries::encode_page(page.iter().map(|(leaf, extra)| (leaf.as_slice(), extra.as_slice())));
        for (coding, bytes) in [("member", gzip(&[page.as_bytes()])), ("members", gzip(&[&tile, page.as_bytes()]))] {
            seeds.put("inflate", format!("{name}-{coding}"), bytes);
        }
        seeds.put(
            "page",
            format!("{name}-escaped"),
            page.replace("/", "\\/").replacen("\"leaf_input\"", " \"more\": [1.5, {}], \"leaf_input\"", 1),
        );
        seeds.put("page", &name, page);
        seeds.put("tile", name, tile);
    }
    // Serde's derived readers take an array for an object.
    seeds.put("page", "array", "[[]]");
    seeds.put("inflate", "bomb", gzip(&[&[0; 1 << 20]]));
    seeds.put(
        "page",
        "short",
        r#"{"entries":[{"leaf_input":"AAAA","extra_data":""},{"extra_data":"AA==","leaf_input":"AAA="}]}"#,
    );
    let mut range = CompactRange::empty();
    range.append(&[[1; 32], [2; 32], [3; 32]]);
    seeds.put("tile", "range", range.to_bytes());
    seeds.put("tile", "hashes", [7; 8192]);
    seeds.put("scts", "key", SIGNER.spki_der());
}

/// Gzip with a member for each part.
fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).expect("memory");
        bytes.extend(encoder.finish().expect("memory"));
    }
    bytes
}

fn head(tree_size: u64, root_hash: [u8; 32], timestamp: Timestamp) -> SignedTreeHead {
    let signature = SIGNER.sign_tree_head(tree_size, &root_hash, timestamp);
    let key = LogKey::from_spki_der(&SIGNER.spki_der()).expect("a key");
    ClaimedTreeHead { tree_size, timestamp, root_hash, signature }.verify(&key).expect("our own signature")
}

/// Tree heads in all their forms, proofs, evidence.
fn heads(seeds: &Seeds) {
    let (root, before) = ([5; 32], Timestamp::from_millis(NOW.millis() - 60_000));
    let note = checkpoint::render(ORIGIN, SIGNER.log_id(), 7, &root, NOW, |message| SIGNER.sign(message));
    seeds.put("checkpoint", "grease", format!("{note}\u{2014} grease.invalid AQIDBAU=\n"));
    seeds.put("checkpoint", "plain", note);
    let root64 = to_base64(&root);
    let signature = to_base64(&SIGNER.sign_tree_head(7, &root, NOW));
    seeds.put(
        "sth",
        "plain",
        json!({"tree_size": 7, "timestamp": NOW.millis(), "sha256_root_hash": root64, "tree_head_signature": signature})
            .to_string(),
    );
    seeds.put("sth", "kept", head(7, root, NOW).to_json().to_string());
    let nodes = [root64.as_str(); 3];
    for (name, json) in [
        ("consistency", json!({ "consistency": nodes })),
        ("by-hash", json!({"leaf_index": 3, "audit_path": nodes})),
        ("entry", json!({"leaf_input": "AAAA", "extra_data": "AAAA", "audit_path": nodes})),
    ] {
        seeds.put("proof", name, format!("\u{3}\u{7}{json}"));
    }
    let mut range = CompactRange::empty();
    range.append(&[[1; 32], [2; 32], [3; 32]]);
    let base64 = |hashes: &[[u8; 32]]| hashes.iter().map(|hash| to_base64(hash)).collect::<Vec<_>>();
    let leaves = json!({"verified_range": base64(range.hashes()), "leaf_hashes": base64(&[[4; 32], [5; 32]])});
    let entry = LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: b"tbs" };
    let index = encode_leaf_index(7);
    let promise = json!({
        "sct": to_base64(&SIGNER.sign_sct(before, &entry, &index).encode()), "mmd_seconds": 60,
        "leaf_input": to_base64(&encode_merkle_tree_leaf(before, &entry, &index)),
    });
    for (kind, heads, more) in [
        (Kind::Fork, vec![head(7, [1; 32], NOW), head(7, [2; 32], NOW)], Value::Null),
        (Kind::Rollback, vec![head(5, [1; 32], NOW), head(7, [2; 32], before)], Value::Null),
        (Kind::RootMismatch, vec![head(5, [9; 32], NOW), head(3, range.root(), before)], leaves),
        (Kind::SctNotHonoured, vec![head(7, [1; 32], NOW)], promise),
        (Kind::BadSignature, Vec::new(), json!({"answer": "AAAA", "text": "x"})),
    ] {
        let accused = Accused {
            log_id: SIGNER.log_id(),
            name: ORIGIN.into(),
            operator: "Fuzz".into(),
            key_der: SIGNER.spki_der(),
        };
        let misconduct = Misconduct { kind, tree_size: 7, detail: "it did".into(), heads, more };
        seeds.put("evidence", kind.word(), misconduct.evidence(&accused, NOW).to_string());
    }
}

/// Lists and headers.
fn texts(seeds: &Seeds) {
    let log = json!({
        "description": "Fuzz 2026h2", "log_id": SIGNER.log_id(), "key": to_base64(&SIGNER.spki_der()), "mmd": 86400,
        "url": "https://log.fuzz.example/2026h2/", "submission_url": "https://log.fuzz.example/2026h2/",
        "monitoring_url": "https://mon.fuzz.example/2026h2/",
        "state": {"readonly": {"timestamp": "2026-01-01T00:00:00Z", "final_tree_head": {
            "tree_size": 7, "sha256_root_hash": to_base64(&[5; 32])}}},
        "temporal_interval": {"start_inclusive": "2026-07-01T00:00:00Z", "end_exclusive": "2027-01-01T00:00:00Z"},
    });
    for member in ["logs", "tiled_logs"] {
        let operators = json!([{"name": "Fuzz", "email": ["x@fuzz.example"], member: [log]}]);
        let list = json!({"version": "1.2", "log_list_timestamp": "2026-09-27T00:00:00Z", "operators": operators});
        seeds.put("log_list", member, list.to_string());
    }
    for (at, header) in ["17", "Sat, 21 Nov 2026 23:27:30 GMT", "Sat, 21 Nov 2026 23:27:30 UTC"].iter().enumerate() {
        seeds.put("retry_after", at.to_string(), header);
    }
    let rules: String = (0..5001).map(|n| format!("a{n}\n")).collect();
    seeds.put(
        "tables",
        "suffixes",
        format!(
            "// VERSION: 2027-01-01\n// ===BEGIN ICANN DOMAINS===\n*.ck\n!www.ck\n{rules}// ===END ICANN DOMAINS===\n"
        ),
    );
    seeds.put("tables", "tlds", include_str!("../../../src/lint/tlds.csv"));
}
