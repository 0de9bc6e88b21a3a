//! The entries behind a break in a data tile.
//!
//! One entry of an unknown type, or with a length that lies, hides where the next one begins, and with it up to 255
//! good entries. But the hash tile says what their hashes are, and each of them says where it stands: so they are
//! looked for octet by octet, and what has the right hash is the entry.

use super::decode::Decoded;
use crate::ct::Hash;
use crate::ct::leaf::{leaf_hash_of_entry, leaf_index};
use crate::ct::tile::tile_leaves;
use crate::watch::Watchlist;

/// How many times the octets behind the break may be hashed. Only what states an index of the tile is hashed at all,
/// so that more than once is a log's malice.
const MOST_PASSES: usize = 4;

impl Decoded {
    /// Looks for the entries of which these are the hashes, from the unreadable one on, and takes up those it finds:
    /// they are no longer malformed, and their candidates are candidates.
    pub fn salvage(&mut self, hashes: &[Hash], watchlist: &Watchlist) {
        let Some(first) = self.unread_from else { return };
        let rest = std::mem::take(&mut self.rest);
        let end = first.saturating_add(hashes.len() as u64);
        let mut left_bytes = rest.len().saturating_mul(MOST_PASSES);
        let mut found = vec![false; hashes.len()];
        // The unreadable entry begins at 0; the next one cannot.
        let mut at = 1;
        while at < rest.len() {
            let mut leaves = tile_leaves(&rest[at..]);
            let leaf = leaves.next().and_then(Result::ok);
            let stated = leaf.and_then(|leaf| Some((leaf, leaf_index(leaf.entry.extensions).ok()??)));
            let wanted = |index: u64| (first..end).contains(&index) && !found[(index - first) as usize];
            let Some((leaf, index)) = stated.filter(|(_, index)| wanted(*index)) else {
                at += 1;
                continue;
            };
            if left_bytes < leaf.entry_bytes.len() {
                return;
            }
            left_bytes -= leaf.entry_bytes.len();
            let place = (index - first) as usize;
            if leaf_hash_of_entry(leaf.entry_bytes) != hashes[place] {
                at += 1;
                continue;
            }
            found[place] = true;
            self.malformed.retain(|(malformed, ..)| *malformed != index);
            self.take_leaf(index, &leaf, watchlist);
            at = rest.len() - leaves.remaining_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use crate::clock::Timestamp;
    use crate::ct::leaf::{LeafEntry, encode_leaf_index, leaf_hash};
    use crate::ct::tile::encode_tile_leaf;
    use crate::finding::KeyHash;
    use crate::watch::Issuer;

    const OURS: KeyHash = KeyHash([1; 32]);

    fn watchlist() -> Watchlist {
        Watchlist::new(vec![Issuer { name: "Ours".into(), key_hash: OURS, certificate: None }], false)
    }

    /// A tile of entries that state these indexes, all of them ours, and their hashes.
    fn tile(stated: &[u64]) -> (Vec<Vec<u8>>, Vec<Hash>) {
        let mut entries = Vec::new();
        for index in stated {
            let mut bytes = Vec::new();
            let tbs = format!("tbs number {index}");
            let entry = LeafEntry::Precert { issuer_key_hash: OURS, tbs: tbs.as_bytes() };
            encode_tile_leaf(&mut bytes, Timestamp::EPOCH, &entry, &encode_leaf_index(*index), b"pre", &[]);
            entries.push(bytes);
        }
        let hash =
            |bytes: &Vec<u8>| tile_leaves(bytes).next().and_then(Result::ok).map(|leaf| leaf.entry_bytes.to_vec());
        let hashes = entries.iter().map(|bytes| leaf_hash_of_entry(&hash(bytes).expect("an entry"))).collect();
        (entries, hashes)
    }

    fn indexes(decoded: &Decoded) -> (Vec<u64>, Vec<u64>) {
        let hits = decoded.candidates.iter().map(|candidate| candidate.index).collect();
        (hits, decoded.malformed.iter().map(|(index, ..)| *index).collect())
    }

    #[test]
    fn entries_behind_a_break_are_found_by_their_hashes() {
        let (mut entries, hashes) = tile(&[256, 257, 258, 259, 260, 261]);
        // An unknown entry type, and in the middle of it what looks like the entry that stands three further on.
        entries[1][9] = 5;
        let decoy = entries[4].clone();
        entries[1].extend(decoy);
        let mut decoded = decode::tile(&entries.concat(), 256, 256, 262, &watchlist()).expect("a tile");
        assert_eq!(indexes(&decoded), (vec![256], vec![257, 258, 259, 260, 261]));
        decoded.salvage(&hashes[1..], &watchlist());
        // What has the right hash is the entry, wherever it stands.
        assert_eq!(indexes(&decoded), (vec![256, 260, 258, 259, 261], vec![257]));
    }

    #[test]
    fn what_has_another_hash_is_not_believed() {
        let (mut entries, mut hashes) = tile(&[0, 1, 2, 3]);
        entries[0][9] = 5;
        hashes[2] = leaf_hash(b"another");
        let mut decoded = decode::tile(&entries.concat(), 0, 0, 4, &watchlist()).expect("a tile");
        decoded.salvage(&hashes, &watchlist());
        assert_eq!(indexes(&decoded), (vec![1, 3], vec![0, 2]));
        // A log without hash tiles gives nothing to find them by.
        let mut decoded = decode::tile(&entries.concat(), 0, 0, 4, &watchlist()).expect("a tile");
        decoded.salvage(&[], &watchlist());
        assert_eq!(indexes(&decoded), (vec![], vec![0, 1, 2, 3]));
    }
}
