//! Where to begin a log so that everything is read that was logged from some time on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::client::{LogClient, Source};
use super::http::Caps;
use super::{TailError, plan};
use crate::clock::Timestamp;
use crate::ct::compact_range::{CompactRange, EdgeNode, nodes_between};
use crate::ct::entries::{LeafBuffer, parse_page};
use crate::ct::leaf::leaf_hash;
use crate::ct::proof;
use crate::ct::sth::SignedTreeHead;
use crate::ct::tile::{TILE_WIDTH, TileKind, tile_leaves, tile_path, tile_width};

/// Entries that are looked at for a timestamp where the first of them cannot be read.
const LOOKED_AT: u64 = 16;

impl LogClient {
    /// The position before everything that was logged from `time` on, in the tree that `head` signs. It is proven: the
    /// signed root follows from it.
    ///
    /// An entry stands within the maximum merge delay (MMD) of its timestamp in the log (RFC 6962 3), and not in the
    /// order of the timestamps: so the place is searched by the timestamps (some 30 requests), one MMD before `time`,
    /// and on a multiple of 256.
    ///
    /// # Errors
    /// When the log does not give what is needed, or something that does not lead to its root.
    pub async fn edge_at(&self, time: Timestamp, head: &SignedTreeHead) -> Result<CompactRange, TailError> {
        let size = head.tree_size();
        let earliest = time.minus(self.source().log.mmd);
        // The blocks below `low` begin before that time; the one at `high` does not, or does not exist.
        let (mut low, mut high) = (0, size.div_ceil(TILE_WIDTH.into()));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.logged_at(middle, size).await? < earliest {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let start = low.saturating_sub(1) * u64::from(TILE_WIDTH);
        match self {
            _ if start == 0 => Ok(CompactRange::empty()),
            LogClient::StaticCt(source) => source.edge_by_tiles(start, head).await,
            LogClient::Rfc6962(source) => source.edge_by_proofs(start, head).await,
        }
    }

    /// The timestamp with which a block of 256 entries begins: of its first entry, or of the next one that can be read.
    async fn logged_at(&self, block: u64, size: u64) -> Result<Timestamp, TailError> {
        let first = block * u64::from(TILE_WIDTH);
        let (path, timestamp) = match self {
            LogClient::Rfc6962(source) => {
                let last = first.saturating_add(LOOKED_AT.min(plan::LARGEST_PAGE)).min(size) - 1;
                let path = format!("ct/v1/get-entries?start={first}&end={last}");
                let body = source.get(&path, Caps::ENTRIES).await?;
                let entries = parse_page(&body).map_err(|e| TailError::Answer(format!("{path}: {e}")))?;
                let mut buffer = LeafBuffer::default();
                let timestamp = entries.iter().flatten().find_map(|entry| {
                    let leaf = entry.decode_leaf(&mut buffer).ok()?.parse().ok()?;
                    Some(leaf.timestamp)
                });
                (path, timestamp)
            }
            LogClient::StaticCt(source) => {
                let width = tile_width(0, block, size);
                let answer = source.tile(TileKind::Data, block, width, Caps::ENTRIES).await?;
                let first = |body: &[u8]| tile_leaves(body).flatten().next().map(|leaf| leaf.entry.timestamp);
                let timestamp = source.fetcher.read(answer, first).await?;
                (tile_path(TileKind::Data, block, width), timestamp)
            }
        };
        let unreadable =
            || TailError::Answer(format!("{path}: no entry whose timestamp can be read; choose another start"));
        timestamp.ok_or_else(unreadable)
    }
}

impl Source {
    /// From the hash tiles of the present tree alone: partial tiles of earlier ones are gone.
    async fn edge_by_tiles(&self, start: u64, head: &SignedTreeHead) -> Result<CompactRange, TailError> {
        let size = head.tree_size();
        let mut tiles = HashMap::new();
        let mut whole = CompactRange::empty();
        let mut edge = CompactRange::empty();
        for node in [nodes_between(0, start), nodes_between(start, size)].concat() {
            let hash = self.hash(&node, size, &mut tiles).await?;
            let odd = || TailError::Answer(format!("no tree of {size} entries can begin with {start}"));
            whole.push_subtree(node.level, hash).ok_or_else(odd)?;
            if whole.size() == start {
                edge = whole.clone();
            }
        }
        if edge.size() != start || whole.root() != head.root_hash() {
            return Err(TailError::Answer(format!(
                "the hash tiles do not lead from entry {start} to the root at {size}"
            )));
        }
        Ok(edge)
    }

    /// The hash of a node, from the hash tile in which it stands.
    pub(super) async fn hash(
        &self,
        node: &EdgeNode,
        size: u64,
        tiles: &mut HashMap<(u8, u64), Vec<u8>>,
    ) -> Result<[u8; 32], TailError> {
        let (level, index) = (node.tile_level, node.tile_index);
        if let Entry::Vacant(place) = tiles.entry((level, index)) {
            let width = tile_width(level, index, size);
            let answer = self.tile(TileKind::Hashes(level), index, width, Caps::SMALL).await?;
            place.insert(self.fetcher.read(answer, <[u8]>::to_vec).await?);
        }
        let hash = tiles.get(&(level, index)).and_then(|tile| node.hash_in(tile));
        hash.ok_or_else(|| TailError::Answer(format!("hash tile {index} of level {level} is short")))
    }

    /// From the audit path of the last entry before it, in the tree that ends there, and a consistency proof.
    async fn edge_by_proofs(&self, start: u64, head: &SignedTreeHead) -> Result<CompactRange, TailError> {
        let (leaf_input, nodes) = self.last_leaf(start).await?;
        let edge = CompactRange::from_right_edge(start, leaf_hash(&leaf_input), &nodes)
            .map_err(|e| TailError::Answer(e.to_string()))?;
        let size = head.tree_size();
        let path = format!("ct/v1/get-sth-consistency?first={start}&second={size}");
        let nodes = match start == size {
            true => Vec::new(),
            false => {
                let body = self.get(&path, Caps::SMALL).await?;
                proof::parse_consistency(&body).map_err(|e| TailError::Answer(format!("{path}: {e}")))?
            }
        };
        let verified = proof::verify_consistency(edge.tree_root(), head.root(), &nodes);
        verified.map_err(|e| TailError::Answer(format!("{path}: {e}")))?;
        Ok(edge)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::http::{Fetcher, Limits};
    use super::*;
    use crate::clock::{Clock, DAY, Span, date};
    use crate::ct::log_list;
    use crate::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind, log_list as list_of};
    use crate::finding::KeyHash;

    fn entry(number: i64) -> RawEntry {
        let tbs = format!("entry {number}").into_bytes();
        let kind = RawKind::Precert { issuer_key_hash: KeyHash([1; 32]), pre_certificate: tbs.clone(), tbs };
        // One an hour; every tenth was promised half a day before it was merged.
        let late = if number % 10 == 0 { 12 } else { 0 };
        RawEntry { timestamp: hour(number - late), kind, chain: vec![] }
    }

    fn hour(number: i64) -> Timestamp {
        date(2026, 1, 1).plus(Span::from_seconds(number * 3600))
    }

    #[tokio::test]
    async fn nothing_from_that_time_on_is_missed_and_little_before_it_is_read() {
        for api in [Api::Rfc6962, Api::StaticCt] {
            let log = LogServer::start(LogSettings::new(api, Clock::System)).await.expect("a log");
            let list = list_of(&[&log], Clock::System.now()).to_string();
            let known = log_list::parse(list.as_bytes()).expect("a list").logs.remove(0);
            let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
            let client = LogClient::new(Arc::new(known), fetcher.for_log("a", Limits::default()));
            let empty = client.head().await.expect("a head");
            assert_eq!(client.edge_at(hour(0), &empty).await.expect("an edge").size(), 0);
            for size in [1, 256, 3000] {
                log.append((log.size() as i64..size).map(entry));
                log.publish();
                let head = client.head().await.expect("a head");
                assert_eq!(head.tree_size(), size as u64);
                for wanted in [-1000, 0, 1, 255, 256, 257, 300, 1500, 2500, 2999, 9000] {
                    let edge = client.edge_at(hour(wanted), &head).await;
                    let edge = edge.unwrap_or_else(|error| panic!("{api:?} {size} {wanted}: {error}"));
                    let start = edge.size() as i64;
                    let lost = (0..start).filter(|number| entry(*number).timestamp >= hour(wanted));
                    assert_eq!(lost.count(), 0, "{api:?} {size} {wanted}");
                    let mmd = 24;
                    assert!(
                        start == 0 || start > wanted.min(size) - mmd - 12 - 2 * 256,
                        "{api:?} {size} {wanted}: {start}"
                    );
                }
            }
            let after = client.edge_at(hour(1500).minus(DAY), &client.head().await.expect("a head")).await;
            assert!(after.is_ok_and(|edge| edge.size() > 1000));
        }
    }
}
