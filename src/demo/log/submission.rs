//! Submission (RFC 6962 4.1, 4.2, 4.7), the same for both kinds of log.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::Log;
use super::store::{RawEntry, RawKind};
use crate::case::EntryKind;
use crate::cert::Certificate;
use crate::cert::signature::{SignatureCheck, signed_by};
use crate::ct::{from_base64, to_base64};
use crate::finding::escape;

/// A chain of this many certificates is long; the limit keeps a stranger from making the log verify thousands.
const MAX_CHAIN: usize = 10;
/// The most bytes of a submission.
const MAX_BODY_BYTES: usize = 1 << 20;

pub(super) fn routes() -> Router<Arc<Log>> {
    Router::new()
        .route("/ct/v1/add-chain", post(add_chain))
        .route("/ct/v1/add-pre-chain", post(add_pre_chain))
        .route("/ct/v1/get-roots", get(get_roots))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

async fn get_roots(State(log): State<Arc<Log>>) -> Response {
    let roots: Vec<String> = log.settings.roots.iter().map(|root| to_base64(root)).collect();
    axum::Json(json!({"certificates": roots})).into_response()
}

async fn add_chain(State(log): State<Arc<Log>>, body: Bytes) -> Response {
    add(&log, EntryKind::Certificate, &body)
}

async fn add_pre_chain(State(log): State<Arc<Log>>, body: Bytes) -> Response {
    add(&log, EntryKind::Precertificate, &body)
}

fn add(log: &Log, kind: EntryKind, body: &[u8]) -> Response {
    let (kind, chain) = match accept(&log.settings.roots, kind, body) {
        Ok(accepted) => accepted,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason + "\n").into_response(),
    };
    let raw = RawEntry { timestamp: log.settings.clock.now(), kind, chain };
    let promise = log.store().submit(log.settings.api, &raw);
    let sct = log.settings.signer.sign_sct(promise.timestamp, &raw.kind.leaf(), &promise.extensions);
    axum::Json(json!({
        "sct_version": sct.version,
        "id": to_base64(&sct.log_id.0),
        "timestamp": sct.timestamp.millis(),
        "extensions": to_base64(&sct.extensions),
        "signature": to_base64(&sct.signature),
    }))
    .into_response()
}

#[derive(Deserialize)]
struct Submission {
    chain: Vec<String>,
}

/// The entry and the chain above it, if "each certificate is certified by the next" up to an accepted root (RFC 6962
/// 3.1); otherwise the reason for a person.
fn accept(roots: &[Vec<u8>], kind: EntryKind, body: &[u8]) -> Result<(RawKind, Vec<Vec<u8>>), String> {
    let submission: Submission =
        serde_json::from_slice(body).map_err(|error| format!("not {{\"chain\": [...]}}: {error}"))?;
    if !(2..=MAX_CHAIN).contains(&submission.chain.len()) {
        return Err(format!("{} certificates in the chain; need 2 to {MAX_CHAIN}", submission.chain.len()));
    }
    let mut chain = Vec::with_capacity(submission.chain.len());
    for (position, text) in submission.chain.iter().enumerate() {
        let der = from_base64(text).ok_or_else(|| format!("certificate {position} is not base64"))?;
        let parsed = Certificate::parse(&der).map_err(|error| {
            format!("certificate {position} is unreadable: {}", escape(error.to_string().as_bytes(), 200))
        })?;
        chain.push(parsed);
    }
    for (position, pair) in chain.windows(2).enumerate() {
        if signed_by(&pair[0], pair[1].spki_der()) != SignatureCheck::Valid {
            return Err(format!("certificate {position} is not signed by the next"));
        }
    }
    let last = &chain[chain.len() - 1];
    let is_root = |root: &Vec<u8>| {
        root == last.der()
            || Certificate::parse(root).is_ok_and(|root| signed_by(last, root.spki_der()) == SignatureCheck::Valid)
    };
    if !roots.is_empty() && !roots.iter().any(is_root) {
        return Err("the chain does not end in an accepted root, see get-roots".into());
    }
    let (leaf, issuer) = (&chain[0], &chain[1]);
    match (kind, leaf.is_precertificate()) {
        (EntryKind::Certificate, true) => return Err("a precertificate belongs to add-pre-chain".into()),
        (EntryKind::Precertificate, false) => return Err("no poison extension: it belongs to add-chain".into()),
        (EntryKind::Precertificate, true) if issuer.is_precert_signing_ca() => {
            return Err("precertificate signing certificates are not accepted (BR 7.1.2.4)".into());
        }
        _ => {}
    }
    let entry = RawKind::of(leaf, issuer.spki_sha256());
    Ok((entry, chain[1..].iter().map(|certificate| certificate.der().to_vec()).collect()))
}
