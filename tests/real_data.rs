//! Real log data through the real binary, and the same assertions on a log of our own making. Where ../shared is
//! absent, the twin alone runs.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ctwarden::cert::{Certificate, DnsName};
use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::ct::compact_range::CompactRange;
use ctwarden::ct::leaf::{LeafEntry, leaf_hash_of_entry};
use ctwarden::ct::proof::{parse_proof_by_hash, verify_inclusion_of_hash};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::tile::tile_leaves;
use ctwarden::ct::{Hash, checkpoint, key, log_list, to_base64};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use ctwarden::tail::{Fetcher, LogClient};
use ctwarden::watch::{ChainHead, Issuer, Standing, Watchlist};
use serde_json::json;
use support::disk::SmallDisk;
use support::files::{FileServer, shared_ct};
use support::monitor::{Bench, printed, said};

const ENTRIES: i64 = 1024;

/// What is true of a log whatever it holds.
struct Expected {
    /// Entries by issuer_key_hash.
    by_issuer: BTreeMap<KeyHash, i64>,
    /// Root of all entries.
    root: Hash,
}

fn issuers(hashes: impl IntoIterator<Item = KeyHash>) -> String {
    let issuer =
        |(at, hash): (usize, KeyHash)| format!("[[issuer]]\nname = \"Issuer {at}\"\nissuer_key_hash = \"{hash}\"\n");
    let issuers: String = hashes.into_iter().enumerate().map(issuer).collect();
    format!("{issuers}[issuance]\nsource = \"none\"")
}

/// Follows the log with its issuers as ours, and again: 1,024 hits, all verified, nothing to revoke, nothing
/// twice.
async fn every_entry_is_a_hit(list: &str, expected: &Expected) {
    let (bench, _memory) = quick_bench(list, &issuers(expected.by_issuer.keys().copied()), "");
    let mut found = Vec::new();
    for run in 1..=2 {
        let done = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(done.status.code(), Some(0), "run {run}: {}", said(&done));
        assert!(!said(&done).contains("internal error"), "{}", said(&done));
        // Whoever gives only the hash of a key is told what cannot be matched with it.
        assert!(said(&done).contains("precertificates are matched, final certificates cannot be"), "{}", said(&done));
        found.push(check_books(&bench, expected, "ours"));
        let certificates = bench.count("SELECT count(*) FROM certificates WHERE form = 'certificate'");
        assert_eq!(certificates, ENTRIES, "every submitted precertificate belongs to its leaf and is believed");
    }
    assert_eq!(found[0], found[1], "the second run adds nothing");
    let logs = bench.run_beside(&["logs"]).await;
    assert!(printed(&logs).contains("1024"), "{}", printed(&logs));
}

/// A configuration whose mail folder is in memory where that is possible: a mail on a disk waits for the disk.
fn quick_bench(list: &str, issuers: &str, more: &str) -> (Bench, Option<SmallDisk>) {
    let bench = Bench::with_list(list, issuers, more);
    let memory = SmallDisk::mount(&bench.path("mail"), 100_000);
    (bench, memory)
}

/// The same with issuers of nobody in the log: only `all_issuers` makes hits.
async fn for_trials_every_entry_is_a_hit(list: &str, expected: &Expected) {
    let nobody = issuers([KeyHash([7; 32])]);
    let bench = Bench::with_list(list, &nobody, "");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 0, "nobody's entries are no hits");
    let (bench, _memory) = quick_bench(list, &nobody, "[watch]\nall_issuers = true");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    check_books(&bench, expected, "trial");
}

/// Checks the books; returns what was found.
fn check_books(bench: &Bench, expected: &Expected, standing: &str) -> BTreeMap<(String, String), i64> {
    assert_eq!(bench.count("SELECT count(*) FROM hits"), ENTRIES);
    assert_eq!(bench.count(&format!("SELECT count(*) FROM hits WHERE standing = '{standing}'")), ENTRIES);
    assert_eq!(bench.count("SELECT count(*) FROM sightings WHERE kind = 'precertificate'"), ENTRIES);
    assert_eq!(bench.count("SELECT count(DISTINCT idx) FROM sightings"), ENTRIES);
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE remark <> ''"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE examined = 0 OR examine_at IS NOT NULL"), 0);
    assert_eq!(bench.count("SELECT downloaded_size FROM logs"), ENTRIES);
    assert_eq!(bench.count("SELECT verified_size FROM logs"), ENTRIES);
    assert_eq!(bench.count("SELECT count(*) FROM malformed"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
    // These are good certificates: nothing to revoke and nothing to look into. A warning ("NOT RECOMMENDED") may be.
    let found = found(bench);
    assert!(found.keys().all(|(_, severity)| severity == "warning" || severity == "notice"), "{found:?}");
    let events = bench.count("SELECT count(*) FROM case_events");
    assert_eq!(bench.count("SELECT count(*) FROM cases"), events, "one event for each case");
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"), events);
    assert_eq!(bench.mails().len() as i64, events);
    for (issuer, entries) in &expected.by_issuer {
        let sql = format!("SELECT count(*) FROM hits WHERE lower(hex(issuer_key_hash)) = '{issuer}'");
        assert_eq!(bench.count(&sql), *entries, "{issuer}");
    }
    let root = hex::encode(expected.root);
    let sql =
        format!("SELECT count(*) FROM tree_heads WHERE outcome = 'verified' AND lower(hex(root_hash)) = '{root}'");
    assert_eq!(bench.count(&sql), 1, "the root of the hash tiles is the root that was verified");
    found
}

/// Findings by rule and severity.
fn found(bench: &Bench) -> BTreeMap<(String, String), i64> {
    let books = bench.books();
    let sql = "SELECT rule, json_extract(finding, '$.severity'), count(*) FROM case_findings GROUP BY 1, 2";
    let mut rows = books.prepare(sql).expect("SQL");
    let rows = rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// The real entries of a directory, read here and not by the program: issuers from the data tiles, root from the hash
/// tiles.
fn read_real(log: &Path) -> Expected {
    let mut by_issuer = BTreeMap::new();
    let (mut from_tiles, mut from_entries) = (CompactRange::empty(), CompactRange::empty());
    for tile in ["000", "001", "002", "003"] {
        let hashes = std::fs::read(log.join("tile/0").join(tile)).expect("a hash tile");
        let (hashes, rest) = hashes.as_chunks::<32>();
        assert!(rest.is_empty() && hashes.len() == 256);
        from_tiles.append(hashes);
        for leaf in tile_leaves(&std::fs::read(log.join("tile/data").join(tile)).expect("a data tile")) {
            let leaf = leaf.expect("a real entry");
            from_entries.push(leaf_hash_of_entry(leaf.entry_bytes));
            let LeafEntry::Precert { issuer_key_hash, .. } = leaf.entry.entry else { panic!("a certificate") };
            *by_issuer.entry(issuer_key_hash).or_default() += 1;
        }
    }
    assert_eq!(from_tiles.root(), from_entries.root());
    Expected { by_issuer, root: from_tiles.root() }
}

/// Serves a real log's tiles with a checkpoint of our own over the real root.
async fn serve(log: &Path, expected: &Expected) -> (FileServer, String) {
    let signer = LogSigner::generate();
    let server = FileServer::start(log.to_path_buf(), |port| {
        let (origin, now) = (format!("127.0.0.1:{port}"), Clock::System.now());
        let sign = |message: &[u8]| signer.sign(message);
        let text = checkpoint::render(&origin, signer.log_id(), ENTRIES as u64, &expected.root, now, sign);
        vec![("/checkpoint".to_string(), text)]
    });
    let server = server.await;
    let list = json!({"version": "1.0", "operators": [{"name": "Real data", "logs": [], "tiled_logs": [{
        "description": "1,024 real entries", "log_id": signer.log_id().to_string(), "mmd": 60,
        "key": to_base64(&signer.spki_der()), "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
        "submission_url": server.url(), "monitoring_url": server.url(),
    }]}]});
    (server, list.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_1024_real_precertificates_are_followed_verified_and_judged() {
    let Some(shared) = shared_ct() else { return };
    let log = shared.join("navigli2025h2");
    let expected = read_real(&log);
    assert_eq!(expected.by_issuer.len(), 4, "issuing keys in these entries");
    assert_eq!(expected.by_issuer.values().sum::<i64>(), ENTRIES);
    let (_server, list) = serve(&log, &expected).await;
    every_entry_is_a_hit(&list, &expected).await;
    for_trials_every_entry_is_a_hit(&list, &expected).await;
}

/// A tile-serving log of our own with 1,024 precertificates of two CAs.
async fn generated() -> (LogServer, Expected) {
    let clock = Clock::System;
    let now = clock.now();
    let settings =
        LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(Api::StaticCt, clock.clone()) };
    let log = LogServer::start(settings).await.expect("log");
    let cas = [Ca::generate(now).expect("CA"), Ca::generate(now).expect("CA")];
    let mut by_issuer = BTreeMap::new();
    for number in 0..ENTRIES {
        let ca = &cas[usize::from(number % 3 == 0)];
        let at = now.minus(Span::from_seconds(ENTRIES - number));
        log.append([precertificate(ca, &format!("www{number}.barakaldo.eus"), at)]);
        *by_issuer.entry(ca.issuer_key_hash()).or_default() += 1;
    }
    let head = log.publish();
    assert_eq!(head.size, ENTRIES as u64);
    (log, Expected { by_issuer, root: head.root })
}

fn precertificate(ca: &Ca, name: &str, at: Timestamp) -> RawEntry {
    let pre_certificate = ca.draft(&[name], at).expect("draft").precertificate().expect("precertificate");
    let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_1024_generated_precertificates_are_followed_verified_and_judged() {
    let (log, expected) = generated().await;
    let list = ctwarden::demo::log::log_list(&[&log], Clock::System.now()).to_string();
    every_entry_is_a_hit(&list, &expected).await;
    for_trials_every_entry_is_a_hit(&list, &expected).await;
    log.stop().await;
}

/// An RFC 6962 log as the log list names it, read by the program's own client.
fn client(server_url: &str, key_der: &[u8], log_id: key::LogId) -> LogClient {
    let list = json!({"operators": [{"name": "Real data", "logs": [{
        "description": "RFC 6962", "log_id": log_id.to_string(), "mmd": 86400, "key": to_base64(key_der),
        "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}}, "url": server_url,
    }], "tiled_logs": []}]});
    let list = log_list::parse(list.to_string().as_bytes()).expect("a list");
    let log = list.logs.into_iter().next().expect("one log");
    LogClient::new(Arc::new(log), Fetcher::new("tests@ca-tests.eus", Clock::System).expect("a client"))
}

/// One entry through the client: its leaf is under the head, its issuer came with it, and its signature makes it ours.
async fn one_entry(client: &LogClient, index: u64, proof: &[u8]) -> Certificate {
    let head = client.head().await.expect("a head that the log's key signed");
    let everyone = Arc::new(Watchlist::new(vec![], true));
    let read = client.entries(index..index + 1, head.tree_size(), &everyone).await.expect("the entry");
    let [page] = &read[..] else { panic!("{} pages", read.len()) };
    assert_eq!((page.start, page.leaf_hashes.len(), page.malformed.len()), (index, 1, 0));
    let proof = parse_proof_by_hash(proof).expect("a proof");
    assert_eq!(proof.leaf_index, index);
    verify_inclusion_of_hash(head.root(), index, page.leaf_hashes[0], &proof.audit_path).expect("included");
    let [candidate] = &page.candidates[..] else { panic!("{} candidates", page.candidates.len()) };
    let ChainHead::Certificate(issuer) = &candidate.issuer else { panic!("no chain: {:?}", candidate.issuer) };
    let ours = Watchlist::new(vec![Issuer::from_certificate("Issuer", issuer).expect("an issuer")], false);
    let hit = ours.judge(candidate, Some(issuer)).expect("ours");
    assert_eq!((hit.standing, hit.issuer.as_str(), hit.remark.as_str()), (Standing::Ours, "Issuer", ""));
    Certificate::parse(&hit.der).expect("a certificate")
}

#[tokio::test]
async fn a_real_entry_of_an_rfc_6962_log_is_read_proven_and_matched_by_its_signature() {
    let Some(shared) = shared_ct() else { return };
    let log = shared.join("argon2020");
    let text = |name: &str| std::fs::read_to_string(log.join(name)).expect("a file");
    let key_der = ctwarden::ct::from_base64(text("key.b64").trim()).expect("base64");
    let log_key = key::LogKey::from_spki_der(&key_der).expect("a key");
    let server = FileServer::start(log.clone(), |_| {
        let entries = text("get-entries-start-10000-end-10000");
        vec![
            ("/ct/v1/get-sth".to_string(), text("get-sth")),
            ("/ct/v1/get-entries?start=10000&end=10000".to_string(), entries),
        ]
    });
    let server = server.await;
    let proof = std::fs::read_dir(&log).expect("the directory").flatten().map(|file| file.path());
    let proof = proof.into_iter().find(|path| path.to_string_lossy().contains("get-proof-by-hash")).expect("a proof");
    let client = client(&server.url(), &key_der, log_key.log_id());
    let subject = one_entry(&client, 10000, &std::fs::read(proof).expect("the proof")).await.subject_text();
    assert!(subject.contains("*.landlords.com.au"), "{subject}");
}

#[tokio::test]
async fn a_generated_entry_of_an_rfc_6962_log_is_read_proven_and_matched_by_its_signature() {
    let clock = Clock::System;
    let ca = Ca::generate(clock.now()).expect("CA");
    let log = LogServer::start(LogSettings::new(Api::Rfc6962, clock.clone())).await.expect("log");
    let chain = || vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()];
    for number in 0..20 {
        let draft = ca.draft(&[&format!("www{number}.barakaldo.eus")], clock.now()).expect("draft");
        let kind = RawKind::X509 { certificate: draft.certificate(&[]).expect("certificate") };
        log.append([RawEntry { timestamp: clock.now(), kind, chain: chain() }]);
    }
    log.publish();
    let log_key = key::LogKey::from_spki_der(&log.spki_der()).expect("a key");
    let client = client(&log.url(), &log.spki_der(), log_key.log_id());
    // The leaf's hash names the proof; the log's own answer is what the client is held against.
    let head = client.head().await.expect("a head");
    let everyone = Arc::new(Watchlist::new(vec![], true));
    let page = client.entries(13..14, head.tree_size(), &everyone).await.expect("the entry").remove(0);
    let hash = to_base64(&page.leaf_hashes[0]).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let url = format!("{}ct/v1/get-proof-by-hash?hash={hash}&tree_size={}", log.url(), head.tree_size());
    let proof = reqwest::get(url).await.expect("an answer").bytes().await.expect("a body");
    let names = one_entry(&client, 13, &proof).await.dns_names();
    assert_eq!(names, [DnsName::new("www13.barakaldo.eus")]);
    log.stop().await;
}
