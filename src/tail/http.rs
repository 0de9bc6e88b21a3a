//! One capped GET for everything that logs serve.
//!
//! A response is bounded in bytes on the wire, in bytes after decompression and in time; redirects are not followed;
//! TLS is verified. A host that asks for less (429, 503, Retry-After) is left alone by every task that reads from it.
//! Bodies are inflated and read on threads of their own, as many at once as there are cores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;

use super::inflate::{Coding, InflateError, Inflater};
use crate::clock::{Clock, Span, Timestamp};
use crate::finding::escape;

/// Time to the first byte and between bytes.
const QUIET: Duration = Duration::from_secs(30);
/// Time for a whole response.
const WHOLE: Duration = Duration::from_secs(120);
/// How long a host that gave no Retry-After is left alone after a 429 or 503.
const COOL_DOWN: Span = Span::from_seconds(5);
/// The longest Retry-After that is obeyed: a log must not be able to silence its monitor.
const LONGEST_COOL_DOWN: Span = Span::from_seconds(600);

/// Why a GET gave nothing. What a caller does differently: ask for something else, ask for less, or try again.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// 404 or 410.
    #[error("{url}: not found")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// Another status: 4xx except 404, 410 and 429 mean the request, the rest the server.
    #[error("{url}: HTTP {status}: {excerpt}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// The start of the body, escaped.
        excerpt: String,
    },
    /// More bytes than allowed.
    #[error("{url}: the response is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The cap.
        limit_bytes: usize,
    },
    /// The body is not what its headers say.
    #[error("{url}: {reason}")]
    Garbled {
        /// What was asked for.
        url: String,
        /// In what way.
        reason: String,
    },
    /// No whole response: DNS, connection, TLS, time-out.
    #[error("{url}: {reason}")]
    Network {
        /// What was asked for.
        url: String,
        /// The chain of causes.
        reason: String,
    },
}

impl FetchError {
    /// The word of the `outcome` label.
    pub fn outcome(&self) -> &'static str {
        match self {
            FetchError::NotFound { .. } => "not_found",
            FetchError::Status { status: 429, .. } => "rate_limited",
            FetchError::Status { status: 500.., .. } => "server_error",
            FetchError::Status { .. } => "refused",
            FetchError::TooLarge { .. } => "too_large",
            FetchError::Garbled { .. } => "garbled",
            FetchError::Network { .. } => "network",
        }
    }
}

/// Caps on one response.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Bytes as they come over the wire.
    pub wire_bytes: usize,
    /// Bytes after decompression.
    pub body_bytes: usize,
}

impl Caps {
    /// For tree heads, proofs and issuers: a checkpoint with post-quantum cosignatures has a few kB, an issuer less
    /// than 100 kB.
    pub const SMALL: Caps = Caps { wire_bytes: 2 << 20, body_bytes: 2 << 20 };
    /// For entries: legal certificates reach 16 MiB (2^24 - 1 octets), in base64 with their chain a multiple of it.
    pub const ENTRIES: Caps = Caps { wire_bytes: 64 << 20, body_bytes: 192 << 20 };
}

/// The HTTP client that all logs share. Clones share connections and cool-downs.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    clock: Clock,
    resting: Arc<Mutex<HashMap<String, Timestamp>>>,
    desks: Arc<Desks>,
}

/// Where bodies are read: as many at once as there are cores, which also bounds how many are inflated at once.
#[derive(Debug)]
struct Desks {
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Inflater>>,
}

/// A successful answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    url: String,
    wire: Vec<u8>,
    coding: Coding,
    caps: Caps,
}

impl Answer {
    /// Inflates and reads it here and now.
    fn read<T>(&self, inflater: &mut Inflater, work: impl FnOnce(&[u8]) -> T) -> Result<T, FetchError> {
        inflater.read(&self.wire, self.coding, self.caps.body_bytes, work).map_err(|error| match error {
            InflateError::TooLarge(limit_bytes) => FetchError::TooLarge { url: self.url.clone(), limit_bytes },
            InflateError::Broken(_) => FetchError::Garbled { url: self.url.clone(), reason: error.to_string() },
        })
    }
}

impl Fetcher {
    /// A client whose User-Agent carries `contact`, as logs ask their readers to.
    ///
    /// # Errors
    /// When the TLS roots of the system cannot be used, or `contact` cannot stand in a header.
    pub fn new(contact: &str, clock: Clock) -> Result<Fetcher, FetchError> {
        let agent = format!("ctwarden/{} ({contact})", env!("CARGO_PKG_VERSION"));
        let client = Client::builder()
            .user_agent(agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(QUIET)
            .timeout(WHOLE)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(8)
            .build();
        let client = client.map_err(|e| FetchError::Network { url: "HTTP client".into(), reason: causes(&e) })?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let desks = Arc::new(Desks { free: Arc::new(Semaphore::new(cores)), idle: Mutex::default() });
        Ok(Fetcher { client, clock, resting: Arc::default(), desks })
    }

    /// Fetches a small body, and inflates it here and now.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, url: &str, caps: Caps) -> Result<Vec<u8>, FetchError> {
        self.fetch(url, caps).await?.read(&mut Inflater::default(), <[u8]>::to_vec)
    }

    /// Inflates an answer and gives its body to `work`, on a thread that may compute.
    ///
    /// # Errors
    /// When the body is too large or not what its headers say, or when `work` panics.
    pub async fn read<T: Send + 'static>(
        &self,
        answer: Answer,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, FetchError> {
        let (desks, url) = (Arc::clone(&self.desks), answer.url.clone());
        // The thread keeps the desk even when nobody waits for it any more.
        let desk = Arc::clone(&desks.free).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let idle = desks.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
            let mut inflater = idle.unwrap_or_default();
            let done = answer.read(&mut inflater, work);
            desks.idle.lock().unwrap_or_else(|e| e.into_inner()).push(inflater);
            drop(desk);
            done
        });
        done.await.unwrap_or_else(|e| Err(FetchError::Garbled { url, reason: format!("reading it ended early: {e}") }))
    }

    /// Fetches one URL whole. Waits first while its host is to be left alone.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &str, caps: Caps) -> Result<Answer, FetchError> {
        let parsed = Url::parse(url).map_err(|e| FetchError::Garbled { url: url.into(), reason: e.to_string() })?;
        let host = parsed.host_str().unwrap_or_default().to_string();
        self.rest(&host).await;
        let network = |e: reqwest::Error| FetchError::Network { url: url.to_string(), reason: causes(&e) };
        let request = self.client.get(parsed).header(ACCEPT_ENCODING, "gzip");
        let mut response = request.send().await.map_err(network)?;
        let status = response.status();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let now = self.clock.now();
            let wait = retry_after(response.headers(), now).unwrap_or(COOL_DOWN).min(LONGEST_COOL_DOWN);
            self.resting.lock().unwrap_or_else(|e| e.into_inner()).insert(host, now.plus(wait));
        }
        let too_large = || FetchError::TooLarge { url: url.to_string(), limit_bytes: caps.wire_bytes };
        if response.content_length().is_some_and(|length| length > caps.wire_bytes as u64) {
            return Err(too_large());
        }
        let encoding = response.headers().get(CONTENT_ENCODING).cloned();
        let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(4 << 20) as usize);
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > caps.wire_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
            if !status.is_success() && body.len() > 4096 {
                break;
            }
        }
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::NotFound { url: url.into() }),
            s if s.is_success() => {
                let header = encoding.as_ref().map(|value| value.as_bytes());
                let unknown = || FetchError::Garbled {
                    url: url.into(),
                    reason: format!("unknown Content-Encoding {}", escape(header.unwrap_or_default(), 40)),
                };
                let coding = Coding::parse(header).ok_or_else(unknown)?;
                Ok(Answer { url: url.into(), wire: body, coding, caps })
            }
            s => {
                let excerpt = escape(&body, 200);
                Err(FetchError::Status { url: url.into(), status: s.as_u16(), excerpt })
            }
        }
    }

    async fn rest(&self, host: &str) {
        loop {
            let until = self.resting.lock().unwrap_or_else(|e| e.into_inner()).get(host).copied();
            let wait = until.map_or(Span::default(), |until| until.since(self.clock.now()));
            if wait <= Span::default() {
                return;
            }
            // Everyone who waits for a host would otherwise come back in the same millisecond.
            let jitter = rand::random_range(0..250);
            tokio::time::sleep(wait.duration() + Duration::from_millis(jitter)).await;
        }
    }
}

/// Retry-After in its three forms: seconds, an HTTP-date that ends in GMT (RFC 9110 10.2.3), and the HTTP-date that
/// ends in UTC which one log implementation sends.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Span> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Span::from_seconds(seconds.into()));
    }
    let date = text.replace("UTC", "GMT");
    let moment = jiff::fmt::rfc2822::parse(&date).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(moment).since(now).max(Span::default()))
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    #[test]
    fn retry_after_in_all_its_forms() {
        let now = date(2026, 11, 21).plus(Span::from_seconds(84_420));
        let header = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("header"));
            retry_after(&headers, now)
        };
        assert_eq!(header("17"), Some(Span::from_seconds(17)));
        assert_eq!(header("Sat, 21 Nov 2026 23:27:30 GMT"), Some(Span::from_seconds(30)));
        assert_eq!(header("Sat, 21 Nov 2026 23:27:30 UTC"), Some(Span::from_seconds(30)));
        assert_eq!(header("Sat, 21 Nov 2026 20:00:00 GMT"), Some(Span::default()), "the past means now");
        assert_eq!(header("soon"), None);
    }
}
