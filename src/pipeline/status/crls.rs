//! The CRLs of our issuers, held against the record of revocations and the cases.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::named::{Own, note_named};
use super::sought::{Found, One, Sought};
use super::{commit_matter, count, facts, record_lines, report, silent};
use crate::books::{BooksError, CrlRow, Listing, Matter, Sight};
use crate::cert::Certificate;
use crate::cert::crl::magnitude;
use crate::clock::{DAY, Timestamp};
use crate::finding::{CaseKey, Finding, RevocationClock, Serial};
use crate::issuance::Silence;
use crate::pipeline::Walk;
use crate::record::{Revocation, Standing};
use crate::revocation::{CrlRead, CrlReader, EntryReader, GoodCrl};
use crate::status::revoked::{Facts, Listed, agreed, judge};
use crate::status::{crls, findings};
use crate::tail::Fetcher;
use crate::watch::Issuer;

/// Rows read, asked for and written at once.
const BATCH: usize = 1000;
/// The most CRLs of one issuer that are read; large CAs have some hundred shards.
const MOST_CRLS: usize = 4096;
/// Stands for the URL in the case about all CRLs of an issuer.
const ALL: &str = "all CRLs";

/// What earlier rounds have found, for as long as the process lives: CRLs that need not be compared with the record
/// again, entry for entry.
#[derive(Debug, Default)]
pub struct Compared(HashMap<String, [u8; 32]>);

/// Compares for ever; the CRLs are kept in a directory of their own. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn compare_crls(walk: Arc<Walk>, fetcher: Fetcher, directory: PathBuf) -> Result<(), BooksError> {
    let reader = CrlReader::new(fetcher, directory, walk.status.crl_limit_bytes);
    let mut compared = Compared::default();
    loop {
        compare_crls_due(&walk, &reader, &mut compared).await?;
        tokio::time::sleep(walk.status.every.duration()).await;
    }
}

/// Reads every CRL once and compares it with the record and the cases, both ways.
///
/// # Errors
/// Unusable books.
pub async fn compare_crls_due(walk: &Walk, reader: &CrlReader, compared: &mut Compared) -> Result<(), BooksError> {
    note_named(walk).await?;
    let mut urls = Vec::new();
    for issuer in walk.watchlist.issuers() {
        // Without its certificate nobody can tell a CRL of it from another one.
        if let Some(certificate) = &issuer.certificate {
            let mut round = Round {
                walk,
                issuer,
                certificate,
                sought: Sought::new(issuer.key_hash, HashMap::new()),
                read: HashMap::new(),
                unread: Vec::new(),
                recorded_until: Timestamp::EPOCH,
            };
            round.run(reader, compared).await?;
            urls.extend(round.read.into_keys());
        }
    }
    reader.forget_others(&urls);
    Ok(())
}

/// An entry of a CRL that nobody looked for: serial number without sign octet, revocationDate, reason.
type Stranger = (Vec<u8>, Option<Timestamp>, u8);

/// The next piece of the entries of a CRL, read where waiting for the disk holds nobody up; `None`: there is none.
async fn advance(mut entries: EntryReader) -> std::io::Result<Option<EntryReader>> {
    let advanced = tokio::task::spawn_blocking(move || entries.advance().map(|more| more.then_some(entries)));
    advanced.await.map_err(std::io::Error::other)?
}

/// One issuer, compared once.
struct Round<'a> {
    walk: &'a Walk,
    issuer: &'a Issuer,
    certificate: &'a Certificate,
    sought: Sought,
    /// Up to when the record was complete when it was read.
    recorded_until: Timestamp,
    /// Every CRL that certificates name, and whether its server gave one in this round that can be relied on; by URL. One
    /// that is kept from before does not tell what was put on a newer one since.
    read: HashMap<String, bool>,
    /// The CRLs of which the server gave nothing in this round, and what is wrong with each.
    unread: Vec<(String, Vec<Finding>)>,
}

impl Round<'_> {
    async fn run(&mut self, reader: &CrlReader, compared: &mut Compared) -> Result<(), BooksError> {
        let (walk, key_hash, now) = (self.walk, self.issuer.key_hash, self.walk.clock.now());
        let (rows, named) = walk.storage(walk.books.crls_of(key_hash, now, MOST_CRLS).await)?;
        if named > rows.len() as u64 {
            tracing::error!(issuer = self.issuer.name, named, "certificates name more CRLs than are read");
        }
        let recorded = self.gather(now).await?;
        let (mut good_at, mut next_update, mut usable) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let url = row.url.clone();
            let (row, good, is_current) = self.read_one(reader, row, now).await?;
            self.read.insert(url.clone(), is_current);
            usable += u64::from(good.is_some());
            good_at.push(row.good_at);
            next_update.push(row.next_update);
            if let Some(good) = good {
                let known = compared.0.get(&url) == Some(&good.this.sha256);
                let record_first = recorded.is_ok() && !known;
                if self.scan(&Arc::from(url.as_str()), &good, record_first, now).await? && record_first {
                    compared.0.insert(url, good.this.sha256);
                }
            }
        }
        self.settle_unread().await?;
        let first_good = good_at.iter().copied().min().flatten();
        let next = next_update.into_iter().flatten().min();
        walk.metrics.crls(&self.issuer.name, (usable, self.read.len() as u64 - usable), first_good, next);
        if named > 0 {
            self.settle(&recorded, named > self.read.len() as u64).await?;
        }
        Ok(())
    }

    /// What is looked for: what the record says is revoked, what has a case, what was on a CRL before. The error says
    /// why the record is silent.
    async fn gather(&mut self, now: Timestamp) -> Result<Result<(), Silence>, BooksError> {
        let (walk, key_hash) = (self.walk, self.issuer.key_hash);
        let followed = walk.storage(walk.books.followed(key_hash).await)?;
        let new = || Sought::new(key_hash, followed.clone());
        let (mut sought, mut recorded) = match self.revoked(new(), now).await {
            Ok(sought) => (sought, Ok(())),
            Err(silence) => (new(), Err(silence)),
        };
        sought.settle();
        self.sought = walk.storage(walk.books.seen_on_crls(key_hash, now, sought, Sought::add_seen).await)?;
        self.sought.settle();
        if recorded.is_ok() {
            recorded = self.ask_about_rest().await;
        }
        match &recorded {
            Ok(()) => walk.metrics.issuance_db_answered(walk.clock.now()),
            Err(silence) => silent(walk, silence),
        }
        Ok(recorded)
    }

    /// What the record says is revoked.
    async fn revoked(&mut self, sought: Sought, now: Timestamp) -> Result<Sought, Silence> {
        let record = &self.walk.issuance;
        // Asked first: what the record has then, all that follows has too.
        self.recorded_until = record.complete_until(now).await?;
        // One that has expired lately may have been revoked too late all the same.
        record.revocations(self.issuer.key_hash, now.minus(DAY), sought, Sought::add_revoked).await
    }

    /// Asks the record about what is looked for and not among its revocations.
    async fn ask_about_rest(&mut self) -> Result<(), Silence> {
        let mut place = Some(0);
        while let Some(from) = place {
            let (keys, next) = self.sought.unasked(from, BATCH);
            for keys in keys.chunks(BATCH) {
                let standings = self.walk.issuance.standings(keys.to_vec()).await?;
                standings.into_iter().flatten().for_each(|standing| self.take(standing, None));
            }
            place = next;
        }
        Ok(())
    }

    fn take(&mut self, standing: Standing, found: Option<Found>) {
        let Standing { key, not_after, revocation, .. } = standing;
        let key = CaseKey { serial: Serial(magnitude(&key.serial.0).to_vec()), ..key };
        self.sought.add(One { not_after, record: Some(revocation), found, ..One::new(key) });
    }

    /// Reads one CRL and brings its own case up to date; the CRL if it, or the one before it, can be relied on, and whether
    /// it is what the server gives now.
    async fn read_one(
        &mut self,
        reader: &CrlReader,
        row: CrlRow,
        now: Timestamp,
    ) -> Result<(CrlRow, Option<GoodCrl>, bool), BooksError> {
        let walk = self.walk;
        let read = reader.read(&row.url, self.certificate, row.before.as_ref(), now).await;
        let (row, wrong) = self.judge_read(&read, row, now);
        let is_good = read.is_good();
        if let Some(hindrance) = &read.hindrance {
            tracing::error!(url = row.url, hindrance, "a CRL is not read");
        }
        if read.error.is_some() {
            self.unread.push((row.url.clone(), wrong));
        } else if !wrong.is_empty() || is_good {
            self.commit_one(&row.url, wrong).await?;
        }
        walk.storage(walk.books.commit_crl(row.clone()).await)?;
        Ok((row, read.good, is_good))
    }

    async fn commit_one(&self, url: &str, wrong: Vec<Finding>) -> Result<(), BooksError> {
        let matter = Matter::Crl { issuer: self.issuer.key_hash, url: url.to_string() };
        let shown = format!("CRL of {}", self.issuer.name);
        commit_matter(self.walk, matter, wrong, (&shown, "a good CRL is served again")).await
    }

    /// Tells which CRLs cannot be fetched: each in its own case, or all of them in one. A repository or a network that is
    /// down is one fault, however many parts the CRL has.
    async fn settle_unread(&mut self) -> Result<(), BooksError> {
        let unread = std::mem::take(&mut self.unread);
        let (matter, shown) = (
            Matter::Crl { issuer: self.issuer.key_hash, url: ALL.to_string() },
            format!("CRLs of {}", self.issuer.name),
        );
        let mut of_all: Vec<Finding> = Vec::new();
        if unread.len() > 1 && unread.len() == self.read.len() {
            for finding in unread.into_iter().flat_map(|(_, wrong)| wrong) {
                if !of_all.iter().any(|other| other.rule == finding.rule) {
                    let detail = format!("{}: {}", finding.subject, finding.detail);
                    of_all.push(Finding { subject: ALL.to_string(), detail, ..finding });
                }
            }
            if of_all.is_empty() {
                return Ok(());
            }
        } else {
            for (url, wrong) in unread.into_iter().filter(|(_, wrong)| !wrong.is_empty()) {
                self.commit_one(&url, wrong).await?;
            }
        }
        commit_matter(self.walk, matter, of_all, (&shown, "not all of them are out of reach any more")).await
    }

    /// How the row of a CRL goes on, and what is wrong with the CRL.
    fn judge_read(&self, read: &CrlRead, row: CrlRow, now: Timestamp) -> (CrlRow, Vec<Finding>) {
        let walk = self.walk;
        if let Some(good) = read.good.as_ref().filter(|_| read.is_good()) {
            count(walk, &read.judged);
            count(walk, &[crls::available()]);
            let (before, next_update) = (Some(good.this.clone()), Some(good.next_update));
            return (CrlRow { before, next_update, good_at: Some(now), failing_since: None, ..row }, Vec::new());
        }
        if read.hindrance.is_some() {
            // No fault of the CRL, and none is told: the alarm is that there is none to rely on, or no newer one.
            return (row, Vec::new());
        }
        let since = row.failing_since.unwrap_or(now);
        let is_over = now >= since.plus(walk.status.crl_grace);
        let mut judged: Vec<_> = match &read.error {
            Some(error) if is_over => vec![crls::unavailable(&row.url, since, error)],
            Some(_) => Vec::new(),
            // Of several servers behind one name one may lag for a while.
            None => read.judged.iter().filter(|(rule, _)| rule.id != "crl.number" || is_over).cloned().collect(),
        };
        let reason = read.error.clone().or_else(|| findings(&read.judged).first().map(|found| found.detail.clone()));
        tracing::warn!(url = row.url, reason = reason.unwrap_or_default(), "a CRL cannot be relied on");
        if read.error.is_some()
            && let Some(next_update) = row.next_update
        {
            judged.push(crls::kept(&row.url, next_update, now));
        }
        count(walk, &judged);
        (CrlRow { failing_since: Some(since), ..row }, findings(&judged))
    }

    /// Goes through all entries of a CRL. With `record_first` unset only what is looked for is found; otherwise every
    /// entry is looked up in the record, and what is not revoked there is looked for too. Whether all was asked.
    async fn scan(
        &mut self,
        url: &Arc<str>,
        good: &GoodCrl,
        record_first: bool,
        now: Timestamp,
    ) -> Result<bool, BooksError> {
        if !good.covers_leaves {
            return Ok(true);
        }
        let (mut strangers, mut asks): (Vec<Stranger>, _) = (Vec::new(), record_first);
        let mut entries = good.entries.open().map(Some);
        loop {
            entries = match entries {
                Ok(Some(entries)) => advance(entries).await,
                Ok(None) => break,
                Err(error) => {
                    let file = good.entries.path().display();
                    tracing::error!(%file, %error, "a CRL that was kept cannot be read; check the disk");
                    // What stands further behind was not seen: nothing may be said to be missing.
                    self.read.insert(url.to_string(), false);
                    return Ok(false);
                }
            };
            while let Ok(Some(entries)) = &mut entries
                && let Ok(Some(entry)) = entries.next()
            {
                if !self.sought.find(entry.serial, url, entry.at, entry.reason) && asks {
                    strangers.push((entry.serial.to_vec(), entry.at, entry.reason));
                }
                if strangers.len() >= BATCH {
                    // A record that falls silent is asked no more; what is looked for is found to the end all the same.
                    asks = self.ask_about(url, &mut strangers, now).await?;
                }
            }
        }
        let answered = self.ask_about(url, &mut strangers, now).await?;
        self.sought.settle();
        Ok(answered && asks == record_first)
    }

    /// Looks up in the record what stands on a CRL and was not looked for. Whether there was an answer.
    async fn ask_about(
        &mut self,
        url: &Arc<str>,
        strangers: &mut Vec<Stranger>,
        now: Timestamp,
    ) -> Result<bool, BooksError> {
        if strangers.is_empty() {
            return Ok(true);
        }
        let issuer_key_hash = self.issuer.key_hash;
        let key = |serial: &Vec<u8>| CaseKey { issuer_key_hash, serial: Serial(serial.clone()) };
        let keys = strangers.iter().map(|(serial, ..)| key(serial)).collect();
        let standings = match self.walk.issuance.standings(keys).await {
            Ok(standings) => standings,
            Err(silence) => {
                silent(self.walk, &silence);
                strangers.clear();
                return Ok(false);
            }
        };
        for ((_, at, reason), standing) in strangers.drain(..).zip(standings) {
            // What the record does not know at all is not known to be a certificate; db.unknown is about those.
            let Some(standing) = standing else { continue };
            if standing.not_after.is_none_or(|end| end > now) {
                self.take(standing, Some((url.clone(), at, reason)));
            }
        }
        Ok(true)
    }

    /// Judges everything that was looked for.
    async fn settle(&mut self, recorded: &Result<(), Silence>, is_cut: bool) -> Result<(), BooksError> {
        let (walk, now) = (self.walk, self.walk.clock.now());
        let all_good = !is_cut && self.read.values().all(|good| *good);
        let (mut awaited, mut sights) = (0, Vec::new());
        for one in self.sought.each() {
            let sight = self.judge(&one, recorded, all_good, now).await?;
            let is_valid = one.not_after.is_none_or(|end| end > now);
            let revoked = is_valid && one.record.flatten().is_some_and(|revocation| revocation.revoked_at.is_some());
            let has_clock = one.case.is_some_and(|(_, clock)| clock != RevocationClock::None);
            awaited += u64::from(one.found.is_none() && (revoked || has_clock));
            sights.extend(sight);
            if sights.len() >= BATCH {
                self.commit(std::mem::take(&mut sights)).await?;
            }
        }
        self.commit(sights).await?;
        // While the record is silent nobody knows how many more there are.
        if !matches!(recorded, Err(Silence::Unavailable(_))) {
            walk.metrics.revocations_awaited(&self.issuer.name, awaited);
        }
        Ok(())
    }

    async fn commit(&self, sights: Vec<Sight>) -> Result<(), BooksError> {
        if sights.is_empty() {
            return Ok(());
        }
        let walk = self.walk;
        let opened = walk.books.commit_sights(sights, walk.outbox_recipients(), walk.clock.now()).await;
        report(walk, &walk.storage(opened)?);
        Ok(())
    }

    /// What is to be written of one certificate, if anything.
    async fn judge(
        &self,
        one: &One,
        recorded: &Result<(), Silence>,
        all_good: bool,
        now: Timestamp,
    ) -> Result<Option<Sight>, BooksError> {
        let (walk, key, seen_at) = (self.walk, &one.key, one.seen_at);
        // Read only where the record and the CRLs leave something open.
        let own = match one.not_after.is_some() && (all_good || one.found.is_some()) {
            true => Own::default(),
            false => Own::of(walk, key).await?,
        };
        let not_after = one.not_after.or(own.not_after);
        let listed = match &one.found {
            Some((url, at, reason)) => {
                Listed::On { at: *at, reason: *reason, url: url.to_string(), seen_at: seen_at.unwrap_or(now) }
            }
            None if all_good || own.names_good(&self.read) => Listed::Off { seen_at },
            None => Listed::Unknown("a CRL that it may be on could not be read, or cannot be relied on".to_string()),
        };
        let record = match (recorded, one.record) {
            (_, Some(revocation)) => Ok(revocation),
            (Ok(()), None) => Err("the record has no such certificate".to_string()),
            (Err(silence), None) => Err(silence.to_string()),
        };
        let revoked_in_db = matches!(record, Ok(Some(Revocation { revoked_at: Some(_), .. })));
        let case = one.case.filter(|(_, clock)| *clock != RevocationClock::None);
        let is_told = seen_at.is_some() && !one.is_awaited;
        let (grace, recorded_until) = (walk.grace, self.recorded_until);
        let mut facts_of =
            Facts { key, not_after, short_lived: false, record, listed, case, grace, recorded_until, now };
        let mut judged = judge(&facts_of);
        if findings(&judged).iter().any(|finding| finding.rule == "status.late") {
            facts_of.short_lived = Own::of(walk, key).await?.is_short_lived;
            judged = judge(&facts_of);
        }
        count(walk, &judged);
        let findings = findings(&judged);
        let newly = one.found.as_ref().filter(|_| !is_told);
        let is_on_its_way = revoked_in_db && one.case.is_some() && one.found.is_none();
        let ended = if one.is_disputed { agreed(&facts_of) } else { Vec::new() };
        if findings.is_empty() && newly.is_none() && !is_on_its_way && ended.is_empty() {
            return Ok(None);
        }
        let listed = newly.map(|(url, at, reason)| Listing {
            url: url.to_string(),
            revoked_at: *at,
            reason: *reason,
            seen_at: now,
        });
        let certificate = facts(walk, key).await?;
        let record = if findings.is_empty() { Vec::new() } else { record_lines(walk, key).await };
        let key = key.clone();
        Ok(Some(Sight { key, not_after, listed, is_on_its_way, findings, ended, certificate, record }))
    }
}
