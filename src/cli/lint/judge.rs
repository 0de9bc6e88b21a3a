//! What is said about one certificate, beside its issuer and its precertificate where they are given.

use std::collections::BTreeMap;

use crate::cert::signature::{SignatureCheck, signed_by};
use crate::cert::{Certificate, oid};
use crate::clock::{Clock, Timestamp};
use crate::finding::{Finding, Issued, KeyHash, RevocationClock, RuleInfo, Severity, Verdict};
use crate::lint::profile::Profile;
use crate::lint::{self, Tables, findings, issuer, pair, unparsable};
use crate::promise::{self, KnownLogs};

use super::input::Item;

/// What certificates are held against.
pub struct Bench {
    /// The dated facts.
    pub tables: Tables,
    /// The time of issuance of all of them; without it, each one's notBefore.
    pub issued_at: Option<Timestamp>,
    /// The certificates of issuers; the one that signed is chosen.
    pub issuers: Vec<Certificate>,
    /// Whether one of them must be the issuer, so that a certificate which points at none is held against the first.
    pub one_is_issuer: bool,
    /// What the CA allows, by the key of the issuer.
    pub profiles: BTreeMap<KeyHash, Profile>,
    /// The logs whose SCTs can be verified.
    pub logs: Option<KnownLogs>,
    /// Today.
    pub now: Timestamp,
}

/// What is said about one certificate of a file.
pub struct Report {
    /// SHA-256 of its bytes; `None` when there are none.
    pub sha256: Option<String>,
    /// Its heading for people.
    pub title: String,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
    /// When it was issued; `None` when it cannot be read.
    pub issued: Option<Issued>,
    /// How other linters see it, a line each.
    pub opinions: Vec<String>,
}

impl Bench {
    /// Judges a certificate alone and against its issuer.
    pub fn judge(&self, item: &Item) -> Report {
        self.report(item, |_| Vec::new())
    }

    /// Judges a precertificate and its certificate; what is wrong with the pair is said of the second.
    pub fn judge_pair(&self, before: &Item, after: &Item) -> (Report, Report) {
        let read = |item: &Item| item.block.as_ref().ok().and_then(|der| Certificate::parse(der).ok());
        let first = self.report(before, |pre| {
            let missing = !pre.is_precertificate();
            missing
                .then(|| lint::poison_rule().finding("poison", "is absent from what is named a precertificate"))
                .into_iter()
                .collect()
        });
        let pre = read(before);
        let second = self.report(after, |fin| {
            let Some(pre) = &pre else { return Vec::new() };
            let (info, verdict) = pair::matches(pre, fin, self.issued(pre));
            let mut found = told(info, verdict);
            if fin.is_precertificate() {
                found.push(info.finding("poison", "stands in what is named the certificate"));
            }
            found
        });
        (first, second)
    }

    fn issued(&self, cert: &Certificate) -> Issued {
        // Without a readable notBefore nothing says when it was issued; the rules of today are the best guess.
        Issued::at(self.issued_at.or(cert.not_before()).unwrap_or(self.now))
    }

    fn report(&self, item: &Item, more: impl Fn(&Certificate) -> Vec<Finding>) -> Report {
        let sha256 = item.block.as_ref().ok().map(|der| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(der)));
        let read = match &item.block {
            Ok(der) => Certificate::parse(der).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        match read {
            Ok(cert) => {
                let issued = self.issued(&cert);
                let mut findings = findings(&cert, issued, &self.tables);
                let alone = findings.len();
                findings.extend(more(&cert));
                findings.extend(self.against_issuer(&cert, issued));
                if findings.len() > alone {
                    findings.sort_by_key(|finding| finding.severity);
                }
                let error = findings.iter().find(|f| f.rule == "cert.unparsable").map(|f| f.detail.clone());
                let (serial, subject) = (cert.serial(), cert.subject_text());
                let title = format!("serial {serial} subject \"{subject}\" issued {}", issued.earliest);
                Report { sha256, title, findings, error, issued: Some(issued), opinions: Vec::new() }
            }
            Err(error) => {
                let finding = unparsable(&error);
                let title = "unreadable".to_string();
                let error = Some(finding.detail.clone());
                Report { sha256, title, error, findings: vec![finding], issued: None, opinions: Vec::new() }
            }
        }
    }

    fn against_issuer(&self, cert: &Certificate, issued: Issued) -> Vec<Finding> {
        let Some(issuer) = self.issuer_of(cert) else { return Vec::new() };
        let mut verdicts = issuer::run(cert, issuer, issued);
        if let Some(profile) = self.profiles.get(&issuer.spki_sha256()) {
            verdicts.extend(lint::profile::run(cert, issued, &self.tables, profile));
        }
        verdicts.push(issuer::signature(cert, issuer));
        if cert.is_precertificate() && issuer.is_precert_signing_ca() {
            verdicts.push(pair::delegated(issued));
        }
        if let Some(logs) = self.logs.as_ref().filter(|_| cert.extension(oid::SCT_LIST).next().is_some()) {
            verdicts.extend(promise::belongs(cert, issuer.spki_sha256(), logs, issued, self.now));
        }
        verdicts.into_iter().flat_map(|(info, verdict)| told(info, verdict)).collect()
    }

    /// The issuer whose key signed; otherwise the one that is named, that has the key identifier, or the first.
    fn issuer_of(&self, cert: &Certificate) -> Option<&Certificate> {
        let by = |fits: &dyn Fn(&Certificate) -> bool| self.issuers.iter().find(|issuer| fits(issuer));
        by(&|issuer| signed_by(cert, issuer.spki_der()) == SignatureCheck::Valid)
            .or_else(|| by(&|issuer| issuer.subject_der() == cert.issuer_der()))
            .or_else(|| {
                by(&|issuer| issuer.subject_key_id().is_some() && issuer.subject_key_id() == cert.authority_key_id())
            })
            .or(self.issuers.first().filter(|_| self.one_is_issuer))
    }
}

/// The findings of a verdict; that a rule could not be judged is one for review.
fn told(info: &RuleInfo, verdict: Verdict) -> Vec<Finding> {
    match verdict {
        Verdict::Pass => Vec::new(),
        Verdict::Fail(found) => found,
        Verdict::NotEvaluable(why) => {
            let finding = info.finding("not evaluable", why);
            vec![Finding { severity: Severity::Review, clock: RevocationClock::None, ..finding }]
        }
    }
}

/// The time now, for certificates that say none.
pub fn today() -> Timestamp {
    Clock::System.now()
}
