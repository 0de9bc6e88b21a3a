//! Reading by RFC 6962 4: JSON over `ct/v1/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Log;
use crate::ct::{Hash, hash_from_base64, to_base64};

pub(super) fn routes() -> Router<Arc<Log>> {
    Router::new()
        .route("/ct/v1/get-sth", get(get_sth))
        .route("/ct/v1/get-entries", get(get_entries))
        .route("/ct/v1/get-sth-consistency", get(get_sth_consistency))
        .route("/ct/v1/get-proof-by-hash", get(get_proof_by_hash))
        .route("/ct/v1/get-entry-and-proof", get(get_entry_and_proof))
}

/// Heads and pages grow, so nothing here may be cached.
fn answer(body: Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}

fn refuse(reason: String) -> Response {
    (StatusCode::BAD_REQUEST, reason + "\n").into_response()
}

fn base64_all(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| to_base64(hash)).collect()
}

/// RFC 6962 4.3.
async fn get_sth(State(log): State<Arc<Log>>) -> Response {
    let head = log.store().head().clone();
    answer(json!({
        "tree_size": head.size,
        "timestamp": head.timestamp.millis(),
        "sha256_root_hash": to_base64(&head.root),
        "tree_head_signature": to_base64(&head.signature),
    }))
}

#[derive(Deserialize)]
struct Range {
    start: u64,
    end: u64,
}

/// RFC 6962 4.6. "Logs MAY restrict the number of entries that can be retrieved per request."
async fn get_entries(State(log): State<Arc<Log>>, Query(range): Query<Range>) -> Response {
    if range.end < range.start {
        return refuse(format!("start {} is after end {}", range.start, range.end));
    }
    let store = log.store();
    let size = store.head().size;
    if range.start >= size {
        let need = range.start.saturating_add(1);
        return refuse(format!("need tree size: {need} to get leaves but only got: {size}"));
    }
    // Cut at the next multiple of the page size, as the large logs do, so that caches see the same pages again.
    let page = log.settings.page_size.max(1);
    let page_end = (range.start / page + 1).saturating_mul(page);
    let end = range.end.saturating_add(1).min(page_end).min(size);
    let Some(entries) = store.entries(range.start, end) else {
        return refuse(format!("need tree size: {end} to get leaves but only got: {size}"));
    };
    let entries = entries.iter().map(
        |entry| json!({"leaf_input": to_base64(&entry.leaf_input), "extra_data": to_base64(&store.extra_data(entry))}),
    );
    answer(json!({"entries": entries.collect::<Vec<Value>>()}))
}

#[derive(Deserialize)]
struct Consistency {
    first: u64,
    second: u64,
}

/// RFC 6962 4.4.
async fn get_sth_consistency(State(log): State<Arc<Log>>, Query(sizes): Query<Consistency>) -> Response {
    let store = log.store();
    let within = sizes.second <= store.head().size;
    match store.tree().consistency(sizes.first, sizes.second).filter(|_| within) {
        Some(path) => answer(json!({"consistency": base64_all(&path)})),
        None => refuse(format!(
            "no proof between {} and {}: need 0 < first <= second <= {}",
            sizes.first,
            sizes.second,
            store.head().size
        )),
    }
}

#[derive(Deserialize)]
struct ByHash {
    hash: String,
    tree_size: u64,
}

/// RFC 6962 4.5.
async fn get_proof_by_hash(State(log): State<Arc<Log>>, Query(query): Query<ByHash>) -> Response {
    let store = log.store();
    let Some(index) = hash_from_base64(&query.hash).and_then(|hash| store.place(&hash)) else {
        return (StatusCode::NOT_FOUND, "no leaf has this hash\n").into_response();
    };
    let within = query.tree_size <= store.head().size;
    match store.tree().inclusion(index, query.tree_size).filter(|_| within) {
        Some(path) => answer(json!({"leaf_index": index, "audit_path": base64_all(&path)})),
        None => refuse(format!("leaf {index} is not in a tree of {} within {}", query.tree_size, store.head().size)),
    }
}

#[derive(Deserialize)]
struct ByIndex {
    leaf_index: u64,
    tree_size: u64,
}

/// RFC 6962 4.8.
async fn get_entry_and_proof(State(log): State<Arc<Log>>, Query(query): Query<ByIndex>) -> Response {
    let store = log.store();
    let within = query.tree_size <= store.head().size;
    let path = store.tree().inclusion(query.leaf_index, query.tree_size).filter(|_| within);
    let entry = store.entries(query.leaf_index, query.leaf_index.saturating_add(1)).and_then(<[_]>::first);
    match (path, entry) {
        (Some(path), Some(entry)) => answer(json!({
            "leaf_input": to_base64(&entry.leaf_input),
            "extra_data": to_base64(&store.extra_data(entry)),
            "audit_path": base64_all(&path),
        })),
        _ => refuse(format!(
            "leaf {} is not in a tree of {} within {}",
            query.leaf_index,
            query.tree_size,
            store.head().size
        )),
    }
}
