//! The bytes of a response -> inflated, decoded, hashed, appended, matched (no hit): what the daemon runs, beside the
//! floor, which is the sum of the parts that cannot be avoided, each with the fastest crate, measured in the same run
//! on the same bytes. `cargo bench --bench hot_path`.

mod synthetic;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use base64_simd::{Out, STANDARD};
use ctwarden::ct::compact_range::CompactRange;
use ctwarden::tail::decode;
use ctwarden::tail::inflate::{Coding, Inflater};
use ctwarden::watch::Watchlist;
use sha2::{Digest, Sha256};

/// Rounds; in each all variants take turns, so that a change of the clock rate meets all of them.
const ROUNDS: usize = 201;
/// How long one sample lasts at least; short, so that some are not interrupted.
const SAMPLE: Duration = Duration::from_micros(500);
/// Ours over floor, at most.
const TARGET_TILE: f64 = 1.25;
const TARGET_PAGE: f64 = 1.35;

type Run<'a> = Box<dyn FnMut() + 'a>;

/// Nanoseconds of one run of each, the least of all rounds: what else the machine does only adds.
fn measure(runs: &mut [Run<'_>]) -> Vec<f64> {
    let once = |run: &mut Run<'_>, times: u32| {
        let start = Instant::now();
        (0..times).for_each(|_| run());
        start.elapsed()
    };
    let times: Vec<u32> = (runs.iter_mut())
        .map(|run| {
            let mut times = 1;
            while once(run, times) < SAMPLE {
                times *= 2;
            }
            times
        })
        .collect();
    let mut least = vec![f64::INFINITY; runs.len()];
    for _ in 0..ROUNDS {
        for (at, run) in runs.iter_mut().enumerate() {
            least[at] = least[at].min(once(run, times[at]).as_nanos() as f64 / f64::from(times[at]));
        }
    }
    least
}

/// One kind of response.
struct Case {
    name: &'static str,
    is_tile: bool,
    /// The body, not compressed.
    body: Vec<u8>,
    /// The leaves with a zero octet in front.
    leaves: Vec<Vec<u8>>,
}

impl Case {
    fn page(name: &'static str, entries: &[synthetic::Entry]) -> Case {
        let leaves = entries.iter().map(|entry| [vec![0], entry.leaf_input()].concat()).collect();
        Case { name, is_tile: false, body: synthetic::page(entries), leaves }
    }

    fn tile(name: &'static str, entries: &[synthetic::Entry]) -> Case {
        let body = synthetic::tile(entries, 0);
        let leaf = |read: ctwarden::ct::tile::TileLeaf<'_>| [&[0, 0, 0], read.entry_bytes].concat();
        let leaves = ctwarden::ct::tile::tile_leaves(&body).map(|read| leaf(read.expect("our own tile"))).collect();
        Case { name, is_tile: true, body, leaves }
    }

    fn ours(&self, inflater: &mut Inflater, range: &mut CompactRange, wire: &[u8], coding: Coding, list: &Watchlist) {
        let count = self.leaves.len() as u64;
        let read = inflater.read(wire, coding, 192 << 20, |body| match self.is_tile {
            true => decode::tile(body, 0, 0, count, list),
            false => decode::page(body, 0, count, list),
        });
        let decoded = read.expect("gzip").expect("a response");
        assert!(decoded.candidates.is_empty() && decoded.malformed.is_empty());
        assert_eq!(decoded.leaf_hashes.len(), self.leaves.len());
        range.append(&decoded.leaf_hashes);
    }
}

/// Leaf texts between the quotes; nothing is checked.
fn scan(body: &[u8], mut leaf: impl FnMut(&[u8])) {
    let mut rest = &body[b"{\"entries\":[{\"extra_data\":\"".len()..];
    loop {
        rest = &rest[memchr::memchr(b'"', rest).expect("extra_data ends") + b"\",\"leaf_input\":\"".len()..];
        let end = memchr::memchr(b'"', rest).expect("leaf_input ends");
        leaf(&rest[..end]);
        match rest.get(end + b"\"},{\"extra_data\":\"".len()..) {
            Some(next) => rest = next,
            None => return,
        }
    }
}

fn sha2_digest(bytes: &[u8]) {
    black_box(Sha256::digest(bytes));
}

fn aws_lc_digest(bytes: &[u8]) {
    black_box(digest::digest(&digest::SHA256, bytes));
}

/// Prints a line of the table; returns whether the target is met.
fn report(case: &Case, gzipped: bool, list: &Watchlist) -> bool {
    let wire = if gzipped { synthetic::gzip(&case.body) } else { case.body.clone() };
    let coding = if gzipped { Coding::Gzip } else { Coding::Identity };
    let (mut inflater, mut range) = (Inflater::default(), CompactRange::empty());
    let (mut decompressor, mut inflated) = (libdeflater::Decompressor::new(), vec![0; case.body.len()]);
    let texts: Vec<String> = case.leaves.iter().map(|leaf| STANDARD.encode_to_string(&leaf[1..])).collect();
    let mut buffer = vec![0; 1 << 16];
    let node = [7; 65];
    let decode = |text: &str, buffer: &mut [u8]| STANDARD.decode(text.as_bytes(), Out::from_slice(buffer)).map(|_| ());
    let mut runs: Vec<Run<'_>> = vec![
        Box::new(|| case.ours(&mut inflater, &mut range, black_box(&wire), coding, list)),
        Box::new(|| case.leaves.iter().for_each(|leaf| sha2_digest(black_box(leaf)))),
        Box::new(|| case.leaves.iter().for_each(|leaf| aws_lc_digest(black_box(leaf)))),
        Box::new(|| case.leaves.iter().for_each(|_| sha2_digest(black_box(&node)))),
        Box::new(|| case.leaves.iter().for_each(|_| aws_lc_digest(black_box(&node)))),
    ];
    if !case.is_tile {
        runs.push(Box::new(|| scan(black_box(&case.body), |text| assert!(!black_box(text).is_empty()))));
        runs.push(Box::new(|| texts.iter().for_each(|text| decode(black_box(text), &mut buffer).expect("base64"))));
    }
    if gzipped {
        runs.push(Box::new(|| {
            black_box(decompressor.gzip_decompress(black_box(&wire), &mut inflated)).expect("gzip");
        }));
    }
    let per_entry: Vec<f64> = measure(&mut runs).iter().map(|run| run / case.leaves.len() as f64).collect();
    let ours = per_entry[0];
    let (leaf, node) = (per_entry[1].min(per_entry[2]), per_entry[3].min(per_entry[4]));
    let (json, inflate) = if case.is_tile { (&[][..], &per_entry[5..]) } else { per_entry[5..].split_at(2) };
    let floor = leaf + node + json.iter().chain(inflate).sum::<f64>();
    let (ratio, target) = (ours / floor, if case.is_tile { TARGET_TILE } else { TARGET_PAGE });
    let met = ratio <= target;
    let cell = |part: Option<&f64>| part.map_or("-".to_string(), |part| format!("{part:.0}"));
    println!(
        "| {} {} | {} | {} | {} | {leaf:.0} | {node:.0} | {floor:.0} | {ours:.0} | {ratio:.2} | {target} | {:.0} k | {} |",
        case.name,
        if gzipped { "gzip" } else { "plain" },
        cell(inflate.first()),
        cell(json.first()),
        cell(json.get(1)),
        1e6 / ours,
        if met { "pass" } else { "FAIL" },
    );
    met
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test; run cargo bench --bench hot_path");
        return;
    }
    let entries = synthetic::entries(1000, 1);
    let list = synthetic::watchlist();
    let cases = [
        Case::tile("tile of 256", &entries[..256]),
        Case::page("page of 1,000", &entries),
        Case::page("page of 32", &entries[..32]),
    ];
    let mean = |of: &dyn Fn(&synthetic::Entry) -> usize| entries.iter().map(of).sum::<usize>() / entries.len();
    println!(
        "mean leaf {} bytes, extra data {} bytes",
        mean(&|e| e.leaf_input().len()),
        mean(&|e| e.extra_data().len())
    );
    for case in &cases {
        let (plain, gzipped) = (case.body.len(), synthetic::gzip(&case.body).len());
        let per_entry = plain / case.leaves.len();
        println!("{}: {per_entry} bytes per entry, gzip ratio {:.2}", case.name, gzipped as f64 / plain as f64);
    }
    println!("\nNanoseconds per entry, one core:\n");
    println!(
        "| response | inflate | scan | base64 | leaf hash | node hash | floor | ours | ours/floor | target | entries/s | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut met = true;
    for case in &cases {
        for gzipped in [false, true] {
            met &= report(case, gzipped, &list);
        }
    }
    println!("\n{}", if met { "All targets are met." } else { "A target is MISSED." });
}
