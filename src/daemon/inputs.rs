//! The lists that rules rest on: the gTLD registry, the IANA list of TLDs and the Public Suffix List. What is built in
//! serves at once; newer ones are read beside the walk, and hits that are examined afterwards are judged by them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lists::name;
use super::reload::pause;
use crate::books::{Books, BooksError};
use crate::cache::{Cache, Kind};
use crate::clock::{Span, Timestamp};
use crate::config::{Config, InputsConfig, ListSource};
use crate::lint::tld::{GtldRegistry, Observed, RootList, TldTable};
use crate::lint::{SuffixList, Tables};
use crate::metrics::{Input, Metrics};
use crate::pipeline::Walk;
use crate::tail::{Caps, Fetcher};

/// The largest list that is read, in bytes; the largest of today's has 0.6 MB.
const LIST_CAPS: Caps = Caps { wire_bytes: 8 << 20, body_bytes: 8 << 20 };
/// How long a list is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a failure a list is asked for again after this part of the time between two readings.
const AGAIN_SOONER: i64 = 12;
/// The shortest time between two readings, whatever is configured.
const SHORTEST_WAIT: Span = Span::from_millis(100);

/// The lists.
#[derive(Clone, Copy)]
enum List {
    Gtlds,
    Tlds,
    Suffixes,
}

impl List {
    /// What the metrics call it.
    fn input(self) -> Input {
        match self {
            List::Gtlds => Input::GtldRegistry,
            List::Tlds => Input::TldTable,
            List::Suffixes => Input::PublicSuffixList,
        }
    }
}

/// A list that is read again and again.
struct Feed {
    list: List,
    /// `None`: the embedded one is used alone.
    source: Option<ListSource>,
    /// What the server called the one in use.
    etag: Option<String>,
    due_at: Timestamp,
}

/// What the cache keeps before the bytes of a list, as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Label {
    etag: Option<String>,
    read_at: Timestamp,
}

/// The lists in use, and where newer ones come from.
pub(super) struct Inputs {
    feeds: [Feed; 3],
    refresh: Span,
    fetcher: Fetcher,
    cache: Arc<Cache>,
    embedded: TldTable,
    registry: Option<GtldRegistry>,
    history: Vec<Observed>,
    suffixes: SuffixList,
}

impl Inputs {
    /// With what is built in, and what the books say that the lists have shown.
    fn new(
        config: &InputsConfig,
        fetcher: &Fetcher,
        cache: &Arc<Cache>,
        history: Vec<Observed>,
        now: Timestamp,
    ) -> Inputs {
        let feed = |list, source: &Option<ListSource>| Feed { list, source: source.clone(), etag: None, due_at: now };
        Inputs {
            feeds: [
                feed(List::Gtlds, &config.gtld_registry),
                feed(List::Tlds, &config.tld_list),
                feed(List::Suffixes, &config.public_suffix_list),
            ],
            refresh: config.refresh,
            fetcher: fetcher.clone(),
            cache: cache.clone(),
            embedded: TldTable::embedded(),
            registry: None,
            history,
            suffixes: SuffixList::Embedded,
        }
    }

    /// Takes up what earlier runs have read; asks nobody.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn open(
        config: &InputsConfig,
        fetcher: &Fetcher,
        cache: &Arc<Cache>,
        books: &Books,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<Inputs, BooksError> {
        let mut inputs = Inputs::new(config, fetcher, cache, books.tld_history().await?, now);
        for at in 0..inputs.feeds.len() {
            let Some((label, bytes)) = inputs.feeds[at].kept(cache) else { continue };
            // What was kept may be older than what is built in by now.
            let Ok(_) = inputs.take(inputs.feeds[at].list, &bytes, books, label.read_at, now).await? else { continue };
            let feed = &mut inputs.feeds[at];
            feed.etag = label.etag;
            if matches!(feed.source, Some(ListSource::Url(_))) {
                feed.due_at = label.read_at.plus(jittered(config.refresh)).min(now.plus(config.refresh));
            }
        }
        for list in [List::Gtlds, List::Tlds, List::Suffixes] {
            metrics.input_loaded(list.input(), inputs.as_of(list));
        }
        Ok(inputs)
    }

    /// What the rules rest on now.
    pub fn tables(&self) -> Tables {
        Tables { tlds: self.embedded.with(self.registry.as_ref(), &self.history), suffixes: self.suffixes.clone() }
    }

    /// Reads each list when it is due, for ever.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn keep_fresh(mut self, walk: Arc<Walk>) -> Result<(), BooksError> {
        loop {
            let named = self.feeds.iter().enumerate().filter(|(_, feed)| feed.source.is_some());
            let Some((at, due_at)) = named.map(|(at, feed)| (at, feed.due_at)).min_by_key(|(_, due_at)| *due_at) else {
                return std::future::pending().await;
            };
            tokio::time::sleep(due_at.since(walk.clock.now()).duration()).await;
            let wait = match self.renew(at, &walk).await? {
                Ok(as_of) => {
                    walk.metrics.input_loaded(self.feeds[at].list.input(), as_of);
                    self.refresh
                }
                Err(reason) => {
                    let (input, from) = (self.feeds[at].list.input(), self.feeds[at].name());
                    walk.metrics.input_refresh_failed(input);
                    tracing::warn!(input = input.word(), from, reason, "a list is not used; the last good one is");
                    Span::from_millis(self.refresh.millis() / AGAIN_SOONER)
                }
            };
            self.feeds[at].due_at = walk.clock.now().plus(jittered(wait).max(SHORTEST_WAIT));
        }
    }

    /// Reads one list; the day of the one in use, or why the new one is not.
    async fn renew(&mut self, at: usize, walk: &Walk) -> Result<Result<Timestamp, String>, BooksError> {
        let feed = &self.feeds[at];
        let (list, now) = (feed.list, walk.clock.now());
        let (bytes, etag) = match feed.fetch(&self.fetcher).await {
            Ok(Some(new)) => new,
            Ok(None) => {
                // Still the same: what is kept was read now.
                if let Some((label, bytes)) = feed.kept(&self.cache) {
                    feed.keep(&self.cache, &Label { read_at: now, ..label }, &bytes);
                }
                return Ok(Ok(self.as_of(list)));
            }
            Err(reason) => return Ok(Err(reason)),
        };
        let before = self.as_of(list);
        if let Err(reason) = self.take(list, &bytes, &walk.books, now, now).await? {
            return Ok(Err(reason));
        }
        walk.learn_tables(self.tables());
        let as_of = self.as_of(list);
        if as_of != before {
            let (input, from, as_of) = (list.input().word(), self.feeds[at].name(), as_of.day());
            tracing::info!(input, from, as_of, "a newer list is in use");
        }
        let feed = &mut self.feeds[at];
        feed.keep(&self.cache, &Label { etag: etag.clone(), read_at: now }, &bytes);
        feed.etag = etag;
        Ok(Ok(as_of))
    }

    /// Puts a list in the place of the one in use, if it is a good one.
    async fn take(
        &mut self,
        list: List,
        bytes: &[u8],
        books: &Books,
        read_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<(), String>, BooksError> {
        let List::Tlds = list else { return Ok(self.take_whole(list, bytes, read_at, now)) };
        // What the registry says was removed is not missed, however long no list was read.
        let (newest, in_force) = (self.as_of(list), self.tables().tlds);
        let checked = RootList::parse(bytes).and_then(|list| {
            list.check(in_force.delegated_at(now), newest, now)?;
            Ok(list)
        });
        match checked {
            Ok(list) => {
                self.history = books.note_tlds(list, self.embedded.clone()).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// The same for a list that tells all by itself: the list of TLDs does so only together with those before it.
    fn take_whole(&mut self, list: List, bytes: &[u8], read_at: Timestamp, now: Timestamp) -> Result<(), String> {
        match list {
            List::Gtlds => {
                let checked = GtldRegistry::parse(bytes, read_at).and_then(|new| {
                    new.check(self.registry.as_ref(), &self.embedded, now)?;
                    Ok(new)
                });
                checked.map(|new| self.registry = Some(new)).map_err(|e| e.to_string())
            }
            List::Suffixes => {
                let read = self.suffixes.replaced_by(bytes, now);
                read.map(|new| self.suffixes = new).map_err(|e| e.to_string())
            }
            List::Tlds => Ok(()),
        }
    }

    /// The day of what is in use.
    fn as_of(&self, list: List) -> Timestamp {
        match list {
            List::Gtlds => self.registry.as_ref().map_or(self.embedded.as_of(), GtldRegistry::as_of),
            List::Suffixes => self.suffixes.as_of(),
            List::Tlds => self.history.iter().map(|seen| seen.last_seen).fold(self.embedded.as_of(), Timestamp::max),
        }
    }
}

/// What the rules rest on, for a command that examines beside the daemon, and what could not be had. The daemon may have
/// the cache to itself: then a list is read where it comes from.
pub(super) async fn beside_the_daemon(
    config: &Config,
    fetcher: &Fetcher,
    cache: &Arc<Cache>,
    now: Timestamp,
) -> (Tables, Vec<String>) {
    let mut missing = Vec::new();
    let history = match Books::open_read_only(&config.books) {
        Ok(books) => books.tld_history().await,
        Err(error) => Err(error),
    };
    let history = history.unwrap_or_else(|error| {
        missing.push(format!("{error}; without them nothing is known of newer TLDs"));
        Vec::new()
    });
    let mut inputs = Inputs::new(&config.inputs, fetcher, cache, history, now);
    for at in 0..inputs.feeds.len() {
        let feed = &inputs.feeds[at];
        if matches!(feed.list, List::Tlds) || feed.source.is_none() {
            continue;
        }
        let (list, from) = (feed.list, feed.name());
        let bytes = match feed.kept(cache) {
            Some((_, bytes)) => Ok(Some(bytes)),
            None => feed.fetch(fetcher).await.map(|new| new.map(|(bytes, _)| bytes)),
        };
        let taken = bytes.and_then(|bytes| match bytes {
            Some(bytes) => inputs.take_whole(list, &bytes, now, now),
            None => Ok(()),
        });
        if let Err(reason) = taken {
            missing.push(format!("{from}: {reason}; what is built in is used"));
        }
    }
    (inputs.tables(), missing)
}

/// A tenth more or less, so that not all monitors come at once.
fn jittered(span: Span) -> Span {
    Span::from_millis(pause(span).as_millis() as i64)
}

impl Feed {
    /// File or URL, as people know it.
    fn name(&self) -> String {
        self.source.as_ref().map(name).unwrap_or_default()
    }

    /// The bytes with their ETag; `None` when they are still those of the list in use.
    async fn fetch(&self, fetcher: &Fetcher) -> Result<Option<(Vec<u8>, Option<String>)>, String> {
        match &self.source {
            None => Ok(None),
            Some(ListSource::File(path)) => {
                let length = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
                if length > LIST_CAPS.body_bytes as u64 {
                    return Err(format!("it has more than {} bytes", LIST_CAPS.body_bytes));
                }
                std::fs::read(path).map(|bytes| Some((bytes, None))).map_err(|e| e.to_string())
            }
            Some(ListSource::Url(url)) => {
                let asked = fetcher.get_changed(url, LIST_CAPS, self.etag.as_deref());
                let late = |_| format!("no answer within {} seconds", PATIENCE.as_secs());
                let answer = tokio::time::timeout(PATIENCE, asked).await.map_err(late)?.map_err(|e| e.to_string())?;
                Ok(answer.map(|tagged| (tagged.body, tagged.etag)))
            }
        }
    }

    /// Where the cache keeps it.
    fn kind(&self) -> Kind {
        match self.list {
            List::Gtlds | List::Tlds => Kind::TldList,
            List::Suffixes => Kind::SuffixList,
        }
    }

    /// The last good bytes from this source.
    fn kept(&self, cache: &Cache) -> Option<(Label, Vec<u8>)> {
        self.source.as_ref()?;
        let kept = cache.get(self.kind(), self.name().as_bytes())?;
        let end = kept.iter().position(|byte| *byte == b'\n')?;
        Some((serde_json::from_slice(&kept[..end]).ok()?, kept[end + 1..].to_vec()))
    }

    fn keep(&self, cache: &Cache, label: &Label, bytes: &[u8]) {
        if let Ok(mut kept) = serde_json::to_vec(label) {
            kept.push(b'\n');
            kept.extend_from_slice(bytes);
            cache.put(self.kind(), self.name().as_bytes(), &kept);
        }
    }
}
