//! The two kinds of log, asked for heads, entries, issuers and proofs.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::decode::{self, Decoded, Lost};
use super::http::{Answer, Caps, FetchError, Fetcher};
use super::pace::Urgency;
use super::room::{Held, Weight};
use super::{TailError, plan};
use crate::ct::compact_range::{CompactRange, nodes_needed};
use crate::ct::entries::{LeafBuffer, parse_page};
use crate::ct::leaf::leaf_hash;
use crate::ct::log_list::{Api, Log};
use crate::ct::proof;
use crate::ct::sth::{SignedTreeHead, parse_get_sth};
use crate::ct::tile::{TILE_WIDTH, TileKind, issuer_path, tile_path, tile_width};
use crate::ct::{Hash, checkpoint, to_base64};
use crate::watch::Watchlist;

/// What an entry weighs before anything is known of a log, in bytes, not compressed.
const PAGE_ENTRY_BYTES: u64 = 6_200;
const TILE_ENTRY_BYTES: u64 = 2_800;
/// A range that would take more answers than this, one after the other, is planned anew after the second that is short:
/// one may be chance.
const MOST_LEFT: u64 = 4;
/// How many new entries are asked for where memory is short.
const PORTION: u64 = 64;

/// A log over HTTP.
#[derive(Clone, Debug)]
pub enum LogClient {
    /// RFC 6962 section 4.
    Rfc6962(Source),
    /// static-ct-api.
    StaticCt(Source),
}

/// What both kinds need.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) log: Arc<Log>,
    /// URL prefix without a trailing slash.
    prefix: String,
    pub(super) fetcher: Fetcher,
    /// How urgent the entries are that this client reads.
    urgency: Urgency,
    /// What get-entries gives at most, learned.
    page: Arc<AtomicU64>,
    /// What arrives in time and under the cap: halved when it does not, doubled when it does.
    bearable: Arc<AtomicU64>,
    /// What an entry weighs on the wire.
    weight: Arc<Weight>,
    /// The room that was taken for the entries that this client reads.
    held: Option<Arc<Held>>,
}

impl LogClient {
    /// A client for a log of the list.
    pub fn new(log: Arc<Log>, fetcher: Fetcher) -> LogClient {
        let most = fetcher.limits().page_entries.unwrap_or(plan::LARGEST_PAGE).clamp(1, plan::LARGEST_PAGE);
        let (page, bearable) = (Arc::new(AtomicU64::new(most)), Arc::new(AtomicU64::new(plan::LARGEST_PAGE)));
        let (urgency, held) = (Urgency::Fresh, None);
        match &log.api {
            Api::Rfc6962 { url } => {
                let prefix = url.trim_end_matches('/').to_string();
                let weight = Arc::new(Weight::new(PAGE_ENTRY_BYTES));
                LogClient::Rfc6962(Source { prefix, log, fetcher, urgency, page, bearable, weight, held })
            }
            Api::StaticCt { monitoring_url, .. } => {
                let prefix = monitoring_url.trim_end_matches('/').to_string();
                let weight = Arc::new(Weight::new(TILE_ENTRY_BYTES));
                LogClient::StaticCt(Source { prefix, log, fetcher, urgency, page, bearable, weight, held })
            }
        }
    }

    /// The same client for entries that were there before we came: they let new ones go first.
    pub fn for_backlog(&self) -> LogClient {
        let mut client = self.clone();
        match &mut client {
            LogClient::Rfc6962(source) | LogClient::StaticCt(source) => source.urgency = Urgency::Backlog,
        }
        client
    }

    /// The same client for entries whose room is taken.
    pub(super) fn holding(&self, held: Arc<Held>) -> LogClient {
        let mut client = self.clone();
        match &mut client {
            LogClient::Rfc6962(source) | LogClient::StaticCt(source) => source.held = Some(held),
        }
        client
    }

    /// Takes room for the entries of a range, if there is.
    pub(super) fn take_room(&self, range: &Range<u64>) -> Option<Held> {
        let source = self.source();
        source.fetcher.room().take(source.urgency, source.weight.of(range))
    }

    /// The beginning of a range, or all of it, with room for it. A backlog waits until there is room. New entries do
    /// not: they come in small portions then, or as tiles, which are small.
    pub(super) async fn wait_for_room(&self, range: Range<u64>) -> (Range<u64>, Held) {
        let source = self.source();
        let room = source.fetcher.room();
        if source.urgency == Urgency::Backlog {
            let held = room.wait(source.urgency, source.weight.of(&range)).await;
            return (range, held);
        }
        let portion = match self {
            LogClient::Rfc6962(_) => range.start..range.end.min(range.start.saturating_add(PORTION)),
            LogClient::StaticCt(_) => range,
        };
        let held = room.little(source.urgency, source.weight.of(&portion));
        (portion, held)
    }

    /// Computes on a thread that may, as urgently as entries are read; `None` when `work` panics.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.source().fetcher.compute(self.source().urgency, work).await
    }

    pub(super) fn source(&self) -> &Source {
        match self {
            LogClient::Rfc6962(source) | LogClient::StaticCt(source) => source,
        }
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.source().log
    }

    /// Requests per second that the log's host is known to allow; `None` when it never asked for less.
    pub fn pace(&self) -> Option<f64> {
        let source = self.source();
        source.fetcher.rate(&source.prefix)
    }

    /// The log's current tree head, its signature verified.
    ///
    /// # Errors
    /// No answer, or an answer that the log's key did not sign ([`TailError::TreeHead`], with the bytes).
    pub async fn head(&self) -> Result<SignedTreeHead, TailError> {
        let source = self.source();
        let (body, opened) = match self {
            LogClient::Rfc6962(_) => {
                let body = source.get("ct/v1/get-sth", Caps::SMALL).await?;
                let opened = parse_get_sth(&body).and_then(|claimed| claimed.verify(&source.log.key));
                (body, opened)
            }
            LogClient::StaticCt(_) => {
                let body = source.get("checkpoint", Caps::SMALL).await?;
                let opened = checkpoint::open(&body, &source.log.origin, &source.log.key);
                (body, opened)
            }
        };
        opened.map_err(|error| TailError::TreeHead { error, body })
    }

    /// The requests that come next on the way from `next` to `head`.
    pub fn plan(&self, next: u64, head: u64, count: usize) -> Vec<Range<u64>> {
        match self {
            LogClient::Rfc6962(source) => plan::pages(next, head, source.page(), count),
            LogClient::StaticCt(_) => plan::tiles(next, head, count),
        }
    }

    /// Entries of one planned range, in a tree of at least `head` leaves: all of them, or its beginning when the log
    /// gives so little at a time that the rest is better planned anew.
    ///
    /// # Errors
    /// When the log does not give them.
    pub async fn entries(
        &self,
        range: Range<u64>,
        head: u64,
        watchlist: &Arc<Watchlist>,
    ) -> Result<Vec<Decoded>, TailError> {
        let mut decoded = self.read(range.clone(), head, watchlist).await?;
        // What cannot even be hashed was most likely cut or garbled on its way. It is asked for once more at once: the
        // root would tell, but perhaps a billion entries later.
        if decoded.iter().any(|part| part.broken) {
            decoded = self.read(range, head, watchlist).await?;
        }
        Ok(decoded)
    }

    async fn read(&self, range: Range<u64>, head: u64, watchlist: &Arc<Watchlist>) -> Result<Vec<Decoded>, TailError> {
        match self {
            LogClient::Rfc6962(source) => source.pages(range, watchlist).await,
            LogClient::StaticCt(source) => Ok(vec![source.data_tile(range, head, watchlist).await?]),
        }
    }

    /// What one request gives of a range, from its start on: at least one entry. Nothing is learned from it about the
    /// length of pages.
    ///
    /// # Errors
    /// When the log does not give the first of them.
    pub async fn probe(&self, range: Range<u64>, head: u64, watchlist: &Arc<Watchlist>) -> Result<Decoded, TailError> {
        match self {
            LogClient::Rfc6962(source) => Ok(source.page_of(range, watchlist).await?.0),
            LogClient::StaticCt(source) => source.data_tile(range, head, watchlist).await,
        }
    }

    /// The hashes of some leaves of one tile, from the hash tiles of a static log.
    ///
    /// # Errors
    /// When the log does not give them, or has no tiles.
    pub async fn leaf_hashes(&self, range: Range<u64>, head: u64) -> Result<Vec<Hash>, TailError> {
        match self {
            LogClient::Rfc6962(_) => Err(TailError::Answer("a log without tiles has no hash tiles".to_string())),
            LogClient::StaticCt(source) => source.leaf_hashes(range, head).await,
        }
    }

    /// Whether these entries, read late, are those whose hashes the log's hash tile has.
    pub async fn confirms(&self, range: Range<u64>, head: u64, parts: &[Decoded]) -> bool {
        let read: Vec<Hash> = parts.iter().flat_map(|part| part.leaf_hashes.iter().copied()).collect();
        !parts.iter().any(|part| part.broken) && self.leaf_hashes(range, head).await.is_ok_and(|known| known == read)
    }

    /// The certificate with this SHA-256, from a static log's issuer/; `Err` with the other one that the log has there.
    ///
    /// # Errors
    /// When the log gives no certificate.
    pub async fn issuer(&self, fingerprint: &[u8; 32]) -> Result<Result<Vec<u8>, Vec<u8>>, TailError> {
        let path = issuer_path(fingerprint);
        let der = self.source().get(&path, Caps::SMALL).await?;
        match der.first() {
            _ if crate::ct::sha256(&[&der]) == *fingerprint => Ok(Ok(der)),
            // A certificate is a SEQUENCE; an error page that comes with 200 is not.
            Some(0x30) => Ok(Err(der)),
            _ => Err(TailError::Answer(format!("{path}: the bytes do not hash to the name"))),
        }
    }

    /// The compact range of the tree that `head` signs, without its entries: the right edge from hash tiles, or the
    /// audit path of the last leaf. It is proven: its root is the head's.
    ///
    /// # Errors
    /// When the log does not give it, or gives one whose root is another.
    pub async fn right_edge(&self, head: &SignedTreeHead) -> Result<CompactRange, TailError> {
        let range = match (head.tree_size(), self) {
            (0, _) => CompactRange::empty(),
            (_, LogClient::Rfc6962(source)) => source.right_edge_by_proof(head).await?,
            (size, LogClient::StaticCt(source)) => source.right_edge_by_tiles(size).await?,
        };
        if range.root() != head.root_hash() {
            return Err(TailError::Answer(format!("the right edge at size {} has another root", head.tree_size())));
        }
        Ok(range)
    }
}

impl Source {
    pub(super) async fn get(&self, path: &str, caps: Caps) -> Result<Vec<u8>, FetchError> {
        self.fetcher.get(&format!("{}/{path}", self.prefix), caps, self.urgency(caps)).await
    }

    /// Small things (heads, proofs, hash tiles, issuers) hold up much when they wait, and entries little.
    fn urgency(&self, caps: Caps) -> Urgency {
        if caps == Caps::SMALL { Urgency::Head } else { self.urgency }
    }

    async fn fetch(&self, path: &str, caps: Caps) -> Result<Answer, FetchError> {
        let held = self.held.as_deref().filter(|_| caps != Caps::SMALL);
        self.fetcher.fetch(&format!("{}/{path}", self.prefix), caps, self.urgency(caps), held).await
    }

    fn page(&self) -> u64 {
        self.page.load(Ordering::Relaxed).min(self.bearable.load(Ordering::Relaxed))
    }

    async fn pages(&self, range: Range<u64>, watchlist: &Arc<Watchlist>) -> Result<Vec<Decoded>, TailError> {
        let mut decoded: Vec<Decoded> = Vec::new();
        let mut next = range.start;
        // Where the log itself cut, an answer can be as long as the log makes them.
        let mut at_cut = next == 0;
        let mut short_answers = 0;
        while next < range.end {
            let asked = next..range.end.min(next.saturating_add(self.page()));
            let wanted = asked.end - asked.start;
            let (page, bytes) = match self.page_of(asked, watchlist).await {
                // What is too large or too slow is asked for in halves, never the same page for ever.
                Err(TailError::Fetch(error @ (FetchError::TooLarge { .. } | FetchError::Network { .. })))
                    if wanted > 1 =>
                {
                    self.bearable.store(wanted.div_ceil(2), Ordering::Relaxed);
                    match error {
                        FetchError::TooLarge { .. } => continue,
                        other => return Err(other.into()),
                    }
                }
                other => other?,
            };
            let got = page.leaf_hashes.len() as u64;
            self.weight.learn(got, bytes);
            let learned = plan::learn(self.page.load(Ordering::Relaxed), wanted, got, at_cut);
            self.page.store(learned, Ordering::Relaxed);
            at_cut = got < wanted;
            let bearable = self.bearable.load(Ordering::Relaxed).saturating_mul(2).min(plan::LARGEST_PAGE);
            self.bearable.store(bearable, Ordering::Relaxed);
            next += got;
            decoded.push(page);
            short_answers += u32::from(at_cut);
            if short_answers > 1 && range.end.saturating_sub(next) / got > MOST_LEFT {
                break;
            }
        }
        Ok(decoded)
    }

    /// One answer to a request for this range: at least one entry, and how many bytes came.
    async fn page_of(&self, asked: Range<u64>, watchlist: &Arc<Watchlist>) -> Result<(Decoded, usize), TailError> {
        let path = format!("ct/v1/get-entries?start={}&end={}", asked.start, asked.end - 1);
        let (watchlist, wanted, start) = (watchlist.clone(), asked.end - asked.start, asked.start);
        let answer = self.fetch(&path, Caps::ENTRIES).await?;
        let bytes = answer.wire_bytes();
        let page = self.fetcher.read(answer, move |body| decode::page(body, start, wanted, &watchlist)).await?;
        let page = page.map_err(|e| TailError::Answer(format!("{path}: {e}")))?;
        match page.leaf_hashes.is_empty() {
            true => Err(TailError::Answer(format!("{path}: no entries"))),
            false => Ok((page, bytes)),
        }
    }

    async fn data_tile(&self, range: Range<u64>, head: u64, watchlist: &Arc<Watchlist>) -> Result<Decoded, TailError> {
        let width = u64::from(TILE_WIDTH);
        let index = range.start / width;
        let answer = self.tile(TileKind::Data, index, tile_width(0, index, head), Caps::ENTRIES).await?;
        let (watchlist, list) = (watchlist.clone(), watchlist.clone());
        let (from, to) = (range.start, range.end);
        self.weight.learn(to - index * width, answer.wire_bytes());
        let read = move |body: &[u8]| decode::tile(body, index * width, from, to, &watchlist);
        let decoded = self.fetcher.read(answer, read).await?;
        let path = || tile_path(TileKind::Data, index, TILE_WIDTH);
        let mut decoded = decoded.map_err(|e| TailError::Answer(format!("{}: {e}", path())))?;
        // What cannot be read can still be audited: the hash tile knows its hashes.
        if let Some(unread) = decoded.unread_from
            && let Ok(hashes) = self.leaf_hashes(unread..to, head).await
        {
            decoded.leaf_hashes.truncate((unread - from) as usize);
            decoded.leaf_hashes.extend(&hashes);
            let salvaged = self.fetcher.compute(self.urgency, move || {
                decoded.salvage(&hashes, &list);
                decoded
            });
            decoded = salvaged.await.ok_or_else(|| TailError::Answer(format!("{}: decoding ended early", path())))?;
            // The root will fit now, and nobody would read again what is still missing.
            let missing = decoded.malformed.iter().map(|(index, ..)| *index).filter(|index| *index >= unread);
            let last = missing.max().unwrap_or(unread);
            let why = format!("{} breaks off in entry {unread}", path());
            decoded.lost = Some(Lost { range: unread..last + 1, why, is_hashed: true });
        }
        Ok(decoded)
    }

    /// The hashes of some leaves of one tile.
    async fn leaf_hashes(&self, range: Range<u64>, head: u64) -> Result<Vec<Hash>, TailError> {
        let width = u64::from(TILE_WIDTH);
        let index = range.start / width;
        let answer = self.tile(TileKind::Hashes(0), index, tile_width(0, index, head), Caps::SMALL).await?;
        let wanted = (range.start - index * width) as usize..(range.end - index * width) as usize;
        let read = move |tile: &[u8]| tile.as_chunks::<32>().0.get(wanted).map(<[Hash]>::to_vec);
        let hashes: Option<Vec<Hash>> = self.fetcher.read(answer, read).await?;
        let short = || TailError::Answer(format!("{}: too short", tile_path(TileKind::Hashes(0), index, TILE_WIDTH)));
        hashes.ok_or_else(short)
    }

    /// A tile of at least this width. Partial tiles may vanish as soon as the tile is full: then that one will do.
    pub(super) async fn tile(&self, kind: TileKind, index: u64, width: u16, caps: Caps) -> Result<Answer, FetchError> {
        match self.fetch(&tile_path(kind, index, width), caps).await {
            Err(FetchError::NotFound { .. }) if width < TILE_WIDTH => {
                self.fetch(&tile_path(kind, index, TILE_WIDTH), caps).await
            }
            other => other,
        }
    }

    async fn right_edge_by_tiles(&self, size: u64) -> Result<CompactRange, TailError> {
        let mut nodes = Vec::new();
        for node in nodes_needed(size) {
            let answer = self.tile(node.tile_kind(), node.tile_index, node.tile_width, Caps::SMALL).await?;
            let short =
                || TailError::Answer(format!("hash tile {} of level {} is short", node.tile_index, node.tile_level));
            let hash = self.fetcher.read(answer, move |tile| node.hash_in(tile)).await?;
            nodes.push(hash.ok_or_else(short)?);
        }
        CompactRange::from_nodes(size, &nodes).map_err(|e| TailError::Answer(e.to_string()))
    }

    /// The audit path of the last leaf is the right edge (RFC 6962 2.1.1). get-proof-by-hash gives the path of the
    /// first leaf with that hash, so that a last leaf that stands in the log twice needs get-entry-and-proof.
    async fn right_edge_by_proof(&self, head: &SignedTreeHead) -> Result<CompactRange, TailError> {
        let (size, (leaf_input, nodes)) = (head.tree_size(), self.last_leaf(head.tree_size()).await?);
        proof::verify_inclusion(head.root(), size - 1, &leaf_input, &nodes)
            .map_err(|e| TailError::Answer(e.to_string()))?;
        CompactRange::from_right_edge(size, leaf_hash(&leaf_input), &nodes)
            .map_err(|e| TailError::Answer(e.to_string()))
    }

    /// The last leaf_input of the tree with `size` leaves, at least one, and its audit path in that tree.
    pub(super) async fn last_leaf(&self, size: u64) -> Result<(Vec<u8>, Vec<Hash>), TailError> {
        let last = size - 1;
        let path = format!("ct/v1/get-entries?start={last}&end={last}");
        let body = self.get(&path, Caps::ENTRIES).await?;
        let answer = |e: String| TailError::Answer(format!("{path}: {e}"));
        let leaf_input = match parse_page(&body).map_err(|e| answer(e.to_string()))?.first() {
            Some(Ok(entry)) => {
                let mut buffer = LeafBuffer::default();
                entry.decode_leaf(&mut buffer).map_err(|e| answer(e.to_string()))?.leaf_input().to_vec()
            }
            Some(Err(e)) => return Err(answer(e.to_string())),
            None => return Err(answer("no entries".to_string())),
        };
        let escaped = to_base64(&leaf_hash(&leaf_input)).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let by_hash = format!("ct/v1/get-proof-by-hash?hash={escaped}&tree_size={size}");
        let by_index = format!("ct/v1/get-entry-and-proof?leaf_index={last}&tree_size={size}");
        let nodes = match self.get(&by_hash, Caps::SMALL).await.map(|body| proof::parse_proof_by_hash(&body)) {
            Ok(Ok(proof)) if proof.leaf_index == last => proof.audit_path,
            _ => {
                let body = self.get(&by_index, Caps::ENTRIES).await?;
                let proof = proof::parse_entry_and_proof(&body);
                proof.map_err(|e| TailError::Answer(format!("{by_index}: {e}")))?.audit_path
            }
        };
        Ok((leaf_input, nodes))
    }
}
