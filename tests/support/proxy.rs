//! A server between the monitor and a log that changes answers on their way.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ctwarden::clock::Clock;
use ctwarden::demo::log::{Api, LogServer, log_list};

/// An answer of the log, inflated.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Puts another answer in its place.
    pub fn become_(&mut self, status: u16, body: &str) {
        (self.status, self.body) = (status, body.as_bytes().to_vec());
    }

    /// Changes one octet of the entry that contains `needle`, in a data tile or in get-entries; false when there is
    /// none.
    pub fn garble(&mut self, needle: &[u8]) -> bool {
        let flip = |bytes: &mut Vec<u8>| {
            let at = bytes.windows(needle.len()).position(|window| window == needle);
            at.map(|at| bytes[at] ^= 0x01).is_some()
        };
        let Ok(mut page) = serde_json::from_slice::<serde_json::Value>(&self.body) else { return flip(&mut self.body) };
        let mut changed = false;
        for entry in page["entries"].as_array_mut().into_iter().flatten() {
            let mut leaf = STANDARD.decode(entry["leaf_input"].as_str().expect("text")).expect("base64");
            if flip(&mut leaf) {
                entry["leaf_input"] = STANDARD.encode(leaf).into();
                changed = true;
            }
        }
        self.body = page.to_string().into_bytes();
        changed
    }
}

type Change = dyn Fn(&str, &mut Answer) + Send + Sync;

struct Shared {
    upstream: Mutex<String>,
    change: Box<Change>,
    asked: Mutex<Vec<String>>,
    client: reqwest::Client,
}

/// A running proxy. It ends with the runtime.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts a proxy of `log`. `change` sees path and query, and may change the answer.
    pub async fn start(log: &LogServer, change: impl Fn(&str, &mut Answer) + Send + Sync + 'static) -> Proxy {
        let shared = Arc::new(Shared {
            upstream: Mutex::new(log.url()),
            change: Box::new(change),
            asked: Mutex::default(),
            client: reqwest::Client::new(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let app = Router::new().fallback(pass).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Proxy { shared, address }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on it is a proxy of another log.
    pub fn turn_to(&self, log: &LogServer) {
        *self.shared.upstream.lock().expect("no panic") = log.url();
    }

    /// Every path and query that was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// A log list in which `log` is read through this proxy.
    pub fn list(&self, log: &LogServer, api: Api) -> String {
        let mut list = log_list(&[log], Clock::System.now());
        let here = self.url();
        let operator = &mut list["operators"][0];
        match api {
            Api::Rfc6962 => operator["logs"][0]["url"] = here.into(),
            Api::StaticCt => operator["tiled_logs"][0]["monitoring_url"] = here.into(),
        }
        list.to_string()
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().map(|path| path.to_string()).unwrap_or_default();
    shared.asked.lock().expect("no panic").push(path.clone());
    let url = format!("{}{path}", shared.upstream.lock().expect("no panic").trim_end_matches('/'));
    let mut answer = match shared.client.get(url).send().await {
        Ok(response) => {
            let (status, gzip) = (response.status().as_u16(), response.headers().contains_key("content-encoding"));
            let mut body = response.bytes().await.expect("the log answers whole").to_vec();
            if gzip {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("gzip");
                body = plain;
            }
            Answer { status, body }
        }
        Err(error) => Answer { status: 502, body: error.to_string().into_bytes() },
    };
    (shared.change)(&path, &mut answer);
    let status = StatusCode::from_u16(answer.status).expect("a status");
    Response::builder().status(status).body(Body::from(answer.body)).expect("a response")
}
