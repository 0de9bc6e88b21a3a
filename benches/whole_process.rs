//! The whole monitor, as it is installed, reads a log that another process serves on this machine: entries per second
//! of its CPU time (user and system, start and end included) and its peak memory. Every page and tile is gzipped; the
//! answers are made beforehand. `cargo bench --bench whole_process`.

mod synthetic;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{Listener, ListenerExt};
use bytes::Bytes;
use ctwarden::clock::Clock;
use ctwarden::ct::checkpoint;
use ctwarden::ct::compact_range::CompactRange;
use ctwarden::ct::leaf::{leaf_hash, leaf_hash_of_entry};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::tile::tile_leaves;
use ctwarden::ct::to_base64;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto, pki_types};

const TILES: u64 = 1024;
const PAGES: u64 = 262;
const PAGE: u64 = 1000;
/// What a monitor that reads the same logs needs at best today, in entries per CPU second: pages, tiles.
const OTHERS: (f64, f64) = (18_000.0, 24_000.0);
/// How many times as many are wanted over HTTP, and what is wanted over HTTPS.
const TIMES: f64 = 12.0;
const WANTED_HTTPS: (f64, f64) = (80_000.0, 170_000.0);

/// What is served.
struct Served {
    page: Bytes,
    tiles: Vec<Bytes>,
    sth: String,
    checkpoint: String,
}

fn gzipped(body: Bytes) -> Response {
    ([(header::CONTENT_ENCODING, "gzip")], body).into_response()
}

async fn entries(State(served): State<Arc<Served>>, Query(range): Query<HashMap<String, u64>>) -> Response {
    match range.get("start") {
        Some(start) if start.is_multiple_of(PAGE) && *start < PAGES * PAGE => gzipped(served.page.clone()),
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn tile(State(served): State<Arc<Served>>, Path(path): Path<String>) -> Response {
    let index = path.replace(['x', '/'], "").parse::<usize>();
    match index.ok().and_then(|index| served.tiles.get(index)) {
        Some(tile) => gzipped(tile.clone()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A listener that speaks TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

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

/// Serves until standard input ends. The first line that it prints tells the other process what to read.
async fn serve() {
    let made = synthetic::entries(PAGE as usize, 1);
    let page: Bytes = synthetic::gzip(&synthetic::page(&made)).into();
    let mut of_pages = CompactRange::empty();
    let hashes: Vec<_> = made.iter().map(|entry| leaf_hash(&entry.leaf_input())).collect();
    (0..PAGES).for_each(|_| of_pages.append(&hashes));
    let mut of_tiles = CompactRange::empty();
    let tiles: Vec<Bytes> = (0..TILES)
        .map(|index| {
            let from = (index % 3) as usize * 256;
            let tile = synthetic::tile(&made[from..from + 256], index * 256);
            tile_leaves(&tile).for_each(|leaf| of_tiles.push(leaf_hash_of_entry(leaf.expect("a leaf").entry_bytes)));
            synthetic::gzip(&tile).into()
        })
        .collect();
    let (config, ca) = tls_config();
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let secure = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let at = [plain.local_addr().expect("address"), secure.local_addr().expect("address")];
    let now = Clock::System.now();
    let mut list = Vec::new();
    let mut served = Vec::new();
    let bodies = (page, tiles);
    for (scheme, address) in ["http", "https"].into_iter().zip(at) {
        let (rfc, tiled) = (LogSigner::generate(), LogSigner::generate());
        let signed = |signer: &LogSigner, range: &CompactRange| signer.sign_tree_head(range.size(), &range.root(), now);
        let sth = json!({
            "tree_size": of_pages.size(), "timestamp": now.millis(), "sha256_root_hash": to_base64(&of_pages.root()),
            "tree_head_signature": to_base64(&signed(&rfc, &of_pages)),
        });
        let origin = format!("{address}/tiled");
        let checkpoint = checkpoint::render(&origin, tiled.log_id(), of_tiles.size(), &of_tiles.root(), now, |_| {
            signed(&tiled, &of_tiles)
        });
        let log = |signer: &LogSigner| {
            json!({
                "description": scheme, "log_id": signer.log_id().to_string(), "key": to_base64(&signer.spki_der()),
                "mmd": 86_400, "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
            })
        };
        let (mut pages, mut tiles, url) = (log(&rfc), log(&tiled), format!("{scheme}://{address}"));
        pages["url"] = json!(format!("{url}/pages/"));
        tiles["submission_url"] = json!(format!("{url}/tiled/"));
        tiles["monitoring_url"] = tiles["submission_url"].clone();
        list.push(json!({"pages": pages, "tiles": tiles}));
        served.push(Served { page: bodies.0.clone(), tiles: bodies.1.clone(), sth: sth.to_string(), checkpoint });
    }
    println!("{}", json!({"ca": ca, "logs": list}));
    let app = |served: Served| {
        let routes = Router::new()
            .route("/pages/ct/v1/get-sth", get(|State(served): State<Arc<Served>>| async move { served.sth.clone() }))
            .route("/pages/ct/v1/get-entries", get(entries))
            .route(
                "/tiled/checkpoint",
                get(|State(served): State<Arc<Served>>| async move { served.checkpoint.clone() }),
            )
            .route("/tiled/tile/data/{*path}", get(tile));
        routes.with_state(Arc::new(served))
    };
    let secure = Tls { listener: secure, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let secure = axum::serve(secure, app(served.pop().expect("two")));
    let plain = plain.tap_io(|stream| drop(stream.set_nodelay(true)));
    let plain = axum::serve(plain, app(served.pop().expect("two")));
    tokio::spawn(async move { secure.await.expect("serve") });
    tokio::spawn(async move { plain.await.expect("serve") });
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    drop(ended.await);
}

/// CPU seconds of all children that have ended (proc(5): cutime and cstime, in hundredths).
fn children_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this bench needs /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[13..15].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// The most memory that a process has had, in MB.
fn peak_megabytes(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// One run of the monitor over one log: CPU seconds, seconds, peak MB.
fn run(list: &Value, ca: &str, entries: u64) -> (f64, f64, f64) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let issuers: String = (synthetic::watchlist().issuers().iter())
        .map(|issuer| format!("[[issuer]]\nname = \"{}\"\nissuer_key_hash = \"{}\"\n", issuer.name, issuer.key_hash))
        .collect();
    let config = format!(
        "[logs]\nlist = \"logs.json\"\ncontact = \"pki-team@ca-bench.eus\"\nstart = \"beginning\"\n\
         {issuers}[issuance]\nsource = \"none\"\n\
         [data]\ndirectory = \"data\"\n[lint]\ngtld_registry = \"none\"\ntld_list = \"none\"\n\
         public_suffix_list = \"embedded\"\n[mail]\nfolder = \"mail\"\nfrom = \"ctwarden@ca-bench.eus\"\n\
         to = [\"oncall@ca-bench.eus\"]\n[web]\nlisten = \"127.0.0.1:0\"\n"
    );
    for (name, text) in [("logs.json", list.to_string().as_str()), ("ctwarden.toml", &config), ("ca.pem", ca)] {
        std::fs::write(path(name), text).expect("write a file");
    }
    let log = std::fs::File::create(path("said")).expect("a file");
    let (before, start) = (children_seconds(), Instant::now());
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctwarden"))
        .args(["run", "--until-caught-up"])
        .env("CTWARDEN_CONFIG", path("ctwarden.toml"))
        .env("SSL_CERT_FILE", path("ca.pem"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("start the monitor");
    let mut peak = 0.0;
    let status = loop {
        peak = peak_megabytes(&child).unwrap_or(peak);
        match child.try_wait().expect("wait") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let said = std::fs::read_to_string(path("said")).unwrap_or_default();
    assert!(status.success(), "the monitor failed: {said}");
    let books = rusqlite::Connection::open(path("data/books.sqlite")).expect("the books");
    let verified: u64 = books.query_row("SELECT verified_size FROM logs", [], |row| row.get(0)).expect("a log");
    assert_eq!(verified, entries, "not all was verified: {said}");
    (children_seconds() - before, seconds, peak)
}

fn main() {
    let runtime = || tokio::runtime::Runtime::new().expect("threads");
    if std::env::args().any(|argument| argument == "--serve") {
        return runtime().block_on(serve());
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test; run cargo bench --bench whole_process");
        return;
    }
    let own = std::env::current_exe().expect("this program");
    let piped = Command::new(own).arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = piped.expect("start the server");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("the server speaks");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    println!("| log | entries | CPU s | s | entries per CPU second | wanted | peak MB | |");
    println!("|---|---|---|---|---|---|---|---|");
    for (at, scheme) in ["http", "https"].into_iter().enumerate() {
        for kind in ["pages", "tiles"] {
            let log = &told["logs"][at][kind];
            let (rfc, tiled) = if kind == "pages" { (vec![log], vec![]) } else { (vec![], vec![log]) };
            let list = json!({
                "version": "1.0", "log_list_timestamp": "2026-11-01T00:00:00Z",
                "operators": [{"name": "bench", "email": ["bench@ca-bench.eus"], "logs": rfc, "tiled_logs": tiled}],
            });
            let entries = if kind == "pages" { PAGES * PAGE } else { TILES * 256 };
            // The best of three: what else the machine does only adds.
            let runs = (0..3).map(|_| run(&list, told["ca"].as_str().expect("PEM"), entries));
            let (cpu, seconds, peak) = runs.min_by(|a, b| a.0.total_cmp(&b.0)).expect("three");
            let rate = entries as f64 / cpu;
            let wanted = match (scheme, kind) {
                ("http", "pages") => OTHERS.0 * TIMES,
                ("http", _) => OTHERS.1 * TIMES,
                (_, "pages") => WANTED_HTTPS.0,
                (_, _) => WANTED_HTTPS.1,
            };
            let verdict = if rate >= wanted { "pass" } else { "FAIL" };
            println!(
                "| {kind}, {scheme} | {entries} | {cpu:.2} | {seconds:.1} | {rate:.0} | {wanted:.0} | {peak:.0} | {verdict} |"
            );
        }
    }
    drop(server.stdin.take());
    server.wait().expect("the server ends");
}
