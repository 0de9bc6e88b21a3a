//! What is counted over many certificates, in the order in which they are examined.

use std::collections::HashSet;

use super::Walk;
use super::examine::Verdicts;
use crate::books::{BooksError, Counted, Examination, PendingHit, Statistics};
use crate::cert::Certificate;
use crate::clock::Timestamp;
use crate::exam::{self, KEY_REUSE, KeyUse, SERIAL_ENTROPY};
use crate::finding::{KeyHash, Verdict};
use crate::lint::SuffixList;
use crate::watch::Standing;

/// The statistics of a batch of examinations, moving on with each.
#[derive(Debug, Default)]
pub(super) struct Counting {
    statistics: Statistics,
    /// Issuers whose statistics have moved.
    moved: HashSet<KeyHash>,
}

/// The certificate of a hit that counts: one of ours, and not a CA certificate.
fn counted(hit: &PendingHit) -> Option<Certificate> {
    let (_, form, der) = hit.ders.first().filter(|_| hit.standing == Standing::Ours)?;
    exam::parse(*form, der).ok().filter(|certificate| !certificate.is_ca())
}

impl Counting {
    /// Reads what is known of the issuers and keys of some hits.
    pub async fn begin(walk: &Walk, hits: &[PendingHit]) -> Result<Counting, BooksError> {
        let certificates = hits.iter().filter_map(|hit| Some((hit.key.issuer_key_hash, counted(hit)?.spki_sha256())));
        let (issuers, keys): (HashSet<KeyHash>, HashSet<KeyHash>) = certificates.unzip();
        let statistics = walk.books.statistics(issuers.into_iter().collect(), keys.into_iter().collect()).await;
        Ok(Counting { statistics: walk.storage(statistics)?, moved: HashSet::new() })
    }

    /// Counts one hit and judges what only many certificates show.
    pub fn take(&mut self, hit: &PendingHit, suffixes: &SuffixList, issued: Timestamp) -> (Verdicts, Counted) {
        let (mut verdicts, mut told) = (Verdicts::new(), Counted::default());
        let Some(certificate) = counted(hit) else { return (verdicts, told) };
        // A certificate that is examined again was counted before.
        if hit.first_examination {
            let serials = self.statistics.serials.entry(hit.key.issuer_key_hash).or_default();
            verdicts.extend(serials.take(&hit.key.serial, issued).map(|verdict| (&SERIAL_ENTROPY, verdict)));
            self.moved.insert(hit.key.issuer_key_hash);
        }
        if let Some(key_use) = KeyUse::of(&certificate, &hit.key.serial, suffixes) {
            let known = self.statistics.uses.entry(key_use.spki_sha256).or_default();
            let others: Vec<KeyUse> =
                known.iter().filter(|(hit_id, _)| *hit_id != hit.hit_id).map(|(_, other)| other.clone()).collect();
            verdicts.push((&KEY_REUSE, key_use.judge(&others)));
            if others.len() == known.len() {
                known.push((hit.hit_id, key_use.clone()));
            }
            told.key_use = Some(key_use);
        }
        (verdicts, told)
    }

    /// Puts the statistics of each issuer into the last examination of it.
    pub fn finish(mut self, examinations: &mut [Examination]) {
        for examination in examinations.iter_mut().rev() {
            let issuer = examination.key.issuer_key_hash;
            if self.moved.remove(&issuer) {
                examination.counted.serials = self.statistics.serials.remove(&issuer);
            }
        }
    }
}

/// The verdicts of a command that examines certificates which were counted when they came.
pub(super) fn not_again() -> Verdicts {
    let why = "it is judged as certificates come, not again";
    [&SERIAL_ENTROPY, &KEY_REUSE].map(|rule| (rule, Verdict::NotEvaluable(why.to_string()))).to_vec()
}
