//! Reads one log from its first entry to a given size with the watcher of certstream-server-rust, and ends.
//!
//!     others pages|tiles URL SIZE ORIGIN KEY

use std::sync::Arc;
use std::time::Duration;

use certstream_server_rust::api::{CertificateCache, LogTracker, ServerStats};
use certstream_server_rust::config::{
    CtLogConfig, CustomCtLog, MerkleVerification, StateRecovery, StaticCtLog, StreamConfig,
};
use certstream_server_rust::ct::static_ct::{IssuerCache, run_static_ct_watcher};
use certstream_server_rust::ct::{CtLog, WatcherContext, watcher::run_watcher_with_cache};
use certstream_server_rust::dedup::DedupFilter;
use certstream_server_rust::filter::FilterHub;
use certstream_server_rust::state::StateManager;
use serde_json::json;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The watcher of certstream-server-rust as its program runs it, nobody listening, so that nothing is serialised. What
/// it proves of tiles is what it proves when it is told to prove all; of pages it proves nothing.
async fn certstream(tiles: bool, url: &str, size: u64, origin: &str, key: &str) {
    let url = url.trim_end_matches('/');
    let log: CtLog = if tiles {
        let log = json!({"name": "bench", "url": url, "log_origin": origin, "key": key});
        serde_json::from_value::<StaticCtLog>(log).expect("a tiled log").into()
    } else {
        let log = json!({"name": "bench", "url": url});
        serde_json::from_value::<CustomCtLog>(log).expect("a log").into()
    };
    let state_manager = StateManager::new(None, StateRecovery::default()).expect("no state");
    state_manager.update_index(url, 0, size);
    let (tx, _) = broadcast::channel(1000);
    let config = CtLogConfig { merkle_verification: MerkleVerification::Full, ..CtLogConfig::default() };
    let client = reqwest::Client::builder().pool_max_idle_per_host(config.fetch_concurrency as usize);
    let client = client.pool_idle_timeout(Duration::from_secs(30)).timeout(Duration::from_secs(30)).tcp_nodelay(true);
    let shutdown = CancellationToken::new();
    let context = WatcherContext {
        client: client.build().expect("a client"),
        tx: tx.clone(),
        config: Arc::new(config),
        state_manager: state_manager.clone(),
        cache: Arc::new(CertificateCache::new(1000)),
        stats: Arc::new(ServerStats::new()),
        tracker: Arc::new(LogTracker::new()),
        shutdown: shutdown.clone(),
        dedup: Arc::new(DedupFilter::new()),
        rate_limiter: None,
        streams: Arc::new(StreamConfig::default()),
        filters: FilterHub::new(tx),
        nats: None,
        issuer_cache: Arc::new(IssuerCache::new()),
    };
    let watcher = match tiles {
        true => tokio::spawn(run_static_ct_watcher(log, context)),
        false => tokio::spawn(run_watcher_with_cache(log, context)),
    };
    while state_manager.get_index(url) < Some(size) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.cancel();
    watcher.await.expect("no panic");
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["pages" | "tiles", url, size, origin, key] = arguments[..] else {
        panic!("others pages|tiles URL SIZE ORIGIN KEY");
    };
    certstream(arguments[0] == "tiles", url, size.parse().expect("a size"), origin, key).await;
}
