//! Reads the tables once: what every part needs stays in memory, names with their confirmations and checks are divided
//! into parts.

mod hand;
mod rows;
mod strays;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::audit::facts::{AccountRow, Applicant, ById, Certificate, Facts, Issuer, OrderRow, Reuse, Reuses};
use crate::audit::intern::{Interner, ShortTexts};
use crate::audit::key::Place;
use crate::audit::source::{Corpus, Piece};
use crate::audit::spool::{Room, Spool, Writer};
use crate::audit::{AuditError, Job, Stage};
use crate::clock::Timestamp;
use crate::issuance::feed::{self, FeedColumn};
use crate::record::Approval;
use hand::{Hand, Orders, Refusals, Row, Shared};
pub(super) use strays::strays;

/// Rows between two signs of life.
const TICK: u64 = 20_000;

/// Whether a name is still to be judged, by part, certificate and name.
pub(super) type Keep<'k> = &'k (dyn Fn(u32, i64, &str) -> bool + Sync);

/// What was read.
pub(super) struct Loaded {
    pub(super) facts: Facts,
    /// How many bytes of the rows below are in memory.
    pub(super) kept: u64,
    pub(super) confirmations: Vec<Spool>,
    pub(super) checks: Vec<Spool>,
    pub(super) names: Vec<Spool>,
    /// The names that each order approves.
    pub(super) ordered: Vec<Spool>,
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

/// Reads everything; `beside` is given the facts, which are whole before the names are read, and does its work while they
/// are.
///
/// What is put in order after a table was read is put in order while the next one is read.
pub(super) fn load<T: Send>(
    corpus: &Corpus,
    job: &Job<'_>,
    wanted: &[bool],
    keep: Keep<'_>,
    beside: impl FnOnce(&Facts) -> T + Send,
) -> Result<(Loaded, T), AuditError> {
    let shared = Mutex::new(Shared::default());
    let refusals = Refusals::default();
    let (done, total) = (AtomicU64::new(0), total(corpus, job));
    let reading = Reading { corpus, job, wanted, keep, refusals: &refusals, done, total, room: Room::default() };
    let mut facts = reading.small()?;
    refusals.result()?;

    let (mut hands, ()) = reading.share(&["orders"], &shared, &facts, || ())?;
    refusals.result()?;
    let ids = std::mem::take(&mut facts.order_ids);
    let orders: Vec<Orders> = hands.iter_mut().map(|hand| std::mem::take(&mut hand.orders)).collect();
    drop(hands);

    let (mut hands, numbered) =
        reading.share(&["dcv_reuse", "revocations"], &shared, &facts, || numbered(ids, orders))?;
    refusals.result()?;
    (facts.order_ids, facts.orders) = numbered;
    facts.revoked.extend(hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.revoked)));
    let count: usize = hands.iter().flat_map(|hand| &hand.reuses).map(|(_, rows)| rows.len()).sum();
    job.fits(facts.bytes() + count * size_of::<Reuse>())?;
    let reuses = || ById::each_once(in_order(hands.iter_mut().map(|hand| &mut hand.reuses)));
    let (mut hands, reuses) = reading.share(&["certificates", "approvals"], &shared, &facts, reuses)?;
    refusals.result()?;
    facts.reuses.stated = reuses;
    facts.unasked = hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.unasked)).collect();
    facts.unsettled = hands.iter().map(|hand| hand.unsettled).sum();
    for (order, approval) in hands.iter_mut().flat_map(|hand| std::mem::take(&mut hand.approvals)) {
        facts.approvals.get_or_insert_default().entry(order).or_default().push(approval);
    }
    let count: usize = hands.iter().flat_map(|hand| &hand.certificates).map(|(_, rows)| rows.len()).sum();
    let bytes = facts.bytes() + count * size_of::<Certificate>();
    job.fits(bytes)?;
    let room = (job.memory - bytes as u64) / 2;
    reading.room.store(room, Ordering::Relaxed);
    let mut unasked = std::mem::take(&mut facts.unasked);
    let certificates = || {
        unasked.sort_unstable();
        (unasked, ById::each_once(in_order(hands.iter_mut().map(|hand| &mut hand.certificates))))
    };
    let mut tables = vec!["dcv_confirmations"];
    tables.extend(job.with_caa.then_some("caa_checks"));
    let (mut hands, found) = reading.share(&tables, &shared, &facts, certificates)?;
    refusals.result()?;
    (facts.unasked, facts.certificates) = found;
    facts.reuses.among_confirmations = ById::each_once(in_order(hands.iter_mut().map(|hand| &mut hand.reuses)));
    job.fits(facts.bytes())?;
    // No word of the tables that are left is numbered.
    let Shared { words, listed, .. } = std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner));
    facts.words = words;
    facts.means = listed.iter().map(|means| (means.clone(), means.grade(job.policy))).collect();
    facts.caa_means = listed.into_iter().map(|means| (means.clone(), means.caa_grade(job.policy))).collect();

    let mut tables = vec!["san_authorisations"];
    tables.extend(job.asks(ORDER_NAMES_FOR).then_some("order_names"));
    let (hands, (beside, finished)) = reading.share(&tables, &shared, &facts, || (beside(&facts), finish(hands)))?;
    refusals.result()?;
    let (confirmations, checks) = finished?;
    let (mut names, mut ordered) = (Vec::new(), Vec::new());
    for hand in hands {
        names.extend(hand.names.map(Writer::finish).transpose()?);
        ordered.extend(hand.ordered.map(Writer::finish).transpose()?);
    }
    let kept = room.saturating_sub(reading.room.load(Ordering::Relaxed));
    Ok((Loaded { facts, kept, confirmations, checks, names, ordered }, beside))
}

fn total(corpus: &Corpus, job: &Job<'_>) -> u64 {
    let read = |piece: &&Piece| match piece.table {
        "caa_checks" => job.with_caa,
        "order_names" => job.asks(ORDER_NAMES_FOR),
        _ => true,
    };
    corpus.pieces(&crate::audit::source::TABLES).iter().filter(read).map(|piece| piece.rows).sum()
}

/// All orders by number; of one that is there twice the first row is found.
fn numbered(mut ids: Interner, read: Vec<Orders>) -> (Interner, Vec<OrderRow>) {
    let mut orders = Vec::with_capacity(read.iter().map(|orders| orders.rows.len()).sum());
    for Orders { ids: texts, halves, rows } in read {
        ids.adopt(&texts, &halves);
        orders.extend(rows);
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
    room: Room,
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
            reuses: Reuses::default(),
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
        let writer = |table: &str| {
            Writer::create(self.job.spill(&format!("{table}.{thread}")), self.job.block_bytes(), self.room.clone())
        };
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
