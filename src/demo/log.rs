//! A small real CT log on loopback: it checks what is submitted, promises inclusion with SCTs, signs tree heads, and
//! serves entries and proofs as an RFC 6962 log or as a static-ct-api log. Everything is in memory.
//!
//! Tests drive it from inside the process: [`LogServer::append`] puts in entries by the thousand,
//! [`LogServer::set_visible_size`] releases them step by step, [`LogServer::publish`] signs a new head at once.

mod rfc6962;
mod static_ct;
mod store;
mod submission;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::DemoError;
use crate::clock::{Clock, Timestamp};
use crate::ct::{signer::LogSigner, to_base64};
use store::Store;
pub use store::{Head, RawEntry, RawKind};

/// How a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// RFC 6962 4: JSON over `ct/v1/`.
    Rfc6962,
    /// C2SP static-ct-api: a checkpoint and tiles. Submission is as in RFC 6962.
    StaticCt,
}

/// What a log is to be.
pub struct LogSettings {
    /// How it is read.
    pub api: Api,
    /// Its key.
    pub signer: LogSigner,
    /// Where its timestamps come from.
    pub clock: Clock,
    /// How often it signs a new tree head over what it has.
    pub sequence_every: Duration,
    /// The most entries that one get-entries answers with, at least 1; answers end at multiples of it.
    pub page_size: u64,
    /// The origin line of checkpoints; `None`: the URL without scheme and trailing slash, as the log list implies.
    pub origin: Option<String>,
    /// What the log list calls it.
    pub description: String,
    /// Accepted roots, DER; with none, every chain whose signatures hold is accepted.
    pub roots: Vec<Vec<u8>>,
}

impl LogSettings {
    /// A log with a new key that signs a head twice a second and accepts every chain whose signatures hold.
    pub fn new(api: Api, clock: Clock) -> LogSettings {
        LogSettings {
            api,
            signer: LogSigner::generate(),
            clock,
            sequence_every: Duration::from_millis(500),
            page_size: 256,
            origin: None,
            description: match api {
                Api::Rfc6962 => "ctwarden demo RFC 6962 log".into(),
                Api::StaticCt => "ctwarden demo static-ct-api log".into(),
            },
            roots: Vec::new(),
        }
    }
}

/// What the routes share.
struct Log {
    settings: LogSettings,
    origin: String,
    store: Mutex<Store>,
}

impl Log {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn publish(&self) -> Head {
        self.store().publish(&self.settings.signer, self.settings.clock.now())
    }
}

/// A running log. Dropping it stops it.
pub struct LogServer {
    log: Arc<Log>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl LogServer {
    /// Starts a log on a free port of 127.0.0.1, empty, with a signed head of size 0.
    pub async fn start(settings: LogSettings) -> Result<LogServer, DemoError> {
        let listen = |source| DemoError::Listen { source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let origin = settings.origin.clone().unwrap_or_else(|| address.to_string());
        let every = settings.sequence_every;
        let store = Mutex::new(Store::new(&settings.signer, settings.clock.now()));
        let log = Arc::new(Log { settings, origin, store });
        let routes = match log.settings.api {
            Api::Rfc6962 => rfc6962::routes(),
            Api::StaticCt => static_ct::routes(),
        };
        let app: Router = routes.merge(submission::routes()).with_state(Arc::clone(&log));
        let (stop, stopped) = watch::channel(false);
        // Without it a client with one request in flight waits for delayed acknowledgements.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let mut ended = stopped.clone();
        let server = tokio::spawn(async move {
            let end = async move { drop(ended.wait_for(|stop| *stop).await) };
            // Accept errors are retried inside; it ends only when told to.
            drop(axum::serve(listener, app).with_graceful_shutdown(end).await);
        });
        let sequencer = tokio::spawn(sequence(Arc::clone(&log), every, stopped));
        Ok(LogServer { log, address, stop, tasks: vec![server, sequencer] })
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
    /// The key's identity, base64, as in the log list.
    pub fn log_id(&self) -> String {
        self.log.settings.signer.log_id().to_string()
    }
    /// DER SubjectPublicKeyInfo of the log's key.
    pub fn spki_der(&self) -> Vec<u8> {
        self.log.settings.signer.spki_der()
    }
    /// The origin line of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.log.origin
    }
    /// How many entries it holds, published or not.
    pub fn size(&self) -> u64 {
        self.log.store().size()
    }
    /// The newest signed tree head.
    pub fn head(&self) -> Head {
        self.log.store().head().clone()
    }
    /// Appends entries as they are, unchecked and never refused as duplicates, and returns the index of the first.
    /// On a static-ct-api log they get their leaf_index. The next head covers them.
    pub fn append(&self, entries: impl IntoIterator<Item = RawEntry>) -> u64 {
        let mut store = self.log.store();
        let first = store.size();
        for entry in entries {
            store.append(self.log.settings.api, &entry);
        }
        first
    }
    /// Signs a new head now over all visible entries.
    pub fn publish(&self) -> Head {
        self.log.publish()
    }
    /// From the next head on no head covers more than `size` entries; `None` lifts the limit. Heads never shrink.
    pub fn set_visible_size(&self, size: Option<u64>) {
        self.log.store().set_visible_size(size);
    }

    /// This log as an entry of a log list (v3 schema), in the array `logs` or `tiled_logs`.
    pub fn list_entry(&self) -> Value {
        let mut entry = json!({
            "description": self.log.settings.description,
            "log_id": self.log_id(),
            "key": to_base64(&self.spki_der()),
            "mmd": 86_400,
            "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
        });
        match self.log.settings.api {
            Api::Rfc6962 => entry["url"] = json!(self.url()),
            Api::StaticCt => {
                entry["submission_url"] = json!(self.url());
                entry["monitoring_url"] = json!(self.url());
            }
        }
        entry
    }

    /// Stops: no new connections, open requests are answered, after two seconds all is cut.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in &mut self.tasks {
            if tokio::time::timeout(Duration::from_secs(2), &mut *task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A log list (v3 schema) with these logs under one operator.
pub fn log_list(logs: &[&LogServer], at: Timestamp) -> Value {
    let of = |api| -> Vec<Value> {
        logs.iter().filter(|log| log.log.settings.api == api).map(|log| log.list_entry()).collect()
    };
    json!({
        "version": "1.0",
        "log_list_timestamp": at.to_string(),
        "operators": [{
            "name": "ctwarden demo",
            "email": ["demo@ctwarden-demo.eus"],
            "logs": of(Api::Rfc6962),
            "tiled_logs": of(Api::StaticCt),
        }],
    })
}

/// Signs a head every so often until told to stop.
async fn sequence(log: Arc<Log>, every: Duration, mut stopped: watch::Receiver<bool>) {
    while tokio::time::timeout(every.max(Duration::from_millis(1)), stopped.wait_for(|stop| *stop)).await.is_err() {
        log.publish();
    }
}

#[cfg(test)]
mod tests;
