//! The demo CA's desk: one order in, one certificate out. The record comes first, then the precertificate to every
//! log, then the certificate with their SCTs, to every log as well.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::DemoError;
use super::ca::Ca;
use super::ledger::{Facts, Ledger};
use super::timetable::Mistake;
use crate::cert::Certificate;
use crate::clock::{Clock, Timestamp};
use crate::ct::key::LogId;
use crate::ct::sct::SignedCertificateTimestamp;
use crate::ct::{from_base64, to_base64};
use crate::finding::escape;

/// Takes rows for the issuance database (NDJSON, the importer's format) in one transaction; the error is for a
/// person. May block.
pub type Feed = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Where certificates are ordered.
pub struct Desk {
    ca: Ca,
    ledger: Mutex<Ledger>,
    feed: Feed,
    client: reqwest::Client,
    logs: Vec<String>,
    clock: Clock,
}

/// What the desk did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuance {
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// The names in it.
    pub names: Vec<String>,
    /// The precertificate, DER.
    pub precertificate: Vec<u8>,
    /// The certificate, DER; `None` where it ended with the precertificate.
    pub certificate: Option<Vec<u8>>,
    /// The earliest SCT.
    pub logged_at: Timestamp,
}

impl Desk {
    /// Opens the desk of a CA that submits to the logs at these URLs (each ends in `/`), and records the CA itself.
    pub async fn open(ca: Ca, logs: Vec<String>, feed: Feed, clock: Clock) -> Result<Desk, DemoError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| DemoError::Submission { url: logs.join(" "), reason: error.to_string() })?;
        let ledger = Mutex::new(Ledger::open("ctwarden Demo Issuing CA 1", ca.issuer_key_hash()));
        let desk = Desk { ca, ledger, feed, client, logs, clock };
        desk.record("-", |_| ()).await?;
        Ok(desk)
    }

    /// The CA behind the desk.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Issues a certificate for `names`, at least one; with a mistake, what that mistake makes of it.
    pub async fn issue(&self, names: &[&str], mistake: Option<Mistake>) -> Result<Issuance, DemoError> {
        let signed_at = self.clock.now();
        let draft = self.ca.draft(names, signed_at)?;
        let precertificate = draft.precertificate()?;
        let serial = draft.serial.to_string();
        let tbs_sha256 = Certificate::parse(&precertificate).map(|parsed| hex::encode(parsed.core_sha256()));
        let facts = Facts {
            serial: &serial,
            names,
            spki_sha256: draft.spki_sha256(),
            tbs_sha256: tbs_sha256.unwrap_or_default(),
            precert_sha256: hex::encode(Sha256::digest(&precertificate)),
            not_before: draft.not_before,
            not_after: draft.not_after,
            signed_at,
        };
        let entered = self.record(&serial, |ledger| ledger.enter(&facts, mistake)).await?;
        let scts = self.submit("ct/v1/add-pre-chain", &precertificate).await?;
        let mut certificate = None;
        // The first seed incident was caught at the precertificate.
        if mistake != Some(Mistake::InternalName) {
            let der = draft.certificate(&scts)?;
            let sha256 = hex::encode(Sha256::digest(&der));
            self.record(&serial, |ledger| ledger.complete(entered, &sha256)).await?;
            self.submit("ct/v1/add-chain", &der).await?;
            certificate = Some(der);
        }
        let logged_at = scts.iter().map(|sct| sct.timestamp).min().unwrap_or(signed_at);
        let names = names.iter().map(|name| name.to_string()).collect();
        Ok(Issuance { serial, names, precertificate, certificate, logged_at })
    }

    /// Writes into the ledger and hands what was written to the issuance database.
    async fn record<T>(&self, serial: &str, write: impl FnOnce(&mut Ledger) -> T) -> Result<T, DemoError> {
        let (written, rows) = {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let written = write(&mut ledger);
            (written, ledger.take())
        };
        if rows.is_empty() {
            return Ok(written);
        }
        let feed = Arc::clone(&self.feed);
        let fed = tokio::task::spawn_blocking(move || feed(&rows)).await.unwrap_or_else(|error| Err(error.to_string()));
        fed.map_err(|reason| DemoError::Record { serial: serial.to_string(), reason })?;
        Ok(written)
    }

    /// Submits to every log and returns the SCTs in the order of the logs.
    async fn submit(&self, path: &str, der: &[u8]) -> Result<Vec<SignedCertificateTimestamp>, DemoError> {
        let chain: Vec<String> = self.ca.chain(der).iter().map(|der| to_base64(der)).collect();
        let body = json!({"chain": chain}).to_string();
        let answers = self.logs.iter().map(|log| {
            let (url, body) = (format!("{log}{path}"), body.clone());
            async move {
                let answer = post(&self.client, &url, body).await;
                answer.map_err(|reason| DemoError::Submission { url, reason })
            }
        });
        futures_util::future::try_join_all(answers).await
    }
}

/// The answer to add-chain and add-pre-chain (RFC 6962 4.1).
#[derive(Deserialize)]
struct Answer {
    sct_version: u8,
    id: String,
    timestamp: i64,
    extensions: String,
    signature: String,
}

async fn post(client: &reqwest::Client, url: &str, body: String) -> Result<SignedCertificateTimestamp, String> {
    let answer = client.post(url).body(body).send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {}", escape(&body, 300)));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| format!("the answer is no SCT: {error}"))?;
    let part = |name: &str, text: &str| from_base64(text).ok_or_else(|| format!("{name} of the SCT is not base64"));
    Ok(SignedCertificateTimestamp {
        version: answer.sct_version,
        log_id: LogId::from_base64(&answer.id).ok_or("id of the SCT is no log id")?,
        timestamp: Timestamp::from_millis(answer.timestamp),
        extensions: part("extensions", &answer.extensions)?,
        signature: part("signature", &answer.signature)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::corresponds;
    use crate::clock::date;
    use crate::ct::key::LogKey;
    use crate::ct::leaf::{LeafEntry, leaf_index};
    use crate::ct::sct::{parse_sct_list, verify_sct};
    use crate::demo::log::{Api, LogServer, LogSettings};

    async fn logs(clock: &Clock, roots: &[Vec<u8>]) -> [LogServer; 2] {
        let start = async |api| {
            let settings = LogSettings { roots: roots.to_vec(), ..LogSettings::new(api, clock.clone()) };
            LogServer::start(settings).await.expect("a port")
        };
        [start(Api::Rfc6962).await, start(Api::StaticCt).await]
    }

    fn urls(logs: &[LogServer]) -> Vec<String> {
        logs.iter().map(LogServer::url).collect()
    }

    #[tokio::test]
    async fn a_certificate_is_recorded_then_logged_and_its_scts_hold() {
        let clock = Clock::manual(date(2026, 11, 22));
        let ca = Ca::generate(clock.now()).expect("keys");
        let logs = logs(&clock, &[ca.root_der().to_vec()]).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sizes = Arc::clone(&seen);
        let feed: Feed = Arc::new(move |rows: &str| {
            sizes.lock().expect("no panic").push(rows.to_string());
            Ok(())
        });
        let desk = Desk::open(ca, urls(&logs), feed, clock).await.expect("open");
        let issued = desk.issue(&["www.demo-shop.eus"], None).await.expect("issued");
        let precertificate = Certificate::parse(&issued.precertificate).expect("reads");
        let certificate = Certificate::parse(&issued.certificate.expect("final")).expect("reads");
        assert!(corresponds(&precertificate, &certificate));
        let scts = parse_sct_list(certificate.sct_list().expect("a list")).expect("well-formed");
        let (key_hash, tbs) = (desk.ca().issuer_key_hash(), certificate.core_tbs());
        assert_eq!(scts.len(), 2);
        for ((sct, log), index) in scts.into_iter().zip(&logs).zip([None, Some(0)]) {
            let sct = sct.expect("well-formed");
            let key = LogKey::from_spki_der(&log.spki_der()).expect("P-256");
            let entry = LeafEntry::Precert { issuer_key_hash: key_hash, tbs: &tbs };
            verify_sct(&sct, &key, &entry).expect("the SCT holds");
            assert_eq!(leaf_index(&sct.extensions), Ok(index));
            assert_eq!(log.size(), 2);
        }
        let fed = seen.lock().expect("no panic").clone();
        assert_eq!(fed.len(), 3, "the CA, the record, its completion");
        assert!(fed[1].contains("precert_only") && fed[2].contains("issued"));
    }

    #[tokio::test]
    async fn nothing_is_logged_that_could_not_be_recorded() {
        let clock = Clock::manual(date(2026, 11, 22));
        let ca = Ca::generate(clock.now()).expect("keys");
        let logs = logs(&clock, &[]).await;
        let feed: Feed = Arc::new(|rows: &str| if rows.contains("orders") { Err("disk full".into()) } else { Ok(()) });
        let desk = Desk::open(ca, urls(&logs), feed, clock).await.expect("open");
        let error = desk.issue(&["www.demo-shop.eus"], None).await.expect_err("refused");
        assert!(matches!(error, DemoError::Record { .. }), "{error}");
        let ghost = desk.issue(&["ghost.demo-shop.eus"], Some(Mistake::UnknownToDatabase)).await.expect("no record");
        assert!(ghost.certificate.is_some());
        let internal = desk.issue(&[Mistake::InternalName.name()], Some(Mistake::InternalName)).await;
        assert!(internal.is_err());
        assert_eq!(logs[0].size(), 2, "the ghost's precertificate and certificate alone");
    }

    #[tokio::test]
    async fn a_log_that_does_not_know_the_root_refuses() {
        let clock = Clock::manual(date(2026, 11, 22));
        let other = Ca::generate(clock.now()).expect("keys");
        let logs = logs(&clock, &[other.root_der().to_vec()]).await;
        let ca = Ca::generate(clock.now()).expect("keys");
        let desk = Desk::open(ca, urls(&logs), Arc::new(|_: &str| Ok(())), clock).await.expect("open");
        let error = desk.issue(&["www.demo-shop.eus"], None).await.expect_err("refused").to_string();
        assert!(error.contains("400") && error.contains("accepted root"), "{error}");
    }
}
