//! CRLs, fetched and found good. The last good one is kept in a file: during an outage of its server, what is on it is
//! still known to be revoked, and nothing is said of what is not on it.
//!
//! A CRL is in memory once, while it is fetched and checked, and never larger than `status.crl_limit_mib`: the buffer of
//! a body that grows may be twice its size. After that its entries are read from the file, piece by piece.

mod kept;

use std::ops::Range;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use kept::{Entries, EntryReader};

use crate::cert::Certificate;
use crate::cert::crl::{self, Crl};
use crate::clock::Timestamp;
use crate::finding::Verdict;
use crate::status::Judged;
use crate::status::crls::{self, Before, Expected};
use crate::tail::{Caps, FetchError, Fetcher};
use kept::{Label, Shelf};

/// Reads CRLs, one at a time.
#[derive(Clone, Debug)]
pub struct CrlReader {
    fetcher: Fetcher,
    shelf: Shelf,
    limit_bytes: usize,
}

/// A CRL that can be relied on.
#[derive(Clone, Debug)]
pub struct GoodCrl {
    /// Its entries.
    pub entries: Entries,
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
    /// What here, and not there, keeps it from being read: no fault of the CRL.
    pub hindrance: Option<String>,
    /// The newest that can be relied on: what was read, or the one before it while it has not expired.
    pub good: Option<GoodCrl>,
}

impl CrlRead {
    /// Whether the server gave one that can be relied on, or said that the kept one still holds.
    pub fn is_good(&self) -> bool {
        let passed = self.judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass);
        self.error.is_none() && self.hindrance.is_none() && self.good.is_some() && passed
    }
}

/// A good CRL whose bytes are not kept yet.
struct Checked {
    this: Before,
    next_update: Timestamp,
    covers_leaves: bool,
    entries_at: Range<usize>,
}

/// What one URL is asked about.
#[derive(Clone)]
struct Asked {
    url: String,
    issuer: Certificate,
    before: Option<Before>,
    now: Timestamp,
}

impl CrlReader {
    /// A reader of CRLs of at most `limit_bytes`, which keeps them in a directory of its own.
    pub fn new(fetcher: Fetcher, directory: PathBuf, limit_bytes: usize) -> CrlReader {
        CrlReader { fetcher, shelf: Shelf::new(directory), limit_bytes }
    }

    /// Reads the CRL of an issuer at a URL. `before`: the last good one of this URL.
    pub async fn read(&self, url: &str, issuer: &Certificate, before: Option<&Before>, now: Timestamp) -> CrlRead {
        let asked = Asked { url: url.to_string(), issuer: issuer.clone(), before: before.cloned(), now };
        let etag = self.shelf.label(url).and_then(|label| label.etag);
        let caps = Caps { wire_bytes: self.limit_bytes, body_bytes: self.limit_bytes };
        let answer = match self.fetcher.fetch_changed(url, caps, etag.as_deref()).await {
            Ok(answer) => answer,
            Err(error) => return self.failed(asked, error).await,
        };
        let Some(answer) = answer else {
            // Still the one that is kept; only time can have made it a bad one.
            let (judged, good) = self.check_kept(asked).await;
            let error =
                judged.is_empty().then(|| "the server says that nothing has changed, and none is kept".to_string());
            return CrlRead { judged, error, hindrance: None, good };
        };
        let etag = answer.etag().map(str::to_string);
        let (reader, of) = (self.clone(), asked.clone());
        match self.fetcher.read(answer, move |body| reader.take(body, &of, etag)).await {
            Ok((judged, Some(Ok(good)))) => CrlRead { judged, error: None, hindrance: None, good: Some(good) },
            Ok((judged, Some(Err(hindrance)))) => {
                let (_, good) = self.check_kept(asked).await;
                CrlRead { judged, error: None, hindrance: Some(hindrance), good }
            }
            Ok((judged, None)) => {
                let (_, good) = self.check_kept(asked).await;
                CrlRead { judged, error: None, hindrance: None, good }
            }
            Err(error) => self.failed(asked, error).await,
        }
    }

    /// Forgets what is kept of other URLs than these.
    pub fn forget_others(&self, urls: &[String]) {
        self.shelf.forget_others(urls);
    }

    async fn failed(&self, asked: Asked, error: FetchError) -> CrlRead {
        let (_, good) = self.check_kept(asked).await;
        match error {
            FetchError::TooLarge { limit_bytes, .. } => {
                let limit = limit_bytes >> 20;
                let hindrance =
                    format!("it is larger than {limit} MiB, the most that is read: raise crl_limit_mib in [status]");
                CrlRead { judged: Vec::new(), error: None, hindrance: Some(hindrance), good }
            }
            error => CrlRead { judged: Vec::new(), error: Some(error.to_string()), hindrance: None, good },
        }
    }

    /// Checks what a server gave, and keeps it when it is good. Without a place for it there is none to rely on.
    fn take(&self, body: &[u8], asked: &Asked, etag: Option<String>) -> (Vec<Judged>, Option<Result<GoodCrl, String>>) {
        let Ok(der) = crl::der(body) else { return (check(body, asked).0, None) };
        let (judged, checked) = check(&der, asked);
        let kept = checked.map(|checked| {
            let label = Label { url: asked.url.clone(), etag, sha256: checked.this.sha256 };
            let failed = |reason: String| format!("it cannot be kept ({reason}): free the disk");
            self.shelf.keep(&label, &der).map_err(|error| failed(error.to_string()))?;
            self.good(asked, checked).ok_or_else(|| failed("its file is gone".to_string()))
        });
        (judged, kept)
    }

    fn good(&self, asked: &Asked, checked: Checked) -> Option<GoodCrl> {
        let Checked { this, next_update, covers_leaves, entries_at } = checked;
        let entries = self.shelf.entries(&asked.url, this.sha256, entries_at)?;
        Some(GoodCrl { entries, this, next_update, covers_leaves })
    }

    async fn check_kept(&self, asked: Asked) -> (Vec<Judged>, Option<GoodCrl>) {
        let reader = self.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let Some(der) = reader.shelf.der(&asked.url, reader.limit_bytes) else { return Default::default() };
            let (judged, checked) = check(&der, &asked);
            drop(der);
            (judged, checked.and_then(|checked| reader.good(&asked, checked)))
        });
        checked.await.unwrap_or_default()
    }
}

/// The verdicts on the DER of a CRL, and the CRL when all of them are good.
fn check(der: &[u8], asked: &Asked) -> (Vec<Judged>, Option<Checked>) {
    let read = crl::der(der).and_then(|_| Crl::parse(der));
    let sha256: [u8; 32] = Sha256::digest(der).into();
    let (name_der, spki_der) = (asked.issuer.subject_der(), asked.issuer.spki_der());
    let expected = Expected { url: &asked.url, name_der, spki_der, before: asked.before.as_ref() };
    let judged = crls::judge(&read, sha256, &expected, asked.now);
    let good = judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass).then_some(());
    let checked = good.and(read.ok()).and_then(|crl| {
        let (this_update, next_update) = crl.this_update.zip(crl.next_update)?;
        let covers_leaves = crl.scope.as_ref().is_none_or(|scope| !scope.cas_only);
        let this = Before { number: crl.number.to_vec(), this_update, sha256 };
        Some(Checked { this, next_update, covers_leaves, entries_at: crl.entries_at })
    });
    (judged, checked)
}
