//! Logs that another process serves on this machine, their answers made beforehand: pages and tiles, gzipped or not,
//! over HTTP or HTTPS, at once or after a while. Only what a monitor needs that begins at the first entry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use bytes::Bytes;
use ctwarden::clock::Clock;
use ctwarden::ct::compact_range::CompactRange;
use ctwarden::ct::leaf::{leaf_hash, leaf_hash_of_entry};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::tile::tile_leaves;
use ctwarden::ct::{Hash, checkpoint, to_base64};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto, pki_types};

use crate::synthetic;

/// So many entries are made up; a log of pages repeats them, and tiles too but for their leaf_index.
const MADE: u64 = 1000;

/// How the entries of a log come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// get-entries, so many at a time.
    Pages(u64),
    /// Data tiles.
    Tiles,
}

/// A log that is to be served.
#[derive(Clone, Debug)]
pub struct Spec {
    /// How.
    pub kind: Kind,
    /// How many.
    pub entries: u64,
    /// Compressed, at level 6.
    pub gzipped: bool,
    /// Over TLS.
    pub secure: bool,
    /// How long each answer takes.
    pub delay: Duration,
    /// On 127.0.0.this.
    pub host: u8,
}

struct Served {
    spec: Spec,
    sth: String,
    checkpoint: String,
    proof: String,
    bodies: Arc<Bodies>,
}

/// What all logs serve.
struct Bodies {
    made: Vec<synthetic::Entry>,
    /// By the number of entries and whether it is gzipped.
    pages: BTreeMap<(u64, bool), Bytes>,
    tiles: BTreeMap<bool, Vec<Bytes>>,
    /// Level by level, 8 levels of the tree apart.
    hashes: Vec<Vec<Hash>>,
}

impl Bodies {
    fn new(specs: &[Spec]) -> Bodies {
        let made = synthetic::entries(MADE as usize, 1);
        let mut pages = BTreeMap::new();
        let mut tiles = BTreeMap::new();
        for spec in specs {
            if let Kind::Pages(count) = spec.kind {
                let body = || coded(synthetic::page(&made[..count as usize]), spec.gzipped);
                pages.entry((count, spec.gzipped)).or_insert_with(body);
            }
        }
        let of_tiles = |spec: &&Spec| spec.kind == Kind::Tiles;
        let count = specs.iter().filter(of_tiles).map(|spec| spec.entries / 256).max().unwrap_or_default();
        let plain: Vec<Vec<u8>> = (0..count)
            .map(|index| {
                let from = (index % 3) as usize * 256;
                synthetic::tile(&made[from..from + 256], index * 256)
            })
            .collect();
        let leaf = |read: ctwarden::ct::tile::TileLeaf<'_>| leaf_hash_of_entry(read.entry_bytes);
        let leaves = plain.iter().flat_map(|tile| tile_leaves(tile).map(|read| leaf(read.expect("a leaf"))));
        let mut hashes = vec![leaves.collect::<Vec<Hash>>()];
        while let Some(below) = hashes.last().filter(|below| below.len() >= 256) {
            let above = below.chunks_exact(256).map(|tile| range_of(tile.iter().copied()).root()).collect();
            hashes.push(above);
        }
        for spec in specs.iter().filter(of_tiles) {
            tiles.entry(spec.gzipped).or_insert_with(|| {
                // Compressing takes a while: on two threads.
                let code = |part: &[Vec<u8>]| -> Vec<Bytes> {
                    part.iter().map(|tile| coded(tile.clone(), spec.gzipped)).collect()
                };
                let (first, second) = plain.split_at(plain.len() / 2);
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| code(second));
                    let mut all = code(first);
                    all.extend(other.join().expect("no panic"));
                    all
                })
            });
        }
        Bodies { made, pages, tiles, hashes }
    }

    /// The leaf hashes of a log.
    fn leaves(&self, spec: &Spec) -> Vec<Hash> {
        match spec.kind {
            Kind::Tiles => self.hashes[0][..spec.entries as usize].to_vec(),
            Kind::Pages(count) => {
                let page: Vec<Hash> =
                    self.made[..count as usize].iter().map(|entry| leaf_hash(&entry.leaf_input())).collect();
                page.into_iter().cycle().take(spec.entries as usize).collect()
            }
        }
    }
}

fn range_of(hashes: impl Iterator<Item = Hash>) -> CompactRange {
    let mut range = CompactRange::empty();
    hashes.for_each(|hash| range.push(hash));
    range
}

fn coded(body: Vec<u8>, gzipped: bool) -> Bytes {
    if gzipped { synthetic::gzip(&body).into() } else { body.into() }
}

fn answer(body: Bytes, gzipped: bool) -> Response {
    match gzipped {
        true => ([(header::CONTENT_ENCODING, "gzip")], body).into_response(),
        false => body.into_response(),
    }
}

impl Served {
    fn new(spec: &Spec, signer: &LogSigner, origin: &str, bodies: &Arc<Bodies>) -> Served {
        let leaves = bodies.leaves(spec);
        let (last, before) = leaves.split_last().expect("entries");
        let mut range = range_of(before.iter().copied());
        // The subtrees to the left of the last leaf are its audit path, the smallest first.
        let path: Vec<String> = range.hashes().iter().rev().map(|hash| to_base64(hash)).collect();
        range.push(*last);
        let (size, root, now) = (range.size(), range.root(), Clock::System.now());
        let signed = signer.sign_tree_head(size, &root, now);
        let sth = json!({
            "tree_size": size, "timestamp": now.millis(), "sha256_root_hash": to_base64(&root),
            "tree_head_signature": to_base64(&signed),
        });
        let checkpoint = checkpoint::render(origin, signer.log_id(), size, &root, now, |_| signed.clone());
        let proof = json!({"leaf_index": size - 1, "audit_path": path}).to_string();
        Served { spec: spec.clone(), sth: sth.to_string(), checkpoint, proof, bodies: bodies.clone() }
    }

    fn answer(&self, path: &str, query: &str) -> Response {
        match (path, self.spec.kind) {
            ("ct/v1/get-sth", Kind::Pages(_)) => self.sth.clone().into_response(),
            ("ct/v1/get-proof-by-hash", Kind::Pages(_)) => self.proof.clone().into_response(),
            ("checkpoint", Kind::Tiles) => self.checkpoint.clone().into_response(),
            ("ct/v1/get-entries", Kind::Pages(count)) => self.page(count, query),
            (_, Kind::Tiles) => self.tile(path).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn page(&self, most: u64, query: &str) -> Response {
        let number = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.parse::<u64>().ok());
        let (Some(start), Some(end)) = (number("start="), number("end=")) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let end = end.min(self.spec.entries - 1);
        let (from, count) = (start % most, (end + 1).saturating_sub(start).min(most));
        let ready = self.bodies.pages.get(&(count, self.spec.gzipped)).filter(|_| from == 0);
        let made = || {
            let to = (from + count).min(most);
            coded(synthetic::page(&self.bodies.made[from as usize..to as usize]), self.spec.gzipped)
        };
        answer(ready.cloned().unwrap_or_else(made), self.spec.gzipped)
    }

    fn tile(&self, path: &str) -> Option<Response> {
        let (level, path) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = path.split_once(".p/").unwrap_or((path, "256"));
        let (index, width) = (index.replace(['x', '/'], "").parse::<usize>().ok()?, width.parse::<usize>().ok()?);
        if level == "data" {
            return Some(answer(self.bodies.tiles[&self.spec.gzipped].get(index)?.clone(), self.spec.gzipped));
        }
        let hashes = self.bodies.hashes.get(level.parse::<usize>().ok()?)?;
        Some(hashes.get(index * 256..index * 256 + width)?.concat().into_response())
    }
}

async fn serve_one(State(logs): State<Arc<Vec<Served>>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let found = path.split_once('/').and_then(|(number, rest)| Some((logs.get(number.parse::<usize>().ok()?)?, rest)));
    let Some((log, rest)) = found else { return StatusCode::NOT_FOUND.into_response() };
    if !log.spec.delay.is_zero() {
        tokio::time::sleep(log.spec.delay).await;
    }
    log.answer(rest, uri.query().unwrap_or_default())
}

/// A listener that speaks TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("no delay");
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }
    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A certificate for this machine and the PEM of the CA that signed it.
fn tls_config() -> (ServerConfig, String) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(vec![]).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&ca_key).expect("a CA").pem();
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_string()]).expect("parameters");
    let certificate = params.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).expect("a certificate");
    let key = pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    (config.expect("a TLS configuration"), pem)
}

/// Serves until standard input ends. The one line that it prints tells the other process what to read: the CA of the
/// TLS certificate, and for each log its entry in a log list.
pub async fn serve(specs: &[Spec]) {
    let bodies = Arc::new(Bodies::new(specs));
    let (config, ca) = tls_config();
    let mut listeners: BTreeMap<(bool, u8), TcpListener> = BTreeMap::new();
    let (mut list, mut served) = (Vec::new(), Vec::new());
    for (number, spec) in specs.iter().enumerate() {
        let place = (spec.secure, spec.host);
        let listener = match listeners.entry(place) {
            Entry::Occupied(listener) => listener.into_mut(),
            Entry::Vacant(free) => {
                free.insert(TcpListener::bind(format!("127.0.0.{}:0", spec.host)).await.expect("listen"))
            }
        };
        let address = listener.local_addr().expect("address");
        let signer = LogSigner::generate();
        let scheme = if spec.secure { "https" } else { "http" };
        let mut entry = json!({
            "description": format!("log {number}"), "log_id": signer.log_id().to_string(),
            "key": to_base64(&signer.spki_der()), "mmd": 86_400,
            "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
        });
        let url = json!(format!("{scheme}://{address}/{number}/"));
        match spec.kind {
            Kind::Pages(_) => entry["url"] = url,
            Kind::Tiles => (entry["submission_url"], entry["monitoring_url"]) = (url.clone(), url),
        }
        list.push(entry);
        served.push(Served::new(spec, &signer, &format!("{address}/{number}"), &bodies));
    }
    println!("{}", json!({"ca": ca, "logs": list}));
    let router = Router::new().fallback(serve_one).with_state(Arc::new(served));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    for ((secure, _), listener) in listeners {
        let router = router.clone();
        if secure {
            let listener = Tls { listener, acceptor: acceptor.clone() };
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        } else {
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        }
    }
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    drop(ended.await);
}

/// A log list of these entries under one operator.
pub fn log_list(entries: &[Value]) -> Value {
    let (rfc, tiled): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| entry.get("url").is_some());
    json!({
        "version": "1.0", "log_list_timestamp": "2026-11-01T00:00:00Z",
        "operators": [{"name": "bench", "email": ["bench@ca-bench.eus"], "logs": rfc, "tiled_logs": tiled}],
    })
}
