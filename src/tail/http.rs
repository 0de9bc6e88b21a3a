//! One capped GET for everything that logs serve.
//!
//! A response is bounded in bytes on the wire, in bytes after decompression and in time; redirects are not followed;
//! TLS is verified. A host that asks for less (429, 503, Retry-After) is left alone by every task that reads from it.
//! Bodies of entries are inflated and read on threads of their own ([`Readers`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::buffers::{Buffer, Buffers};
use super::gate::Gates;
use super::inflate::{Coding, InflateError, Inflater};
use super::pace::{Ending, Share, Urgency};
use super::readers::Readers;
use super::retry_after;
use super::room::{Held, Room};
use crate::clock::{Clock, Span};
use crate::finding::escape;

mod sources;
use sources::Sources;

/// Time to the first byte and between bytes.
const QUIET: Duration = Duration::from_secs(30);
/// Time for a whole response.
const WHOLE: Duration = Duration::from_secs(120);
/// The longest ETag that is sent back, in bytes.
const LONGEST_ETAG: usize = 1024;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What the configuration says of the reading of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// The most entries that are asked for in one get-entries request, from 1 on.
    pub page_entries: Option<u64>,
    /// The most requests per second, above 0.
    pub requests_per_second: Option<f64>,
}

/// A body with the word by which its server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// The ETag, as it was sent.
    pub etag: Option<String>,
}

/// The HTTP client that all logs share. Clones share connections and the pace of every host.
#[derive(Clone, Debug)]
pub struct Fetcher {
    sources: Arc<Sources>,
    clock: Clock,
    gates: Gates,
    share: Share,
    limits: Limits,
    readers: Arc<Readers>,
    buffers: Arc<Buffers>,
    room: Arc<Room>,
}

/// Where the body of an answer goes.
enum Goal<'a> {
    /// Into a buffer, for which room may be held.
    Memory(Option<&'a Held>),
    /// Into a file.
    File(&'a mut File),
}

/// A successful answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    url: String,
    wire: Buffer,
    coding: Coding,
    caps: Caps,
    etag: Option<String>,
    urgency: Urgency,
    /// How a body that goes to a file was written.
    written: std::io::Result<()>,
}

/// An answer whose body is in a file, as it came over the wire.
#[derive(Debug)]
pub struct Arrived {
    /// The ETag, as it was sent.
    pub etag: Option<String>,
    /// Whether the file is still to be inflated.
    pub is_gzip: bool,
}

impl Answer {
    /// How many bytes came.
    pub fn wire_bytes(&self) -> usize {
        self.wire.len()
    }

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
        Fetcher::from_addresses(contact, clock, &[])
    }

    fn client(contact: &str, address: Option<IpAddr>) -> Result<Client, FetchError> {
        let agent = format!("ctwarden/{} ({contact})", env!("CARGO_PKG_VERSION"));
        let client = Client::builder()
            .user_agent(agent)
            .local_address(address)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(QUIET)
            .timeout(WHOLE)
            .tcp_nodelay(true)
            // As many as one log may have requests under way, or connections would be opened and closed all the time.
            .pool_max_idle_per_host(48)
            .pool_idle_timeout(Duration::from_secs(30))
            .build();
        client.map_err(|e| FetchError::Network { url: "HTTP client".into(), reason: causes(&e) })
    }

    /// The same, whose requests go out from these addresses of this machine in turn, each with a pace of its own. With
    /// none the system chooses. An address reaches hosts of its own family (IPv4 or IPv6) alone.
    ///
    /// # Errors
    /// As [`Fetcher::new`], or when threads cannot be started.
    pub fn from_addresses(contact: &str, clock: Clock, addresses: &[IpAddr]) -> Result<Fetcher, FetchError> {
        let mut wanted: Vec<Option<IpAddr>> = addresses.iter().copied().map(Some).collect();
        if wanted.is_empty() {
            wanted.push(None);
        }
        let clients = wanted.into_iter().map(|address| Ok((Fetcher::client(contact, address)?, address)));
        let sources = Arc::new(Sources::new(clients.collect::<Result<_, FetchError>>()?));
        let readers = Readers::start();
        let readers = readers.map_err(|e| FetchError::Network { url: "threads".into(), reason: e.to_string() })?;
        Ok(Fetcher {
            sources,
            clock,
            gates: Gates::new(),
            share: Share { name: "".into(), cap: None },
            limits: Limits::default(),
            readers: Arc::new(readers),
            buffers: Arc::default(),
            room: Arc::new(Room::new()),
        })
    }

    /// The same client for one log, which takes turns with the other logs of its host.
    pub fn for_log(&self, log: &str, limits: Limits) -> Fetcher {
        let share = Share { name: log.into(), cap: limits.requests_per_second };
        Fetcher { share, limits, ..self.clone() }
    }

    /// What [`Fetcher::for_log`] was told.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Requests per second that the host of this URL is known to allow; `None` when it never asked for less.
    pub fn rate(&self, url: &str) -> Option<f64> {
        self.sources.rate(&host(&Url::parse(url).ok()?), &self.gates)
    }

    /// Fetches a small body, and inflates it here and now.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, url: &str, caps: Caps, urgency: Urgency) -> Result<Vec<u8>, FetchError> {
        self.fetch(url, caps, urgency, None).await?.read(&mut Inflater::default(), <[u8]>::to_vec)
    }

    /// Fetches a small body, unless it is still what this ETag stands for (RFC 9110 13.1.2): then `None`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get_changed(&self, url: &str, caps: Caps, etag: Option<&str>) -> Result<Option<Tagged>, FetchError> {
        let Some(answer) = self.ask(url, caps, Urgency::Head, etag, Goal::Memory(None)).await? else { return Ok(None) };
        let body = answer.read(&mut Inflater::default(), <[u8]>::to_vec)?;
        Ok(Some(Tagged { body, etag: answer.etag }))
    }

    /// The same for a body of any size, which is written to a file as it comes and never in memory. The inner error is that
    /// of the file.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch_changed_into(
        &self,
        url: &str,
        limit_bytes: usize,
        etag: Option<&str>,
        file: &mut File,
    ) -> Result<Option<std::io::Result<Arrived>>, FetchError> {
        let caps = Caps { wire_bytes: limit_bytes, body_bytes: limit_bytes };
        let answer = self.ask(url, caps, Urgency::Head, etag, Goal::File(file)).await?;
        let arrived = |answer: Answer| {
            answer.written.map(|()| Arrived { etag: answer.etag, is_gzip: answer.coding == Coding::Gzip })
        };
        Ok(answer.map(arrived))
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
        let (url, urgency) = (answer.url.clone(), answer.urgency);
        let done = self.readers.run(urgency, move |inflater| answer.read(inflater, work)).await;
        done.unwrap_or_else(|| Err(FetchError::Garbled { url, reason: "reading it ended early".into() }))
    }

    /// Computes on a thread that may; `None` when `work` panics.
    pub async fn compute<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.readers.run(urgency, move |_| work()).await
    }

    /// Memory for bodies that are under way, shared by all logs.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Fetches one URL whole, when it is its turn. `held` is the room that was taken for its body.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(
        &self,
        url: &str,
        caps: Caps,
        urgency: Urgency,
        held: Option<&Held>,
    ) -> Result<Answer, FetchError> {
        // Nothing was asked under a condition, so "not modified" is no answer.
        let odd = || FetchError::Status { url: url.into(), status: 304, excerpt: String::new() };
        self.ask(url, caps, urgency, None, Goal::Memory(held)).await?.ok_or_else(odd)
    }

    async fn ask(
        &self,
        url: &str,
        caps: Caps,
        urgency: Urgency,
        etag: Option<&str>,
        into: Goal<'_>,
    ) -> Result<Option<Answer>, FetchError> {
        let parsed = Url::parse(url).map_err(|e| FetchError::Garbled { url: url.into(), reason: e.to_string() })?;
        let (client, gate) = self.sources.choose(&host(&parsed), &self.gates);
        let turn = self.gates.turn(&gate, &self.share, urgency).await;
        let mut request = client.get(parsed).header(ACCEPT_ENCODING, "gzip");
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let mut ending = Ending::Silent;
        let answer = self.receive(url, caps, request, into, &mut ending).await;
        turn.end(ending);
        Ok(answer?.map(|answer| Answer { urgency, ..answer }))
    }

    async fn receive(
        &self,
        url: &str,
        caps: Caps,
        request: reqwest::RequestBuilder,
        into: Goal<'_>,
        ending: &mut Ending,
    ) -> Result<Option<Answer>, FetchError> {
        let network = |e: reqwest::Error, ending: &mut Ending| {
            if e.is_timeout() {
                *ending = Ending::Late;
            }
            FetchError::Network { url: url.to_string(), reason: causes(&e) }
        };
        let mut response = request.send().await.map_err(|e| network(e, ending))?;
        let status = response.status();
        *ending = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let said = response.headers().get(RETRY_AFTER);
                let wait = said.and_then(|said| retry_after::parse(said.as_bytes(), self.clock.now()));
                Ending::Refused(wait.map(Span::duration))
            }
            s if s.is_server_error() => Ending::Silent,
            _ => Ending::Served,
        };
        let too_large = || FetchError::TooLarge { url: url.to_string(), limit_bytes: caps.wire_bytes };
        if response.content_length().is_some_and(|length| length > caps.wire_bytes as u64) {
            return Err(too_large());
        }
        let encoding = response.headers().get(CONTENT_ENCODING).cloned();
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_string);
        let expected = response.content_length().unwrap_or(0) as usize;
        let (held, mut file) = match into {
            Goal::Memory(held) => (held, None),
            Goal::File(file) => (None, Some(file).filter(|_| status.is_success())),
        };
        if let Some(held) = held {
            held.grow_to(expected).await;
        }
        // What is told to come has been held against the cap, and room was taken for it: a buffer that grows in steps
        // would be larger than the body, and not be kept.
        let mut body = match held {
            Some(_) => self.buffers.take(expected),
            None if file.is_some() => Buffer::of(0),
            None => Buffer::of(expected.min(4 << 20)),
        };
        let (mut received, mut written) = (0, Ok(()));
        while let Some(chunk) = response.chunk().await.map_err(|e| network(e, ending))? {
            received += chunk.len();
            if received > caps.wire_bytes {
                return Err(too_large());
            }
            if let Some(file) = &mut file {
                written = file.write_all(&chunk).await;
                if written.is_err() {
                    break;
                }
                continue;
            }
            if let Some(held) = held {
                held.grow_to(body.len() + chunk.len()).await;
            }
            body.extend_from_slice(&chunk);
            if !status.is_success() && body.len() > 4096 {
                break;
            }
        }
        if let (Some(file), Ok(())) = (file, &written) {
            written = file.flush().await;
        }
        match status {
            StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::NotFound { url: url.into() }),
            s if s.is_success() => {
                let header = encoding.as_ref().map(|value| value.as_bytes());
                let unknown = || FetchError::Garbled {
                    url: url.into(),
                    reason: format!("unknown Content-Encoding {}", escape(header.unwrap_or_default(), 40)),
                };
                let coding = Coding::parse(header).ok_or_else(unknown)?;
                let etag = etag.filter(|etag| etag.len() <= LONGEST_ETAG);
                Ok(Some(Answer { url: url.into(), wire: body, coding, caps, etag, urgency: Urgency::Head, written }))
            }
            s => {
                let excerpt = escape(&body, 200);
                Err(FetchError::Status { url: url.into(), status: s.as_u16(), excerpt })
            }
        }
    }
}

/// Name and port: what has a pace of its own.
fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
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
mod wire;
