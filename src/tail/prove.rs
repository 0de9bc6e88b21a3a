//! Looking one leaf up: by its index in a static log, by its hash in an RFC 6962 log.

use std::collections::HashMap;

use super::TailError;
use super::client::{LogClient, Source};
use super::http::{Caps, FetchError};
use crate::ct::compact_range::{CompactRange, nodes_between};
use crate::ct::leaf::leaf_hash_of_entry;
use crate::ct::proof::{parse_proof_by_hash, verify_inclusion_of_hash};
use crate::ct::sth::SignedTreeHead;
use crate::ct::tile::{TILE_WIDTH, TileKind, tile_leaves, tile_path, tile_width};
use crate::ct::{Hash, to_base64};
use crate::finding::escape;

/// How much of another entry is kept as evidence, in bytes.
const KEPT_BYTES: usize = 65_536;

/// What a log answers when it is asked for a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It is there, at this index.
    Found(u64),
    /// The tree ends before the index.
    Beyond,
    /// The log says it has no such leaf; its words, escaped.
    Denied(String),
    /// Another leaf stands at the index; its TimestampedEntry, at most 64 kB of it.
    Other(Vec<u8>),
    /// The log shows the entry, but under its signed root stands the hash of another leaf.
    Unmerged(Hash),
}

impl LogClient {
    /// Looks for a leaf in the tree of `head`: the log proves that it is under the root, and a static log also shows the
    /// entry.
    ///
    /// # Errors
    /// When the answer decides nothing. A static log cannot be asked without the index.
    pub async fn look_up(&self, leaf: Hash, index: Option<u64>, head: &SignedTreeHead) -> Result<Lookup, TailError> {
        match self {
            LogClient::Rfc6962(source) => by_hash(source, leaf, head).await,
            LogClient::StaticCt(source) => {
                // "an SCT MUST include a leaf_index extension" (C2SP static-ct-api).
                let none = || TailError::Answer("the SCT of a static log has no leaf_index".to_string());
                by_index(source, leaf, index.ok_or_else(none)?, head).await
            }
        }
    }
}

async fn by_hash(source: &Source, leaf: Hash, head: &SignedTreeHead) -> Result<Lookup, TailError> {
    let size = head.tree_size();
    if size == 0 {
        return Ok(Lookup::Denied("the tree is empty".to_string()));
    }
    let escaped = to_base64(&leaf).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let path = format!("ct/v1/get-proof-by-hash?hash={escaped}&tree_size={size}");
    let body = match source.get(&path, Caps::SMALL).await {
        Ok(body) => body,
        // Logs say it with 404 or with 400.
        Err(error @ (FetchError::NotFound { .. } | FetchError::Status { status: 400, .. })) => {
            return Ok(Lookup::Denied(escape(error.to_string().as_bytes(), 500)));
        }
        Err(error) => return Err(error.into()),
    };
    let answer = |e: String| TailError::Answer(format!("{path}: {e}"));
    let proof = parse_proof_by_hash(&body).map_err(|e| answer(e.to_string()))?;
    verify_inclusion_of_hash(head.root(), proof.leaf_index, leaf, &proof.audit_path)
        .map_err(|e| answer(e.to_string()))?;
    Ok(Lookup::Found(proof.leaf_index))
}

async fn by_index(source: &Source, leaf: Hash, index: u64, head: &SignedTreeHead) -> Result<Lookup, TailError> {
    if index >= head.tree_size() {
        return Ok(Lookup::Beyond);
    }
    let tile = index / u64::from(TILE_WIDTH);
    let width = tile_width(0, tile, head.tree_size());
    let answer = source.tile(TileKind::Data, tile, width, Caps::ENTRIES).await?;
    let place = (index % u64::from(TILE_WIDTH)) as usize;
    let read = move |body: &[u8]| match tile_leaves(body).nth(place) {
        Some(Ok(entry)) => {
            let bytes = entry.entry_bytes;
            let kept = || bytes[..bytes.len().min(KEPT_BYTES)].to_vec();
            Ok(if leaf_hash_of_entry(bytes) == leaf { Lookup::Found(index) } else { Lookup::Other(kept()) })
        }
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the tile ends before the entry".to_string()),
    };
    let shown = source.fetcher.read(answer, read).await?;
    match shown.map_err(|e| TailError::Answer(format!("{}: {e}", tile_path(TileKind::Data, tile, width))))? {
        // A data tile is under no signature.
        Lookup::Found(_) => match leaf_under_root(source, index, head).await? {
            proven if proven == leaf => Ok(Lookup::Found(index)),
            other => Ok(Lookup::Unmerged(other)),
        },
        other => Ok(other),
    }
}

/// The hash of the leaf at an index of the tree that `head` signs. It is proven: with the hashes of the subtrees beside
/// it, which the hash tiles have, it gives the signed root (RFC 6962 2.1.1).
async fn leaf_under_root(source: &Source, index: u64, head: &SignedTreeHead) -> Result<Hash, TailError> {
    let size = head.tree_size();
    let (mut tiles, mut whole, mut leaf) = (HashMap::new(), CompactRange::empty(), None);
    for node in [nodes_between(0, index), nodes_between(index, index + 1), nodes_between(index + 1, size)].concat() {
        let hash = source.hash(&node, size, &mut tiles).await?;
        if whole.size() == index {
            leaf = Some(hash);
        }
        let odd = || TailError::Answer(format!("no tree of {size} entries has a leaf {index}"));
        whole.push_subtree(node.level, hash).ok_or_else(odd)?;
    }
    let proven = leaf.filter(|_| whole.root() == head.root_hash());
    proven.ok_or_else(|| {
        TailError::Answer(format!("the hash tiles do not lead from entry {index} to the root at {size}"))
    })
}
