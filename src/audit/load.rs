//! Reads the tables once: what every part needs stays in memory, names with their confirmations and checks go to disk,
//! each to its part.

mod hand;
mod rows;
mod strays;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::audit::facts::{AccountRow, Applicant, ById, Facts, Issuer, OrderRow, Reuse};
use crate::audit::intern::{Interner, ShortTexts, Texts};
use crate::audit::key::Place;
use crate::audit::source::{Corpus, Piece};
use crate::audit::spool::{Spool, Writer};
use crate::audit::{AuditError, Job, Stage};
use crate::clock::Timestamp;
use crate::issuance::feed::{self, FeedColumn};
use crate::record::Approval;
use hand::{Hand, Refusals, Row, Shared};
pub(super) use strays::strays;

/// Rows between two signs of life.
const TICK: u64 = 20_000;

/// Whether a name is still to be judged, by part, certificate and name.
pub(super) type Keep<'k> = &'k (dyn Fn(u32, i64, &str) -> bool + Sync);

/// What was read.
pub(super) struct Loaded {
    pub(super) facts: Facts,
    pub(super) confirmations: Vec<Spool>,
    pub(super) checks: Vec<Spool>,
    pub(super) names: Vec<Spool>,
    /// The names that each order approves.
    pub(super) ordered: Vec<Spool>,
}

impl Loaded {
    /// The rows on disk alone; what is in memory ends.
    pub(super) fn files(self) -> [Vec<Spool>; 4] {
        [self.confirmations, self.checks, self.names, self.ordered]
    }
}

const ORDERS: [&str; 7] = ["order_id", "applicant_id", "channel", "vtype", "hierarchy", "identity_id", "created_at"];
const CERTIFICATES: [&str; 5] = ["cert_id", "issuer_id", "order_id", "signed_at", "not_after"];
const CONFIRMATIONS: [&str; 16] = [
    "dcv_id",
    "applicant_id",
    "adn",
    "method",
    "completed_at",
    "performed_by",
    "resolver",
    "remote_ok",
    "remote_total",
    "remote_rirs",
    "dnssec",
    "token_issued_at",
    "reused_dcv_id",
    "location",
    "recorded_at",
    "evidence_ref",
];
/// Besides those of a confirmation.
const REUSED_REUSE: &str = "reused_reuse_id";
const REUSES: [&str; 6] = ["reuse_id", "dcv_id", "rule", "decided_at", "decided_by", "reused_reuse_id"];
const CHECKS: [&str; 11] = [
    "caa_id",
    "name",
    "checked_at",
    "result",
    "rrset",
    "ttl",
    "dnssec",
    "resolver",
    "performed_by",
    "remote_ok",
    "remote_total",
];
const NAMES: [&str; 5] = ["cert_id", "name", "dcv_id", "reuse_id", "caa_id"];
const ORDER_NAMES: [&str; 2] = ["order_id", "name"];
const REVOCATIONS: [&str; 2] = ["cert_id", "revoked_at"];
const APPROVALS: [&str; 4] = ["order_id", "step", "person", "decided_at"];

/// The rule that alone needs the names of orders.
const ORDER_NAMES_FOR: &str = "san.unexpected";

/// Reads everything.
pub(super) fn load(corpus: &Corpus, job: &Job<'_>, wanted: &[bool], keep: Keep<'_>) -> Result<Loaded, AuditError> {
    let shared = Mutex::new(Shared::default());
    let refusals = Refusals::default();
    let reading =
        Reading { corpus, job, wanted, keep, refusals: &refusals, done: AtomicU64::new(0), total: total(corpus, job) };
    let mut facts = reading.small()?;
    refusals.result()?;

    let (mut hands, ()) = reading.share(&["orders"], &shared, &facts, || ())?;
    refusals.result()?;
    let orders: Vec<_> = hands.iter_mut().map(|hand| std::mem::take(&mut hand.orders)).collect();
    drop(hands);

    let mut tables = vec!["dcv_reuse", "revocations", "dcv_confirmations"];
    tables.extend(job.with_caa.then_some("caa_checks"));
    let (mut hands, numbered) = reading.share(&tables, &shared, &facts, || numbered(orders))?;
    refusals.result()?;
    (facts.order_ids, facts.orders) = numbered;
    facts.revoked.extend(hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.revoked)));
    let reuses: usize = hands.iter().flat_map(|hand| &hand.reuses).map(|(_, rows)| rows.len()).sum();
    job.fits(facts.bytes() + reuses * size_of::<Reuse>())?;
    // The hands are emptied beside the next reading.
    let rest = || {
        let reuses = ById::each_once(in_order(hands.iter_mut().map(|hand| &mut hand.reuses)));
        (reuses, finish(hands))
    };
    let (mut hands, (reuses, finished)) = reading.share(&["certificates", "approvals"], &shared, &facts, rest)?;
    refusals.result()?;
    let (confirmations, checks) = finished?;
    facts.reuses = reuses;
    facts.unasked = hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.unasked)).collect();
    facts.unasked.sort_unstable();
    facts.unsettled = hands.iter().map(|hand| hand.unsettled).sum();
    facts.certificates = ById::each_once(in_order(hands.iter_mut().map(|hand| &mut hand.certificates)));
    for (order, approval) in hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.approvals)) {
        facts.approvals.get_or_insert_default().entry(order).or_default().push(approval);
    }
    drop(hands);
    job.fits(facts.bytes())?;

    let mut tables = vec!["san_authorisations"];
    tables.extend(job.asks(ORDER_NAMES_FOR).then_some("order_names"));
    let (hands, ()) = reading.share(&tables, &shared, &facts, || ())?;
    refusals.result()?;
    let (mut names, mut ordered) = (Vec::new(), Vec::new());
    for hand in hands {
        names.extend(hand.names.map(Writer::finish).transpose()?);
        ordered.extend(hand.ordered.map(Writer::finish).transpose()?);
    }
    let Shared { words, listed, .. } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    facts.words = words;
    facts.means = listed.iter().map(|means| (means.clone(), means.grade(job.policy))).collect();
    facts.caa_means = listed.into_iter().map(|means| (means.clone(), means.caa_grade(job.policy))).collect();
    Ok(Loaded { facts, confirmations, checks, names, ordered })
}

fn total(corpus: &Corpus, job: &Job<'_>) -> u64 {
    let read = |piece: &&Piece| match piece.table {
        "caa_checks" => job.with_caa,
        "order_names" => job.asks(ORDER_NAMES_FOR),
        _ => true,
    };
    corpus.pieces(&crate::audit::source::TABLES).iter().filter(read).map(|piece| piece.rows).sum()
}

/// All orders, each once, by number.
fn numbered(read: Vec<(Texts, Vec<OrderRow>)>) -> (Interner, Vec<OrderRow>) {
    let mut ids = Interner::default();
    let mut orders = Vec::with_capacity(read.iter().map(|(_, rows)| rows.len()).sum());
    for (texts, rows) in read {
        for (number, row) in rows.into_iter().enumerate() {
            if ids.add(texts.get(number as u32)).1 {
                orders.push(row);
            }
        }
    }
    (ids, orders)
}

/// The rows of all pieces, piece by piece as the source has them: mostly in the order of their numbers.
fn in_order<'h, T: 'h>(hands: impl Iterator<Item = &'h mut Vec<(usize, Vec<T>)>>) -> Vec<T> {
    let mut pieces: Vec<(usize, Vec<T>)> = hands.flat_map(std::mem::take).collect();
    pieces.sort_by_key(|(piece, _)| *piece);
    let mut rows = Vec::with_capacity(pieces.iter().map(|(_, rows)| rows.len()).sum());
    pieces.into_iter().for_each(|(_, piece)| rows.extend(piece));
    rows
}

fn finish(hands: Vec<Hand<'_>>) -> Result<(Vec<Spool>, Vec<Spool>), AuditError> {
    let (mut confirmations, mut checks) = (Vec::new(), Vec::new());
    for hand in hands {
        confirmations.extend(hand.confirmations.map(Writer::finish).transpose()?);
        checks.extend(hand.checks.map(Writer::finish).transpose()?);
    }
    Ok((confirmations, checks))
}

struct Reading<'a> {
    corpus: &'a Corpus,
    job: &'a Job<'a>,
    wanted: &'a [bool],
    keep: Keep<'a>,
    refusals: &'a Refusals,
    done: AtomicU64,
    total: u64,
}

impl Reading<'_> {
    fn wants(&self, place: Place) -> bool {
        match place {
            Place::Part(part) => self.wanted[part as usize],
            Place::Every => true,
        }
    }

    /// Reads a piece row by row.
    fn rows(
        &self,
        piece: &Piece,
        columns: &[&'static str],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let known = feed::columns(piece.table).unwrap_or_default();
        let chosen: Vec<FeedColumn> =
            columns.iter().filter_map(|name| known.iter().find(|column| column.name == *name).copied()).collect();
        let mut since = 0;
        self.corpus.read(piece, columns, &mut |block| {
            since += block.rows() as u64;
            if since >= TICK {
                self.tick(std::mem::take(&mut since));
            }
            let lanes = block.lanes(&chosen);
            (0..block.rows()).try_for_each(|at| {
                let (columns, lanes) = (&chosen[..], &lanes[..]);
                each(&mut Row { piece, columns, block, lanes, at, refusals: self.refusals, sound: true })
            })
        })?;
        self.tick(since);
        Ok(())
    }

    fn tick(&self, rows: u64) {
        let done = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        (self.job.progress)(Stage::Reading, done, self.total.max(done));
    }

    /// Issuers, accounts and applicants, and everything else still empty.
    fn small(&self) -> Result<Facts, AuditError> {
        let policy = self.job.policy;
        let mut facts = Facts {
            words: Interner::default(),
            issuers: Vec::new(),
            account_ids: Interner::default(),
            accounts: Vec::new(),
            applicant_ids: ShortTexts::default(),
            applicants: Vec::new(),
            order_ids: Interner::default(),
            orders: Vec::new(),
            certificates: ById::default(),
            reuses: ById::default(),
            approvals: self.corpus.has("approvals").then(HashMap::new),
            revoked: HashSet::new(),
            means: Vec::new(),
            caa_means: Vec::new(),
            identity_ids: Interner::default(),
            identities: Vec::new(),
            keeps_caa: self.corpus.has("caa_checks"),
            keeps_orders: self.corpus.has("orders"),
            keeps_confirmations: self.corpus.has("dcv_confirmations"),
            keeps_identities: self.corpus.has("identities"),
            keeps_order_names: self.corpus.has("order_names"),
            keeps_authorisations: self.corpus.has("san_authorisations"),
            unsettled: 0,
            unasked: Vec::new(),
        };
        for piece in self.corpus.pieces(&["issuers"]) {
            self.rows(&piece, &["issuer_id", "name", "hierarchy"], &mut |row| {
                let id = row.whole(0).unwrap_or_default();
                facts.issuers.push(Issuer { id, name: row.must(1).into_owned(), hierarchy: row.must(2).into_owned() });
                Ok(())
            })?;
        }
        for piece in self.corpus.pieces(&["accounts"]) {
            self.rows(&piece, &["account_id", "kind", "name"], &mut |row| {
                let (kind, name) = (row.must(1).into_owned(), row.text(2).map(Cow::into_owned));
                let shared = policy.shared_account_kinds.iter().any(|word| word.eq_ignore_ascii_case(kind.trim()));
                if facts.account_ids.add(&row.must(0)).1 {
                    facts.accounts.push(AccountRow { kind, name, shared });
                }
                Ok(())
            })?;
        }
        for piece in self.corpus.pieces(&["applicants"]) {
            self.rows(&piece, &["applicant_id", "account_id", "name"], &mut |row| {
                let Some(account) = facts.account_ids.find(&row.must(1)) else {
                    row.refuse(1, "names no row of accounts");
                    return Ok(());
                };
                let name = row.text(2).map(Cow::into_owned);
                if facts.applicant_ids.add(&row.must(0)).1 {
                    facts.applicants.push(Applicant { account, name });
                }
                Ok(())
            })?;
        }
        for piece in self.corpus.pieces(&["identities"]) {
            self.rows(&piece, &["identity_id", "verified_at", "performed_by"], &mut |row| {
                let (verified, by) = (row.moment(1), row.text(2).map(Cow::into_owned));
                if facts.identity_ids.add(&row.must(0)).1 {
                    facts.identities.push((verified, by));
                }
                Ok(())
            })?;
        }
        Ok(facts)
    }

    /// Reads the pieces of these tables side by side; the first thread does something else before.
    fn share<'s, T: Send>(
        &self,
        tables: &[&str],
        shared: &'s Mutex<Shared>,
        facts: &Facts,
        before: impl FnOnce() -> T + Send,
    ) -> Result<(Vec<Hand<'s>>, T), AuditError> {
        let pieces = self.corpus.pieces(tables);
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = |thread: usize| -> Result<Hand<'s>, AuditError> {
            let mut hand = Hand::new(shared);
            while !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(piece) = pieces.get(number) else { break };
                hand.begin(number);
                if let Err(error) = self.piece(piece, thread, &mut hand, facts) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(hand)
        };
        let work = &work;
        std::thread::scope(|scope| {
            let first = scope.spawn(move || (before(), work(0)));
            let others: Vec<_> = (1..self.job.threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let (done, hand) = first.join().map_err(|_| AuditError::Stopped)?;
            let others = others.into_iter().map(|thread| thread.join().unwrap_or(Err(AuditError::Stopped)));
            let hands: Result<Vec<Hand<'s>>, AuditError> = std::iter::once(hand).chain(others).collect();
            Ok((hands?, done))
        })
    }

    fn piece(&self, piece: &Piece, thread: usize, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
        let writer = |table: &str| Writer::create(self.job.spill(&format!("{table}.{thread}")), self.job.block_bytes());
        match piece.table {
            "orders" => self.rows(piece, &ORDERS, &mut |row| rows::order(row, hand, facts)),
            "dcv_reuse" => self.rows(piece, &REUSES, &mut |row| rows::reuse(row, hand)),
            "revocations" => self.rows(piece, &REVOCATIONS, &mut |row| {
                let (cert_id, at) = (row.whole(0).unwrap_or_default(), row.whole(1));
                hand.revoked.extend(at.map(|_| cert_id));
                Ok(())
            }),
            "certificates" => self.rows(piece, &CERTIFICATES, &mut |row| self.certificate(row, hand, facts)),
            "approvals" => self.rows(piece, &APPROVALS, &mut |row| {
                let order = facts.order_ids.find(&row.must(0));
                let approval = Approval {
                    step: row.must(1).into_owned(),
                    person: row.must(2).into_owned(),
                    decided_at: Timestamp::from_seconds(row.moment(3)),
                };
                hand.approvals.extend(order.map(|order| (order, approval)));
                Ok(())
            }),
            "dcv_confirmations" => {
                if hand.confirmations.is_none() {
                    hand.confirmations = Some(writer("confirmations")?);
                }
                let columns: Vec<&'static str> = CONFIRMATIONS.into_iter().chain([REUSED_REUSE]).collect();
                self.rows(piece, &columns, &mut |row| self.confirmation(row, hand, facts))
            }
            "caa_checks" => {
                if hand.checks.is_none() {
                    hand.checks = Some(writer("checks")?);
                }
                let columns: Vec<&'static str> = CHECKS.into_iter().chain(["remote_rirs"]).collect();
                self.rows(piece, &columns, &mut |row| self.check(row, hand))
            }
            "san_authorisations" => {
                if hand.names.is_none() {
                    hand.names = Some(writer("names")?);
                }
                self.rows(piece, &NAMES, &mut |row| self.name(row, hand, facts))
            }
            "order_names" => {
                if hand.ordered.is_none() {
                    hand.ordered = Some(writer("ordered")?);
                }
                self.rows(piece, &ORDER_NAMES, &mut |row| self.ordered(row, hand, facts))
            }
            _ => Ok(()),
        }
    }
}
