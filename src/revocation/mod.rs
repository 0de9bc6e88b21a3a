//! CRLs, fetched and found good. The last good one is kept in a file: during an outage of its server, what is on it is
//! still known to be revoked, and nothing is said of what is not on it.
//!
//! A CRL may have 100 MB and is never in memory: what comes is written to a file, of which no more than
//! `status.crl_limit_mib` is taken, and its digest, its signature and its entries are read from there, piece by piece.

mod body;
mod kept;

use std::io;
use std::ops::Range;
use std::path::PathBuf;

pub use kept::{Entries, EntryReader};

use crate::cert::Certificate;
use crate::cert::crl::{Crl, CrlError};
use crate::clock::Timestamp;
use crate::finding::Verdict;
use crate::status::Judged;
use crate::status::crls::{self, Before, Expected};
use crate::tail::{Arrived, FetchError, Fetcher, Urgency};
use body::{Body, BodyError};
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
        let hindered = |error: io::Error| format!("it cannot be kept ({error}): free the disk");
        let arrival = async {
            let body = self.shelf.body(url)?;
            let file = tokio::fs::File::create(body.wire()).await?;
            io::Result::Ok((body, file))
        };
        let (body, mut file) = match arrival.await {
            Ok(arrival) => arrival,
            Err(error) => return self.hindered(asked, hindered(error)).await,
        };
        let arrived = match self.fetcher.fetch_changed_into(url, self.limit_bytes, etag.as_deref(), &mut file).await {
            Ok(Some(Ok(arrived))) => arrived,
            Ok(Some(Err(error))) => return self.hindered(asked, hindered(error)).await,
            // Still the one that is kept; only time can have made it a bad one.
            Ok(None) => {
                let (judged, good) = self.check_kept(asked).await;
                let error =
                    judged.is_empty().then(|| "the server says that nothing has changed, and none is kept".to_string());
                return CrlRead { judged, error, hindrance: None, good };
            }
            Err(error) => return self.failed(asked, error).await,
        };
        drop(file);
        let (reader, of) = (self.clone(), asked.clone());
        let taken = self.fetcher.compute(Urgency::Head, move || reader.take(&body, arrived, &of)).await;
        match taken {
            Some(Ok((judged, Some(good)))) => CrlRead { judged, error: None, hindrance: None, good: Some(good) },
            Some(Ok((judged, None))) => {
                let (_, good) = self.check_kept(asked).await;
                CrlRead { judged, error: None, hindrance: None, good }
            }
            Some(Err(BodyError::Wire(error))) => self.failed(asked, error).await,
            Some(Err(BodyError::File(error))) => self.hindered(asked, hindered(error)).await,
            None => {
                let (_, good) = self.check_kept(asked).await;
                CrlRead { judged: Vec::new(), error: Some("reading it ended early".to_string()), hindrance: None, good }
            }
        }
    }

    async fn hindered(&self, asked: Asked, hindrance: String) -> CrlRead {
        let (_, good) = self.check_kept(asked).await;
        CrlRead { judged: Vec::new(), error: None, hindrance: Some(hindrance), good }
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
    fn take(&self, body: &Body, arrived: Arrived, asked: &Asked) -> Result<(Vec<Judged>, Option<GoodCrl>), BodyError> {
        let mut der = body.der(&asked.url, arrived.is_gzip, self.limit_bytes)?;
        let (judged, checked) = der.read(|read, sha256| check(read, sha256, asked))?;
        let Some(checked) = checked else { return Ok((judged, None)) };
        let label = Label { url: asked.url.clone(), etag: arrived.etag, sha256: checked.this.sha256 };
        self.shelf.keep(&label, &mut der)?;
        let good = self.good(asked, checked).ok_or_else(|| io::Error::other("its file is gone"))?;
        Ok((judged, Some(good)))
    }

    fn good(&self, asked: &Asked, checked: Checked) -> Option<GoodCrl> {
        let Checked { this, next_update, covers_leaves, entries_at } = checked;
        let entries = self.shelf.entries(&asked.url, this.sha256, entries_at)?;
        Some(GoodCrl { entries, this, next_update, covers_leaves })
    }

    async fn check_kept(&self, asked: Asked) -> (Vec<Judged>, Option<GoodCrl>) {
        let reader = self.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let Some((mut der, kept)) = reader.shelf.der(&asked.url, reader.limit_bytes) else {
                return Default::default();
            };
            // What a power cut left behind is not what was kept.
            let read = der.read(|read, sha256| (sha256 == kept).then(|| check(read, sha256, &asked)));
            let Ok(Some((judged, checked))) = read else { return Default::default() };
            (judged, checked.and_then(|checked| reader.good(&asked, checked)))
        });
        checked.await.unwrap_or_default()
    }
}

/// The verdicts on a CRL, and what is to be remembered of it when all of them are good.
fn check(read: &Result<Crl<'_>, CrlError>, sha256: [u8; 32], asked: &Asked) -> (Vec<Judged>, Option<Checked>) {
    let (name_der, spki_der) = (asked.issuer.subject_der(), asked.issuer.spki_der());
    let expected = Expected { url: &asked.url, name_der, spki_der, before: asked.before.as_ref() };
    let judged = crls::judge(read, sha256, &expected, asked.now);
    let good = judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass).then_some(());
    let checked = good.and(read.as_ref().ok()).and_then(|crl| {
        let (this_update, next_update) = crl.this_update.zip(crl.next_update)?;
        let covers_leaves = crl.scope.as_ref().is_none_or(|scope| !scope.cas_only);
        let this = Before { number: crl.number.to_vec(), this_update, sha256 };
        Some(Checked { this, next_update, covers_leaves, entries_at: crl.entries_at.clone() })
    });
    (judged, checked)
}
