//! The log over HTTP, read with the monitor's own parsers and checked with ct-merkle.

use super::*;
use crate::clock::{Span, date};
use crate::ct::checkpoint;
use crate::ct::key::LogKey;
use crate::ct::leaf::{ExtraData, leaf_hash, leaf_index, parse_merkle_tree_leaf};
use crate::ct::sth::parse_get_sth;
use crate::ct::tile::{issuer_path, tile_leaves};
use crate::ct::{from_base64, hash_from_base64, sha256};
use crate::demo::ca::Ca;
use crate::finding::KeyHash;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;

fn entry(number: u64) -> RawEntry {
    let timestamp = date(2026, 11, 1).plus(Span::from_millis(number as i64));
    let kind = match number % 2 {
        0 => RawKind::X509 { certificate: format!("certificate {number}").into_bytes() },
        _ => RawKind::Precert {
            issuer_key_hash: KeyHash([9; 32]),
            tbs: format!("tbs {number}").into_bytes(),
            pre_certificate: format!("precertificate {number}").into_bytes(),
        },
    };
    RawEntry { timestamp, kind, chain: vec![b"issuing".to_vec(), b"root".to_vec()] }
}

/// A log that signs only when told to, with `count` entries, published.
async fn log(api: Api, count: u64) -> (LogServer, LogKey) {
    let clock = Clock::manual(date(2026, 11, 22));
    let settings = LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(api, clock) };
    let log = LogServer::start(settings).await.expect("a port");
    assert_eq!(log.append((0..count).map(entry)), 0);
    log.publish();
    let key = LogKey::from_spki_der(&log.spki_der()).expect("P-256");
    (log, key)
}

async fn get(log: &LogServer, path: &str) -> (u16, Vec<u8>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let answer = client.get(format!("{}{path}", log.url())).send().await.expect("an answer");
    let gzipped = answer.headers().get("content-encoding").is_some();
    let (status, body) = (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec());
    if !gzipped {
        return (status, body);
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).expect("gzip");
    (status, plain)
}

async fn get_json(log: &LogServer, path: &str) -> Value {
    let (status, body) = get(log, path).await;
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("JSON")
}

fn hashes(value: &Value) -> Vec<u8> {
    let texts = value.as_array().expect("an array").iter();
    texts.flat_map(|text| hash_from_base64(text.as_str().expect("text")).expect("32 bytes")).collect()
}

fn root(head: &Head) -> RootHash<Sha256> {
    RootHash::new(head.root.into(), head.size)
}

#[tokio::test]
async fn rfc_6962_heads_entries_and_proofs_agree() {
    let (log, key) = log(Api::Rfc6962, 300).await;
    let old = log.head();
    log.append((300..700).map(entry));
    let new = log.publish();
    let head = parse_get_sth(&get(&log, "ct/v1/get-sth").await.1).expect("reads").verify(&key).expect("signed");
    assert_eq!((head.tree_size(), head.root_hash(), head.timestamp()), (700, new.root, new.timestamp));

    let page = get_json(&log, "ct/v1/get-entries?start=300&end=699").await;
    let page = page["entries"].as_array().expect("entries");
    assert_eq!(page.len(), 212, "cut at the next multiple of 256");
    let leaf_input = from_base64(page[1]["leaf_input"].as_str().expect("text")).expect("base64");
    let extra = from_base64(page[1]["extra_data"].as_str().expect("text")).expect("base64");
    let leaf = parse_merkle_tree_leaf(&leaf_input).expect("reads");
    assert_eq!((leaf.timestamp, leaf.entry), (entry(301).timestamp, entry(301).kind.leaf()));
    let extra = ExtraData::parse(leaf.entry.kind(), &extra).expect("reads");
    assert_eq!((extra.pre_certificate, extra.chain.len()), (Some(b"precertificate 301".as_slice()), 2));

    let proof = get_json(&log, "ct/v1/get-sth-consistency?first=300&second=700").await;
    let proof = ConsistencyProof::try_from_bytes(hashes(&proof["consistency"])).expect("whole hashes");
    root(&new).verify_consistency(&root(&old), &proof).expect("consistent");

    let hash = to_base64(&leaf_hash(&leaf_input)).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let proof = get_json(&log, &format!("ct/v1/get-proof-by-hash?hash={hash}&tree_size=700")).await;
    assert_eq!(proof["leaf_index"], 301);
    let path = InclusionProof::try_from_bytes(hashes(&proof["audit_path"])).expect("whole hashes");
    root(&new).verify_inclusion(&leaf_input, 301, &path).expect("included");
    let both = get_json(&log, "ct/v1/get-entry-and-proof?leaf_index=301&tree_size=700").await;
    assert_eq!((&both["audit_path"], &both["leaf_input"]), (&proof["audit_path"], &page[1]["leaf_input"]));
}

#[tokio::test]
async fn rfc_6962_refuses_what_it_does_not_have() {
    let (log, _) = log(Api::Rfc6962, 10).await;
    log.append((10..20).map(entry));
    let (status, body) = get(&log, "ct/v1/get-entries?start=10&end=12").await;
    assert_eq!(status, 400, "not published yet");
    assert_eq!(String::from_utf8_lossy(&body).trim(), "need tree size: 11 to get leaves but only got: 10");
    for path in [
        "ct/v1/get-entries?start=5&end=4",
        "ct/v1/get-entries?start=-1&end=4",
        "ct/v1/get-entries?start=18446744073709551615&end=18446744073709551615",
        "ct/v1/get-sth-consistency?first=0&second=5",
        "ct/v1/get-sth-consistency?first=5&second=15",
        "ct/v1/get-entry-and-proof?leaf_index=12&tree_size=15",
    ] {
        assert_eq!(get(&log, path).await.0, 400, "{path}");
    }
    assert_eq!(get(&log, "ct/v1/get-proof-by-hash?hash=AAAA&tree_size=5").await.0, 404);
    assert_eq!(get(&log, "checkpoint").await.0, 404);
    let all = get_json(&log, "ct/v1/get-entries?start=0&end=18446744073709551615").await;
    assert_eq!(all["entries"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn static_ct_checkpoint_and_tiles_agree() {
    let (log, key) = log(Api::StaticCt, 600).await;
    let head = checkpoint::open(&get(&log, "checkpoint").await.1, log.origin(), &key).expect("signed");
    assert_eq!((head.tree_size(), head.root_hash()), (600, log.head().root));
    let mut position = 0;
    for tile in ["000", "001", "002.p/88"] {
        let (data, hashes) =
            (get(&log, &format!("tile/data/{tile}")).await, get(&log, &format!("tile/0/{tile}")).await);
        assert_eq!((data.0, hashes.0), (200, 200));
        let leaves: Vec<_> = tile_leaves(&data.1).map(|leaf| leaf.expect("reads")).collect();
        assert_eq!(leaves.len() * 32, hashes.1.len());
        for (leaf, hash) in leaves.iter().zip(hashes.1.chunks(32)) {
            assert_eq!(sha256(&[&[0, 0, 0], leaf.entry_bytes]), hash);
            assert_eq!(leaf.entry.entry, entry(position).kind.leaf());
            assert_eq!(leaf.pre_certificate.is_some(), position % 2 == 1);
            assert_eq!(leaf_index(leaf.entry.extensions), Ok(Some(position)));
            position += 1;
        }
    }
    assert_eq!(position, 600);
    assert_eq!(get(&log, "tile/1/000.p/2").await.1.len(), 64);
    for missing in ["tile/data/002", "tile/0/002.p/89", "tile/1/000.p/3", "tile/1/000", "tile/6/000", "tile/x/000"] {
        assert_eq!(get(&log, missing).await.0, 404, "{missing}");
    }
    let issuer = get(&log, &issuer_path(&sha256(&[b"root"]))).await;
    assert_eq!(issuer, (200, b"root".to_vec()));
    assert_eq!(get(&log, "issuer/00").await.0, 404);
}

#[tokio::test]
async fn entries_are_released_step_by_step() {
    let (log, _) = log(Api::StaticCt, 0).await;
    log.set_visible_size(Some(0));
    log.append((0..20_000).map(entry));
    assert_eq!(log.publish().size, 0);
    log.set_visible_size(Some(700));
    assert_eq!(log.publish().size, 700);
    log.set_visible_size(Some(300));
    assert_eq!(log.publish().size, 700, "a head never shrinks");
    log.set_visible_size(None);
    let (before, last) = (log.head(), log.publish());
    assert_eq!((last.size, log.size()), (20_000, 20_000));
    assert!(last.timestamp > before.timestamp, "even when the clock stands");
}

async fn post(log: &LogServer, path: &str, chain: &[Vec<u8>]) -> (u16, Vec<u8>) {
    let body = json!({"chain": chain.iter().map(|der| to_base64(der)).collect::<Vec<_>>()}).to_string();
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let answer = client.post(format!("{}ct/v1/{path}", log.url())).body(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
}

#[tokio::test]
async fn submissions_are_checked_and_repeats_get_the_same_promise() {
    let clock = Clock::manual(date(2026, 11, 22));
    let log = LogServer::start(LogSettings::new(Api::Rfc6962, clock.clone())).await.expect("a port");
    let (ca, other) = (Ca::generate(clock.now()).expect("keys"), Ca::generate(clock.now()).expect("keys"));
    let draft = ca.draft(&["www.demo-shop.eus"], clock.now()).expect("draft");
    let pre = draft.precertificate().expect("signed");
    let fin = draft.certificate(&[]).expect("signed");
    for (path, chain, reason) in [
        ("add-chain", ca.chain(&pre), "add-pre-chain"),
        ("add-pre-chain", ca.chain(&fin), "no poison"),
        ("add-pre-chain", other.chain(&pre), "not signed by the next"),
        ("add-pre-chain", vec![pre.clone()], "1 certificates"),
        ("add-chain", vec![b"x".to_vec(), b"y".to_vec()], "unreadable"),
    ] {
        let (status, body) = post(&log, path, &chain).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 400 && body.contains(reason), "{path} {reason}: {status} {body}");
    }
    assert_eq!(log.size(), 0);
    let read = |(status, body): (u16, Vec<u8>)| -> Value {
        assert_eq!(status, 200);
        serde_json::from_slice(&body).expect("JSON")
    };
    let first = read(post(&log, "add-pre-chain", &ca.chain(&pre)).await);
    clock.advance(Span::from_seconds(5));
    let again = read(post(&log, "add-pre-chain", &ca.chain(&pre)).await);
    assert_eq!(first["timestamp"], again["timestamp"]);
    let later = read(post(&log, "add-chain", &ca.chain(&fin)).await);
    assert_ne!(first["timestamp"], later["timestamp"]);
    assert_eq!(log.size(), 2);
}

#[tokio::test]
async fn a_running_log_signs_by_itself_and_stops_when_told() {
    let clock = Clock::System;
    let settings = LogSettings { sequence_every: Duration::from_millis(5), ..LogSettings::new(Api::Rfc6962, clock) };
    let log = LogServer::start(settings).await.expect("a port");
    log.append([entry(0)]);
    let seen = async {
        while log.head().size == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("a head within ten seconds");
    let url = log.url();
    log.stop().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    assert!(client.get(url).send().await.is_err());
}
