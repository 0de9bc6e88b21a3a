//! `/api/v1/issuance`: rows of the CA's record by POST, and by GET how the record stands.
//!
//! What is answered with 200 is durable. Everything else changed nothing, so that a batch can always be sent again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::token::{Role, Token, Turned, bearer};
use crate::clock::Clock;
use crate::issuance::{Batch, Embedded, IssuanceError, refusal_json};
use crate::metrics::{FeedOutcome, Metrics};
use crate::tail::inflate::{Coding, InflateError, Inflater};

/// Batches taken in at a time; SQLite writes one after the other.
const PLACES: usize = 4;
/// Time for a body to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);
/// The longest key of a batch, in bytes.
const KEY_LIMIT_BYTES: usize = 255;
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the door to the record rests on.
pub struct Door {
    /// The record.
    pub record: Embedded,
    /// Who may use it.
    pub tokens: Vec<Token>,
    /// The most bytes of a batch, as sent and as inflated.
    pub limit_bytes: usize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
}

struct Inner {
    door: Door,
    places: Arc<Semaphore>,
    arrival: Duration,
}

/// The routes.
pub fn router(door: Door) -> Router {
    router_within(door, PLACES, ARRIVAL)
}

fn router_within(door: Door, places: usize, arrival: Duration) -> Router {
    let inner = Inner { door, places: Arc::new(Semaphore::new(places)), arrival };
    Router::new().route("/api/v1/issuance", get(standing).post(take)).with_state(Arc::new(inner))
}

/// An answer that is no success; the text says what to do.
struct Trouble(FeedOutcome, StatusCode, Value);

impl Trouble {
    fn new(outcome: FeedOutcome, status: StatusCode, error: impl Into<String>) -> Trouble {
        Trouble(outcome, status, json!({"imported": false, "error": error.into()}))
    }
    fn malformed(error: impl Into<String>) -> Trouble {
        Trouble::new(FeedOutcome::Malformed, StatusCode::BAD_REQUEST, error)
    }
    fn too_large(limit_bytes: usize) -> Trouble {
        let error = format!("a batch may have {limit_bytes} bytes, as sent and as inflated: send it in parts");
        Trouble::new(FeedOutcome::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, error)
    }
}

impl From<Turned> for Trouble {
    fn from(turned: Turned) -> Trouble {
        let (outcome, status) = match turned {
            Turned::Unknown => (FeedOutcome::Unauthorized, StatusCode::UNAUTHORIZED),
            Turned::OtherRole => (FeedOutcome::Forbidden, StatusCode::FORBIDDEN),
        };
        // Whoever has no token learns nothing.
        Trouble(outcome, status, json!({"error": status.canonical_reason()}))
    }
}

impl From<IssuanceError> for Trouble {
    fn from(error: IssuanceError) -> Trouble {
        match error {
            IssuanceError::Refused { errors, more } => {
                Trouble(FeedOutcome::Refused, StatusCode::UNPROCESSABLE_ENTITY, refusal_json(&errors, more))
            }
            IssuanceError::KeyReused { .. } => {
                Trouble::new(FeedOutcome::Refused, StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            error => {
                // Paths of this machine are nobody else's business.
                tracing::error!(%error, "a batch of the issuance record could not be written");
                let error = "the issuance database cannot be used now: send the batch again later";
                Trouble::new(FeedOutcome::Unavailable, StatusCode::SERVICE_UNAVAILABLE, error)
            }
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = answer(self.1, &self.2);
        let headers = response.headers_mut();
        match self.0 {
            // RFC 6750 3: "If the protected resource request does not include authentication credentials or does not
            // contain an access token that enables access to the protected resource, the resource server MUST include
            // the HTTP "WWW-Authenticate" response header field".
            FeedOutcome::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            FeedOutcome::Forbidden => {
                let value = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
            FeedOutcome::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            FeedOutcome::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            }
            _ => {}
        }
        response
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{body}\n")).into_response()
}

async fn standing(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    if let Err(turned) = bearer(&inner.door.tokens, &headers, Role::Read) {
        return Trouble::from(turned).into_response();
    }
    let record = inner.door.record.clone();
    let asked = tokio::task::spawn_blocking(move || record.standing()).await;
    match asked {
        Ok(Ok(standing)) => answer(StatusCode::OK, &standing),
        Ok(Err(error)) => Trouble::from(error).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Body) -> Response {
    let (outcome, response) = match take_in(&inner, &headers, body).await {
        Ok(told) => (FeedOutcome::Imported, answer(StatusCode::OK, &told)),
        Err(trouble) => (trouble.0, trouble.into_response()),
    };
    inner.door.metrics.feed_request(outcome);
    response
}

async fn take_in(inner: &Arc<Inner>, headers: &HeaderMap, body: Body) -> Result<Value, Trouble> {
    let feed = bearer(&inner.door.tokens, headers, Role::Feed)?.to_string();
    let coding = Coding::parse(headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes)).ok_or_else(|| {
        let error = "the body may be sent as it is or with Content-Encoding: gzip";
        Trouble::new(FeedOutcome::Malformed, StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
    })?;
    let key = key(headers)?;
    let place = inner.places.clone().try_acquire_owned().map_err(|_| {
        let error = "too many batches at once: send it again in a moment";
        Trouble::new(FeedOutcome::Busy, StatusCode::TOO_MANY_REQUESTS, error)
    })?;
    let wire = tokio::time::timeout(inner.arrival, collect(headers, body, inner.door.limit_bytes)).await;
    let wire = wire.map_err(|_| {
        let error = "the body did not arrive in time: send smaller batches";
        Trouble::new(FeedOutcome::TimedOut, StatusCode::REQUEST_TIMEOUT, error)
    })??;
    let inner = inner.clone();
    // The batch is imported to its end even when its sender is gone: then it is sent again and changes nothing.
    let done = tokio::task::spawn_blocking(move || import(&inner, &feed, key.as_deref(), &wire, coding, place)).await;
    done.unwrap_or_else(|_| {
        let error = "the import was stopped: send the batch again";
        Err(Trouble::new(FeedOutcome::Unavailable, StatusCode::SERVICE_UNAVAILABLE, error))
    })
}

/// The key of the batch, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<String>, Trouble> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let visible = text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    match (1..=KEY_LIMIT_BYTES).contains(&text.len()) && visible {
        true => Ok(Some(text.to_string())),
        false => Err(Trouble::malformed("Idempotency-Key must have 1 to 255 visible ASCII characters")),
    }
}

/// The body as it comes, given up as soon as it is too long.
async fn collect(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Vec<u8>, Trouble> {
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|length| length > limit_bytes as u64) {
        return Err(Trouble::too_large(limit_bytes));
    }
    let mut stream = body.into_data_stream();
    let mut wire = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Trouble::malformed("the body was cut off: send the batch again"))?;
        if wire.len() + chunk.len() > limit_bytes {
            return Err(Trouble::too_large(limit_bytes));
        }
        wire.extend_from_slice(&chunk);
    }
    Ok(wire)
}

fn import(
    inner: &Inner,
    feed: &str,
    key: Option<&str>,
    wire: &[u8],
    coding: Coding,
    _place: OwnedSemaphorePermit,
) -> Result<Value, Trouble> {
    let door = &inner.door;
    let now = door.clock.now();
    let work = |batch: &[u8]| door.record.import_batch(batch, feed, key, now);
    let batch = match Inflater::default().read(wire, coding, door.limit_bytes, work) {
        Ok(done) => done,
        Err(InflateError::TooLarge(_)) => return Err(Trouble::too_large(door.limit_bytes)),
        Err(error @ InflateError::Broken(_)) => return Err(Trouble::malformed(error.to_string())),
    };
    match batch {
        Ok(Batch::Imported(summary)) => {
            for table in &summary.tables {
                door.metrics.feed_rows(feed, &table.table, table.rows, now);
            }
            let (rows, inserted, updated) = (summary.rows, summary.inserted, summary.updated);
            tracing::info!(feed, rows, inserted, updated, "a batch of the issuance record");
            let mut told = summary.to_json();
            told["replayed"] = Value::from(false);
            Ok(told)
        }
        Ok(Batch::Replayed(mut told)) => {
            told["replayed"] = Value::from(true);
            Ok(told)
        }
        Err(error) => {
            if let IssuanceError::Refused { errors, .. } = &error {
                let first = errors.first().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(feed, errors = errors.len(), first, "a batch of the issuance record was refused");
                door.metrics.feed_refused(feed, errors.len() as u64);
            }
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests;
