//! Every entry a hit: bytes of a page -> decoded, hashed, judged and through door 1 into the books, durable. Pages of
//! 1,000 entries, a precertificate and its certificate by turns, all of one issuer of ours, P-256 signatures.
//! `cargo bench --bench door_one`.

use std::sync::Arc;
use std::time::Instant;

use ctwarden::books::{Books, Lane, NewEntries, Position};
use ctwarden::cert::Certificate;
use ctwarden::clock::Clock;
use ctwarden::ct::compact_range::CompactRange;
use ctwarden::ct::entries::encode_page;
use ctwarden::ct::key::LogId;
use ctwarden::ct::leaf::{ExtraData, LeafEntry, encode_merkle_tree_leaf};
use ctwarden::demo::ca::Ca;
use ctwarden::tail::decode;
use ctwarden::watch::{ChainHead, Hit, Issuer, Watchlist};

const PAGES: usize = 20;
const PAGE: usize = 1000;
/// Hits per second, at least.
const WANTED: f64 = 5_000.0;
const LOG: LogId = LogId([7; 32]);

/// A get-entries response with entries of ours alone.
fn page(ca: &Ca, number: usize) -> String {
    let now = Clock::System.now();
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(PAGE);
    for at in 0..PAGE / 2 {
        let name = format!("host{number}-{at}.ca-bench.eus");
        let draft = ca.draft(&[&name, &format!("www.{name}")], now).expect("a draft");
        let pre_certificate = draft.precertificate().expect("a precertificate");
        let certificate = draft.certificate(&[]).expect("a certificate");
        let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
        let chain = [ca.issuing_der(), ca.root_der()];
        let precert = LeafEntry::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs: &tbs };
        let of_precert = ExtraData { pre_certificate: Some(&pre_certificate), chain: chain.to_vec() };
        entries.push((encode_merkle_tree_leaf(now, &precert, b""), of_precert.encode()));
        let last = LeafEntry::X509 { certificate: &certificate };
        let of_last = ExtraData { pre_certificate: None, chain: chain.to_vec() };
        entries.push((encode_merkle_tree_leaf(now, &last, b""), of_last.encode()));
    }
    encode_page(entries.iter().map(|(leaf, extra)| (leaf.as_slice(), extra.as_slice())))
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this bench needs /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

async fn measure() -> bool {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let issuer = Issuer::from_certificate("Bench CA", ca.issuing_der()).expect("an issuer");
    let list = Arc::new(Watchlist::new(vec![issuer], false));
    let pages: Vec<String> = (0..PAGES).map(|number| page(&ca, number)).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let books = Books::open(&directory.path().join("books.sqlite")).expect("books");
    let mut range = CompactRange::empty();
    let start = Position { start_index: 0, downloaded: range.clone(), verified: range.clone(), has_hole: false };
    books.begin_log(LOG, "bench", &start, now).await.expect("a log");
    let (cpu_before, clock) = (cpu_seconds(), Instant::now());
    let (mut judging, mut new_hits) = (0.0, 0);
    for body in &pages {
        let judged = Instant::now();
        let decoded = decode::page(body.as_bytes(), range.size(), PAGE as u64, &list).expect("a page");
        range.append(&decoded.leaf_hashes);
        let hit = |candidate: &ctwarden::watch::Candidate| match &candidate.issuer {
            ChainHead::Certificate(der) => list.judge(candidate, Some(der)),
            ChainHead::Fingerprint(_) | ChainHead::Absent => None,
        };
        let hits: Vec<Hit> = decoded.candidates.iter().filter_map(hit).collect();
        assert_eq!(hits.len(), PAGE, "every entry is a hit");
        judging += judged.elapsed().as_secs_f64();
        let downloaded = Some((Lane::Live, range.clone()));
        let new = NewEntries { log_id: LOG, downloaded, hits, malformed: vec![], seen_at: now };
        new_hits += books.commit_entries(new).await.expect("door 1").iter().map(|(.., count)| count).sum::<u64>();
    }
    let (seconds, cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let hits = (PAGES * PAGE) as f64;
    assert_eq!(new_hits, hits as u64);
    let met = hits / seconds >= WANTED;
    println!("| hits | s | of it decoding and judging | CPU s | hits/s | hits per CPU second | wanted | |");
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {hits:.0} | {seconds:.2} | {judging:.2} | {cpu:.2} | {:.0} | {:.0} | {WANTED:.0} | {} |",
        hits / seconds,
        hits / cpu,
        if met { "met" } else { "missed" }
    );
    met
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test; run cargo bench --bench door_one");
        return;
    }
    let met = tokio::runtime::Runtime::new().expect("threads").block_on(measure());
    println!("\n{}", if met { "All targets are met." } else { "A target is MISSED." });
}
