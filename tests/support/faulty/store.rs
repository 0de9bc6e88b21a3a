//! The entries of a faulty log, what is asked of it, and the answers that it gives, honest or not.

use std::collections::HashMap;
use std::ops::Range;

use ctwarden::clock::{Clock, Timestamp};
use ctwarden::ct::leaf::leaf_hash;
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::{Hash, checkpoint, empty_root, hash_from_base64, sha256, to_base64};
use ctwarden::demo::log::Head;
use ctwarden::demo::tree::MerkleTree;
use serde_json::{Value, json};

use super::plant::{Bytes, Entry, Oddity};
use super::wire::Answer;
use super::{Fault, On};

const WIDTH: u64 = 256;

/// A request for something that a log has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Sth,
    Checkpoint,
    Page(Range<u64>),
    DataTile { index: u64, width: u64 },
    HashTile { level: u32, index: u64, width: u64 },
    Issuer(Hash),
    ProofByHash { hash: Hash, size: u64 },
    EntryAndProof { index: u64, size: u64 },
    Consistency { old: u64, new: u64 },
    Nothing,
}

impl Asked {
    pub fn parse(path: &str) -> Asked {
        Asked::read(path).unwrap_or(Asked::Nothing)
    }

    fn read(path: &str) -> Option<Asked> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let text = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        Some(match path {
            "ct/v1/get-sth" => Asked::Sth,
            "checkpoint" => Asked::Checkpoint,
            "ct/v1/get-entries" => Asked::Page(number("start")?..number("end")?.checked_add(1)?),
            "ct/v1/get-proof-by-hash" => {
                let hash = text("hash")?.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
                Asked::ProofByHash { hash: hash_from_base64(&hash)?, size: number("tree_size")? }
            }
            "ct/v1/get-entry-and-proof" => {
                Asked::EntryAndProof { index: number("leaf_index")?, size: number("tree_size")? }
            }
            "ct/v1/get-sth-consistency" => Asked::Consistency { old: number("first")?, new: number("second")? },
            _ if path.starts_with("issuer/") => Asked::Issuer(hex::decode(&path[7..]).ok()?.try_into().ok()?),
            _ => {
                let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
                let (number, width) = rest.split_once(".p/").unwrap_or((rest, "256"));
                let index = number.split('/').try_fold(0, |sum: u64, part| {
                    Some(sum * 1000 + part.trim_start_matches('x').parse::<u64>().ok()?)
                })?;
                let width = width.parse().ok()?;
                match level {
                    "data" => Asked::DataTile { index, width },
                    level => Asked::HashTile { level: level.parse().ok()?, index, width },
                }
            }
        })
    }

    fn entries(&self) -> Option<Range<u64>> {
        match self {
            Asked::Page(range) => Some(range.clone()),
            Asked::DataTile { index, width } => Some(index * WIDTH..index * WIDTH + width),
            _ => None,
        }
    }

    /// Whether a fault that was set for these requests spoils this one.
    pub fn concerns(&self, on: &On, fault: &Fault) -> bool {
        let is_partial =
            matches!(self, Asked::DataTile { width, .. } | Asked::HashTile { width, .. } if *width < WIDTH);
        let here = match on {
            On::Heads => matches!(self, Asked::Sth | Asked::Checkpoint),
            On::Entries(range) => self.entries().is_some_and(|own| own.start < range.end && range.start < own.end),
            On::Hashes(range) => match self {
                Asked::HashTile { level: 0, index, width } => {
                    index * WIDTH < range.end && range.start < index * WIDTH + width
                }
                _ => false,
            },
            On::Issuers => matches!(self, Asked::Issuer(_)),
            On::All => true,
        };
        here && (*fault != Fault::NoPartial || is_partial)
    }
}

pub struct Store {
    pub signer: LogSigner,
    pub head: Head,
    pub signed: Vec<Head>,
    stranger: LogSigner,
    origin: String,
    entries: Vec<(Bytes, bool)>,
    tree: MerkleTree,
    places: HashMap<Hash, u64>,
    issuers: HashMap<Hash, Vec<u8>>,
}

impl Store {
    pub fn new(origin: String) -> Store {
        let signer = LogSigner::generate();
        let now = Clock::System.now();
        let signature = signer.sign_tree_head(0, &empty_root(), now);
        let head = Head { size: 0, timestamp: now, root: empty_root(), signature };
        Store {
            signed: vec![head.clone()],
            head,
            signer,
            stranger: LogSigner::generate(),
            origin,
            entries: Vec::new(),
            tree: MerkleTree::default(),
            places: HashMap::new(),
            issuers: HashMap::new(),
        }
    }

    pub fn append(&mut self, entry: Entry) {
        let index = self.entries.len() as u64;
        let bytes = entry.bytes(index);
        let hash = match entry.oddity {
            Oddity::Unmerged => sha256(&[b"another leaf"]),
            _ => leaf_hash(&bytes.leaf_input),
        };
        self.tree.push(hash);
        self.places.entry(hash).or_insert(index);
        for der in &entry.raw.chain {
            self.issuers.insert(sha256(&[der]), der.clone());
        }
        self.entries.push((bytes, entry.ours));
    }

    pub fn planted(&self) -> Vec<u64> {
        (0..).zip(&self.entries).filter(|(_, (_, ours))| *ours).map(|(index, _)| index).collect()
    }

    pub fn publish(&mut self, at: Timestamp) -> Head {
        let size = self.entries.len() as u64;
        self.head = self.sign(size, self.tree.root(size).expect("all entries"), at);
        self.head.clone()
    }

    fn sign(&mut self, size: u64, root: Hash, timestamp: Timestamp) -> Head {
        let head = Head { size, timestamp, root, signature: self.signer.sign_tree_head(size, &root, timestamp) };
        self.signed.push(head.clone());
        head
    }

    /// The head that is served, and the key that the checkpoint line names.
    fn head_under(&mut self, fault: Option<&Fault>) -> (Head, bool) {
        let mut head = self.head.clone();
        let now = Clock::System.now();
        match fault {
            Some(Fault::BadSignature) => {
                let last = head.signature.len() - 1;
                head.signature[last] ^= 1;
            }
            Some(Fault::OtherKey) => {
                head.signature = self.stranger.sign_tree_head(head.size, &head.root, head.timestamp);
                return (head, true);
            }
            Some(Fault::Fork { leaf, size }) => {
                let size = size.unwrap_or(head.size);
                let mut other = MerkleTree::default();
                for index in 0..size {
                    let hash = leaf_hash(&self.entries[index as usize].0.leaf_input);
                    other.push(if index == *leaf { sha256(&[&hash]) } else { hash });
                }
                let root = other.root(size).expect("all leaves");
                // The same head again and again, as a log that has forked would serve it.
                let known = self.signed.iter().find(|head| head.size == size && head.root == root).cloned();
                head = known.unwrap_or_else(|| self.sign(size, root, now));
            }
            Some(Fault::Rollback(size)) => {
                let root = self.tree.root(*size).expect("an earlier size");
                head = self.sign(*size, root, now);
            }
            Some(Fault::Frozen(frozen)) => head = frozen.clone(),
            Some(Fault::Future(span)) => head = self.sign(head.size, head.root, now.plus(*span)),
            _ => {}
        }
        (head, false)
    }

    pub fn answer(&mut self, asked: &Asked, fault: Option<&Fault>) -> Answer {
        match asked {
            Asked::Sth => {
                let (head, _) = self.head_under(fault);
                json_answer(json!({
                    "tree_size": head.size,
                    "timestamp": head.timestamp.millis(),
                    "sha256_root_hash": to_base64(&head.root),
                    "tree_head_signature": to_base64(&head.signature),
                }))
            }
            Asked::Checkpoint => {
                let (head, stranger) = self.head_under(fault);
                let log_id = if stranger { self.stranger.log_id() } else { self.signer.log_id() };
                let signature = head.signature.clone();
                let text =
                    checkpoint::render(&self.origin, log_id, head.size, &head.root, head.timestamp, |_| signature);
                Answer::ok("text/plain; charset=utf-8", text.into_bytes())
            }
            Asked::Page(range) => self.page(range, fault),
            Asked::DataTile { index, width } => self.data_tile(*index, *width, fault),
            Asked::HashTile { level, index, width } => {
                let hashes = self.tree.nodes(8 * level, index * WIDTH, *width, self.head.size);
                hashes.map_or(Answer::missing(), |hashes| Answer::ok("application/octet-stream", hashes.concat()))
            }
            Asked::Issuer(fingerprint) => match self.issuers.get(fingerprint) {
                Some(der) if fault == Some(&Fault::WrongIssuer) => {
                    let other =
                        self.issuers.values().find(|other| *other != der && other.starts_with(&[0x30])).unwrap_or(der);
                    Answer::ok("application/pkix-cert", [other.as_slice(), b"!"].concat())
                }
                Some(der) => Answer::ok("application/pkix-cert", der.clone()),
                None => Answer::missing(),
            },
            Asked::ProofByHash { hash, size } => {
                let index = self.places.get(hash).copied();
                let path = index.and_then(|index| Some((index, self.tree.inclusion(index, *size)?)));
                match path {
                    Some((index, path)) => json_answer(json!({"leaf_index": index, "audit_path": base64_all(&path)})),
                    None => Answer::missing(),
                }
            }
            Asked::EntryAndProof { index, size } => match self.tree.inclusion(*index, *size) {
                Some(path) => {
                    let entry = &self.entries[*index as usize].0;
                    json_answer(json!({
                        "leaf_input": to_base64(&entry.leaf_input),
                        "extra_data": to_base64(&entry.extra_data),
                        "audit_path": base64_all(&path),
                    }))
                }
                None => Answer::missing(),
            },
            Asked::Consistency { old, new } => match self.tree.consistency(*old, *new) {
                Some(path) => json_answer(json!({"consistency": base64_all(&path)})),
                None => Answer::missing(),
            },
            Asked::Nothing => Answer::missing(),
        }
    }

    fn leaf_under(&self, index: u64, fault: Option<&Fault>) -> Vec<u8> {
        let mut leaf = self.entries[index as usize].0.leaf_input.clone();
        if fault == Some(&Fault::Corrupt(index)) {
            let at = leaf.len() - 20;
            leaf[at] ^= 1;
        }
        leaf
    }

    fn page(&self, asked: &Range<u64>, fault: Option<&Fault>) -> Answer {
        let size = self.head.size;
        if asked.start >= size {
            let need = asked.start + 1;
            let text = format!("need tree size: {need} to get leaves but only got: {size}\n");
            return Answer::ok("text/plain", text.into_bytes()).with_status(400);
        }
        let (most, aligned) = match fault {
            Some(Fault::Pages { most, aligned }) => (*most, *aligned),
            _ => (WIDTH, true),
        };
        let cut = if aligned { (asked.start / most + 1) * most } else { asked.start + most };
        let end = match fault {
            Some(Fault::Empty) => asked.start,
            Some(Fault::More(more)) => asked.end + more,
            _ => asked.end.min(cut),
        };
        // Written by hand: the largest entries have 22 MB in base64.
        let mut body = String::from("{\"entries\":[");
        for index in asked.start..end.min(size) {
            let comma = if index > asked.start { "," } else { "" };
            let leaf = to_base64(&self.leaf_under(index, fault));
            let extra = to_base64(&self.entries[index as usize].0.extra_data);
            body += &format!("{comma}{{\"leaf_input\":\"{leaf}\",\"extra_data\":\"{extra}\"}}");
        }
        body += "]}";
        Answer::ok("application/json", body.into_bytes())
    }

    fn data_tile(&self, index: u64, width: u64, fault: Option<&Fault>) -> Answer {
        let (first, end) = (index * WIDTH, index * WIDTH + width);
        if end > self.head.size {
            return Answer::missing();
        }
        let end = match fault {
            Some(Fault::Empty) => first,
            Some(Fault::TileLength(more)) => end.saturating_add_signed(*more).min(self.head.size),
            _ => end,
        };
        let mut body = Vec::new();
        for index in first..end {
            body.extend_from_slice(&self.leaf_under(index, fault)[2..]);
            body.extend_from_slice(&self.entries[index as usize].0.tail);
        }
        Answer::ok("application/octet-stream", body)
    }
}

fn json_answer(value: Value) -> Answer {
    Answer::ok("application/json", value.to_string().into_bytes())
}

fn base64_all(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| to_base64(hash)).collect()
}
