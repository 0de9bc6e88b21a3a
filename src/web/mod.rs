//! What the monitor serves over HTTP: `/metrics`, `/-/healthy`, `/-/ready` and an index in plain text; and to bearers
//! of a token the door to the CA's record ([`feed`]).
//!
//! The listener is passed in, so that the caller decides the address (loopback by default) and tests use port 0.
//! Strangers may reach it: the number of connections, the size of a request's head and the time it may take are
//! bounded, and no body is read but that of a batch whose sender has a token.

pub mod feed;
mod token;

use std::borrow::Cow;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::{CONTENT_TYPE, Metrics};

pub use token::{Role, Token};

/// What one client, or all of them, may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections served at a time; a further one waits in the listener's queue.
    connections: usize,
    /// Time for a request's head, which is also how long an idle connection is kept.
    head: Duration,
    /// Longest life of a connection: a client that never reads its answer must not hold a place for ever.
    connection: Duration,
}

const LIMITS: Limits = Limits { connections: 64, head: Duration::from_secs(30), connection: Duration::from_secs(600) };
/// Longest head of a request in bytes; hyper's least is 8,192.
const HEAD_LIMIT_BYTES: usize = 16 * 1024;
/// Time that open requests are given at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an error of accept(2), such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Whether the monitor does its work yet, and if not, why. Clones share one state.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Option<Cow<'static, str>>>>);

impl Readiness {
    /// Not ready, for this reason.
    pub fn waiting(reason: impl Into<Cow<'static, str>>) -> Readiness {
        Readiness(Arc::new(Mutex::new(Some(reason.into()))))
    }
    /// From now on ready.
    pub fn set_ready(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    /// From now on not ready, for this reason.
    pub fn set_waiting(&self, reason: impl Into<Cow<'static, str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }
    /// Why it is not ready; `None` when it is.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the pages show.
#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    title: Cow<'static, str>,
}

/// The pages: `title` (name and version) heads the index.
pub fn router(metrics: Arc<Metrics>, readiness: Readiness, title: impl Into<Cow<'static, str>>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics_page))
        .route("/-/healthy", get(|| async { text(StatusCode::OK, "healthy\n".to_string()) }))
        .route("/-/ready", get(ready_page))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "There is no such page; / lists those that exist.\n".into()) })
        .with_state(Shown { metrics, readiness, title: title.into() })
}

type Page = (StatusCode, [(HeaderName, &'static str); 3], String);

fn page(status: StatusCode, content_type: &'static str, body: String) -> Page {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body)
}

fn text(status: StatusCode, body: String) -> Page {
    page(status, "text/plain; charset=utf-8", body)
}

async fn index(State(shown): State<Shown>) -> impl IntoResponse {
    let pages = "/metrics    metrics for Prometheus\n/-/healthy  200 while the process lives\n/-/ready    200 when it works, otherwise 503 and the reason\n";
    text(StatusCode::OK, format!("{}\n\n{pages}", shown.title))
}

async fn metrics_page(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.metrics.render() {
        Ok(body) => page(StatusCode::OK, CONTENT_TYPE, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("The metrics could not be written: {error}\n")),
    }
}

async fn ready_page(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.readiness.reason() {
        None => text(StatusCode::OK, "ready\n".to_string()),
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

/// Serves `router` on `listener` until `shutdown` completes; open requests then get a few seconds to end. It never
/// fails: an error of one connection ends that connection, an error of accept(2) is retried.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    serve_within(LIMITS, listener, router, shutdown).await
}

async fn serve_within(limits: Limits, listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Some((Ok((stream, _)), place)) => (stream, place),
                Some((Err(error), _)) => {
                    tracing::warn!(%error, "a connection to the web pages could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                None => break,
            },
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that ends in an error or too late concerns its client only.
            let _ = tokio::time::timeout(limits.connection, connection).await;
            drop(place);
        });
    }
    drop(listener);
    // Requests that take longer are cut: the process is about to end.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests;
