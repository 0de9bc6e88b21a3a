//! What one thread reads, and how it reads a row.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

use crate::audit::AuditError;
use crate::audit::facts::{Certificate, Facts, Means, NO_MOMENT, OrderRow, Reuse};
use crate::audit::intern::Interner;
use crate::audit::key::Keys;
use crate::audit::source::Piece;
use crate::audit::spool::{Writer, put_number, put_text};
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
pub(super) struct Row<'r, 'v> {
    pub(super) piece: &'r Piece,
    pub(super) columns: &'r [FeedColumn],
    pub(super) number: u64,
    pub(super) values: &'r [Given<'v>],
    pub(super) refusals: &'r Refusals,
    pub(super) sound: bool,
}

impl<'v> Row<'_, 'v> {
    pub(super) fn refuse(&mut self, column: usize, reason: &str) {
        self.sound = false;
        let name = self.columns[column].name;
        self.refusals.add(|| format!("{}: column {name}: {reason}", self.piece.place(self.number)));
    }
    pub(super) fn whole(&mut self, column: usize) -> Option<i64> {
        match self.columns[column].whole(self.values[column]) {
            Ok(value) => value,
            Err(reason) => {
                self.refuse(column, &reason);
                None
            }
        }
    }
    /// A number of a reuse; one that was fed as a confirmation has its number negated in the embedded database.
    pub(super) fn reuse_id(&mut self, column: usize) -> i64 {
        match self.values[column] {
            Given::Number(number) if number < 0 && self.piece.is_database() => number,
            _ => self.whole(column).unwrap_or(0),
        }
    }
    pub(super) fn moment(&mut self, column: usize) -> i64 {
        self.whole(column).unwrap_or(NO_MOMENT)
    }
    pub(super) fn text(&mut self, column: usize) -> Option<Cow<'v, str>> {
        match self.columns[column].text(self.values[column]) {
            Ok(value) => value,
            Err(reason) => {
                self.refuse(column, &reason);
                None
            }
        }
    }
    pub(super) fn must(&mut self, column: usize) -> Cow<'v, str> {
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

/// What one thread has read, and its memory of numbers.
pub(super) struct Hand<'s> {
    pub(super) shared: &'s Mutex<Shared>,
    pub(super) words: HashMap<String, u32>,
    /// Whether a method means that an earlier validation was reused.
    pub(super) methods: HashMap<String, bool>,
    pub(super) means: HashMap<Vec<u8>, u32>,
    pub(super) key: Vec<u8>,
    /// The applicant of the row before, and its number: rows of one order come together.
    last_applicant: (String, Option<u32>),
    pub(super) keys: Keys,
    pub(super) orders: Vec<(String, OrderRow)>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) reuses: Vec<Reuse>,
    pub(super) revoked: Vec<i64>,
    pub(super) unasked: Vec<i64>,
    pub(super) approvals: Vec<(u32, Approval)>,
    pub(super) confirmations: Option<Writer>,
    pub(super) checks: Option<Writer>,
    pub(super) names: Option<Writer>,
}

impl<'s> Hand<'s> {
    pub(super) fn new(shared: &'s Mutex<Shared>) -> Hand<'s> {
        Hand {
            shared,
            words: HashMap::new(),
            methods: HashMap::new(),
            means: HashMap::new(),
            key: Vec::new(),
            last_applicant: (String::new(), None),
            keys: Keys::default(),
            orders: Vec::new(),
            certificates: Vec::new(),
            reuses: Vec::new(),
            revoked: Vec::new(),
            unasked: Vec::new(),
            approvals: Vec::new(),
            confirmations: None,
            checks: None,
            names: None,
        }
    }

    pub(super) fn word(&mut self, text: &str) -> u32 {
        if let Some(number) = self.words.get(text) {
            return *number;
        }
        let number = self.shared.lock().unwrap_or_else(PoisonError::into_inner).words.add(text).0;
        self.words.insert(text.to_string(), number);
        number
    }

    /// The number of an applicant.
    pub(super) fn applicant(&mut self, applicant_id: &str, facts: &Facts) -> Option<u32> {
        let (last, number) = &mut self.last_applicant;
        if last != applicant_id {
            *number = facts.applicant_ids.find(applicant_id);
            last.clear();
            last.push_str(applicant_id);
        }
        *number
    }

    pub(super) fn is_reuse(&mut self, method: &str) -> bool {
        if let Some(reuse) = self.methods.get(method) {
            return *reuse;
        }
        let reuse = means_reuse(method);
        self.methods.insert(method.to_string(), reuse);
        reuse
    }

    /// The number of what many rows share.
    pub(super) fn number(
        &mut self,
        what: &str,
        by: &str,
        resolver: Option<&str>,
        dnssec: Option<&str>,
        remote: [Option<i64>; 3],
    ) -> u32 {
        self.key.clear();
        for text in [Some(what), Some(by), resolver, dnssec] {
            self.key.push(u8::from(text.is_some()));
            put_text(&mut self.key, text.unwrap_or_default());
        }
        remote.iter().for_each(|count| put_number(&mut self.key, count.unwrap_or(-1)));
        if let Some(number) = self.means.get(&self.key) {
            return *number;
        }
        let [ok, total, regions] = remote.map(|count| count.map(i64::unsigned_abs));
        let means = Means {
            what: what.to_string(),
            performed_by: by.to_string(),
            resolver: resolver.map(str::to_string),
            dnssec: dnssec.map(str::to_string),
            remote: ok.zip(total).map(|(ok, total)| (ok, total, regions)),
        };
        let number = self.shared.lock().unwrap_or_else(PoisonError::into_inner).number(means);
        self.means.insert(self.key.clone(), number);
        number
    }
}
