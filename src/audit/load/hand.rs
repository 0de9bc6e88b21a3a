//! What one thread reads, and how it reads a row.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow_array::{Array, ArrayRef};
use hashbrown::HashMap;

use crate::audit::AuditError;
use crate::audit::facts::{Certificate, Facts, Means, NO_MOMENT, OrderRow, Reuse};
use crate::audit::intern::{Interner, NONE, Texts};
use crate::audit::key::Keys;
use crate::audit::source::{Block, Lane, Piece};
use crate::audit::spool::Writer;
use crate::evidence::sieve::Prescribed;
use crate::issuance::feed::{FeedColumn, Given, means_reuse};
use crate::record::Approval;

/// Complaints that are told.
const TOLD: usize = 100;

/// Complaints about rows.
#[derive(Default)]
pub(super) struct Refusals {
    pub(super) told: Mutex<Vec<String>>,
    pub(super) count: AtomicUsize,
}

impl Refusals {
    pub(super) fn add(&self, place: impl FnOnce() -> String) {
        if self.count.fetch_add(1, Ordering::Relaxed) < TOLD {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).push(place());
        }
    }
    pub(super) fn result(&self) -> Result<(), AuditError> {
        let mut rows = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        rows.sort();
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 { Ok(()) } else { Err(AuditError::Refused { rows, count }) }
    }
}

/// One row, whose values are read by column; a complaint makes it a row that is left out.
pub(super) struct Row<'r> {
    pub(super) piece: &'r Piece,
    pub(super) columns: &'r [FeedColumn],
    pub(super) block: &'r Block<'r>,
    /// What is known of its columns.
    pub(super) lanes: &'r [Lane<'r>],
    /// Which one of the block.
    pub(super) at: usize,
    pub(super) refusals: &'r Refusals,
    pub(super) sound: bool,
}

impl<'r> Row<'r> {
    fn given(&self, column: usize) -> Given<'r> {
        self.block.given(column, self.at)
    }
    pub(super) fn refuse(&mut self, column: usize, reason: &str) {
        self.sound = false;
        let name = self.columns[column].name;
        self.refusals.add(|| format!("{}: column {name}: {reason}", self.piece.place(self.block.number(self.at))));
    }
    #[inline]
    pub(super) fn whole(&mut self, column: usize) -> Option<i64> {
        match self.lanes.get(column) {
            Some(Lane::Whole(numbers, None)) => Some(numbers[self.at]),
            Some(Lane::Whole(numbers, Some(nulls))) => nulls.is_valid(self.at).then(|| numbers[self.at]),
            Some(Lane::Empty) => None,
            _ => self.given_whole(column),
        }
    }
    /// For what is not known of the whole block, as the rows of text and of a database: kept out of the quick way.
    #[inline(never)]
    fn given_whole(&mut self, column: usize) -> Option<i64> {
        self.columns[column].whole(self.given(column)).unwrap_or_else(|reason| {
            self.refuse(column, &reason);
            None
        })
    }
    /// A number of a reuse; one that was fed as a confirmation has its number negated in the embedded database.
    pub(super) fn reuse_id(&mut self, column: usize) -> i64 {
        match (self.lanes.get(column), self.piece.filed) {
            (None | Some(Lane::Unknown), true) => match self.given(column) {
                Given::Number(number) if number < 0 => number,
                _ => self.whole(column).unwrap_or(0),
            },
            _ => self.whole(column).unwrap_or(0),
        }
    }
    #[inline]
    pub(super) fn moment(&mut self, column: usize) -> i64 {
        self.whole(column).unwrap_or(NO_MOMENT)
    }
    #[inline]
    pub(super) fn text(&mut self, column: usize) -> Option<Cow<'r, str>> {
        match self.lanes.get(column) {
            Some(Lane::Text(texts)) if texts.is_valid(self.at) => {
                let text = texts.value(self.at);
                if self.columns[column].keeps_text(text) { Some(Cow::Borrowed(text)) } else { self.given_text(column) }
            }
            Some(Lane::Empty) => None,
            _ => self.given_text(column),
        }
    }
    fn given_text(&mut self, column: usize) -> Option<Cow<'r, str>> {
        match self.columns[column].text(self.given(column)) {
            Ok(value) => value,
            Err(reason) => {
                self.refuse(column, &reason);
                None
            }
        }
    }
    /// The number of a text among the few of its column, and those, when the column numbers them.
    fn few(&self, column: usize) -> Option<(usize, &'r ArrayRef)> {
        match self.lanes.get(column) {
            Some(Lane::Few(keys, texts)) if keys.is_valid(self.at) => Some((keys.value(self.at) as usize, texts)),
            _ => None,
        }
    }
    pub(super) fn must(&mut self, column: usize) -> Cow<'r, str> {
        self.text(column).unwrap_or_default()
    }
}

/// Texts and their kind that all threads number alike.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) words: Interner,
    pub(super) means: HashMap<Means, u32>,
    pub(super) listed: Vec<Means>,
}

impl Shared {
    pub(super) fn number(&mut self, means: Means) -> u32 {
        let next = self.listed.len() as u32;
        *self.means.entry(means).or_insert_with_key(|means| {
            self.listed.push(means.clone());
            next
        })
    }
}

/// The numbers of the few texts of a column, as far as they were asked for.
#[derive(Default)]
struct Few {
    of: Option<ArrayRef>,
    numbers: Vec<u32>,
}

/// Not asked for yet.
const UNKNOWN: u32 = NONE - 1;

impl Few {
    /// The place of the number of a text among these.
    fn place(&mut self, key: usize, texts: &ArrayRef) -> Option<&mut u32> {
        if !self.of.as_ref().is_some_and(|of| std::sync::Arc::ptr_eq(of, texts)) {
            self.numbers.clear();
            self.numbers.resize(texts.len(), UNKNOWN);
            self.of = Some(texts.clone());
        }
        self.numbers.get_mut(key)
    }
}

/// What many rows share, by the numbers of its words: what, by whom, resolver, DNSSEC, and the counts of perspectives.
pub(super) type Sharing = ([u32; 4], [Option<i64>; 3]);

const RECENT: usize = 64;

/// Where it is among the recent ones.
fn slot((words, counts): &Sharing) -> usize {
    let words = words.iter().fold(0, |slot: usize, word| slot.wrapping_mul(7).wrapping_add(*word as usize));
    let counts = counts.iter().fold(0, |slot: usize, count| slot.wrapping_mul(3) ^ count.unwrap_or(0) as usize);
    (words ^ counts) % RECENT
}

/// The most columns of a table.
const WIDEST: usize = 24;

/// What a word means as a method.
#[derive(Clone, Copy)]
pub(super) struct Method {
    /// That an earlier validation was reused.
    pub(super) is_reuse: bool,
    pub(super) prescribed: Prescribed,
}

/// Orders that were read: their identifiers, the half of the hash of each, and what is kept of each.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) ids: Texts,
    pub(super) halves: Vec<u32>,
    pub(super) rows: Vec<OrderRow>,
}

/// What one thread has read, and its memory of numbers.
pub(super) struct Hand<'s> {
    pub(super) shared: &'s Mutex<Shared>,
    words: HashMap<String, u32>,
    few: [Few; WIDEST],
    /// What words mean as methods, by their numbers.
    methods: Vec<Option<Method>>,
    means: HashMap<Sharing, u32>,
    /// Those of them that were asked for last.
    recent: Vec<(Sharing, u32)>,
    /// Of the rows of the block that is being read.
    applicants: Vec<u32>,
    pub(super) keys: Keys,
    pub(super) orders: Orders,
    /// The order of the certificate before.
    last_order: u32,
    /// By the number of the piece; there is always one.
    pub(super) certificates: Vec<(usize, Vec<Certificate>)>,
    pub(super) reuses: Vec<(usize, Vec<Reuse>)>,
    pub(super) revoked: Vec<i64>,
    pub(super) unasked: Vec<i64>,
    pub(super) unsettled: u64,
    pub(super) approvals: Vec<(u32, Approval)>,
    pub(super) confirmations: Option<Writer>,
    pub(super) checks: Option<Writer>,
    pub(super) names: Option<Writer>,
    pub(super) ordered: Option<Writer>,
}

impl<'s> Hand<'s> {
    pub(super) fn new(shared: &'s Mutex<Shared>) -> Hand<'s> {
        Hand {
            shared,
            words: HashMap::new(),
            few: Default::default(),
            methods: Vec::new(),
            means: HashMap::new(),
            recent: vec![(([NONE; 4], [None; 3]), NONE); RECENT],
            applicants: Vec::new(),
            keys: Keys::default(),
            orders: Default::default(),
            last_order: NONE,
            certificates: vec![(0, Vec::new())],
            reuses: vec![(0, Vec::new())],
            revoked: Vec::new(),
            unasked: Vec::new(),
            unsettled: 0,
            approvals: Vec::new(),
            confirmations: None,
            checks: None,
            names: None,
            ordered: None,
        }
    }

    /// Begins another piece.
    pub(super) fn begin(&mut self, piece: usize) {
        self.certificates.push((piece, Vec::new()));
        self.reuses.push((piece, Vec::new()));
    }

    pub(super) fn add_certificate(&mut self, certificate: Certificate) {
        self.certificates.last_mut().into_iter().for_each(|(_, rows)| rows.push(certificate));
    }

    pub(super) fn add_reuse(&mut self, reuse: Reuse) {
        self.reuses.last_mut().into_iter().for_each(|(_, rows)| rows.push(reuse));
    }

    /// The number of the word in a column; [`NONE`] where there is none, or a complaint.
    pub(super) fn word(&mut self, row: &mut Row<'_>, column: usize) -> u32 {
        let few = row.few(column);
        if let Some((key, texts)) = few
            && let Some(number) = self.few[column].place(key, texts)
            && *number != UNKNOWN
        {
            return *number;
        }
        let Some(text) = row.text(column) else { return NONE };
        let number = self.number(&text);
        if let Some(place) = few.and_then(|(key, texts)| self.few[column].place(key, texts)) {
            *place = number;
        }
        number
    }

    /// As [`Hand::word`], of a column whose absence is as good as an empty text.
    pub(super) fn must(&mut self, row: &mut Row<'_>, column: usize) -> u32 {
        match self.word(row, column) {
            NONE => self.number(""),
            number => number,
        }
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.words.get(text) {
            return *number;
        }
        let number = self.shared.lock().unwrap_or_else(PoisonError::into_inner).words.add(text).0;
        self.words.insert(text.to_string(), number);
        number
    }

    /// The number of the applicant in a column, once [`Hand::resolve`] has looked at its block.
    pub(super) fn applicant(&mut self, row: &mut Row<'_>, column: usize, facts: &Facts) -> Option<u32> {
        match self.applicants.get(row.at).copied().filter(|number| *number != NONE) {
            Some(number) => Some(number),
            None => facts.applicant_ids.find(&row.must(column)),
        }
    }

    /// Looks up the applicants of a whole block, at its first row, in one go: their texts lie far apart in memory, and so
    /// the waits for them overlap. [`NONE`] where there is something to complain of.
    pub(super) fn resolve(&mut self, row: &Row<'_>, column: usize, facts: &Facts) {
        if row.at > 0 {
            return;
        }
        let (block, rows) = (row.block, row.block.rows());
        let (mut texts, mut ends) = (Vec::new(), Vec::new());
        let mut last = None;
        for at in 0..rows {
            let given = block.given(column, at);
            // Rows of one order come together.
            if last != Some(given) {
                texts.push(row.columns[column].text(given).ok().flatten().unwrap_or_default());
                ends.push(at);
                last = Some(given);
            }
        }
        ends.push(rows);
        self.applicants.clear();
        for (number, of) in facts.applicant_ids.find_each(&texts).into_iter().zip(ends.windows(2)) {
            self.applicants.resize(of[1], number.unwrap_or(NONE));
        }
    }

    /// The number of an order; [`NONE`] where there is none.
    pub(super) fn order(&mut self, order_id: &str, facts: &Facts) -> u32 {
        let found = facts.order_ids.find_after(self.last_order, order_id).unwrap_or(NONE);
        self.last_order = found;
        found
    }

    /// What the method of this number means.
    pub(super) fn method(&mut self, number: u32) -> Method {
        if let Some(Some(known)) = self.methods.get(number as usize) {
            return *known;
        }
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let text = shared.words.get(number);
        let method = Method { is_reuse: means_reuse(text), prescribed: Prescribed::by(text) };
        self.methods.resize(self.methods.len().max(number as usize + 1), None);
        self.methods[number as usize] = Some(method);
        method
    }

    /// The number of what many rows share.
    pub(super) fn means(&mut self, sharing: Sharing) -> u32 {
        let slot = slot(&sharing);
        if self.recent[slot].0 == sharing && self.recent[slot].1 != NONE {
            return self.recent[slot].1;
        }
        let number = self.number_of(sharing);
        self.recent[slot] = (sharing, number);
        number
    }

    fn number_of(&mut self, sharing: Sharing) -> u32 {
        if let Some(number) = self.means.get(&sharing) {
            return *number;
        }
        let ([what, by, resolver, dnssec], remote) = sharing;
        let [ok, total, regions] = remote.map(|count| count.map(i64::unsigned_abs));
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |number: u32| (number != NONE).then(|| shared.words.get(number).to_string());
        let means = Means {
            what: text(what).unwrap_or_default(),
            performed_by: text(by).unwrap_or_default(),
            resolver: text(resolver),
            dnssec: text(dnssec),
            remote: ok.zip(total).map(|(ok, total)| (ok, total, regions)),
        };
        let number = shared.number(means);
        drop(shared);
        self.means.insert(sharing, number);
        number
    }
}
