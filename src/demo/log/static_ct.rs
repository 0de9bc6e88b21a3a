//! Reading by C2SP static-ct-api: a checkpoint, hash tiles, data tiles, issuers.

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::{Compression, write::GzEncoder};

use super::{Log, store::Entry};
use crate::ct::{checkpoint, leaf::parse_merkle_tree_leaf, tile::encode_tile_leaf};

/// Hashes or entries in a full tile.
const WIDTH: u64 = 256;
/// `tile/<L>` goes up to level 5: 256^6 leaves are more than there can be.
const MAX_LEVEL: u32 = 5;

pub(super) fn routes() -> Router<Arc<Log>> {
    Router::new()
        .route("/checkpoint", get(get_checkpoint))
        .route("/tile/{level}/{*path}", get(get_tile))
        .route("/issuer/{fingerprint}", get(get_issuer))
}

/// Tiles and issuers never change.
const FOR_EVER: (header::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=604800, immutable");
const BYTES: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/octet-stream");

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

async fn get_checkpoint(State(log): State<Arc<Log>>) -> Response {
    let head = log.store().head().clone();
    let log_id = log.settings.signer.log_id();
    let text = checkpoint::render(&log.origin, log_id, head.size, &head.root, head.timestamp, |_| head.signature);
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

async fn get_tile(State(log): State<Arc<Log>>, Path((level, path)): Path<(String, String)>) -> Response {
    let Some((index, width)) = parse_tile(&path) else { return missing() };
    let first = index * WIDTH;
    let store = log.store();
    if level == "data" {
        let Some(entries) = store.entries(first, first + width) else { return missing() };
        let body: Vec<u8> = entries.iter().flat_map(tile_leaf).collect();
        drop(store);
        return ([FOR_EVER, BYTES, (header::CONTENT_ENCODING, "gzip")], gzip(&body)).into_response();
    }
    let Some(level) = level.parse::<u32>().ok().filter(|level| *level <= MAX_LEVEL) else { return missing() };
    // A hash tile at level L holds nodes at height 8 L (C2SP tlog-tiles).
    match store.tree().nodes(8 * level, first, width, store.head().size) {
        Some(hashes) => ([FOR_EVER, BYTES], hashes.concat()).into_response(),
        None => missing(),
    }
}

async fn get_issuer(State(log): State<Arc<Log>>, Path(fingerprint): Path<String>) -> Response {
    let mut hash = [0; 32];
    let known = hex::decode_to_slice(&fingerprint, &mut hash).is_ok();
    match log.store().issuer(&hash).filter(|_| known) {
        Some(der) => ([FOR_EVER, (header::CONTENT_TYPE, "application/pkix-cert")], der.to_vec()).into_response(),
        None => missing(),
    }
}

fn tile_leaf(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    // The store wrote it with the encoder, so it parses.
    if let Ok(leaf) = parse_merkle_tree_leaf(&entry.leaf_input) {
        let pre_certificate = entry.pre_certificate.as_deref().unwrap_or_default();
        encode_tile_leaf(&mut out, leaf.timestamp, &leaf.entry, leaf.extensions, pre_certificate, &entry.chain);
    }
    out
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    encoder.write_all(body).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// "x001/x234/067" is tile 1,234,067; a partial tile has ".p/" and its width behind it (C2SP tlog-tiles). `None` for
/// what is not exactly of this form.
fn parse_tile(path: &str) -> Option<(u64, u64)> {
    let (index, width) = match path.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
        None => (path, WIDTH),
    };
    let groups: Vec<&str> = index.split('/').collect();
    let (last, leading) = groups.split_last().filter(|(_, leading)| leading.len() < 5)?;
    let mut number = 0;
    for group in leading.iter().map(|group| group.strip_prefix('x')).chain([Some(*last)]) {
        let digits = group.filter(|digits| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        number = number * 1000 + digits.parse::<u64>().ok()?;
    }
    // "leading zeros": only the last group may be zero when it is the only one.
    (leading.first() != Some(&"x000")).then_some((number, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_paths() {
        assert_eq!(parse_tile("000"), Some((0, 256)));
        assert_eq!(parse_tile("x001/x234/067"), Some((1_234_067, 256)));
        assert_eq!(parse_tile("x001/000.p/17"), Some((1000, 17)));
        for bad in
            ["", "1", "0001", "x001", "001/000", "x000/001", "000.p/0", "000.p/256", "000.p/x", "+01", "x1/x2/x3"]
        {
            assert_eq!(parse_tile(bad), None, "{bad}");
        }
        assert_eq!(parse_tile("x999/x999/x999/x999/x999/999"), None, "deeper than any tree");
    }
}
