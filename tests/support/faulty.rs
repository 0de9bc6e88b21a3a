//! A CT log that misbehaves when told to: one server on loopback that serves get-* and checkpoint, tile and issuer over
//! the same entries, with a knob for each fault that a monitor must survive, turned while it runs.
//!
//! What a request is answered with is made in three steps: the honest answer or the one that a fault of content makes
//! of it ([`store`]), and then what becomes of it on the way ([`wire`]). Of the faults that are set, the first that
//! fits a request spoils it.

pub mod plant;
pub mod scene;
mod store;
mod wire;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::serve::ListenerExt;
use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::ct::key::LogId;
use ctwarden::ct::leaf::LeafEntry;
use ctwarden::ct::sct::SignedCertificateTimestamp;
use ctwarden::ct::to_base64;
pub use ctwarden::demo::log::{Api, Head};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use plant::Entry;
use store::{Asked, Store};

/// What can be wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A tree head whose signature has one flipped bit.
    BadSignature,
    /// A tree head that another key signed.
    OtherKey,
    /// A properly signed head over a tree in which this leaf is another. The entries stay as they are.
    Fork {
        /// The leaf that differs.
        leaf: u64,
        /// The size of the head; `None`: that of the newest.
        size: Option<u64>,
    },
    /// A properly signed head over the first so many entries.
    Rollback(u64),
    /// The head that was the newest when the fault was set, byte for byte.
    Frozen(Head),
    /// A properly signed head dated so far in the future.
    Future(Span),
    /// The entry with this index has one flipped bit, 20 bytes before its end.
    Corrupt(u64),
    /// What get-entries gives at most, and whether answers end at multiples of it.
    Pages {
        /// Entries.
        most: u64,
        /// Ends at multiples of `most`.
        aligned: bool,
    },
    /// get-entries goes on beyond the end that was asked for, by so many entries.
    More(u64),
    /// `{"entries": []}`, or a tile of no bytes.
    Empty,
    /// A data tile with so many entries more or less than its path says.
    TileLength(i64),
    /// An issuer that does not hash to its name.
    WrongIssuer,
    /// This HTTP status, with a text for a body.
    Status(u16),
    /// 429, and how it says when to come again.
    TooMany(Again),
    /// 404 for partial tiles alone.
    NoPartial,
    /// So long before the first byte.
    SlowFirstByte(Duration),
    /// So long for the whole body, which comes in ten pieces.
    SlowBody(Duration),
    /// The connection ends in the middle of the body.
    Cut,
    /// 200 with an error page.
    Html,
    /// A small gzip body that inflates to so many MiB.
    Bomb(usize),
    /// A gzip body of three members, which is no fault: it is one body.
    Members,
    /// A plain body under Content-Encoding: gzip.
    SaysGzip,
    /// A plain body under Content-Encoding: br.
    SaysBrotli,
    /// A gzip body under no Content-Encoding.
    GzipUnsaid,
}

/// The forms of Retry-After, with the time that they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No such header.
    Unsaid,
    /// Seconds.
    Seconds(u32),
    /// An HTTP-date that ends in GMT, so many seconds from now.
    Gmt(u32),
    /// An HTTP-date that ends in UTC.
    Utc(u32),
}

/// Which requests a fault spoils.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// get-sth and checkpoint.
    Heads,
    /// Pages and data tiles that touch these entries.
    Entries(Range<u64>),
    /// Hash tiles of level 0 that touch these entries.
    Hashes(Range<u64>),
    /// Issuers.
    Issuers,
    /// Everything.
    All,
}

struct Rule {
    fault: Fault,
    on: On,
    /// How often it still does its work; `None`: for ever.
    left: Option<u32>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When.
    pub at: Timestamp,
    /// Path and query, without the leading slash.
    pub path: String,
    /// The status that it got.
    pub status: u16,
}

struct Shared {
    store: Mutex<Store>,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running log. Dropping it stops it.
pub struct FaultyLog {
    shared: Arc<Shared>,
    api: Api,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl FaultyLog {
    /// An empty log that the log list shows as one of this kind, on 127.0.0.1.
    pub async fn start(api: Api) -> FaultyLog {
        FaultyLog::start_on(api, "127.0.0.1").await
    }

    /// The same on another loopback address, for faults that concern a whole host; with a port or on a free one.
    pub async fn start_on(api: Api, host: &str) -> FaultyLog {
        let address = if host.contains(':') { host.to_string() } else { format!("{host}:0") };
        let listener = TcpListener::bind(address).await.expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let store = Mutex::new(Store::new(address.to_string()));
        let shared = Arc::new(Shared { store, rules: Mutex::default(), requests: Mutex::default() });
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let task = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        FaultyLog { shared, api, address, task }
    }

    /// Spoils every such request from now on.
    pub fn set(&self, fault: Fault, on: On) {
        locked(&self.shared.rules).push(Rule { fault, on, left: None });
    }

    /// Spoils the next `times` such requests.
    pub fn set_times(&self, times: u32, fault: Fault, on: On) {
        locked(&self.shared.rules).push(Rule { fault, on, left: Some(times) });
    }

    /// Serves the newest head, byte for byte, from now on.
    pub fn freeze(&self) {
        self.set(Fault::Frozen(self.head()), On::Heads);
    }

    /// Is an honest log again.
    pub fn clear(&self) {
        locked(&self.shared.rules).clear();
    }

    /// Whether every fault that was to happen so many times has happened.
    pub fn is_spent(&self) -> bool {
        locked(&self.shared.rules).iter().all(|rule| rule.left.is_none_or(|left| left == 0))
    }

    /// Appends entries; the next head covers them.
    pub fn append(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut store = locked(&self.shared.store);
        entries.into_iter().for_each(|entry| store.append(entry));
    }

    /// Signs a head over everything.
    pub fn publish(&self) -> Head {
        self.publish_at(Clock::System.now())
    }

    /// The same with another date.
    pub fn publish_at(&self, at: Timestamp) -> Head {
        locked(&self.shared.store).publish(at)
    }

    /// The newest honest head.
    pub fn head(&self) -> Head {
        locked(&self.shared.store).head.clone()
    }

    /// Every head that was served with a good signature of the log's key, honest or not.
    pub fn signed_heads(&self) -> Vec<Head> {
        locked(&self.shared.store).signed.clone()
    }

    /// The indexes of the entries that are ours.
    pub fn planted(&self) -> Vec<u64> {
        locked(&self.shared.store).planted()
    }

    /// What was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.shared.requests).clone()
    }

    /// This log's SCT.
    pub fn sign_sct(&self, at: Timestamp, entry: &LeafEntry<'_>, extensions: &[u8]) -> SignedCertificateTimestamp {
        locked(&self.shared.store).signer.sign_sct(at, entry, extensions)
    }

    /// How often a tree head was asked for so far.
    pub fn heads_asked(&self) -> usize {
        let is_head = |path: &str| path == "checkpoint" || path == "ct/v1/get-sth";
        locked(&self.shared.requests).iter().filter(|request| is_head(&request.path)).count()
    }

    /// The log's identity.
    pub fn log_id(&self) -> LogId {
        locked(&self.shared.store).signer.log_id()
    }

    /// What the monitor calls it.
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// How it is read.
    pub fn api(&self) -> Api {
        self.api
    }

    /// This log as an entry of a log list.
    pub fn list_entry(&self) -> Value {
        let url = format!("http://{}/", self.address);
        let mut entry = list_entry(&url, self.api, &locked(&self.shared.store).signer.spki_der());
        entry["description"] = json!(format!("faulty {:?} log {}", self.api, self.address));
        entry
    }
}

impl Drop for FaultyLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An entry of a log list.
pub fn list_entry(url: &str, api: Api, spki_der: &[u8]) -> Value {
    let mut entry = json!({
        "description": url,
        "log_id": to_base64(&ctwarden::ct::sha256(&[spki_der])),
        "key": to_base64(spki_der),
        "mmd": 86_400,
        "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    });
    match api {
        Api::Rfc6962 => entry["url"] = json!(url),
        Api::StaticCt => {
            entry["submission_url"] = json!(url);
            entry["monitoring_url"] = json!(url);
        }
    }
    entry
}

/// A log list with these entries under one operator.
pub fn log_list(entries: impl IntoIterator<Item = Value>) -> String {
    let (logs, tiled): (Vec<Value>, Vec<Value>) = entries.into_iter().partition(|entry| entry.get("url").is_some());
    json!({
        "version": "1.0",
        "log_list_timestamp": Clock::System.now().to_string(),
        "operators": [{"name": "Faulty", "email": ["logs@ca-tests.eus"], "logs": logs, "tiled_logs": tiled}],
    })
    .to_string()
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let path = uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/').to_string();
    let asked = Asked::parse(&path);
    let fault = {
        let mut rules = locked(&shared.rules);
        let rule = rules.iter_mut().find(|rule| rule.left != Some(0) && asked.concerns(&rule.on, &rule.fault));
        rule.map(|rule| {
            rule.left = rule.left.map(|left| left - 1);
            rule.fault.clone()
        })
    };
    let honest = locked(&shared.store).answer(&asked, fault.as_ref());
    let at = Clock::System.now();
    let spoilt = wire::spoil(honest, fault.as_ref(), at);
    locked(&shared.requests).push(Request { at, path, status: spoilt.status });
    spoilt.send().await
}
