//! What the tests of this room share: real data where it is at hand, and a naive tree to compare with.

use std::path::PathBuf;

use super::leaf::{leaf_hash, node_hash};
use super::{Hash, empty_root};

/// The directory of real data; `None`, with a line that says so, where it is absent.
pub fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/ct"));
    let named = std::env::var_os("CTWARDEN_SHARED").map(|directory| PathBuf::from(directory).join("ct"));
    let found = [Some(beside), named].into_iter().flatten().find(|directory| directory.is_dir());
    if found.is_none() {
        println!("skipped: no ../shared/data");
    }
    found
}

/// A file of the real data.
pub fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The key in a key.b64 file.
pub fn key(directory: PathBuf) -> super::key::LogKey {
    let text = String::from_utf8(read(directory.join("key.b64"))).expect("text");
    super::key::LogKey::from_spki_der(&super::from_base64(text.trim()).expect("base64")).expect("a log key")
}

/// The n-th leaf of a made-up tree.
pub fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

/// MTH as RFC 6962 2.1 defines it, by recursion.
pub fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH as RFC 6962 2.1.1 defines it, by recursion.
pub fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if m < k { (naive_path(m, left), naive_root(right)) } else { (naive_path(m - k, right), naive_root(left)) };
    path.push(sibling);
    path
}

/// PROOF as RFC 6962 2.1.2 defines it, by recursion.
pub fn naive_consistency(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    subproof(m, leaves, true)
}

fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (subproof(m, left, whole), naive_root(right))
    } else {
        (subproof(m - k, right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

/// The largest power of two smaller than `count`.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}
