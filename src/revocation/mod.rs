//! CRLs, fetched and found good. The last good one is kept in the cache: during an outage of its server, what is on it is
//! still known to be revoked, and nothing is said of what is not on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cache::{Cache, Kind};
use crate::cert::Certificate;
use crate::cert::crl::{self, Crl};
use crate::clock::Timestamp;
use crate::finding::Verdict;
use crate::status::Judged;
use crate::status::crls::{self, Before, Expected};
use crate::tail::{Caps, Fetcher};

/// Reads CRLs.
#[derive(Clone, Debug)]
pub struct CrlReader {
    fetcher: Fetcher,
    cache: Arc<Cache>,
    limit_bytes: usize,
}

/// A CRL that can be relied on.
#[derive(Clone, Debug)]
pub struct GoodCrl {
    /// Its bytes, DER.
    pub der: Vec<u8>,
    /// What a later one is compared with.
    pub this: Before,
    /// When it expires.
    pub next_update: Timestamp,
    /// Whether it covers certificates that are none of CAs.
    pub covers_leaves: bool,
}

/// How reading a CRL ended.
#[derive(Debug)]
pub struct CrlRead {
    /// The verdicts on what the server gave; none when it gave nothing.
    pub judged: Vec<Judged>,
    /// Why the server gave nothing.
    pub error: Option<String>,
    /// The newest that can be relied on: what was read, or the one before it while it has not expired.
    pub good: Option<GoodCrl>,
}

impl CrlRead {
    /// Whether the server gave one that can be relied on, or said that the kept one still holds.
    pub fn is_good(&self) -> bool {
        let passed = self.judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass);
        self.error.is_none() && self.good.is_some() && passed
    }
}

/// What the cache keeps before the bytes of a CRL, as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Label {
    etag: Option<String>,
}

type Checked = (Vec<Judged>, Option<GoodCrl>);

impl CrlReader {
    /// A reader of CRLs of at most `limit_bytes`.
    pub fn new(fetcher: Fetcher, cache: Arc<Cache>, limit_bytes: usize) -> CrlReader {
        CrlReader { fetcher, cache, limit_bytes }
    }

    /// Reads the CRL of an issuer at a URL. `before`: the last good one of this URL.
    pub async fn read(&self, url: &str, issuer: &Certificate, before: Option<&Before>, now: Timestamp) -> CrlRead {
        let kept = self.kept(url);
        let etag = kept.as_ref().and_then(|(label, _)| label.etag.clone());
        let caps = Caps { wire_bytes: self.limit_bytes, body_bytes: self.limit_bytes };
        let own = (url.to_string(), issuer.clone(), before.cloned());
        let answer = match self.fetcher.fetch_changed(url, caps, etag.as_deref()).await {
            Ok(answer) => answer,
            Err(error) => return self.fall_back(kept, own, now, Vec::new(), Some(error.to_string())).await,
        };
        let Some(answer) = answer else {
            // Still the one that is kept; only time can have made it a bad one.
            let (judged, good) = self.check_kept(kept, own, now).await;
            let error =
                judged.is_empty().then(|| "the server says that nothing has changed, and none is kept".to_string());
            return CrlRead { judged, error, good };
        };
        let etag = answer.etag().map(str::to_string);
        let (checked_url, checked_issuer, checked_before) = own.clone();
        let read = self
            .fetcher
            .read(answer, move |body| check(body, &checked_url, &checked_issuer, checked_before.as_ref(), now));
        match read.await {
            Ok((judged, Some(good))) => {
                self.keep(url, &Label { etag }, &good.der);
                CrlRead { judged, error: None, good: Some(good) }
            }
            Ok((judged, None)) => self.fall_back(kept, own, now, judged, None).await,
            Err(error) => self.fall_back(kept, own, now, Vec::new(), Some(error.to_string())).await,
        }
    }

    async fn fall_back(
        &self,
        kept: Option<(Label, Vec<u8>)>,
        own: (String, Certificate, Option<Before>),
        now: Timestamp,
        judged: Vec<Judged>,
        error: Option<String>,
    ) -> CrlRead {
        let (_, good) = self.check_kept(kept, own, now).await;
        CrlRead { judged, error, good }
    }

    async fn check_kept(
        &self,
        kept: Option<(Label, Vec<u8>)>,
        (url, issuer, before): (String, Certificate, Option<Before>),
        now: Timestamp,
    ) -> Checked {
        let Some((_, bytes)) = kept else { return (Vec::new(), None) };
        let checked = tokio::task::spawn_blocking(move || check(&bytes, &url, &issuer, before.as_ref(), now));
        checked.await.unwrap_or_default()
    }

    fn kept(&self, url: &str) -> Option<(Label, Vec<u8>)> {
        let mut kept = self.cache.get(Kind::Crl, url.as_bytes())?;
        let end = kept.iter().position(|octet| *octet == b'\n')?;
        let label = serde_json::from_slice(&kept[..end]).ok()?;
        kept.drain(..=end);
        Some((label, kept))
    }

    fn keep(&self, url: &str, label: &Label, der: &[u8]) {
        if let Ok(mut kept) = serde_json::to_vec(label) {
            kept.push(b'\n');
            kept.extend_from_slice(der);
            self.cache.put(Kind::Crl, url.as_bytes(), &kept);
        }
    }
}

/// The verdicts on the bytes of a CRL, and the CRL when all of them are good.
fn check(body: &[u8], url: &str, issuer: &Certificate, before: Option<&Before>, now: Timestamp) -> Checked {
    let der = crl::der(body);
    let read = der.as_ref().map_err(|error| *error).and_then(|der| Crl::parse(der));
    let sha256: [u8; 32] = Sha256::digest(der.as_deref().unwrap_or_default()).into();
    let expected = Expected { url, name_der: issuer.subject_der(), spki_der: issuer.spki_der(), before };
    let judged = crls::judge(&read, sha256, &expected, now);
    let good = judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass).then_some(());
    let good = good.and(read.ok()).and_then(|crl| {
        let (this_update, next_update) = crl.this_update.zip(crl.next_update)?;
        let covers_leaves = crl.scope.as_ref().is_none_or(|scope| !scope.cas_only);
        Some((Before { number: crl.number.to_vec(), this_update, sha256 }, next_update, covers_leaves))
    });
    let good = good.and_then(|(this, next_update, covers_leaves)| {
        Some(GoodCrl { der: der.ok()?.into_owned(), this, next_update, covers_leaves })
    });
    (judged, good)
}
